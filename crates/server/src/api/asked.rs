//! What clients ask for, as far as it is judged before anything is done about it. Pure.

use std::time::Duration;

use client::proto::append_request::About;
use client::proto::read_request;
use client::proto::{AppendRequest, NetworkRequest, ReadRequest};
use node::{Consistency, Nonce, Request};
use paxos::{NodeId, Slot};
use tonic::Status;

use crate::transport::adversary::Faults;

/// The longest delay that may be asked for: longer ones only fill memory.
pub const DELAY_MAX: Duration = Duration::from_secs(10);

/// A part of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first slot.
    pub first: Slot,
    /// One past the last.
    pub end: Slot,
    /// At most so many entries.
    pub limit: u64,
    /// How much must be applied before it is read; none is whatever the node knows.
    pub consistency: Option<Consistency>,
}

/// A value to append, or something about a session. The error is for the client to read.
pub fn append(message: &AppendRequest) -> Result<Request, String> {
    let session = Slot(message.session);
    Ok(match &message.about {
        None => {
            let (sequence, first) = (message.sequence, message.first_unanswered);
            Request::append(session, sequence, first, &message.value)
                .map_err(|error| error.to_string())?
        }
        Some(About::Open(open)) => {
            let nonce = <[u8; 16]>::try_from(&open.nonce[..])
                .map_err(|_| format!("a nonce has 16 bytes, not {}", open.nonce.len()))?;
            Request::open(Nonce(nonce), open.lifetime_us)
        }
        Some(About::KeepAlive(_)) => Request::keep_alive(session),
        Some(About::Close(_)) => Request::close(session),
    })
}

/// Entries to read; zeros stand for no bound. Who does not ask for less is given the most.
pub fn range(request: &ReadRequest) -> Result<Range, Status> {
    use read_request::Consistency as Asked;
    let end = if request.end_slot == 0 { Slot::LIMIT } else { slot(request.end_slot)? };
    let limit = if request.limit == 0 { u64::MAX } else { request.limit };
    let consistency = match &request.consistency {
        None | Some(Asked::Linearizable(_)) => Some(Consistency::Linearizable),
        Some(Asked::Sequential(it)) => {
            Some(Consistency::Sequential { at_least: slot(it.at_least)? })
        }
        Some(Asked::Stale(it)) => {
            Some(Consistency::Stale { max_age: Duration::from_micros(it.max_age_us) })
        }
        Some(Asked::Local(_)) => None,
    };
    Ok(Range { first: slot(request.first_slot)?, end, limit, consistency })
}

/// A slot of the history.
pub fn slot(slot: u64) -> Result<Slot, Status> {
    let slot = Slot(slot);
    if slot <= Slot::LIMIT {
        return Ok(slot);
    }
    Err(Status::invalid_argument(format!("slots end at {}", Slot::LIMIT)))
}

/// Faults on purpose.
pub fn faults(request: &NetworkRequest) -> Result<Faults, Status> {
    let delay_min = Duration::from_micros(request.delay_min_us);
    let delay_max = Duration::from_micros(request.delay_max_us);
    if request.loss_ppm > 1_000_000 || request.duplicate_ppm > 1_000_000 {
        return Err(Status::invalid_argument("a share is at most 1,000,000 parts in a million"));
    }
    if delay_min > delay_max || delay_max > DELAY_MAX {
        return Err(Status::invalid_argument("delays obey min <= max <= 10 s"));
    }
    let nodes = |ids: &[u32]| ids.iter().map(|id| NodeId(*id)).collect();
    Ok(Faults {
        loss_ppm: request.loss_ppm,
        duplicate_ppm: request.duplicate_ppm,
        reorder: request.reorder,
        delay_min,
        delay_max,
        cut_to: nodes(&request.cut_to),
        cut_from: nodes(&request.cut_from),
        seed: (request.seed != 0).then_some(request.seed),
    })
}
