//! `synod config`: what a node would start from, who said so, and what it means.

mod document;
mod explain;

use clap::{Args, Subcommand};
use server::config::{Origin, Resolved, Setting};

use super::serve::check_log;
use crate::error::{CliError, Exit};
use crate::node_args::NodeArgs;
use crate::output::{Output, Report, Value};

/// See what a node would start from, and what it means
///
/// Options win over `SYNOD_*` variables, these over the file, the file over defaults. Without
/// `--config` and `SYNOD_CONFIG`, /etc/synod/synod.toml is read.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod config show --config cluster/a1/synod.toml
  synod config explain timing.heartbeat")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every value, and where it came from
    #[command(after_help = "Examples:
  synod config show --config cluster/a1/synod.toml
  synod config show --config cluster/a1/synod.toml --set timing.heartbeat=20ms -o json")]
    Show(NodeArgs),
    /// Say whether a node would accept its configuration; exits 2 if not
    ///
    /// Nothing is opened, and no name is looked up.
    #[command(after_help = "Examples:
  synod config check --config cluster/a1/synod.toml
  synod config check -o json")]
    Check(NodeArgs),
    Explain(explain::ExplainArgs),
}

pub(super) fn run(args: &ConfigArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        ConfigCommand::Show(args) => output.show(shown(&checked(args)?.settings)),
        ConfigCommand::Check(args) => output.show(right(&checked(args)?)),
        ConfigCommand::Explain(args) => explain::run(args, output),
    }
}

/// Everything that `serve` would ask of it before it opens anything, but what names stand for.
fn checked(args: &NodeArgs) -> Result<Resolved, CliError> {
    let resolved = args.layers()?.resolve_offline()?;
    check_log(&resolved.config.log)?;
    Ok(resolved)
}

fn shown(settings: &[Setting]) -> Report {
    let row = |setting: &Setting| {
        vec![
            Value::Text(setting.name.clone()),
            Value::Text(setting.value.clone()),
            Value::Text(origin(&setting.origin)),
        ]
    };
    let rows = settings.iter().map(row).collect();
    Report::rows("synod.config.show/1", "settings", &["key", "value", "origin"], rows)
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Option(option) => option.clone(),
        Origin::Variable(name) => (*name).to_owned(),
        Origin::File { path, line } => format!("{}:{line}", path.display()),
        Origin::Default => "default".to_owned(),
    }
}

fn right(resolved: &Resolved) -> Report {
    let Resolved { config, file, .. } = resolved;
    let (file, nodes) = (file.display().to_string(), config.nodes.len());
    let prose = format!("{file} is right: node {} of {nodes}\n", config.id);
    Report::record(
        "synod.config.check/1",
        vec![
            ("config", Value::Text(file)),
            ("node", Value::Id(config.id.0.into())),
            ("nodes", Value::Count(nodes as u64)),
        ],
    )
    .prose(prose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, rendered};

    #[test]
    fn each_value_is_shown_with_its_origin() {
        let setting = |name: &str, origin| Setting {
            name: name.to_owned(),
            value: "7".to_owned(),
            origin,
            reloads: false,
        };
        let file = Origin::File { path: "f".into(), line: 3 };
        let settings = [
            setting("a", Origin::Option("--id".to_owned())),
            setting("b", Origin::Variable("SYNOD_ID")),
            setting("c", file),
            setting("d", Origin::Default),
        ];
        assert_eq!(
            rendered(Format::Plain, &shown(&settings)),
            "a\t7\t--id\nb\t7\tSYNOD_ID\nc\t7\tf:3\nd\t7\tdefault\n"
        );
    }
}
