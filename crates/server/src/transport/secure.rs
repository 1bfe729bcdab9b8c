//! What stands between a TCP connection and the stream on it: nothing, or mutual TLS 1.3.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use paxos::NodeId;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::ClusterId;
use super::frame::Seal;
use super::stream::Cause;
use crate::tls::{Material, Tls, bears, node_name};

/// What is spoken between nodes. A connection that was meant for another service ends in the
/// handshake.
const PROTOCOL: &[u8] = b"synod-peer/1";

/// TLS reads a few kilobytes at a time; the system is asked for more.
const READ_BYTES: usize = 32 << 10;

/// How streams between nodes are protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all: for networks that are trusted.
    Plain,
    /// By certificates on both sides.
    Tls(Arc<Tls>),
}

/// A connection on which a stream can begin.
#[derive(Debug)]
pub enum Wire {
    /// As TCP brings it.
    Plain(TcpStream),
    /// Encrypted, and both sides known.
    Tls(Box<TlsStream<BufReader<TcpStream>>>),
}

/// Whom a connection is with, as a certificate proved it.
#[derive(Debug)]
pub enum Proof {
    /// There is none: who is there is what it says.
    None,
    /// Whoever dialled here showed this chain.
    Dialler(Vec<CertificateDer<'static>>),
    /// Whoever was dialled by this name showed this chain.
    Dialled(Vec<CertificateDer<'static>>, ServerName<'static>),
}

impl Security {
    /// What is left for the stream itself to do against damage.
    pub fn seal(&self) -> Seal {
        match self {
            Security::Plain => Seal::Checksum,
            Security::Tls(_) => Seal::Records,
        }
    }

    /// The certificates, if there are any.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Security::Plain => None,
            Security::Tls(tls) => Some(tls),
        }
    }

    /// Lets a connection in, as far as certificates decide.
    pub async fn accept(&self, tcp: TcpStream) -> Result<(Wire, Proof), Cause> {
        let Security::Tls(tls) = self else { return Ok((Wire::Plain(tcp), Proof::None)) };
        let acceptor = TlsAcceptor::from(tls.material().accepting(&[PROTOCOL]));
        let accepted = acceptor.accept(BufReader::with_capacity(READ_BYTES, tcp)).await;
        let stream = TlsStream::from(accepted.map_err(|error| cause(&error))?);
        let chain = owned(stream.get_ref().1.peer_certificates());
        Ok((Wire::Tls(Box::new(stream)), Proof::Dialler(chain)))
    }

    /// Makes sure of the node that was dialled.
    pub async fn dial(
        &self,
        tcp: TcpStream,
        cluster: ClusterId,
        to: NodeId,
    ) -> Result<(Wire, Proof), Cause> {
        let Security::Tls(tls) = self else { return Ok((Wire::Plain(tcp), Proof::None)) };
        let name = node_name(cluster, to);
        let connector = TlsConnector::from(tls.material().dialling(&[PROTOCOL]));
        let tcp = BufReader::with_capacity(READ_BYTES, tcp);
        let dialled = connector.connect(name.clone(), tcp).await;
        let stream = TlsStream::from(dialled.map_err(|error| cause(&error))?);
        let chain = owned(stream.get_ref().1.peer_certificates());
        Ok((Wire::Tls(Box::new(stream)), Proof::Dialled(chain, name)))
    }
}

impl Proof {
    /// Whether it would do in a handshake now.
    pub fn is_good_for(&self, material: &Material) -> bool {
        match self {
            Proof::None => false,
            Proof::Dialler(chain) => material.trusts_dialler(chain).is_ok(),
            Proof::Dialled(chain, name) => material.trusts_dialled(chain, name).is_ok(),
        }
    }

    /// Whether who dialled may say that it is this node.
    pub fn speaks_for(&self, cluster: ClusterId, node: NodeId) -> bool {
        match self {
            Proof::None => true,
            Proof::Dialler(chain) | Proof::Dialled(chain, _) => {
                chain.first().is_some_and(|own| bears(own, &node_name(cluster, node)))
            }
        }
    }
}

fn owned(chain: Option<&[CertificateDer<'static>]>) -> Vec<CertificateDer<'static>> {
    chain.unwrap_or_default().to_vec()
}

/// Why a connection was not made, or broke, in the words of the counters.
pub(super) fn cause(error: &io::Error) -> Cause {
    use CertificateError as Of;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        None => Cause::Broken,
        Some(rustls::Error::NoCertificatesPresented) => Cause::NoCertificate,
        Some(rustls::Error::InvalidCertificate(of)) => match of {
            Of::Expired
            | Of::ExpiredContext { .. }
            | Of::NotValidYet
            | Of::NotValidYetContext { .. } => Cause::Expired,
            Of::UnknownIssuer | Of::BadSignature => Cause::UnknownAuthority,
            Of::NotValidForName | Of::NotValidForNameContext { .. } => Cause::OtherName,
            _ => Cause::BadCertificate,
        },
        // What the other side says of our certificate, or of our word for it.
        Some(rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        )) => Cause::NotTrusted,
        Some(_) => Cause::BadHandshake,
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
