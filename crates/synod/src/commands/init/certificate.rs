//! `synod init certificate`: a new certificate for a node or a client.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use server::config::{Config, Transport};

use super::issue::{Desk, ValidityArgs, files};
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Issue a new certificate for a node, or for a client
///
/// A node's goes where its file says, in place of the old one; a running node takes it within
/// seconds. A file that says nothing of certificates yet gets them beside it, and the lines to add
/// are printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod init certificate --authority cluster/authority --config cluster/l1/synod.toml
  synod init certificate --authority authority --config l1/synod.toml --client ci --dir ci")]
pub(super) struct InitCertificateArgs {
    /// The authority's directory: `ca.key` and `ca.crt`
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,

    /// The file of the node whose certificate it is; for a client, of any node
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Another address or name under which clients find the node; may be given again
    #[arg(long, value_name = "HOST", conflicts_with = "client")]
    host: Vec<String>,

    /// Issue it for a client of this name
    #[arg(long, value_name = "NAME", requires = "dir")]
    client: Option<String>,

    /// Where to write the client's `client.crt`, `client.key` and `ca.crt`
    #[arg(long, value_name = "DIR", requires = "client")]
    dir: Option<PathBuf>,

    #[command(flatten)]
    validity: ValidityArgs,
}

pub(super) fn run(args: &InitCertificateArgs, output: &Output) -> Result<Exit, CliError> {
    let config = Config::load(&args.config)?;
    let desk = Desk::open(&args.authority, config.cluster)?;
    let validity = args.validity.validity();
    let (holder, files, next) = if let (Some(name), Some(dir)) = (&args.client, &args.dir) {
        (name.clone(), desk.give_client(dir, name, validity)?, None)
    } else {
        let named = files("node");
        let (files, next) = match &config.transport {
            Transport::Tls(files) => (files.clone(), None),
            Transport::PlaintextTcp | Transport::PlaintextUdp => {
                let beside = |name: &PathBuf| args.config.with_file_name(name);
                let files = server::tls::Files {
                    ca: beside(&named.ca),
                    certificate: beside(&named.certificate),
                    key: beside(&named.key),
                };
                let next = format!(
                    "\nNext, in {}, in place of the plaintext transport, and the same at all \
                     nodes before they are started again:\n{}",
                    args.config.display(),
                    lines(&named)
                );
                (files, Some(next))
            }
        };
        let hosts = hosts(config.own().clients.ip(), &args.host);
        desk.give_node(&files, config.id, &hosts, validity)?;
        (format!("node {}", config.id), files, next)
    };
    let path = |path: &PathBuf| Value::Text(path.display().to_string());
    let fields = vec![
        ("holder", Value::Text(holder)),
        ("days", Value::Count(args.validity.days.into())),
        ("certificate", path(&files.certificate)),
        ("key", path(&files.key)),
        ("ca", path(&files.ca)),
    ];
    let report = Report::record("synod.init.certificate/1", fields);
    output.show(match next {
        Some(next) => report.next(next),
        None => report,
    })
}

/// Under what clients find a node: an address that means every address is none.
pub(super) fn hosts(own: IpAddr, others: &[String]) -> Vec<String> {
    let own = (!own.is_unspecified()).then(|| own.to_string());
    own.into_iter().chain(others.iter().cloned()).collect()
}

fn lines(files: &server::tls::Files) -> String {
    let (ca, certificate, key) =
        (files.ca.display(), files.certificate.display(), files.key.display());
    format!(
        "  [network]\n  transport = \"tls\"\n\n  [tls]\n  ca = \"{ca}\"\n  \
         certificate = \"{certificate}\"\n  key = \"{key}\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_is_no_host() {
        let other = ["db1".to_owned()];
        assert_eq!(hosts("10.0.0.1".parse().unwrap(), &other), ["10.0.0.1", "db1"]);
        assert_eq!(hosts("0.0.0.0".parse().unwrap(), &other), ["db1"]);
        assert_eq!(hosts("::".parse().unwrap(), &[]), [""; 0]);
    }
}
