//! Issuing: an authority of a cluster, and the keys and certificates that it gives to nodes and
//! clients.
//!
//! An authority is its private key: the name in its certificate follows from the key and the
//! cluster, so nothing has to be read back from certificates. Two authorities of one cluster, the
//! old and the new one of a change, have different names.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use paxos::{ClusterId, NodeId};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use thiserror::Error;

use super::identity::{Identity, is_client, is_reserved};
use crate::config::format_identity;

/// Clocks of a cluster may differ by so much: a certificate counts from so long before it is made.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(3600);

/// Issues certificates for one cluster.
pub struct Authority {
    cluster: ClusterId,
    key: KeyPair,
}

/// A private key and what is certified about it.
pub struct Issued {
    /// PEM, for everybody.
    pub certificate: String,
    /// PEM, PKCS #8. A secret.
    pub key: String,
}

/// Why no certificate is issued.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// Not a private key, or of a kind that cannot sign.
    #[error("the authority's key cannot be read: {0}")]
    Key(rcgen::Error),
    /// The certificate could not be made.
    #[error("no certificate can be made: {0}")]
    Issue(rcgen::Error),
    /// It would make two clients one, or is no DNS label.
    #[error(
        "`{0}` cannot be a client's name: at most 63 lower-case letters, digits and hyphens are"
    )]
    ClientName(String),
    /// It would make its holder somebody else.
    #[error("`{0}` is no host: names that end with .synod are identities")]
    Reserved(String),
    /// Beyond what certificates can say.
    #[error("a validity of {} days ends too late", .0.as_secs() / 86_400)]
    Validity(Duration),
}

impl Authority {
    /// Draws a new one.
    pub fn draw(cluster: ClusterId) -> Result<Authority, AuthorityError> {
        Ok(Authority { cluster, key: KeyPair::generate().map_err(AuthorityError::Key)? })
    }

    /// The one whose private key this is, in PEM.
    pub fn from_key(cluster: ClusterId, pem: &str) -> Result<Authority, AuthorityError> {
        Ok(Authority { cluster, key: KeyPair::from_pem(pem).map_err(AuthorityError::Key)? })
    }

    /// Its own certificate, which all who trust it hold, and its key.
    pub fn itself(&self, validity: Duration) -> Result<Issued, AuthorityError> {
        let mut params = self.params();
        (params.not_before, params.not_after) = period(validity)?;
        let certificate = params.self_signed(&self.key).map_err(AuthorityError::Issue)?;
        Ok(Issued { certificate: certificate.pem(), key: self.key.serialize_pem() })
    }

    /// A new key and certificate for a node. Clients find it under `hosts`: addresses or DNS names.
    pub fn node(
        &self,
        id: NodeId,
        hosts: &[String],
        validity: Duration,
    ) -> Result<Issued, AuthorityError> {
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&Identity::Node(id), hosts, &usages, validity)
    }

    /// A new key and certificate for a client.
    pub fn client(&self, name: &str, validity: Duration) -> Result<Issued, AuthorityError> {
        if !is_client(name) {
            return Err(AuthorityError::ClientName(name.to_owned()));
        }
        // Nobody who dials takes it for a node.
        let usages = [ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&Identity::Client(name.to_owned()), &[], &usages, validity)
    }

    fn issue(
        &self,
        identity: &Identity,
        hosts: &[String],
        usages: &[ExtendedKeyUsagePurpose],
        validity: Duration,
    ) -> Result<Issued, AuthorityError> {
        let mut params = CertificateParams::default();
        let dns =
            |name: &str| Ok(SanType::DnsName(name.try_into().map_err(AuthorityError::Issue)?));
        params.subject_alt_names = vec![dns(&identity.dns(self.cluster))?];
        for host in hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if is_reserved(host) => return Err(AuthorityError::Reserved(host.clone())),
                Err(_) => dns(host)?,
            });
        }
        let name = match identity {
            Identity::Node(id) => format!("Synod node {id}"),
            Identity::Client(name) => format!("Synod client {name}"),
        };
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = period(validity)?;
        let key = KeyPair::generate().map_err(AuthorityError::Issue)?;
        let issuer = Issuer::new(self.params(), &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(AuthorityError::Issue)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// All that an authority's certificate says, but for its period.
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        // A point of a curve: the first byte says how it is written, the next ones are as good as
        // random.
        let raw = self.key.public_key_raw();
        let mark: String = raw.iter().skip(1).take(8).map(|byte| format!("{byte:02x}")).collect();
        let cluster = format_identity(&self.cluster.0);
        let name = format!("Synod authority {mark} of {cluster}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }
}

/// The name alone: the key is nobody's business.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// From when and until when.
fn period<T: From<SystemTime>>(validity: Duration) -> Result<(T, T), AuthorityError> {
    // The last second of the year 9999, which is all that certificates can say.
    const END: Duration = Duration::from_secs(253_402_300_799);
    let now = SystemTime::now();
    let end = now.checked_add(validity).filter(|end| *end <= SystemTime::UNIX_EPOCH + END);
    let end = end.ok_or(AuthorityError::Validity(validity))?;
    Ok(((now - CLOCK_SKEW_MAX).into(), end.into()))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::tls::{bears, client_name, node_name};

    const CLUSTER: ClusterId = ClusterId([7; 16]);
    const DAY: Duration = Duration::from_secs(86_400);

    fn certificate(issued: &Issued) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
    }

    #[test]
    fn a_certificate_is_its_holders_and_nobody_elses() {
        let authority = Authority::draw(CLUSTER).unwrap();
        let hosts = ["127.0.0.1".to_owned(), "db1.example.org".to_owned()];
        let node = certificate(&authority.node(NodeId(3), &hosts, DAY).unwrap());
        assert!(bears(&node, &node_name(CLUSTER, NodeId(3))));
        assert!(bears(&node, &"db1.example.org".try_into().unwrap()));
        assert!(bears(&node, &"127.0.0.1".try_into().unwrap()));
        assert!(!bears(&node, &node_name(CLUSTER, NodeId(2))));
        assert!(!bears(&node, &node_name(ClusterId([8; 16]), NodeId(3))));
        assert_eq!(Identity::of(&node, CLUSTER), Some(Identity::Node(NodeId(3))));
        assert_eq!(Identity::of(&node, ClusterId([8; 16])), None);
        let admin = certificate(&authority.client("node-3", DAY).unwrap());
        assert!(bears(&admin, &client_name(CLUSTER, "node-3").unwrap()));
        assert!(!bears(&admin, &node_name(CLUSTER, NodeId(3))));
        assert_eq!(Identity::of(&admin, CLUSTER), Some(Identity::Client("node-3".into())));
    }

    #[test]
    fn nobody_is_given_the_name_of_another() {
        let authority = Authority::draw(CLUSTER).unwrap();
        let other = Identity::Node(NodeId(2)).dns(CLUSTER);
        let issued = authority.node(NodeId(3), &[other], DAY);
        assert!(matches!(issued, Err(AuthorityError::Reserved(_))));
        assert!(matches!(authority.client("a.b", DAY), Err(AuthorityError::ClientName(_))));
    }

    #[test]
    fn an_authority_is_its_key() {
        let authority = Authority::draw(CLUSTER).unwrap();
        let itself = authority.itself(DAY).unwrap();
        let again = Authority::from_key(CLUSTER, &itself.key).unwrap();
        assert_eq!(authority.params(), again.params());
        assert_ne!(authority.params(), Authority::draw(CLUSTER).unwrap().params());
        assert!(Authority::from_key(CLUSTER, &itself.certificate).is_err());
    }

    #[test]
    fn a_validity_beyond_all_time_is_refused() {
        let authority = Authority::draw(CLUSTER).unwrap();
        assert!(matches!(authority.itself(Duration::MAX), Err(AuthorityError::Validity(_))));
        assert!(matches!(authority.itself(DAY * 3_000_000), Err(AuthorityError::Validity(_))));
    }

    #[test]
    fn secrets_are_in_no_debug_text() {
        let authority = Authority::draw(CLUSTER).unwrap();
        let issued = authority.itself(DAY).unwrap();
        let secret = issued.key.lines().nth(1).unwrap();
        assert!(!format!("{authority:?} {issued:?}").contains(secret));
        assert!(!format!("{issued:?}").contains("PRIVATE"));
    }
}
