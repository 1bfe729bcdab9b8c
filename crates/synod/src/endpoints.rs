//! Which nodes a command talks to, and how long it waits for them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use client::Credentials;
use server::config::{Config, parse_duration};

use crate::error::CliError;

/// The options of every command that talks to nodes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct EndpointArgs {
    /// Nodes to ask, comma-separated; each finds the leader [env: SYNOD_ENDPOINTS]
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',')]
    endpoints: Vec<String>,

    /// Take the nodes from a node's configuration file
    #[arg(long, value_name = "FILE", conflicts_with = "endpoints")]
    config: Option<PathBuf>,

    /// Who asks: a directory with ca.pem, and certificate.pem and key.pem or a token [env:
    /// SYNOD_CREDENTIALS]
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,

    /// How long to wait for an answer [default: 5s; 1s to ask for a node's state]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
}

impl EndpointArgs {
    /// The same for the nodes of a configuration file.
    pub(crate) fn with_file(&self, file: PathBuf) -> EndpointArgs {
        EndpointArgs { endpoints: Vec::new(), config: Some(file), ..self.clone() }
    }

    /// At least one address, as given or as configured. Options win over the environment.
    pub(crate) fn resolve(&self) -> Result<Vec<String>, CliError> {
        self.resolve_with(std::env::var("SYNOD_ENDPOINTS").ok())
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

    fn resolve_with(&self, variable: Option<String>) -> Result<Vec<String>, CliError> {
        if let Some(path) = &self.config {
            let config = Config::load(path)?;
            return Ok(config.nodes.iter().map(|node| node.clients.to_string()).collect());
        }
        if !self.endpoints.is_empty() {
            return Ok(self.endpoints.clone());
        }
        match variable.filter(|text| !text.is_empty()) {
            Some(text) => Ok(text.split(',').map(|it| it.trim().to_owned()).collect()),
            None => Err(CliError::usage("no nodes to talk to").hint(
                "name them with --endpoints HOST:PORT,..., --config FILE or SYNOD_ENDPOINTS",
            )),
        }
    }
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
        let variable = || Some("c:3, d:4".to_owned());
        assert_eq!(given(&["a:1"]).resolve_with(variable()).unwrap(), ["a:1"]);
        assert_eq!(given(&[]).resolve_with(variable()).unwrap(), ["c:3", "d:4"]);
        assert!(given(&[]).resolve_with(Some(String::new())).is_err());
    }

    #[test]
    fn no_time_at_all_is_refused() {
        assert!(parse_timeout("0s").is_err());
        assert_eq!(parse_timeout("5s"), Ok(Duration::from_secs(5)));
    }
}
