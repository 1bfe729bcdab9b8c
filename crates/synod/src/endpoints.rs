//! Which nodes a command talks to, and how long it waits for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use client::Credentials;
use server::config::{Config, DEFAULT_FILE, parse_duration};

use crate::error::CliError;

/// The options of every command that talks to nodes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct EndpointArgs {
    /// Nodes to ask, comma-separated; each finds the leader [env: SYNOD_ENDPOINTS; else the nodes
    /// of SYNOD_CONFIG, else those of /etc/synod/synod.toml]
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',')]
    endpoints: Vec<String>,

    /// Take the nodes from a node's configuration file
    #[arg(long, value_name = "FILE", conflicts_with = "endpoints")]
    config: Option<PathBuf>,

    /// Who asks: a directory with ca.crt, and client.crt and client.key or a token [env:
    /// SYNOD_CREDENTIALS]
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,

    /// How long to wait for an answer [default: 5s; 1s to ask for a node's state]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
}

impl EndpointArgs {
    /// The same for the nodes of a configuration file, by who has these credentials.
    pub(crate) fn with_file(&self, file: PathBuf, credentials: PathBuf) -> EndpointArgs {
        let (config, credentials) = (Some(file), Some(credentials));
        EndpointArgs { endpoints: Vec::new(), config, credentials, ..self.clone() }
    }

    /// At least one address, as given or as configured. Options win over the environment, and this
    /// over the configuration of the machine's own node.
    pub(crate) fn resolve(&self) -> Result<Vec<String>, CliError> {
        self.resolve_with(|name| std::env::var(name).ok())
    }

    /// Who asks; none where nobody wants to know.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, CliError> {
        let variable = std::env::var_os("SYNOD_CREDENTIALS").filter(|it| !it.is_empty());
        let directory = self.credentials.clone().or(variable.map(PathBuf::from));
        let load = |directory: PathBuf| {
            Credentials::load(&directory).map_err(|error| {
                CliError::usage(error.to_string())
                    .hint("`synod init cluster` makes such a directory for its operator")
            })
        };
        directory.map(load).transpose()
    }

    fn resolve_with(
        &self,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Vec<String>, CliError> {
        if let Some(path) = &self.config {
            return configured(path);
        }
        if !self.endpoints.is_empty() {
            return Ok(self.endpoints.clone());
        }
        let variable = |name| variable(name).filter(|text| !text.is_empty());
        if let Some(text) = variable("SYNOD_ENDPOINTS") {
            return Ok(text.split(',').map(|it| it.trim().to_owned()).collect());
        }
        if let Some(path) = variable("SYNOD_CONFIG") {
            return configured(Path::new(&path));
        }
        if Path::new(DEFAULT_FILE).is_file() {
            return configured(Path::new(DEFAULT_FILE));
        }
        Err(CliError::usage("no nodes to talk to").hint(
            "name them with --endpoints HOST:PORT,..., --config FILE, SYNOD_ENDPOINTS or \
             SYNOD_CONFIG",
        ))
    }
}

fn configured(path: &Path) -> Result<Vec<String>, CliError> {
    let config = Config::load(path)?;
    Ok(config.nodes.iter().map(|node| node.clients.to_string()).collect())
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() { Err("nobody answers in no time".to_owned()) } else { Ok(timeout) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_environment() {
        let given = |endpoints: &[&str]| EndpointArgs {
            endpoints: endpoints.iter().map(|it| (*it).to_owned()).collect(),
            config: None,
            credentials: None,
            timeout: None,
        };
        let only = |name: &'static str, value: &'static str| {
            move |asked| (asked == name).then(|| value.to_owned())
        };
        let endpoints = only("SYNOD_ENDPOINTS", "c:3, d:4");
        assert_eq!(given(&["a:1"]).resolve_with(endpoints).unwrap(), ["a:1"]);
        assert_eq!(given(&[]).resolve_with(endpoints).unwrap(), ["c:3", "d:4"]);
        assert!(given(&[]).resolve_with(only("SYNOD_CONFIG", "")).is_err());
        let error = given(&[]).resolve_with(only("SYNOD_CONFIG", "/nowhere/f")).unwrap_err();
        assert!(error.message.starts_with("/nowhere/f: "), "{}", error.message);
    }

    #[test]
    fn no_time_at_all_is_refused() {
        assert!(parse_timeout("0s").is_err());
        assert_eq!(parse_timeout("5s"), Ok(Duration::from_secs(5)));
    }
}
