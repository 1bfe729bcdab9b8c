//! What a connection looks like: HTTP/2, with TLS where there are credentials, tuned for many small
//! messages in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{self, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::credentials::Credentials;
use crate::error::{CallError, OptionsError};

/// The longest wait for one connection. The next endpoint may be the better one.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// How often a connection with open streams proves that the other process still runs.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How much an answering node may send ahead of its reader, in bytes. The default of 64 KiB costs
/// a round trip each 64 KiB of history.
const STREAM_BYTES_AHEAD: u32 = 4 << 20;

/// The same for all streams of a connection.
const CONNECTION_BYTES_AHEAD: u32 = 8 << 20;

/// Connections that are kept. There are few nodes; hints may name others.
const KEPT_MAX: usize = 64;

/// The largest answer that is read: a batch of entries, each at most a value and its frame.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An endpoint of `host:port`, with or without `http://` in front, in plain text.
///
/// `None` if it is no such address. Nothing is opened.
pub(crate) fn endpoint(address: &str) -> Option<Endpoint> {
    endpoint_by("http", address)
}

/// The same by a scheme: `https` is what lets TLS be spoken.
fn endpoint_by(scheme: &str, address: &str) -> Option<Endpoint> {
    let address = address.strip_prefix("http://").unwrap_or(address);
    let (host, port) = address.rsplit_once(':')?;
    if host.is_empty() || port.parse::<u16>().is_err() || address.contains(['/', '@', '?', '#']) {
        return None;
    }
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).ok()?;
    Some(
        endpoint
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_BYTES_AHEAD)
            .initial_connection_window_size(CONNECTION_BYTES_AHEAD)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .connect_timeout(CONNECT_TIMEOUT_MAX),
    )
}

/// A connection, and the client's token in each request.
pub(crate) type Connection = InterceptedService<Channel, Token>;

/// What is said in each request of who asks; none if the certificate says it, or nobody asks.
#[derive(Clone)]
pub(crate) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Opens connections for one client, and keeps those that are asked for again.
#[derive(Clone)]
pub(crate) struct Dialler {
    tls: Option<Arc<ClientTlsConfig>>,
    token: Token,
    /// By address. A handshake costs more than a read.
    kept: Arc<Mutex<BTreeMap<String, Connection>>>,
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler").field("is_secure", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Dialler {
    pub(crate) fn new(credentials: Option<&Credentials>) -> Result<Dialler, OptionsError> {
        let Some(Credentials { ca, certificate, token }) = credentials else {
            return Ok(Dialler { tls: None, token: Token(None), kept: Arc::default() });
        };
        let bad = |reason: &str| OptionsError::BadCredentials { reason: reason.to_owned() };
        let token = token.as_ref().map(|token| {
            let mut value = MetadataValue::try_from(format!("Bearer {token}"))
                .map_err(|_| bad("the token has characters that no header may have"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let mut tls = ClientTlsConfig::new().ca_certificate(transport::Certificate::from_pem(ca));
        if let Some(own) = certificate {
            tls = tls.identity(transport::Identity::from_pem(&own.certificate, &own.key));
        }
        // Whether the files are what they should be is seen before the first connection.
        let trial = Endpoint::from_static("https://localhost").tls_config(tls.clone());
        trial.map_err(|error| bad(&root_cause(&error)))?;
        let (tls, token) = (Some(Arc::new(tls)), Token(token.transpose()?));
        Ok(Dialler { tls, token, kept: Arc::default() })
    }

    /// One for the same client that keeps connections of its own.
    pub(crate) fn apart(&self) -> Dialler {
        Dialler { kept: Arc::default(), ..self.clone() }
    }

    /// The connection that is kept to a node, or a new one that is kept from now on.
    pub(crate) async fn keep(&self, address: &str) -> Result<Connection, CallError> {
        if let Some(kept) = self.kept().get(address) {
            return Ok(kept.clone());
        }
        let opened = self.connect(address).await?;
        let mut all = self.kept();
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.insert(address.to_owned(), opened.clone());
        Ok(opened)
    }

    /// A call over the kept connection failed: the next one gets a new one.
    pub(crate) fn drop_kept(&self, address: &str) {
        self.kept().remove(address);
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Connection>> {
        // Whoever panicked in between has changed all of an entry or nothing.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is open when this returns.
    pub(crate) async fn connect(&self, address: &str) -> Result<Connection, CallError> {
        let unreachable =
            |reason: String| CallError::Unreachable { endpoint: address.into(), reason };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let Some(mut endpoint) = endpoint_by(scheme, address) else {
            return Err(unreachable("not \"host:port\"".into()));
        };
        if let Some(tls) = &self.tls {
            endpoint = endpoint
                .tls_config(tls.as_ref().clone())
                .map_err(|error| unreachable(root_cause(&error)))?;
        }
        let channel = endpoint.connect().await;
        let channel = channel.map_err(|error| unreachable(root_cause(&error)))?;
        Ok(InterceptedService::new(channel, self.token.clone()))
    }
}

/// The innermost error: "connection refused" rather than "transport error".
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in ["127.0.0.1:80", "http://node-1:7001", "[::1]:7001"] {
            assert!(endpoint(good).is_some(), "{good}");
        }
        for bad in ["", "node-1", ":80", "node-1:port", "node:70000", "https://node:80", "a b:1"] {
            assert!(endpoint(bad).is_none(), "{bad}");
        }
    }
}
