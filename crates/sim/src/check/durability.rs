//! Promise: what an acceptor has in memory is what its disk and its queue of writes fold to; what
//! it lives again with is what its disk folds to.

use paxos::acceptor::Acceptor;
use paxos::{NodeId, Record};

use super::{Checked, Wrong};

/// The fold of all records written so far, against the memory. `thoroughly` compares every vote;
/// otherwise only what is cheap.
pub fn fold(
    node: NodeId,
    expected: &Acceptor,
    memory: Option<&Acceptor>,
    thoroughly: bool,
) -> Checked {
    let Some(memory) = memory else {
        let nothing = *expected == Acceptor::default();
        return if nothing { Ok(()) } else { wrong(node, "is no acceptor and has records") };
    };
    if memory.promised() != expected.promised() {
        return wrong(node, "has another promise in memory than on its way to the disk");
    }
    if thoroughly && memory != expected {
        return wrong(node, "has other votes in memory than on their way to the disk");
    }
    Ok(())
}

/// The fold of a disk's records from the first on, against what was folded as they were written.
pub fn recovers(node: NodeId, records: &[Record], durable: &Acceptor) -> Checked {
    let mut again = Acceptor::default();
    for record in records {
        again.apply(record);
    }
    if again == *durable { Ok(()) } else { wrong(node, "folds its disk to another state") }
}

fn wrong(node: NodeId, what: &str) -> Checked {
    Err(Wrong { promise: "durability", what: format!("node {node} {what}") })
}
