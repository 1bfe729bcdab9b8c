//! Promise: once nothing goes wrong any more, the cluster converges within a bound; and at all
//! times every queue keeps its bound.

use node::{Effects, History, Node};
use paxos::{Limits, NodeId};

use super::{Checked, Wrong};

/// Virtual time from the healing to convergence, at most. A takeover takes a third of a second; a
/// few of them, with doubled pauses, clients' time-outs and catching up, fit in many times over.
pub const CONVERGES_US: u64 = 20_000_000;

/// A cluster that has lost disks for good may have no quorum left. It is watched for so long.
pub const SHORT_OF_NODES_US: u64 = 2_000_000;

/// A walk of a few virtual seconds in which more happens is stuck in a loop.
pub const HAPPENINGS_MAX: u64 = 3_000_000;

/// No single step says more than this to each member, beyond what its window asks for.
const SENDS_A_STEP_MAX: usize = 4096;

/// A node after a step.
pub fn bounded(
    id: NodeId,
    node: &Node<History>,
    effects: &Effects<History>,
    writes: usize,
    limits: &Limits,
) -> Checked {
    let sends = effects.replica.send.len() + effects.replica.write.then_send.len();
    if sends > SENDS_A_STEP_MAX {
        return wrong(format!("{id} sends {sends} messages in one step"));
    }
    let in_flight = node.replica().slots_in_flight();
    if in_flight > limits.slots_in_flight_max {
        return wrong(format!("{id} has {in_flight} slots in flight"));
    }
    let waiting_max = limits.queue_values_max as u64 + 2 * limits.slots_in_flight_max;
    let waiting = node.waiting() as u64;
    if waiting > waiting_max {
        return wrong(format!("at {id}, {waiting} requests wait for an answer"));
    }
    let reads = node.reads_waiting().max(node.replica().reads_waiting());
    if reads > limits.reads_max {
        return wrong(format!("at {id}, {reads} reads wait for an answer"));
    }
    if writes > SENDS_A_STEP_MAX {
        return wrong(format!("{id} has {writes} writes in flight"));
    }
    Ok(())
}

/// What to say of a cluster that did not converge.
pub fn late(what: String) -> Wrong {
    Wrong { promise: "progress", what }
}

fn wrong(what: String) -> Checked {
    Err(late(what))
}
