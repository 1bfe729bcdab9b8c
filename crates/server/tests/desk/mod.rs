//! What tests of certificates share: an authority, and the files that it gives to nodes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use paxos::{ClusterId, NodeId};
use server::tls::{Authority, Files, Issued, Tls, private};

pub const CLUSTER: ClusterId = ClusterId([7; 16]);
pub const DAY: Duration = Duration::from_secs(86_400);

/// Files below one directory, each holder's under its name.
pub struct Desk {
    pub authority: Authority,
    directory: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Desk {
        let authority = Authority::draw(CLUSTER).expect("an authority");
        Desk { authority, directory: tempfile::tempdir().expect("a directory") }
    }

    pub fn files(&self, holder: &str) -> Files {
        let at =
            |ending: &str| -> PathBuf { self.directory.path().join(holder.to_owned() + ending) };
        Files { ca: at(".ca"), certificate: at(".crt"), key: at(".key") }
    }

    /// Gives a holder what was issued, and whom to trust.
    pub fn give(&self, holder: &str, issued: &Issued, trusted: &[&Authority]) -> Files {
        let files = self.files(holder);
        let all = trusted.iter().map(|it| it.itself(DAY).expect("a certificate").certificate);
        fs::write(&files.ca, all.collect::<String>()).expect("written");
        private::write(&files.key, issued.key.as_bytes()).expect("written");
        fs::write(&files.certificate, &issued.certificate).expect("written");
        files
    }

    /// What a node in order has.
    pub fn node(&self, id: u32) -> Arc<Tls> {
        let issued = self.authority.node(NodeId(id), &[], DAY).expect("issued");
        let files = self.give(&format!("node-{id}"), &issued, &[&self.authority]);
        Arc::new(Tls::open(NodeId(id), CLUSTER, files).expect("in order"))
    }
}
