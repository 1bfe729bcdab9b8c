//! Promise: what an acceptor has in memory is what its disk and its queue of writes fold to; and
//! a journal gives back, after every crash, what it has acknowledged and a prefix of the rest; and
//! nobody votes without room for it.

use paxos::acceptor::Acceptor;
use paxos::{Epoch, NodeId, Record};

use super::{Checked, Wrong};
use crate::disk::{Damage, Found};

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
    if memory.promised() != expected.promised() || memory.truncated() != expected.truncated() {
        return wrong(node, "has another promise in memory than on its way to the disk");
    }
    let size = |acceptor: &Acceptor| (acceptor.votes().end(), acceptor.votes().bytes());
    if size(memory) != size(expected) {
        return wrong(node, "has more or fewer votes in memory than on their way to the disk");
    }
    if thoroughly && memory != expected {
        return wrong(node, "has other votes in memory than on their way to the disk");
    }
    Ok(())
}

/// What an acceptor wants written: on a full disk no votes, which would take the room of the word
/// that makes some.
pub fn room(node: NodeId, is_full: bool, records: &[Record]) -> Checked {
    let votes = records.iter().any(|record| matches!(record, Record::Accepted(_)));
    if is_full && votes { wrong(node, "votes although its disk is full") } else { Ok(()) }
}

/// What to say of a journal that does not give back, after a crash that it must survive, all that
/// it has acknowledged.
pub fn lost(node: NodeId, found: &Found) -> Wrong {
    let what = match found {
        Found::Whole { .. } => unreachable!("nothing is lost"),
        Found::Refused(error) => format!("cannot open its journal: {error}"),
        Found::PromiseLost { from } => {
            format!("has lost what it promised, in its journal from frame {from} on")
        }
        Found::Later(epoch) => format!("has written in epoch {} already", epoch.0),
        Found::TailGone => "has lost more than it acknowledged last".to_owned(),
        Found::LastBatchGone => "has lost the batch that it acknowledged last".to_owned(),
        Found::Forgetful => "has cut what still counts".to_owned(),
        Found::Other => "finds other records than it wrote".to_owned(),
    };
    Wrong { promise: "durability", what: format!("node {node} {what}") }
}

/// What to say of an acceptor that starts on a disk that is not its own, or that is empty.
pub fn accepted(node: NodeId, damage: Damage) -> Wrong {
    let what = format!("node {node} starts although its disk is {damage:?}");
    Wrong { promise: "durability", what }
}

/// What to say of an acceptor that starts in an epoch that is over for it.
pub fn went_back(node: NodeId, to: Epoch, from: Epoch) -> Wrong {
    let what = format!("node {node} starts in epoch {}, and has written in {}", to.0, from.0);
    Wrong { promise: "durability", what }
}

fn wrong(node: NodeId, what: &str) -> Checked {
    Err(Wrong { promise: "durability", what: format!("node {node} {what}") })
}
