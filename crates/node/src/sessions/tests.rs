//! The table against its rules, and its bytes.

use alloc::vec::Vec;

use paxos::Rng;

use super::*;
use crate::machine::Output;
use crate::request::Nonce;

impl Output for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }

    fn decode(bytes: &mut &[u8]) -> Option<u64> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(u64::from_le_bytes(*first))
    }
}

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND;
const EXPIRED: Reply<u64> = Reply::Refused(Refused::Expired);

/// The machine answers with ten times the slot.
fn apply(sessions: &mut Sessions<u64>, slot: u64, request: &Request) -> Reply<u64> {
    sessions.apply(Slot(slot), request, || slot * 10)
}

fn done(slot: u64) -> Reply<u64> {
    Reply::Done { slot: Slot(slot), output: slot * 10 }
}

fn open(lifetime_us: u64) -> Request {
    Request::open(Nonce([7; 16]), lifetime_us)
}

fn append(session: u64, sequence: u64, first_unanswered: u64) -> Request {
    Request::append(Slot(session), sequence, first_unanswered, b"v").unwrap()
}

/// A table with a session opened in each of these slots, for an hour.
fn opened(slots: impl IntoIterator<Item = u64>) -> Sessions<u64> {
    let mut sessions = Sessions::default();
    for slot in slots {
        let opened = Reply::Opened { session: Slot(slot) };
        assert_eq!(apply(&mut sessions, slot, &open(HOUR)), opened);
    }
    sessions
}

/// What is known of a request once everything there is was applied.
fn look(sessions: &Sessions<u64>, request: &Request) -> Option<Reply<u64>> {
    sessions.look(request, Slot::LIMIT)
}

#[test]
fn a_repeat_is_answered_and_not_applied() {
    let mut sessions = opened([1, 2]);
    assert_eq!(apply(&mut sessions, 3, &append(1, 1, 1)), done(3));
    assert_eq!(apply(&mut sessions, 4, &append(1, 1, 1)), done(3));
    assert_eq!(apply(&mut sessions, 5, &append(2, 1, 1)), done(5));
}

#[test]
fn requests_of_a_pipeline_may_be_applied_out_of_order() {
    let mut sessions = opened([0]);
    for (slot, sequence) in [(1, 2), (2, 1), (3, 3)] {
        assert_eq!(apply(&mut sessions, slot, &append(0, sequence, 1)), done(slot));
    }
    assert_eq!(look(&sessions, &append(0, 1, 1)), Some(done(2)));
}

#[test]
fn what_the_client_has_seen_is_forgotten_and_never_applied_again() {
    let mut sessions = opened([0]);
    for sequence in 1..=10 {
        apply(&mut sessions, sequence, &append(0, sequence, sequence.max(3) - 2));
    }
    assert_eq!(sessions.answers, 3);
    let answered = Reply::Refused(Refused::Answered);
    assert_eq!(look(&sessions, &append(0, 2, 1)), Some(answered.clone()));
    assert_eq!(apply(&mut sessions, 99, &append(0, 2, 1)), answered);
}

#[test]
fn a_client_cannot_run_ahead_of_its_window() {
    let mut sessions = opened([0]);
    let far = append(0, SESSION_WINDOW + 1, 1);
    assert_eq!(apply(&mut sessions, 1, &far), Reply::Refused(Refused::Window));
    assert_eq!(apply(&mut sessions, 2, &append(0, SESSION_WINDOW, 1)), done(2));
}

#[test]
fn a_slot_that_opened_no_session_is_refused_once_it_is_applied() {
    let mut sessions = opened([4]);
    let early = append(5, 1, 1);
    assert_eq!(sessions.look(&early, Slot(5)), None, "slot 5 may open a session yet");
    assert_eq!(sessions.look(&early, Slot(6)), Some(EXPIRED), "it did not");
    assert_eq!(apply(&mut sessions, 6, &early), EXPIRED);
    assert_eq!(look(&sessions, &open(HOUR)), None, "an opening has its place to come");
}

#[test]
fn a_session_opened_twice_is_two_of_which_one_expires_unused() {
    let mut sessions = Sessions::default();
    for slot in [3, 8] {
        let opened = Reply::Opened { session: Slot(slot) };
        assert_eq!(apply(&mut sessions, slot, &open(SECOND)), opened);
    }
    assert_eq!(apply(&mut sessions, 9, &append(3, 1, 1).stamped(SECOND)), done(9));
    assert_eq!(apply(&mut sessions, 10, &append(3, 2, 1).stamped(SECOND + 1)), done(10));
    assert_eq!(sessions.count(), 1);
    assert_eq!(apply(&mut sessions, 11, &append(8, 1, 1)), EXPIRED);
}

#[test]
fn a_session_unused_for_its_lifetime_is_gone_and_never_comes_back() {
    let mut sessions = opened([0, 1]);
    apply(&mut sessions, 2, &append(0, 1, 1).stamped(5));
    apply(&mut sessions, 3, &Request::keep_alive(Slot(1)).stamped(HOUR));
    assert_eq!(apply(&mut sessions, 4, &append(0, 1, 1).stamped(HOUR + 5)), done(2), "in time");
    // The stamp that ends it is that of its own request.
    assert_eq!(apply(&mut sessions, 5, &append(0, 1, 1).stamped(2 * HOUR + 6)), EXPIRED);
    assert_eq!(look(&sessions, &append(0, 2, 1)), Some(EXPIRED));
    assert_eq!(apply(&mut sessions, 6, &append(0, 2, 1)), EXPIRED);
    assert_eq!((sessions.count(), sessions.answers), (0, 0), "nor is the other one used");
}

#[test]
fn the_logs_time_never_goes_back() {
    let mut sessions = opened([0, 1]);
    apply(&mut sessions, 2, &append(0, 1, 1).stamped(HOUR));
    apply(&mut sessions, 3, &append(1, 1, 1).stamped(7));
    assert_eq!(sessions.time_us(), HOUR);
    let alive = Request::keep_alive(Slot(1)).stamped(2 * HOUR);
    assert_eq!(apply(&mut sessions, 4, &alive), Reply::Kept { slot: Slot(4) });
}

#[test]
fn any_request_of_a_session_keeps_it_alive() {
    let requests = [
        append(0, 1, 1),
        Request::keep_alive(Slot(0)),
        append(0, 3, 2),
        append(0, 1, 1),
        append(0, SESSION_WINDOW + 9, 2),
        append(0, 4, 2),
    ];
    let mut sessions = opened([0]);
    for (number, request) in (1..).zip(requests) {
        let reply = apply(&mut sessions, number, &request.stamped(number * HOUR));
        assert_ne!(reply, EXPIRED, "request {number}");
    }
}

#[test]
fn a_lifetime_is_brought_within_its_bounds() {
    for (asked, lives) in [(0, SECOND), (HOUR, HOUR), (u64::MAX, *SESSION_LIFETIME_US.end())] {
        let mut sessions = Sessions::default();
        apply(&mut sessions, 0, &open(asked));
        let alive = |slot, stamp_us| {
            let mut sessions = sessions.clone();
            apply(&mut sessions, slot, &Request::keep_alive(Slot(0)).stamped(stamp_us))
        };
        assert_eq!(alive(1, lives), Reply::Kept { slot: Slot(1) });
        assert_eq!(alive(1, lives + 1), EXPIRED);
    }
}

#[test]
fn a_closed_session_is_gone() {
    let mut sessions = opened([0]);
    apply(&mut sessions, 1, &append(0, 1, 1));
    let close = Request::close(Slot(0));
    assert_eq!(look(&sessions, &close), None);
    assert_eq!(apply(&mut sessions, 2, &close), Reply::Closed { slot: Slot(2) });
    assert_eq!(apply(&mut sessions, 3, &append(0, 1, 1)), EXPIRED);
    assert_eq!(apply(&mut sessions, 4, &close), EXPIRED);
    let empty = Sessions::default();
    assert_eq!(sessions, empty, "nothing is left behind");
}

#[test]
fn the_session_that_was_idle_for_longest_makes_room() {
    let many = SESSIONS_MAX as u64;
    let mut sessions = opened(0..many);
    apply(&mut sessions, many, &append(0, 1, 1));
    apply(&mut sessions, many + 1, &open(HOUR));
    assert_eq!(sessions.count(), SESSIONS_MAX);
    assert_eq!(sessions.by_use.len(), SESSIONS_MAX);
    assert_eq!(sessions.by_end.len(), SESSIONS_MAX);
    assert_eq!(look(&sessions, &append(1, 1, 1)), Some(EXPIRED), "and its client is told");
    assert_eq!(look(&sessions, &append(0, 1, 1)), Some(done(many)));
    assert_eq!(look(&sessions, &append(2, 1, 1)), None);
}

#[test]
fn answers_are_bounded_for_all_sessions_together() {
    let count = ANSWERS_MAX as u64 / SESSION_WINDOW;
    let mut sessions = opened(0..count);
    for number in 0..ANSWERS_MAX as u64 {
        let request = append(number % count, number / count + 1, 1);
        apply(&mut sessions, count + number, &request);
    }
    assert_eq!(sessions.answers, ANSWERS_MAX);
    assert_eq!(sessions.count() as u64, count);
    apply(&mut sessions, 1 << 30, &open(HOUR));
    apply(&mut sessions, 1 << 31, &append(1 << 30, 1, 1));
    assert_eq!(look(&sessions, &append(0, 1, 1)), Some(EXPIRED), "forgotten as a whole");
    assert_eq!(look(&sessions, &append(1, 1, 1)), Some(done(count + 1)));
    assert_eq!(sessions.answers, ANSWERS_MAX - ANSWERS_MAX / 16 + 1);
}

// ---- bytes ----

fn bytes(sessions: &Sessions<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    sessions.encode(&mut bytes);
    bytes
}

/// A table with everything in it.
fn small() -> Sessions<u64> {
    let mut sessions = opened([1, 2]);
    apply(&mut sessions, 3, &append(1, 4, 3).stamped(5));
    sessions
}

#[test]
fn a_table_is_these_bytes() {
    let golden: &[&[u8]] = &[
        b"\x01\x05\0\0\0\0\0\0\0\x02\0\0\0",
        b"\x01\0\0\0\0\0\0\0\x00\xa4\x93\xd6\0\0\0\0\x03\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0",
        b"\x03\0\0\0\0\0\0\0\x01\0\0\0",
        b"\x04\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x1e\0\0\0\0\0\0\0",
        b"\x02\0\0\0\0\0\0\0\x00\xa4\x93\xd6\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x01\0\0\0\0\0\0\0\0\0\0\0",
    ];
    assert_eq!(bytes(&small()), golden.concat());
}

/// One random request at a time, for few sessions, so that everything happens.
fn random_request(rng: &mut Rng, slot: u64) -> Request {
    let session = Slot(slot.saturating_sub(1 + rng.below(12)));
    let request = match rng.below(8) {
        0 | 1 => open(rng.below(4) * SECOND),
        2 => Request::keep_alive(session),
        3 => Request::close(session),
        _ => {
            let sequence = 1 + rng.below(6);
            Request::append(session, sequence, 1 + rng.below(sequence), b"v").unwrap()
        }
    };
    // Stamps mostly grow, by a tenth of a second.
    request.stamped((slot + rng.below(20)) * SECOND / 10)
}

#[test]
fn a_table_goes_on_after_its_bytes_as_if_nothing_had_been() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut sessions = Sessions::default();
        for slot in 0..200 {
            let request = random_request(&mut rng, slot);
            let mut again = Sessions::decode(&bytes(&sessions)).unwrap();
            assert_eq!(again, sessions, "seed {seed}, slot {slot}");
            let reply = apply(&mut sessions, slot, &request);
            assert_eq!(apply(&mut again, slot, &request), reply, "seed {seed}, slot {slot}");
            assert_eq!(again, sessions, "seed {seed}, slot {slot}");
            sessions.check();
        }
        assert!(sessions.time_us() > 10 * SECOND);
    }
}

impl Sessions<u64> {
    /// What the indexes say against what they stand for.
    fn check(&self) {
        let uses = self.by_slot.iter().map(|(id, session)| (session.used, *id)).collect();
        let ends = self.by_slot.iter().map(|(id, session)| (session.end_us(), *id)).collect();
        assert_eq!((&self.by_use, &self.by_end), (&uses, &ends));
        let answers: usize = self.by_slot.values().map(|session| session.done.len()).sum();
        assert_eq!(self.answers, answers);
    }
}

#[test]
fn bytes_that_are_no_table_are_refused() {
    let good = bytes(&small());
    let error = |bytes: &[u8]| Sessions::<u64>::decode(bytes).err();
    for length in 0..good.len() {
        let cut = error(&good[..length]);
        assert!(matches!(cut, Some(SessionsError::Short | SessionsError::Output)), "{length}");
    }
    assert_eq!(error(&[&good[..], &[0]].concat()), Some(SessionsError::Long));
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        error(&bytes)
    };
    assert_eq!(changed(0, 2), Some(SessionsError::Version(2)));
    let impossible = [
        (1, 4, "used after the log's time"),
        (8, 1, "living longer than it may"),
        (13, 2, "the same session twice"),
        (13, 3, "an answer from before it was opened"),
        (27, 1, "a lifetime beyond the bounds"),
        (29, 2, "two sessions used in one slot, or an answer after the last use"),
        (45, 0, "nothing unanswered at all"),
        (45, 5, "an answer below the first unanswered"),
        (59, 1, "an answer beyond the window"),
        (65, 4, "an answer after the last use"),
        (97, 1, "used before it was opened"),
        (97, 3, "two sessions used in one slot"),
    ];
    for (at, to, what) in impossible {
        assert_eq!(changed(at, to), Some(SessionsError::Impossible), "{what}");
    }
}

#[test]
fn any_bytes_are_read_without_harm_and_have_one_form() {
    let mut rng = Rng::new(1);
    let good = bytes(&small());
    for _ in 0..20_000 {
        let mut changed = good.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.index(changed.len());
            changed[at] = rng.draw().to_le_bytes()[0];
        }
        if let Ok(sessions) = Sessions::<u64>::decode(&changed) {
            assert_eq!(bytes(&sessions), changed);
            sessions.check();
        }
    }
}
