//! Where `init` meets the server's certificates: an authority's directory, and the files that are
//! issued from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use paxos::{ClusterId, NodeId};
use server::tls::{Authority, AuthorityError, Files, Issued, private};

use crate::error::{CliError, Exit};

const DAY: Duration = Duration::from_secs(86_400);

/// The most that anybody has a use for, in days.
const DAYS_MAX: i64 = 36_500;

/// How long an authority counts, unless told otherwise, in days.
pub(super) const AUTHORITY_DAYS: u32 = 3650;

/// How long certificates count.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ValidityArgs {
    /// How long a certificate counts, in days
    #[arg(
        long,
        value_name = "N",
        default_value_t = 365,
        value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX)
    )]
    pub(super) days: u32,
}

impl ValidityArgs {
    pub(super) fn validity(self) -> Duration {
        days(self.days)
    }
}

pub(super) fn days(days: u32) -> Duration {
    DAY * days
}

/// An authority, and what all who trust it hold.
pub(super) struct Desk {
    authority: Authority,
    /// Its certificate, in PEM.
    certificate: String,
}

impl Desk {
    /// Makes a new authority in a directory, which must not have one.
    pub(super) fn make(
        directory: &Path,
        cluster: [u8; 16],
        validity: Duration,
    ) -> Result<Desk, CliError> {
        let authority = Authority::draw(ClusterId(cluster))?;
        let itself = authority.itself(validity)?;
        create(directory)?;
        let (key, certificate) = (directory.join("ca.key"), directory.join("ca.crt"));
        if let Some(taken) = [&key, &certificate].into_iter().find(|path| path.exists()) {
            let message = format!("{} is there already; nothing was written", taken.display());
            return Err(CliError::new("not_empty", Exit::Failed, message).hint(
                "choose another directory: whoever trusts an authority needs its key again",
            ));
        }
        write_secret(&key, &itself.key)?;
        write(&certificate, &itself.certificate)?;
        Ok(Desk { authority, certificate: itself.certificate })
    }

    /// Opens an authority's directory.
    pub(super) fn open(directory: &Path, cluster: [u8; 16]) -> Result<Desk, CliError> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(|error| CliError::file("read", &path, &error))
        };
        let authority = Authority::from_key(ClusterId(cluster), &read("ca.key")?)?;
        Ok(Desk { authority, certificate: read("ca.crt")? })
    }

    /// Gives a node its files. Whom it trusts is written only where nobody has said it yet.
    pub(super) fn give_node(
        &self,
        files: &Files,
        node: NodeId,
        hosts: &[String],
        validity: Duration,
    ) -> Result<(), CliError> {
        self.give(files, &self.authority.node(node, hosts, validity)?)
    }

    /// Gives a client its files, in a directory.
    pub(super) fn give_client(
        &self,
        directory: &Path,
        name: &str,
        validity: Duration,
    ) -> Result<Files, CliError> {
        let issued = self.authority.client(name, validity)?;
        create(directory)?;
        let files = files("client");
        let files = Files {
            ca: directory.join(files.ca),
            certificate: directory.join(files.certificate),
            key: directory.join(files.key),
        };
        self.give(&files, &issued)?;
        Ok(files)
    }

    fn give(&self, files: &Files, issued: &Issued) -> Result<(), CliError> {
        if !files.ca.exists() {
            write(&files.ca, &self.certificate)?;
        }
        // One right after the other: a node that looks in between keeps what it has, and says so.
        write_secret(&files.key, &issued.key)?;
        write(&files.certificate, &issued.certificate)
    }
}

/// The names of a holder's files, in its directory.
pub(super) fn files(holder: &str) -> Files {
    let named = |ending: &str| PathBuf::from(format!("{holder}.{ending}"));
    Files { ca: "ca.crt".into(), certificate: named("crt"), key: named("key") }
}

fn create(directory: &Path) -> Result<(), CliError> {
    fs::create_dir_all(directory).map_err(|error| CliError::file("create", directory, &error))
}

fn write(path: &Path, pem: &str) -> Result<(), CliError> {
    private::write_public(path, pem.as_bytes())
        .map_err(|error| CliError::file("write", path, &error))
}

fn write_secret(path: &Path, pem: &str) -> Result<(), CliError> {
    private::write(path, pem.as_bytes()).map_err(|error| CliError::file("write", path, &error))
}

impl From<AuthorityError> for CliError {
    fn from(error: AuthorityError) -> CliError {
        let exit = match &error {
            AuthorityError::ClientName(_)
            | AuthorityError::Reserved(_)
            | AuthorityError::Validity(_)
            | AuthorityError::Key(_) => Exit::Usage,
            AuthorityError::Issue(_) => Exit::Failed,
        };
        CliError::new("certificate", exit, error.to_string())
    }
}
