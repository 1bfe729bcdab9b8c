//! Which node a command is about: its file, and what is laid over it.

use std::path::PathBuf;

use clap::Args;
use server::config::Layers;

use crate::error::CliError;

/// The options of every command that starts from a node's configuration.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct NodeArgs {
    /// The node's file, as `synod init cluster` writes it [default: /etc/synod/synod.toml]
    #[arg(long, value_name = "FILE", env = "SYNOD_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    /// Which of the file's nodes this one is
    #[arg(long, value_name = "ID")]
    id: Option<u32>,

    /// Where its journal and its snapshots live
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,

    /// A key's value, over variables and the file; `synod config explain` lists the keys
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl NodeArgs {
    /// The file, the environment over it, these options over both.
    pub(crate) fn layers(&self) -> Result<Layers, CliError> {
        let mut layers = Layers::new(self.config.clone().filter(|it| !it.as_os_str().is_empty()));
        // What is not text is no variable of ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        layers.variables(variables)?;
        for text in &self.set {
            layers.set("--set", text)?;
        }
        if let Some(id) = self.id {
            layers.option("--id", "id", id.to_string());
        }
        if let Some(data_dir) = &self.data_dir {
            layers.option("--data-dir", "data_dir", data_dir.clone());
        }
        Ok(layers)
    }
}
