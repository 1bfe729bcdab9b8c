//! Reads without doubt: what must be applied before a read that begins now may be answered.
//!
//! A read needs an *index*, a slot below which lies everything that was chosen before the read
//! began, and then a state that has applied everything below it. Nothing is written for a read,
//! and no clock is compared: all of this holds however long a message takes.
//!
//! **The index**, at the leader of ballot b, is `max(next, start + 1)`: one past the last slot that
//! b has proposed in, and past its leader start. Whatever was chosen at b lies below `next`. What
//! was chosen at a lower ballot lies below `start`: some acceptor of b's phase-1 quorum had
//! accepted it before it promised b, and showed it, unless it was known to be chosen already. The
//! leader's own prefix is not enough: another learner may count the votes for a slot first, and
//! show it.
//!
//! **The round.** A leader may have been replaced and not know it. So it asks the acceptors, after
//! the read began, whether they have promised anything above b, and waits until a *phase-2* quorum
//! has said no. Had anything been chosen above b before the read began, a phase-1 quorum would have
//! promised that higher ballot before; it shares an acceptor with every phase-2 quorum, and that
//! one would have declined. (So would one of any phase-1 quorum, where accepting promises, as it
//! does here: it meets the phase-2 quorum that chose. But only with phase 2 does a round say that
//! nobody else even led, and without a phase-2 quorum a leader is of no use.) An acceptor that has
//! never heard of b may say no as well: the question is about higher ballots. The answer must be to
//! this very round: an answer to an earlier one speaks of a time before the read began. One round
//! is under way at a time, and questions that come meanwhile share the next.
//!
//! **The answer does not wait for the disk.** It says that no promise above b has left this
//! acceptor so far. A promise changes the acceptor's memory first, then its disk, and leaves last;
//! so what is not in memory has not left. Nor does a crash in between matter: whatever has left is
//! on disk, and in memory again before the next life answers anything. About the future nothing is
//! promised, so there is nothing to remember.
//!
//! **Everybody asks alike.** A learner asks the leader that it follows, one question for all reads
//! that have come since the last, and a leader asks itself, by messages. Who gets an index waits
//! until its own prefix reaches it. If the index is not reached for long, its leader may have gone
//! before it could propose so far, so the question is put anew, and a lower answer counts for the
//! older reads too. When leadership ends, all questions are answered with no index, and asked again
//! of the next leader; a read outlives its leader, though not its patience.
//!
//! Source: read-index of Ongaro, "Consensus: Bridging Theory and Practice", section 6.4, which also
//! waits for the leader's own first entry. Differs from it: a quorum of phase 2 confirms (after
//! Howard, Malkhi and Spiegelman, "Flexible Paxos"), in rounds of its own: heartbeats prove the
//! disks, and a read need not wait for those.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::ballot::{Ballot, Incarnation, NodeId, Slot};
use crate::config::{Limits, Timing};
use crate::quorum::{Configuration, Phase2, Voters};
use crate::time::Instant;

/// Names one read of the driver's; comes back with the answer. Not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Questions of learners, by who asks. One a learner, its latest.
pub type Questions = BTreeMap<NodeId, u64>;

/// A leader's half: hands out indexes, each confirmed by a phase-2 quorum. Safety; no time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Indexer {
    /// Questions that came since the round under way began.
    fresh: Questions,
    round: Option<Round>,
    /// Rounds of this life so far.
    rounds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    ballot: Ballot,
    number: u64,
    index: Slot,
    questions: Questions,
    confirmed: Voters<Phase2>,
}

impl Indexer {
    /// A learner asks, perhaps again.
    pub fn ask(&mut self, learner: NodeId, id: u64) {
        let round = self.round.as_ref();
        let is_covered = round.is_some_and(|round| round.questions.get(&learner) == Some(&id));
        if !is_covered {
            self.fresh.insert(learner, id);
        }
    }

    /// What this node leads now. Gives back the questions that are lost with an earlier ballot.
    pub fn leads(&mut self, ballot: Option<Ballot>) -> Questions {
        let is_over = |round: &mut Round| ballot != Some(round.ballot);
        let over = self.round.take_if(is_over);
        let mut lost = over.map(|round| round.questions).unwrap_or_default();
        if ballot.is_none() {
            lost.append(&mut self.fresh);
        }
        lost
    }

    /// Begins a round for the questions that no other covers, if there are any and none is under
    /// way: its number. Everything chosen by now lies below `index`, or above `ballot`.
    pub fn begin(&mut self, ballot: Ballot, index: Slot) -> Option<u64> {
        if self.round.is_some() || self.fresh.is_empty() {
            return None;
        }
        self.rounds += 1;
        let (number, questions) = (self.rounds, mem::take(&mut self.fresh));
        let confirmed = Voters::default();
        self.round = Some(Round { ballot, number, index, questions, confirmed });
        Some(number)
    }

    /// An acceptor had promised nothing above `ballot` when it was asked in that round. Once a
    /// quorum says so: the index, and whose questions it answers.
    pub fn confirmed(
        &mut self,
        configuration: &Configuration,
        acceptor: NodeId,
        ballot: Ballot,
        number: u64,
    ) -> Option<(Slot, Questions)> {
        let round = self.round.as_mut()?;
        if round.ballot != ballot || round.number != number {
            return None;
        }
        configuration.count(&mut round.confirmed, acceptor);
        let round = self.round.take_if(|round| configuration.is_quorum(round.confirmed))?;
        Some((round.index, round.questions))
    }

    /// The round under way: its ballot and number, and the acceptors that have not confirmed it.
    pub fn unconfirmed(
        &self,
        configuration: &Configuration,
    ) -> Option<(Ballot, u64, impl Iterator<Item = NodeId>)> {
        let round = self.round.as_ref()?;
        Some((round.ballot, round.number, configuration.missing(round.confirmed)))
    }
}

/// Any learner's half: reads on their way from question to index to state. Nothing here is unsafe
/// if it comes late, or never.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    pause_min: Duration,
    pause_max: Duration,
    patience: Duration,
    reads_max: usize,
    /// Reads that came since the question under way was first asked.
    fresh: Vec<Waiting>,
    question: Option<Question>,
    /// Reads that wait until the prefix reaches their index; each list by age.
    indexed: BTreeMap<Slot, Vec<Waiting>>,
    /// When an index that was not reached is asked for anew.
    anew: Option<Instant>,
    /// The last question's id. Starts at this life's random bits, so that a late answer to an
    /// earlier life is not taken for one to this.
    last: u64,
}

/// A read, and when it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    id: ReadId,
    until: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    id: u64,
    /// The reads that had come when it was first asked, by age.
    reads: Vec<Waiting>,
    /// Who was asked last, and when to ask again; nobody while no leader is known.
    asked: Option<(NodeId, Instant)>,
    attempts: u32,
}

/// Doublings of the pause between questions, at most.
const ATTEMPTS_MAX: u32 = 16;

impl Reader {
    /// A learner that nobody reads at yet.
    pub fn new(timing: &Timing, limits: &Limits, incarnation: Incarnation) -> Reader {
        Reader {
            pause_min: timing.resend_min,
            pause_max: timing.resend_max,
            patience: timing.read_patience,
            reads_max: limits.reads_max,
            fresh: Vec::new(),
            question: None,
            indexed: BTreeMap::new(),
            anew: None,
            last: incarnation.0,
        }
    }

    /// How many reads wait.
    pub fn waiting(&self) -> usize {
        let asked = self.question.as_ref().map_or(0, |question| question.reads.len());
        let indexed: usize = self.indexed.values().map(Vec::len).sum();
        self.fresh.len() + asked + indexed
    }

    /// When [`Reader::late`] or [`Reader::ask`] want to be called next, in this order.
    pub fn deadline(&self) -> Option<Instant> {
        let asked = self.question.as_ref().map_or(&[][..], |question| &question.reads);
        let again = self.question.as_ref().and_then(|question| question.asked);
        // Each list is by age.
        let lists = self.indexed.values().map(Vec::as_slice).chain([asked, &self.fresh]);
        let until = lists.filter_map(|list| list.first()).map(|waiting| waiting.until);
        until.chain(again.map(|(_, at)| at)).chain(self.anew).min()
    }

    /// Reads begin. Gives back those that are too many.
    pub fn read(&mut self, now: Instant, mut reads: Vec<ReadId>) -> Vec<ReadId> {
        let room = self.reads_max.saturating_sub(self.waiting());
        let too_many = reads.split_off(room.min(reads.len()));
        let until = now.plus(self.patience);
        self.fresh.extend(reads.into_iter().map(|id| Waiting { id, until }));
        too_many
    }

    /// Whom to ask now, and by which id, if it is time to.
    pub fn ask(&mut self, now: Instant, leader: Option<NodeId>) -> Option<(NodeId, u64)> {
        let is_wanted = !self.fresh.is_empty() || self.anew.is_some_and(|anew| anew <= now);
        if self.question.is_none() && is_wanted {
            // Only these: reads that come later could be answered by what was asked before them.
            let reads = mem::take(&mut self.fresh);
            self.last = self.last.wrapping_add(1);
            self.question = Some(Question { id: self.last, reads, asked: None, attempts: 0 });
            self.anew = None;
        }
        let question = self.question.as_mut()?;
        let Some(leader) = leader else {
            question.asked = None;
            return None;
        };
        match question.asked {
            Some((asked, again)) if asked == leader && again > now => return None,
            Some((asked, _)) if asked == leader => {}
            _ => question.attempts = 0,
        }
        let pause = (self.pause_min * 2u32.pow(question.attempts)).min(self.pause_max);
        question.attempts = (question.attempts + 1).min(ATTEMPTS_MAX);
        question.asked = Some((leader, now.plus(pause)));
        Some((leader, question.id))
    }

    /// A leader has answered the question of that id: everything chosen before it was asked lies
    /// below `index`.
    pub fn indexed(&mut self, now: Instant, id: u64, index: Slot) {
        let Some(question) = self.question.take_if(|question| question.id == id) else {
            return;
        };
        // Older reads that wait for more may do with this, too.
        let higher = self.indexed.split_off(&index);
        let mut reads: Vec<Waiting> = higher.into_values().flatten().collect();
        reads.extend(question.reads);
        reads.sort_by_key(|waiting| waiting.until);
        if !reads.is_empty() {
            self.indexed.insert(index, reads);
        }
        self.anew = (!self.indexed.is_empty()).then(|| now.plus(self.pause_max));
    }

    /// Hands out the reads whose index is reached, each with it.
    pub fn reached(&mut self, prefix: Slot, readable: &mut Vec<(ReadId, Slot)>) {
        while let Some(entry) = self.indexed.first_entry().filter(|entry| *entry.key() <= prefix) {
            let (index, reads) = entry.remove_entry();
            readable.extend(reads.into_iter().map(|waiting| (waiting.id, index)));
        }
        self.rest();
    }

    /// Takes out the reads that have waited for too long.
    pub fn late(&mut self, now: Instant) -> Vec<ReadId> {
        let mut late = Vec::new();
        let mut take = |list: &mut Vec<Waiting>| {
            let place = list.partition_point(|waiting| waiting.until <= now);
            late.extend(list.drain(..place).map(|waiting| waiting.id));
        };
        self.indexed.values_mut().for_each(&mut take);
        self.indexed.retain(|_, list| !list.is_empty());
        if let Some(question) = &mut self.question {
            take(&mut question.reads);
        }
        take(&mut self.fresh);
        self.rest();
        late
    }

    /// Asks nothing for nobody.
    fn rest(&mut self) {
        if self.indexed.is_empty() {
            self.anew = None;
            self.question.take_if(|question| question.reads.is_empty());
        }
    }
}

#[cfg(test)]
mod tests;
