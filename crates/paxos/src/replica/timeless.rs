//! A replica without time, for the exhaustive search: whatever patience would decide is an action
//! that somebody else may take at any moment. Hidden from the documentation, for no driver may
//! use it: what it leaves out is the reason why a cluster makes progress.
//!
//! This is sound because timers, and the generator, decide only *when* something is said. The
//! search says it whenever it can be said, so it sees every order that any patience would give.

use alloc::vec::Vec;

use super::Replica;
use crate::catchup::{Catchup, Target};
use crate::effects::Effects;
use crate::election::Election;
use crate::handover::{Handover, Standby};
use crate::mend::Mend;
use crate::pace::Pace;
use crate::resend::Resend;
use crate::rng::Rng;
use crate::support::{Contact, Witness};
use crate::time::Instant;

impl Replica {
    /// Prepares now, without a probe. Only for a leader.
    #[doc(hidden)]
    pub fn campaign_without_time(&mut self, effects: &mut Effects) {
        assert!(self.roles.leader, "only a leader campaigns");
        self.prepare(Instant::default(), effects);
    }

    /// The highest round that it has met, above which its next campaign lies.
    #[doc(hidden)]
    pub fn round_seen(&self) -> u64 {
        self.proposer.round_seen()
    }

    /// Asks every acceptor and every other learner for what it does not know. Only for a learner.
    #[doc(hidden)]
    pub fn fetch_without_time(&mut self, effects: &mut Effects) {
        assert!(self.roles.learns(), "only a learner fetches");
        let me = self.config.node;
        let others: Vec<_> = self.config.configuration.learners().filter(|id| *id != me).collect();
        for learner in others {
            self.fetch(Target::Learner(learner), effects);
        }
        self.fetch(Target::Acceptors, effects);
    }

    /// Says what a leader says when nothing happens. Only for one that leads.
    #[doc(hidden)]
    pub fn heartbeat_without_time(&mut self, effects: &mut Effects) {
        assert!(self.proposer.leading().is_some(), "only who leads says so");
        self.heartbeat(Instant::default(), effects);
    }

    /// Sets everything that is about time or luck to one form, so that two replicas that differ
    /// in nothing else are equal.
    #[doc(hidden)]
    pub fn forget_time(&mut self) {
        let timing = self.config.timing;
        self.rng = Rng::new(0);
        let me = self.config.node;
        self.election = Election::new(timing, me, 0, Instant::default(), &mut Rng::new(0));
        self.resend = Resend::new(&timing);
        self.catchup = Catchup::new(&timing);
        // What a leader has said of the past is no patience.
        let word = self.mend.word();
        self.mend = Mend::new(&timing);
        if let Some((ballot, chosen)) = word {
            self.mend.heard(ballot, chosen);
        }
        self.handover = Handover::new(&timing);
        self.standby = Standby::default();
        self.contact = Contact::default();
        self.pace = Pace::default();
        self.witness = Witness::default();
    }
}
