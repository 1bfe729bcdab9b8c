//! Which appends are unanswered, what is known of each, and what is sent next.
//!
//! Pure bookkeeping: it opens no stream and reads no clock.
//!
//! ```text
//!   answered or given up | unanswered, some of them unsent |  not yet numbered
//!   1 ... -------------- first_unanswered --------------- next_sequence -----
//! ```
//!
//! A request that is given up leaves the window and is never sent again, so `first_unanswered`
//! may pass it. That is more than permission: once a node has seen a `first_unanswered` above a
//! number, a straggler with that number must not be applied. So the doubt that a time-out leaves
//! ends with the client's next append, although this client does not learn which way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::client::Appended;
use crate::error::{AppendError, Outcome};

/// An append as its caller handed it over.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) value: Bytes,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Appended, AppendError>>,
    /// A place in the window, given back when the call is answered.
    pub(crate) place: OwnedSemaphorePermit,
}

/// What the nodes' answers so far say of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// No node has seen it.
    NeverSent,
    /// Everyone who saw it declined before proposing it.
    Declined,
    /// Somebody may have proposed it.
    Doubtful,
}

#[derive(Debug)]
struct Request {
    call: Call,
    /// For the count of what is sent again; `knowledge` says what may have come of it.
    was_sent: bool,
    knowledge: Knowledge,
}

/// A request as it goes on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) sequence: u64,
    pub(crate) first_unanswered: u64,
    pub(crate) value: Bytes,
}

#[derive(Debug)]
pub(crate) struct Window {
    next_sequence: u64,
    unanswered: BTreeMap<u64, Request>,
    /// Those of `unanswered` that wait to be sent, for the first time or again.
    unsent: BTreeSet<u64>,
    /// No unanswered request has an earlier deadline.
    deadline: Option<Instant>,
    /// The session is gone, and why: nothing is sent any more.
    gone: Option<String>,
    /// Requests that were sent, each time but the first. The client reads it.
    sent_again: Arc<AtomicU64>,
}

impl Window {
    pub(crate) fn new(sent_again: Arc<AtomicU64>) -> Window {
        Window {
            next_sequence: 1,
            unanswered: BTreeMap::new(),
            unsent: BTreeSet::new(),
            deadline: None,
            gone: None,
            sent_again,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unanswered.is_empty()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether an answer is due: something has been sent on the present stream.
    pub(crate) fn awaits_answer(&self) -> bool {
        self.unanswered.len() > self.unsent.len()
    }

    /// When [`Window::expire`] is due. May be early, never late.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn first_unanswered(&self) -> u64 {
        self.unanswered.first_key_value().map_or(self.next_sequence, |(&sequence, _)| sequence)
    }

    /// Numbers a call and queues it.
    pub(crate) fn on_call(&mut self, call: Call) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.deadline = Some(self.deadline.map_or(call.deadline, |d| d.min(call.deadline)));
        let (knowledge, was_sent) = (Knowledge::NeverSent, false);
        self.unanswered.insert(sequence, Request { call, was_sent, knowledge });
        self.unsent.insert(sequence);
        self.answer_unsent_of_gone();
    }

    /// The smallest unsent request, which from now on counts as seen by a node.
    pub(crate) fn next_to_send(&mut self) -> Option<Outgoing> {
        let sequence = self.unsent.pop_first()?;
        let first_unanswered = self.first_unanswered();
        assert!(first_unanswered <= sequence);
        let request = self.unanswered.get_mut(&sequence).expect("unsent is unanswered");
        if std::mem::replace(&mut request.was_sent, true) {
            self.sent_again.fetch_add(1, Ordering::Relaxed);
        }
        Some(Outgoing { sequence, first_unanswered, value: request.call.value.clone() })
    }

    pub(crate) fn on_done(&mut self, session: u64, sequence: u64, slot: u64) {
        self.answer(sequence, Ok(Appended { slot, session, sequence }));
    }

    pub(crate) fn on_refused(&mut self, sequence: u64, reason: String) {
        self.answer(sequence, Err(AppendError::Refused { reason }));
    }

    /// A node says that the session is gone. If it says so of a number, that copy did nothing;
    /// earlier ones may have. What else is under way has an answer of its own to come.
    pub(crate) fn on_session_gone(&mut self, sequence: u64, reason: &str) {
        self.gone.get_or_insert_with(|| reason.to_owned());
        if self.unanswered.contains_key(&sequence) {
            self.unsent.insert(sequence);
        }
        self.answer_unsent_of_gone();
    }

    /// A node declined to open the session: nothing that waits for it was proposed.
    pub(crate) fn on_session_declined(&mut self) {
        for sequence in &self.unsent {
            let request = self.unanswered.get_mut(sequence).expect("unsent is unanswered");
            if request.knowledge == Knowledge::NeverSent {
                request.knowledge = Knowledge::Declined;
            }
        }
    }

    /// A node did not propose it: it may be sent again.
    pub(crate) fn on_declined(&mut self, sequence: u64) {
        if let Some(request) = self.unanswered.get_mut(&sequence)
            && self.unsent.insert(sequence)
            && request.knowledge == Knowledge::NeverSent
        {
            request.knowledge = Knowledge::Declined;
        }
        self.answer_unsent_of_gone();
    }

    /// No answer will come on this stream any more: everything unanswered is sent again.
    pub(crate) fn on_stream_lost(&mut self) {
        for (&sequence, request) in &mut self.unanswered {
            if self.unsent.insert(sequence) {
                request.knowledge = Knowledge::Doubtful;
            }
        }
        self.answer_unsent_of_gone();
    }

    /// The stream was not opened, and nothing of it was read: what was known is what is known.
    pub(crate) fn on_stream_denied(&mut self) {
        self.unsent.extend(self.unanswered.keys());
    }

    /// Nobody takes anything of this client: answers all that waits to be sent.
    pub(crate) fn give_up_denied(&mut self, reason: &str) {
        while let Some(&sequence) = self.unsent.first() {
            let (reason, outcome) = (reason.to_owned(), self.known(sequence));
            self.answer(sequence, Err(AppendError::Denied { reason, outcome }));
        }
    }

    /// What is known of a request that is not under way.
    fn known(&self, sequence: u64) -> Outcome {
        match self.unanswered[&sequence].knowledge {
            Knowledge::NeverSent | Knowledge::Declined => Outcome::NotApplied,
            Knowledge::Doubtful => Outcome::Unknown,
        }
    }

    /// Under a session that is gone nothing is sent again, so what is known now is all there is.
    fn answer_unsent_of_gone(&mut self) {
        while let Some(reason) = self.gone.clone()
            && let Some(&sequence) = self.unsent.first()
        {
            let outcome = self.known(sequence);
            self.answer(sequence, Err(AppendError::SessionExpired { reason, outcome }));
        }
    }

    /// Gives up what is overdue. `trouble` is the last reason that was seen, `tried` where.
    pub(crate) fn expire(&mut self, now: Instant, trouble: &str, tried: &BTreeSet<String>) {
        let overdue: Vec<u64> = self
            .unanswered
            .iter()
            .filter(|(_, request)| request.call.deadline <= now)
            .map(|(&sequence, _)| sequence)
            .collect();
        for sequence in overdue {
            let request = &self.unanswered[&sequence];
            let after = now - request.call.started;
            let is_sent = !self.unsent.contains(&sequence);
            let reason = trouble.to_owned();
            let error = match request.knowledge {
                _ if is_sent => AppendError::Unknown { reason: "no answer in time".into(), after },
                Knowledge::Doubtful => AppendError::Unknown { reason, after },
                Knowledge::Declined => AppendError::NotProposed { reason, after },
                Knowledge::NeverSent => AppendError::Unreachable {
                    tried: tried.iter().cloned().collect(),
                    last: reason,
                },
            };
            self.answer(sequence, Err(error));
        }
        self.deadline = self.unanswered.values().map(|request| request.call.deadline).min();
    }

    /// An answer to a number that is not unanswered is a late or repeated one, and says nothing.
    fn answer(&mut self, sequence: u64, result: Result<Appended, AppendError>) {
        if let Some(request) = self.unanswered.remove(&sequence) {
            self.unsent.remove(&sequence);
            let Call { answer, place, .. } = request.call;
            drop(place);
            // The caller may have left; the value is appended or not all the same.
            let _ = answer.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;

    type Answer = oneshot::Receiver<Result<Appended, AppendError>>;

    fn call(window: &mut Window, started: Instant, timeout_ms: u64) -> Answer {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (answer, receiver) = oneshot::channel();
        let deadline = started + Duration::from_millis(timeout_ms);
        window.on_call(Call { value: Bytes::from_static(b"v"), started, deadline, answer, place });
        receiver
    }

    fn sent(window: &mut Window) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| window.next_to_send())
            .map(|outgoing| (outgoing.sequence, outgoing.first_unanswered))
            .collect()
    }

    #[test]
    fn requests_leave_in_order_and_name_the_smallest_unanswered() {
        let (mut window, now) = (Window::new(Arc::default()), Instant::now());
        let _answers: Vec<_> = (0..3).map(|_| call(&mut window, now, 10)).collect();
        assert_eq!(sent(&mut window), [(1, 1), (2, 1), (3, 1)]);
        window.on_done(0, 2, 20);
        assert_eq!(window.first_unanswered(), 1);
        window.on_done(0, 1, 21);
        assert_eq!(window.first_unanswered(), 3);
        window.on_done(0, 3, 22);
        assert_eq!(window.first_unanswered(), 4);
    }

    #[test]
    fn a_lost_stream_sends_all_unanswered_again_under_the_same_numbers() {
        let again = Arc::new(AtomicU64::new(0));
        let (mut window, now) = (Window::new(again.clone()), Instant::now());
        let _answers: Vec<_> = (0..4).map(|_| call(&mut window, now, 10)).collect();
        sent(&mut window);
        window.on_done(0, 2, 0);
        window.on_stream_lost();
        window.on_session_declined(); // Says nothing of what was sent.
        let _last = call(&mut window, now, 10);
        window.on_session_declined(); // What waited for a session was not sent before.
        assert_eq!(again.load(Ordering::Relaxed), 0);
        assert_eq!(sent(&mut window), [(1, 1), (3, 1), (4, 1), (5, 1)]);
        assert_eq!(again.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_given_up_request_is_never_sent_again_and_is_passed() {
        let (mut window, now) = (Window::new(Arc::default()), Instant::now());
        let _first = call(&mut window, now, 10);
        let _second = call(&mut window, now, 99);
        sent(&mut window);
        window.expire(now + Duration::from_millis(10), "", &BTreeSet::new());
        window.on_stream_lost();
        assert_eq!(sent(&mut window), [(2, 2)]);
    }

    /// What is known when time runs out, by what happened before.
    #[test]
    fn a_time_out_says_what_is_known() {
        let (mut window, now) = (Window::new(Arc::default()), Instant::now());
        let mut answers: Vec<_> = (0..5).map(|_| call(&mut window, now, 10)).collect();
        for _ in 1..=4 {
            window.next_to_send(); // The fifth is never sent.
        }
        window.on_declined(2);
        window.on_declined(4);
        window.next_to_send();
        window.on_stream_lost(); // 1 and 3 for the first time, 2 after it was declined once.
        window.next_to_send(); // 1 is out again.
        window.next_to_send();
        window.on_declined(2); // A late "not proposed" does not take back an older doubt.
        window.expire(now + Duration::from_millis(10), "trouble", &["a:1".to_owned()].into());
        let mut error = |n: usize| answers[n - 1].try_recv().unwrap().unwrap_err();
        assert!(matches!(error(1), AppendError::Unknown { .. }));
        assert!(matches!(error(2), AppendError::Unknown { .. }));
        assert!(matches!(error(3), AppendError::Unknown { .. }));
        assert!(matches!(error(4), AppendError::NotProposed { .. }));
        let tried = vec!["a:1".to_owned()];
        assert_eq!(error(5), AppendError::Unreachable { tried, last: "trouble".into() });
        assert!(window.is_empty());
        assert_eq!(window.deadline(), None);
    }

    /// What is known when the session is gone, by what happened before.
    #[test]
    fn a_session_that_is_gone_leaves_what_was_lost_from_sight_unknown() {
        let (mut window, now) = (Window::new(Arc::default()), Instant::now());
        let mut answers: Vec<_> = (0..5).map(|_| call(&mut window, now, 10)).collect();
        for _ in 1..=3 {
            window.next_to_send();
        }
        window.on_stream_lost();
        for _ in 1..=4 {
            window.next_to_send();
        }
        window.on_declined(2);
        window.on_session_gone(4, "old");
        let mut outcome = |n: usize| match answers[n - 1].try_recv() {
            Ok(Err(AppendError::SessionExpired { outcome, .. })) => Some(outcome),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        };
        assert_eq!(outcome(4), Some(Outcome::NotApplied), "its only copy was refused");
        assert_eq!(outcome(5), Some(Outcome::NotApplied), "it was never sent");
        assert_eq!(outcome(2), Some(Outcome::Unknown), "an earlier copy was lost from sight");
        assert_eq!((outcome(1), outcome(3)), (None, None), "their answers are to come");
        window.on_session_gone(1, "old");
        window.on_stream_lost();
        assert_eq!((outcome(1), outcome(3)), (Some(Outcome::Unknown), Some(Outcome::Unknown)));
        let mut late = call(&mut window, now, 10);
        let error = late.try_recv().unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotApplied);
        assert!(window.is_empty() && !window.has_unsent());
    }

    #[test]
    fn who_waits_for_a_session_that_nobody_opens_was_not_proposed() {
        let (mut window, now) = (Window::new(Arc::default()), Instant::now());
        let mut answer = call(&mut window, now, 10);
        window.on_session_declined();
        window.expire(now + Duration::from_millis(10), "", &BTreeSet::new());
        let error = answer.try_recv().unwrap().unwrap_err();
        assert!(matches!(error, AppendError::NotProposed { .. }), "{error}");
    }

    #[test]
    fn an_answer_to_nothing_changes_nothing() {
        let (mut window, now) = (Window::new(Arc::default()), Instant::now());
        let _answer = call(&mut window, now, 10);
        sent(&mut window);
        window.on_done(0, 9, 1);
        window.on_declined(9);
        assert!(!window.has_unsent());
        assert!(window.awaits_answer());
    }
}
