//! Faults on purpose, as clients ask for them.

use std::time::Duration;

use client::proto::NetworkRequest;
use paxos::NodeId;
use tonic::Status;

use crate::transport::adversary::Faults;

/// The longest delay that may be asked for: longer ones only fill memory.
const DELAY_MAX: Duration = Duration::from_secs(10);

pub(super) fn from_request(request: &NetworkRequest) -> Result<Faults, Status> {
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
