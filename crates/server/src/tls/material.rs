//! What the files of a node hold, checked whole; and what connections are made with.
//!
//! A set of files is in order if the certificate is this node's and the authorities that it names
//! itself would let it in. Whoever hands out half of a change is told so here, not by silence
//! between nodes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use paxos::{ClusterId, NodeId};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;

use super::identity::node_name;
use super::private;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Where a node's certificates are. All are PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Files {
    /// Certificates of the authorities whose word is taken: one, or an old and a new one.
    pub ca: PathBuf,
    /// The node's own certificate, and what leads from it to an authority, if anything.
    pub certificate: PathBuf,
    /// Its private key, which nobody else may read.
    pub key: PathBuf,
}

/// Why a set of files cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is beyond anything that belongs there.
    #[error("{path}: is larger than {} KiB", FILE_BYTES_MAX >> 10)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A private key that is none.
    #[error("{path}: others may read this private key")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Not PEM, or nothing in it that belongs there.
    #[error("{path}: {why}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key is another certificate's.
    #[error("{key} is not the key of {certificate}")]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The node's own certificate would be refused by every other node.
    #[error("{certificate}: {why}")]
    Refused {
        /// The certificate's file.
        certificate: PathBuf,
        /// What others would say.
        why: String,
    },
}

impl TlsError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            TlsError::Exposed { path } => format!("chmod 600 {}", path.display()),
            TlsError::Unreadable { .. } | TlsError::TooLarge { .. } | TlsError::Content { .. } => {
                "`synod init cluster` and `synod init certificate` write these files".into()
            }
            TlsError::KeyMismatch { .. } | TlsError::Refused { .. } => {
                "`synod init certificate` issues a new certificate and its key".into()
            }
        }
    }
}

/// The bytes of a set of files, as they were read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Contents {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    pub(super) fn read(files: &Files) -> Result<Contents, TlsError> {
        Ok(Contents {
            ca: read(&files.ca, false)?,
            certificate: read(&files.certificate, false)?,
            key: read(&files.key, true)?,
        })
    }
}

/// One set of files that is in order.
pub struct Material {
    contents: Contents,
    roots: Arc<RootCertStore>,
    own: Arc<SingleCertAndKey>,
    diallers: Arc<dyn ClientCertVerifier>,
    /// The same, where no certificate is as good as a good one.
    strangers: Arc<dyn ClientCertVerifier>,
    dialled: Arc<WebPkiServerVerifier>,
    expires: u64,
}

impl Material {
    pub(super) fn new(
        node: NodeId,
        cluster: ClusterId,
        files: &Files,
        contents: Contents,
    ) -> Result<Material, TlsError> {
        let roots = Arc::new(roots(&files.ca, &contents.ca)?);
        let chain = certificates(&files.certificate, &contents.certificate)?;
        let bad = |path: &Path, why: String| TlsError::Content { path: path.to_owned(), why };
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| bad(&files.key, "there is no private key in it".into()))?;
        // What the decoder says of a key could quote it.
        let own = CertifiedKey::from_der(chain.clone(), key, &provider()).map_err(|error| {
            let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
            if mismatch {
                let (key, certificate) = (files.key.clone(), files.certificate.clone());
                return TlsError::KeyMismatch { key, certificate };
            }
            bad(&files.key, "the private key is of a kind that cannot be used".into())
        })?;
        let algorithms = provider();
        let failed =
            |error: rustls::server::VerifierBuilderError| bad(&files.ca, error.to_string());
        let verifier = || {
            WebPkiClientVerifier::builder_with_provider(roots.clone(), algorithms.clone())
                // Who dials has one certificate to show, and strangers need not be told of ours.
                .clear_root_hint_subjects()
        };
        let diallers = verifier().build().map_err(failed)?;
        let strangers = verifier().allow_unauthenticated().build().map_err(failed)?;
        let dialled =
            WebPkiServerVerifier::builder_with_provider(roots.clone(), algorithms.clone())
                .build()
                .map_err(failed)?;
        let expires = expires(diallers.as_ref(), &chain).map_err(|error| {
            let why = in_words(&error);
            TlsError::Refused { certificate: files.certificate.clone(), why }
        })?;
        let material = Material {
            contents,
            roots,
            own: Arc::new(SingleCertAndKey::from(own)),
            diallers,
            strangers,
            dialled,
            expires,
        };
        let refused = |error: rustls::Error| {
            let why = match error {
                rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ) => format!("it is not the certificate of {}", node_name(cluster, node).to_str()),
                error => in_words(&error),
            };
            TlsError::Refused { certificate: files.certificate.clone(), why }
        };
        material.trusts_dialled(&chain, &node_name(cluster, node)).map_err(refused)?;
        material.trusts_dialler(&chain).map_err(refused)?;
        Ok(material)
    }

    pub(super) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// When the node's own certificate ends, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// For who listens: shows the node's certificate, and demands one that an authority of the
    /// cluster has issued, a node's or a client's. Speaks `protocols` (ALPN), in this order of
    /// preference; who offers none of them is refused, who offers nothing is not.
    ///
    /// Sessions are not resumed: each handshake looks at the certificates anew.
    pub fn accepting(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        self.accepting_with(self.diallers.clone(), protocols)
    }

    /// The same for who may come without a certificate, and show who it is in another way. One that
    /// is shown must be good.
    pub fn accepting_strangers(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        self.accepting_with(self.strangers.clone(), protocols)
    }

    fn accepting_with(
        &self,
        verifier: Arc<dyn ClientCertVerifier>,
        protocols: &[&[u8]],
    ) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has suites of TLS 1.3");
        let mut config =
            builder.with_client_cert_verifier(verifier).with_cert_resolver(self.own.clone());
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }

    /// For who dials: shows the node's certificate, and demands one of the name that is dialled.
    pub fn dialling(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has suites of TLS 1.3");
        let mut config = builder
            .with_root_certificates(self.roots.clone())
            .with_client_cert_resolver(self.own.clone());
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// Whether who dialled with this chain would be let in now.
    pub fn trusts_dialler(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (own, others) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.diallers.verify_client_cert(own, others, UnixTime::now()).map(drop)
    }

    /// Whether who was dialled under this name and showed this chain would be believed now.
    pub fn trusts_dialled(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), rustls::Error> {
        let (own, others) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        self.dialled.verify_server_cert(own, others, name, &[], UnixTime::now()).map(drop)
    }
}

/// Nothing of what the files hold.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("expires", &self.expires).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(path: &Path, is_secret: bool) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if is_secret && !private::is_kept(&file).map_err(unreadable)? {
        return Err(TlsError::Exposed { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |why: String| TlsError::Content { path: path.to_owned(), why };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let all = all.map_err(|error| bad(format!("not PEM: {error}")))?;
    if all.is_empty() { Err(bad("there is no certificate in it".into())) } else { Ok(all) }
}

fn roots(path: &Path, bytes: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, bytes)? {
        roots.add(certificate).map_err(|error| TlsError::Content {
            path: path.to_owned(),
            why: format!("a certificate in it is damaged: {error}"),
        })?;
    }
    Ok(roots)
}

/// When the first certificate of a chain ends. Asked of the verifier: at the end of time every
/// certificate has expired, and it says when.
fn expires(
    verifier: &dyn ClientCertVerifier,
    chain: &[CertificateDer<'_>],
) -> Result<u64, rustls::Error> {
    let (own, others) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    let end = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match verifier.verify_client_cert(own, others, end) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => Ok(not_after.as_secs()),
        Err(error) => Err(error),
        Ok(_) => Ok(u64::MAX),
    }
}

/// What a verifier says of a certificate, for an operator.
fn in_words(error: &rustls::Error) -> String {
    use CertificateError as Of;
    let rustls::Error::InvalidCertificate(of) = error else { return error.to_string() };
    match of {
        Of::Expired | Of::ExpiredContext { .. } => "it has expired".into(),
        Of::NotValidYet | Of::NotValidYetContext { .. } => "it is not valid yet".into(),
        Of::UnknownIssuer | Of::BadSignature => {
            "none of the authorities in `ca` has issued it".into()
        }
        Of::InvalidPurpose | Of::InvalidPurposeContext { .. } => {
            "it is not for a node: it must serve both as a server's and as a client's".into()
        }
        other => other.to_string(),
    }
}
