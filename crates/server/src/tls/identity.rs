//! Names in certificates, and whose a certificate is.
//!
//! `node-<id>.<cluster>.synod` is a node, `<name>.client.<cluster>.synod` a client; the cluster is
//! 32 lower-case hexadecimal digits. Whether a certificate is genuine is the handshake's business.

use paxos::{ClusterId, NodeId};
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::EndEntityCert;

use crate::config::format_identity;

/// What all names end with. Nobody's on the internet: it is no top-level domain.
const SUFFIX: &str = "synod";

/// The longest name of a client: what a label of a DNS name may have.
const CLIENT_BYTES_MAX: usize = 63;

/// Whose a certificate is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A node of the cluster.
    Node(NodeId),
    /// A client, by its name.
    Client(String),
}

impl Identity {
    /// Whose this certificate is within `cluster`; none if it names nobody there, or several.
    pub fn of(certificate: &CertificateDer<'_>, cluster: ClusterId) -> Option<Identity> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let mut found = certificate.valid_dns_names().filter_map(|name| parse(name, cluster));
        let identity = found.next()?;
        // Who is two is nobody: a permission must not depend on which name stands first.
        found.all(|other| other == identity).then_some(identity)
    }

    /// The name in its certificate.
    pub(super) fn dns(&self, cluster: ClusterId) -> String {
        let cluster = format_identity(&cluster.0);
        match self {
            Identity::Node(id) => format!("node-{id}.{cluster}.{SUFFIX}"),
            Identity::Client(name) => format!("{name}.client.{cluster}.{SUFFIX}"),
        }
    }
}

/// The name of a node, for the verifier.
pub fn node_name(cluster: ClusterId, node: NodeId) -> ServerName<'static> {
    server_name(Identity::Node(node).dns(cluster)).expect("a number makes a label")
}

/// The name of a client, for the verifier; none if it [cannot](is_client) be one.
pub fn client_name(cluster: ClusterId, name: &str) -> Option<ServerName<'static>> {
    is_client(name).then(|| server_name(Identity::Client(name.to_owned()).dns(cluster)))?
}

/// Whether a client may have this name: lower-case letters, digits and hyphens, at most 63, the
/// first and the last no hyphen.
pub fn is_client(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=CLIENT_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_letter)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether a certificate bears a name. Says nothing of who issued it.
pub fn bears(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    EndEntityCert::try_from(certificate)
        .is_ok_and(|it| it.verify_is_valid_for_subject_name(name).is_ok())
}

/// Whether a name is one that only identities have.
pub(super) fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == SUFFIX || name.trim_end_matches('.').ends_with(&format!(".{SUFFIX}"))
}

fn server_name(name: String) -> Option<ServerName<'static>> {
    DnsName::try_from(name).ok().map(ServerName::DnsName)
}

fn parse(name: &str, cluster: ClusterId) -> Option<Identity> {
    let rest = name.strip_suffix(&format!(".{}.{SUFFIX}", format_identity(&cluster.0)))?;
    if let Some(name) = rest.strip_suffix(".client") {
        return is_client(name).then(|| Identity::Client(name.to_owned()));
    }
    let id = NodeId(rest.strip_prefix("node-")?.parse().ok()?);
    // One way to write a number: no sign, no zeros before it.
    (rest == format!("node-{id}")).then_some(Identity::Node(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId([0xa5; 16]);

    #[test]
    fn names_are_written_in_one_way_and_read_back() {
        for identity in [Identity::Node(NodeId(3)), Identity::Client("a-1".into())] {
            assert_eq!(parse(&identity.dns(CLUSTER), CLUSTER), Some(identity.clone()));
            assert_eq!(parse(&identity.dns(CLUSTER), ClusterId([1; 16])), None);
        }
        let cluster = format_identity(&CLUSTER.0);
        for wrong in ["node-03", "node-+3", "node-", "node-3.x", "*", "x.client.client", "*.client"]
        {
            assert_eq!(parse(&format!("{wrong}.{cluster}.synod"), CLUSTER), None, "{wrong}");
        }
        assert_eq!(parse(&format!("node-3.{cluster}.synod.org"), CLUSTER), None);
        // A client may call itself so; it is a client all the same.
        let cunning = Identity::Client("node-3".into());
        assert_eq!(parse(&cunning.dns(CLUSTER), CLUSTER), Some(cunning));
    }

    #[test]
    fn a_clients_name_is_a_label() {
        for name in ["a", "admin", "ci-7", &"x".repeat(63)] {
            assert!(is_client(name) && client_name(CLUSTER, name).is_some(), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a.b", "é", "*", "a b", &"x".repeat(64)] {
            assert!(!is_client(name) && client_name(CLUSTER, name).is_none(), "{name}");
        }
    }

    #[test]
    fn only_identities_end_with_our_suffix() {
        for name in ["node-1.x.synod", "A.SYNOD", "synod", "a.synod."] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["synod.example.org", "asynod", "db1"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
