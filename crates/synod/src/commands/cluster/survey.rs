//! Asks every node at once. A node that does not answer is a fact about it, not an error.

use client::proto::StatusResponse;
use client::{CallError, Code};
use tokio::task::JoinSet;

use crate::connection::Connection;

/// What one endpoint said.
pub(crate) struct Seen {
    pub(crate) endpoint: String,
    pub(crate) status: Result<StatusResponse, CallError>,
}

impl Seen {
    /// Whether the node is there, and does not say so to everybody.
    pub(super) fn is_denied(&self) -> bool {
        let Err(CallError::Failed { code, .. }) = &self.status else { return false };
        matches!(code, Code::Unauthenticated | Code::PermissionDenied)
    }
}

/// One answer an endpoint, in the order of the endpoints.
pub(crate) async fn survey(connection: &Connection) -> Vec<Seen> {
    let mut asked = JoinSet::new();
    for (position, endpoint) in connection.endpoints.iter().cloned().enumerate() {
        let client = connection.client.clone();
        asked.spawn(async move {
            let status = client.status(&endpoint).await;
            (position, Seen { endpoint, status })
        });
    }
    let mut seen = asked.join_all().await;
    seen.sort_by_key(|(position, _)| *position);
    seen.into_iter().map(|(_, seen)| seen).collect()
}
