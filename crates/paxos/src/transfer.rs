//! Fetching a snapshot, part by part. Liveness and bounds only: whoever restores it verifies it.
//!
//! The receiver asks, and so decides the pace: a window of parts is under way, never more. One
//! transfer at a time, by construction. Parts are taken from whoever sends them, as long as they
//! are of the snapshot that was begun, for its name says what its bytes are: when a sender falls
//! silent, the next learner goes on where it stopped.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::ballot::{NodeId, Slot};
use crate::config::{Limits, Timing};
use crate::digest::{Digest, SnapshotId};
use crate::quorum::Configuration;
use crate::time::Instant;

/// One learner's fetching.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    delay: Duration,
    pause_max: Duration,
    part_bytes: u64,
    parts_max: u64,
    bytes_max: u64,
    /// Could not be gone on from.
    refused: Option<Digest>,
    fetching: Option<Fetching>,
    /// One came whole, and nobody has said yet what became of it.
    is_looked_at: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fetching {
    /// Everything below was cut where it was asked for.
    needed: Slot,
    source: NodeId,
    receiving: Option<Receiving>,
    due: Instant,
    /// Questions since the last part.
    attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Receiving {
    snapshot: SnapshotId,
    /// From the start, without a hole.
    bytes: Vec<u8>,
    /// Parts above a hole, by offset: at most a window of them.
    early: BTreeMap<u64, Arc<[u8]>>,
    /// Everything below was asked for.
    asked: u64,
}

/// A question to a learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whom.
    pub to: NodeId,
    /// For which snapshot; none: any.
    pub snapshot: Option<SnapshotId>,
    /// From which byte on.
    pub offset: u64,
}

/// Questions without an answer until another learner is asked: about a second.
const ATTEMPTS_EACH: u32 = 6;

/// Questions without an answer until an older snapshot is begun in place of one that nobody gives.
const ATTEMPTS_MAX: u32 = 4 * ATTEMPTS_EACH;

/// A snapshot that came whole is on its way into a state. Who has not heard what became of it for
/// so long asks for another one.
const RESTORE_PATIENCE: Duration = Duration::from_secs(60);

/// Doublings of the pause between questions, at most.
const DOUBLINGS_MAX: u32 = 5;

impl Transfer {
    /// Nothing is needed.
    pub fn new(timing: &Timing, limits: &Limits) -> Transfer {
        Transfer {
            delay: timing.fetch_delay,
            pause_max: timing.resend_max,
            part_bytes: limits.part_bytes_max as u64,
            parts_max: limits.parts_in_flight_max,
            bytes_max: limits.snapshot_bytes_max,
            refused: None,
            fetching: None,
            is_looked_at: false,
        }
    }

    /// A snapshot that came whole is of no use, and is not fetched again.
    pub fn refuse(&mut self, now: Instant, snapshot: SnapshotId) {
        self.refused = Some(snapshot.digest);
        self.go_on(now);
    }

    /// What came whole has been looked at. If it was not enough, another one is asked for.
    pub fn go_on(&mut self, now: Instant) {
        self.is_looked_at = false;
        let pause = self.pause_max;
        if let Some(fetching) = &mut self.fetching {
            fetching.due = fetching.due.min(now.plus(pause));
        }
    }

    /// A learner has everything below `needed` in a snapshot only. True if that is news.
    pub fn want(&mut self, now: Instant, source: NodeId, needed: Slot) -> bool {
        if let Some(fetching) = &mut self.fetching {
            fetching.needed = fetching.needed.max(needed);
            return false;
        }
        let fetching = Fetching { needed, source, receiving: None, due: now, attempts: 0 };
        self.fetching = Some(fetching);
        true
    }

    /// The prefix is here. Ends the transfer if it is no longer needed.
    pub fn reached(&mut self, prefix: Slot) {
        self.fetching.take_if(|fetching| fetching.needed <= prefix);
    }

    /// When [`Transfer::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        self.fetching.as_ref().map(|fetching| fetching.due)
    }

    /// What to ask now, if it is time: all that is missing of the window.
    pub fn due(&mut self, now: Instant, me: NodeId, configuration: &Configuration) -> Vec<Ask> {
        let Some(fetching) = self.fetching.as_mut().filter(|fetching| fetching.due <= now) else {
            return Vec::new();
        };
        if fetching.attempts > 0 && fetching.attempts.is_multiple_of(ATTEMPTS_EACH) {
            let others = || configuration.learners().filter(|id| *id != me);
            let next = others().find(|id| *id > fetching.source).or_else(|| others().next());
            fetching.source = next.unwrap_or(fetching.source);
        }
        self.is_looked_at = false;
        let pause = self.delay * 2u32.pow(fetching.attempts.min(DOUBLINGS_MAX));
        fetching.attempts = fetching.attempts.wrapping_add(1);
        fetching.due = now.plus(pause.min(self.pause_max));
        self.ask(true)
    }

    /// A part arrived. Gives back what to ask next, and all bytes if this was the last of them.
    pub fn part(
        &mut self,
        now: Instant,
        from: NodeId,
        prefix: Slot,
        snapshot: SnapshotId,
        offset: u64,
        bytes: Arc<[u8]>,
    ) -> (Vec<Ask>, Option<Vec<u8>>) {
        let nothing = (Vec::new(), None);
        let Some(fetching) = &mut self.fetching else {
            return nothing;
        };
        let is_other = |receiving: &Receiving| receiving.snapshot != snapshot;
        if fetching.receiving.as_ref().is_none_or(is_other) {
            // Its first part says which one it will be: any that gets us further, from whom we ask.
            let is_useful = snapshot.below > prefix
                && snapshot.bytes <= self.bytes_max
                && self.refused != Some(snapshot.digest)
                && !self.is_looked_at;
            // What has come is not thrown away for an older one while somebody may have the rest.
            let is_newer = |receiving: &Receiving| {
                snapshot.below > receiving.snapshot.below || fetching.attempts > ATTEMPTS_MAX
            };
            let replaces = fetching.receiving.as_ref().is_none_or(is_newer);
            if offset > 0 || from != fetching.source || !is_useful || !replaces {
                return nothing;
            }
            let (bytes, early) = (Vec::new(), BTreeMap::new());
            fetching.receiving = Some(Receiving { snapshot, bytes, early, asked: self.part_bytes });
        }
        let Some(receiving) = &mut fetching.receiving else {
            return nothing;
        };
        let is_asked = offset >= receiving.have()
            && offset < receiving.asked
            && (offset == receiving.have() || offset.is_multiple_of(self.part_bytes))
            && bytes.len() as u64 <= self.part_bytes;
        if !is_asked {
            return nothing;
        }
        receiving.early.insert(offset, bytes);
        if !receiving.close() {
            return nothing;
        }
        fetching.attempts = 0;
        fetching.due = now.plus(self.delay);
        if receiving.have() < snapshot.bytes {
            return (self.ask(false), None);
        }
        // If whoever restores it cannot use it, another one is asked for later, elsewhere.
        fetching.attempts = ATTEMPTS_EACH;
        let received = fetching.receiving.take().map(|receiving| receiving.bytes);
        let whole = received.filter(|bytes| Digest::of(bytes) == snapshot.digest);
        self.is_looked_at = whole.is_some();
        let pause = if self.is_looked_at { RESTORE_PATIENCE } else { self.pause_max };
        fetching.due = now.plus(pause);
        (Vec::new(), whole)
    }

    /// The parts of the window that are missing: all of them again, or those not asked for yet.
    fn ask(&mut self, again: bool) -> Vec<Ask> {
        let Some(fetching) = &mut self.fetching else {
            return Vec::new();
        };
        let to = fetching.source;
        let Some(receiving) = &mut fetching.receiving else {
            return [Ask { to, snapshot: None, offset: 0 }].into();
        };
        let window_end = receiving.have() + self.part_bytes * self.parts_max;
        let end = window_end.min(receiving.snapshot.bytes);
        let mut asks = Vec::new();
        let mut offset = if again { receiving.have() } else { receiving.asked };
        while offset < end {
            if !receiving.early.contains_key(&offset) {
                asks.push(Ask { to, snapshot: Some(receiving.snapshot), offset });
            }
            offset += self.part_bytes;
        }
        receiving.asked = receiving.asked.max(offset);
        asks
    }
}

impl Receiving {
    fn have(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Takes over the parts that follow without a hole. Tells if there was one.
    fn close(&mut self) -> bool {
        let before = self.have();
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() > self.bytes.len() as u64 {
                break;
            }
            let (offset, part) = entry.remove_entry();
            let known = usize::try_from(before.max(self.have()) - offset).unwrap_or(usize::MAX);
            self.bytes.extend_from_slice(part.get(known..).unwrap_or_default());
        }
        self.have() > before
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::quorum::{ClusterId, Member, Roles};

    const ME: NodeId = NodeId(1);
    const SOURCE: NodeId = NodeId(2);

    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id <= 3, acceptor: id == 4, learner: false };
            (NodeId(id), Member { roles, disk: (id == 4).then(Default::default) })
        };
        Configuration::majority(ClusterId::default(), (1..=4).map(member).collect()).unwrap()
    }

    fn transfer() -> Transfer {
        let limits = Limits { part_bytes_max: 10, parts_in_flight_max: 3, ..Limits::default() };
        let mut transfer = Transfer::new(&Timing::default(), &limits);
        assert!(transfer.want(Instant(0), NodeId(2), Slot(5)));
        assert!(!transfer.want(Instant(0), NodeId(3), Slot(6)), "one at a time");
        transfer
    }

    fn snapshot(bytes: &[u8]) -> SnapshotId {
        SnapshotId { below: Slot(7), bytes: bytes.len() as u64, digest: Digest::of(bytes) }
    }

    fn content() -> Vec<u8> {
        (0..75).collect()
    }

    /// Answers a question as a learner does.
    fn give(
        transfer: &mut Transfer,
        now: u64,
        content: &[u8],
        offset: u64,
    ) -> (Vec<Ask>, Option<Vec<u8>>) {
        let from = usize::try_from(offset).unwrap();
        let part = &content[from..content.len().min(from + 10)];
        transfer.part(Instant(now), SOURCE, Slot(0), snapshot(content), offset, part.into())
    }

    fn offsets(asks: &[Ask]) -> Vec<u64> {
        asks.iter().map(|ask| ask.offset).collect()
    }

    #[test]
    fn parts_are_asked_for_a_window_at_a_time_in_any_order() {
        let (mut transfer, content) = (transfer(), content());
        let first = transfer.due(Instant(0), ME, &configuration());
        assert_eq!(first, [Ask { to: NodeId(2), snapshot: None, offset: 0 }]);
        let (asks, _) = give(&mut transfer, 1, &content, 0);
        assert_eq!(offsets(&asks), [10, 20, 30]);
        assert_eq!(give(&mut transfer, 2, &content, 20), (vec![], None), "there is a hole");
        assert_eq!(give(&mut transfer, 2, &content, 60), (vec![], None), "beyond the window");
        let receiving = transfer.fetching.as_ref().and_then(|it| it.receiving.as_ref());
        assert!(receiving.is_some_and(|it| it.early.keys().eq(&[20])));
        let (asks, _) = give(&mut transfer, 3, &content, 10);
        assert_eq!(offsets(&asks), [40, 50], "two parts closed");
        assert_eq!(give(&mut transfer, 3, &content, 10), (vec![], None), "again");
        for offset in [30, 40, 50, 60] {
            assert_eq!(give(&mut transfer, 4, &content, offset).1, None);
        }
        let (asks, done) = give(&mut transfer, 5, &content, 70);
        assert_eq!((asks, done), (vec![], Some(content)));
    }

    #[test]
    fn silence_is_asked_again_and_then_another_learner_goes_on() {
        let (mut transfer, content) = (transfer(), content());
        transfer.due(Instant(0), ME, &configuration());
        give(&mut transfer, 1, &content, 0);
        give(&mut transfer, 1, &content, 20);
        let mut whom = Vec::new();
        for _ in 0..13 {
            let at = transfer.deadline().unwrap();
            assert!(transfer.due(Instant(at.0 - 1), ME, &configuration()).is_empty());
            let asks = transfer.due(at, ME, &configuration());
            assert_eq!(offsets(&asks), [10, 30], "what has come is not asked for again");
            whom.push(asks[0].to.0);
        }
        assert_eq!(whom[..6], [2; 6]);
        assert_eq!(whom[6..12], [3; 6]);
        assert_eq!(whom[12], 2, "never itself");
    }

    #[test]
    fn a_newer_snapshot_replaces_the_one_that_is_gone() {
        let (mut transfer, old, new) = (transfer(), content(), vec![9; 25]);
        give(&mut transfer, 1, &old, 0);
        let other = SnapshotId { below: Slot(9), ..snapshot(&new) };
        let part = |offset: usize| -> Arc<[u8]> { new[offset..new.len().min(offset + 10)].into() };
        let ignored = transfer.part(Instant(2), SOURCE, Slot(0), other, 10, part(10));
        assert_eq!(ignored, (vec![], None), "only its first part begins one");
        let (asks, _) = transfer.part(Instant(2), SOURCE, Slot(0), other, 0, part(0));
        let ask = |offset| Ask { to: NodeId(2), snapshot: Some(other), offset };
        assert_eq!(asks, [10, 20].map(ask));
        transfer.part(Instant(3), SOURCE, Slot(0), other, 10, part(10));
        let (_, done) = transfer.part(Instant(3), SOURCE, Slot(0), other, 20, part(20));
        assert_eq!(done, Some(new));
    }

    #[test]
    fn what_has_come_is_not_thrown_away_for_a_late_part_of_an_older_one() {
        let (mut transfer, content, old) = (transfer(), content(), vec![9; 25]);
        let older = SnapshotId { below: Slot(6), ..snapshot(&old) };
        transfer.due(Instant(0), ME, &configuration());
        give(&mut transfer, 1, &content, 0);
        let part: Arc<[u8]> = old[..10].into();
        let begun = transfer.part(Instant(2), SOURCE, Slot(0), older, 0, part.clone());
        assert_eq!(begun, (vec![], None));
        let newer = SnapshotId { below: Slot(9), ..older };
        let begun = transfer.part(Instant(2), NodeId(3), Slot(0), newer, 0, part.clone());
        assert_eq!(begun, (vec![], None), "nor for one that nobody was asked for");
        assert_eq!(offsets(&give(&mut transfer, 3, &content, 10).0), [40]);
        // Nobody has the rest: then an older one is better than none.
        let mut asked = 0;
        while transfer.part(Instant(4), SOURCE, Slot(0), older, 0, part.clone()).0.is_empty() {
            let at = transfer.deadline().unwrap();
            transfer.due(at, ME, &configuration());
            asked += 1;
        }
        assert!((24..40).contains(&asked), "{asked}");
    }

    #[test]
    fn what_was_refused_is_not_fetched_again() {
        let (mut transfer, content) = (transfer(), content());
        transfer.refuse(Instant(0), snapshot(&content));
        assert_eq!(give(&mut transfer, 1, &content, 0), (vec![], None));
        let other = vec![7; 30];
        assert_eq!(offsets(&give(&mut transfer, 1, &other, 0).0), [10, 20]);
    }

    #[test]
    fn while_one_is_looked_at_no_other_is_begun() {
        let (mut transfer, content) = (transfer(), vec![7; 8]);
        assert_eq!(give(&mut transfer, 0, &content, 0).1, Some(content.clone()));
        assert_eq!(give(&mut transfer, 1, &content, 0), (vec![], None), "a late copy");
        let patience = Instant(0).plus(RESTORE_PATIENCE);
        assert_eq!(transfer.deadline(), Some(patience));
        // It came to something, and that is not enough: there is more to ask for.
        transfer.go_on(Instant(2));
        let soon = Instant(2).plus(Timing::default().resend_max);
        assert_eq!(transfer.deadline(), Some(soon));
        assert_eq!(give(&mut transfer, 3, &content, 0).1, Some(content.clone()));
        // Nobody says what came of it: another learner is asked, and listened to.
        let asks = transfer.due(Instant(3).plus(RESTORE_PATIENCE), ME, &configuration());
        let (other, named) = (asks[0].to, snapshot(&content));
        let part: Arc<[u8]> = content[..].into();
        let (_, whole) = transfer.part(Instant(4), other, Slot(0), named, 0, part);
        assert_eq!(whole, Some(content));
    }

    #[test]
    fn only_parts_that_were_asked_for_are_held() {
        let (mut transfer, content) = (transfer(), content());
        give(&mut transfer, 1, &content, 0);
        for offset in 11..70u64 {
            let part: Arc<[u8]> = vec![0; 10].into();
            transfer.part(Instant(1), SOURCE, Slot(0), snapshot(&content), offset, part);
        }
        let long: Arc<[u8]> = vec![0; 11].into();
        transfer.part(Instant(1), SOURCE, Slot(0), snapshot(&content), 20, long);
        let receiving = transfer.fetching.as_ref().and_then(|it| it.receiving.as_ref());
        assert!(receiving.is_some_and(|it| it.early.len() <= 3), "{receiving:?}");
    }

    #[test]
    fn what_is_of_no_use_is_not_begun() {
        let (content, now) = (content(), Instant(1));
        let part: Arc<[u8]> = content[..10].into();
        let mut old = transfer();
        let begun = old.part(now, SOURCE, Slot(7), snapshot(&content), 0, part.clone());
        assert_eq!(begun, (vec![], None), "its slots are known");
        let huge = SnapshotId { bytes: u64::MAX, ..snapshot(&content) };
        assert_eq!(transfer().part(now, SOURCE, Slot(0), huge, 0, part), (vec![], None));
        let mut late = transfer();
        late.reached(Slot(6));
        assert_eq!(late.deadline(), None);
        assert_eq!(give(&mut late, 2, &content, 0), (vec![], None), "nobody asked");
    }

    #[test]
    fn changed_bytes_are_not_handed_out_and_fetched_elsewhere() {
        let (mut transfer, mut content) = (transfer(), content());
        let named = snapshot(&content);
        content[33] ^= 1;
        let mut offset = 0;
        while offset < 80 {
            let from = usize::try_from(offset).unwrap();
            let part = &content[from..75.min(from + 10)];
            let (_, done) = transfer.part(Instant(1), SOURCE, Slot(0), named, offset, part.into());
            assert_eq!(done, None);
            offset += 10;
        }
        let at = transfer.deadline().unwrap();
        let again = transfer.due(at, ME, &configuration());
        assert_eq!(again, [Ask { to: NodeId(3), snapshot: None, offset: 0 }]);
    }
}
