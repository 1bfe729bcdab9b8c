//! What goes wrong, each in a file of its own. A fault begins if it finds whom it may be done to,
//! and says what is to be done at its end.

mod corruption;
mod cuts;
mod failing_disk;
mod full_disk;
mod kill;
mod lost_disk;
pub(crate) mod lying_disks;
mod pause;
mod power;
mod quorum_loss;
pub(crate) mod replacement;
mod silence;
mod slow_disk;
mod strangers;
mod weather;

use paxos::Rng;

use crate::Outcome;
use crate::plan::{Kind, Planned};
use crate::world::World;

/// Something that is done to the world while a fault lasts.
type Step = Box<dyn FnMut(&mut World) -> Outcome<()>>;

/// What heals it.
type End = Box<dyn FnOnce(&mut World) -> Outcome<()>>;

/// A fault that has begun.
pub(crate) struct Begun {
    /// What was done to whom, for the log.
    pub(crate) says: String,
    /// What is done while it lasts, each time that the director looks.
    pub(crate) goes_on: Option<Step>,
    /// What is done when it is over.
    pub(crate) end: End,
}

impl Begun {
    fn new(says: String, end: impl FnOnce(&mut World) -> Outcome<()> + 'static) -> Begun {
        Begun { says, goes_on: None, end: Box::new(end) }
    }
}

/// Begins a fault; none if there is nobody whom it may be done to now.
pub(crate) fn begin(planned: &Planned, world: &mut World) -> Outcome<Option<Begun>> {
    let mut rng = Rng::new(planned.dice);
    let rng = &mut rng;
    match planned.kind {
        Kind::KillLeader => kill::begin(world.leader(), world),
        Kind::KillAcceptor => kill::begin(world.acceptor(rng), world),
        Kind::KillAny => kill::begin(world.any(rng), world),
        Kind::PauseLeader => pause::begin(world.leader(), world),
        Kind::PauseAcceptor => pause::begin(world.acceptor(rng), world),
        Kind::CutPair => cuts::pair(rng, world),
        Kind::CutOneWay => cuts::one_way(rng, world),
        Kind::CutHalves => cuts::halves(rng, world),
        Kind::IsolateLeader => cuts::isolate(world.leader(), world),
        Kind::IsolateAcceptor => cuts::isolate(world.acceptor(rng), world),
        Kind::Blackhole => cuts::blackhole(rng, world),
        Kind::Weather => Ok(weather::begin(rng, world)),
        Kind::Silence => Ok(silence::begin(world.any(rng), world)),
        Kind::FullDisk => full_disk::begin(rng, world),
        Kind::StalledDisk => slow_disk::stalled(rng, world),
        Kind::SlowDisk => Ok(slow_disk::slow(rng, world)),
        Kind::PowerFailure => power::begin(rng, world),
        Kind::FailingDisk => failing_disk::begin(rng, world),
        Kind::Corruption => corruption::begin(rng, world),
        Kind::LostDisk => lost_disk::begin(rng, world),
        Kind::Strangers => strangers::begin(planned.lasts, rng, world),
        Kind::QuorumLoss => quorum_loss::begin(rng, world),
    }
}
