//! What a connection looks like: plaintext HTTP/2, tuned for many small messages in flight.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::error::CallError;

/// The longest wait for one connection. The next endpoint may be the better one.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// How often a connection with open streams proves that the other process still runs.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How much an answering node may send ahead of its reader, in bytes. The default of 64 KiB costs
/// a round trip each 64 KiB of history.
const STREAM_BYTES_AHEAD: u32 = 4 << 20;

/// The same for all streams of a connection.
const CONNECTION_BYTES_AHEAD: u32 = 8 << 20;

/// The largest answer that is read: a batch of entries, each at most a value and its frame.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An endpoint of `host:port`, with or without `http://` in front.
///
/// `None` if it is no such address. Nothing is opened.
pub(crate) fn endpoint(address: &str) -> Option<Endpoint> {
    let address = address.strip_prefix("http://").unwrap_or(address);
    let (host, port) = address.rsplit_once(':')?;
    if host.is_empty() || port.parse::<u16>().is_err() || address.contains(['/', '@', '?', '#']) {
        return None;
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
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

/// A connection that is open when this returns.
pub(crate) async fn connect(address: &str) -> Result<Channel, CallError> {
    let unreachable = |reason: String| CallError::Unreachable { endpoint: address.into(), reason };
    let Some(endpoint) = endpoint(address) else {
        return Err(unreachable("not \"host:port\"".into()));
    };
    endpoint.connect().await.map_err(|error| unreachable(root_cause(&error)))
}

/// The innermost error: "connection refused" rather than "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
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
