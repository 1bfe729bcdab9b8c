//! How a client shows who it is, and whom it takes for a node.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a client needs where nodes are not for everybody.
///
/// Connections are then TLS, and a node must show a certificate for its address that `ca` vouches
/// for. Who the client is shows its own certificate, or a token, or both.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Certificates of the authorities whose word is taken, as PEM.
    pub ca: Vec<u8>,
    /// The client's own certificate and its private key, as PEM.
    pub certificate: Option<Certificate>,
    /// A secret that names the client as well.
    pub token: Option<String>,
}

/// A certificate and its private key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and what leads from it to an authority, if anything.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

/// Why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file could not be read, or is not there.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is neither a certificate nor a token.
    #[error("{path}: neither client.crt with client.key nor token is there")]
    Nobody {
        /// The directory.
        path: PathBuf,
    },
}

impl Credentials {
    /// What a directory holds: `ca.crt`; `client.crt` with `client.key`, or `token`, or all.
    pub fn load(directory: &Path) -> Result<Credentials, CredentialsError> {
        let ca = need(directory.join("ca.crt"))?;
        let certificate = match have(directory.join("client.crt"))? {
            Some(certificate) => {
                Some(Certificate { certificate, key: need(directory.join("client.key"))? })
            }
            None => None,
        };
        let path = directory.join("token");
        let token = match have(path.clone())? {
            Some(token) => {
                let token = String::from_utf8(token).map_err(|_| {
                    let source = io::Error::new(io::ErrorKind::InvalidData, "not text");
                    CredentialsError::Unreadable { path, source }
                })?;
                Some(token.trim_end().to_owned())
            }
            None => None,
        };
        if certificate.is_none() && token.is_none() {
            return Err(CredentialsError::Nobody { path: directory.to_owned() });
        }
        Ok(Credentials { ca, certificate, token })
    }
}

fn need(path: PathBuf) -> Result<Vec<u8>, CredentialsError> {
    fs::read(&path).map_err(|source| CredentialsError::Unreadable { path, source })
}

fn have(path: PathBuf) -> Result<Option<Vec<u8>>, CredentialsError> {
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::Unreadable { path, source }),
    }
}

/// What is there, and nothing of what it says.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("has_certificate", &self.certificate.is_some())
            .field("has_token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let certificate = Certificate { certificate: b"-----C".to_vec(), key: b"-----K".to_vec() };
        let token = Some("a secret".into());
        let all = Credentials { ca: b"-----A".to_vec(), certificate: Some(certificate), token };
        let shown = format!("{all:?} {:?}", all.certificate);
        assert!(!shown.contains("secret") && !shown.contains("45, 45"), "{shown}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Credentials::load(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/ca.crt: "), "{error}");
    }
}
