//! Every durable fact. An acceptor's state is a fold of these, live and in recovery alike.

use crate::ballot::{Ballot, Slot};
use crate::runs::Run;

/// What an acceptor writes to its journal before it says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// Nothing below this ballot will be accepted.
    Promised(Ballot),
    /// Accepted at the run's ballot, which is also promised from here on. One record for both:
    /// were they two, a crash between them could forget the promise.
    Accepted(Run),
    /// Votes below this slot were cut; they are decided and covered by snapshots elsewhere.
    Truncated(Slot),
    /// Votes were lost, nobody knows which: before this record, or where it stands in for records
    /// that cannot be read. What is not known of any slot may have been voted on.
    Suspect,
    /// Votes lost earlier no longer matter at and above this slot; at the first slot, nowhere.
    Settled(Slot),
}
