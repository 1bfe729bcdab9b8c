//! Fetching the whole state of a node, to be kept outside of the cluster.

use std::time::Duration;

use prost::bytes::Bytes;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Code, Response, Streaming};

use crate::connection::{ANSWER_BYTES_MAX, Dialler};
use crate::endpoints::Endpoints;
use crate::error::CallError;
use crate::proto::save_response::Part;
use crate::proto::snapshots_client::SnapshotsClient;
use crate::proto::{Linearizable, Local, SaveRequest, SaveResponse, SnapshotHead, save_request};

/// A snapshot that is being fetched: its head, and its bytes part by part.
///
/// Whoever fetches it counts the bytes and compares them with the digest: the stream may break off.
#[derive(Debug)]
pub struct Saving {
    endpoint: String,
    head: SnapshotHead,
    answers: Streaming<SaveResponse>,
    time: Duration,
}

impl Saving {
    /// Whose state it is, and what it is called.
    pub fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// The node that gives it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next part; none behind the last one. Fails if nothing comes for the client's time-out.
    pub async fn part(&mut self) -> Result<Option<Bytes>, CallError> {
        let silent = |_| CallError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason: "nothing more came".to_owned(),
        };
        let answer = timeout(self.time, self.answers.message()).await.map_err(silent)?;
        match answer.map_err(|status| CallError::failed(&self.endpoint, &status))? {
            None => Ok(None),
            Some(SaveResponse { part: Some(Part::Bytes(bytes)) }) => Ok(Some(bytes)),
            Some(_) => Err(malformed(&self.endpoint)),
        }
    }
}

fn malformed(endpoint: &str) -> CallError {
    let reason = "an answer that is no part of a snapshot".to_owned();
    CallError::Failed { endpoint: endpoint.to_owned(), code: Code::Internal, reason }
}

/// Asks one endpoint after another for everything chosen so far, or for what it knows, as a read
/// does.
pub(crate) async fn save(
    mut endpoints: Endpoints,
    time: Duration,
    is_local: bool,
) -> Result<Saving, CallError> {
    let deadline = Instant::now() + time;
    let mut trouble: Option<CallError> = None;
    loop {
        let address = endpoints.current().to_owned();
        // A half, as for a read: it leaves time for others.
        let until = deadline.min(Instant::now() + time / 2);
        let dialler = endpoints.dialler().clone();
        let error = match open(&dialler, &address, time, until, is_local).await {
            Ok(saving) => return Ok(saving),
            Err(error) => error,
        };
        let pause = match &error {
            CallError::TimedOut { leader: Some(leader), .. } => endpoints.on_hint(leader),
            _ => endpoints.on_failure(),
        };
        let is_final = error.is_final();
        if trouble.as_ref().is_none_or(|known| known.weight() <= error.weight()) {
            trouble = Some(error.clone());
        }
        if is_final || Instant::now() + pause >= deadline {
            return Err(trouble.unwrap_or(error));
        }
        sleep(pause).await;
    }
}

async fn open(
    dialler: &Dialler,
    address: &str,
    time: Duration,
    until: Instant,
    is_local: bool,
) -> Result<Saving, CallError> {
    let endpoint = || address.to_owned();
    let late = |_| CallError::Unreachable { endpoint: endpoint(), reason: "no answer".to_owned() };
    let channel = timeout_at(until, dialler.connect(address)).await.map_err(late)??;
    let mut snapshots = SnapshotsClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let consistency = if is_local {
        save_request::Consistency::Local(Local {})
    } else {
        save_request::Consistency::Linearizable(Linearizable {})
    };
    let request = SaveRequest { consistency: Some(consistency) };
    let answer = async {
        let mut answers = snapshots.save(request).await.map(Response::into_inner)?;
        Ok((answers.message().await?, answers))
    };
    let late = |_| CallError::TimedOut { endpoint: endpoint(), leader: None };
    match timeout_at(until, answer).await.map_err(late)? {
        Ok((Some(SaveResponse { part: Some(Part::Head(head)) }), answers)) => {
            Ok(Saving { endpoint: endpoint(), head, answers, time })
        }
        Ok(_) => Err(malformed(address)),
        Err(status) => Err(CallError::unreadable(address, &status)),
    }
}
