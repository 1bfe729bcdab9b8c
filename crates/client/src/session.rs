//! The session under which everything is appended: opened before anything else is sent, kept alive
//! while a handle lives, closed when the last one is gone.
//!
//! Pure bookkeeping, like the window: it opens no stream and reads no clock. There is one session
//! in a client's life. When it is gone, so is what could have told a late copy of a value from a
//! new one, so this client appends nothing more: only its user can know what that means.

use std::time::Duration;

use prost::bytes::Bytes;
use tokio::time::Instant;

use crate::proto::append_request::About;
use crate::proto::{Close, KeepAlive, Open};

/// Idle for this part of its lifetime, a session is kept alive: two more thirds are left for
/// trouble.
const KEEP_ALIVE_PART: u32 = 3;

/// Whoever could not be told is told again after this part of it.
const RETRY_PART: u32 = 30;

#[derive(Debug)]
pub(crate) struct Session {
    nonce: Bytes,
    lifetime: Duration,
    standing: Standing,
    /// Its name, once it was opened.
    id: Option<u64>,
    /// Something about the session was sent on the present stream, and is not answered.
    awaits_answer: bool,
}

#[derive(Debug)]
enum Standing {
    Wanted,
    /// Has to be kept alive then, unless it is used before.
    Open {
        keep_alive_at: Instant,
    },
    /// Every handle is gone; it is closed if that works at once.
    Closing,
    Gone,
}

impl Session {
    pub(crate) fn new(nonce: Bytes, lifetime: Duration) -> Session {
        Session { nonce, lifetime, standing: Standing::Wanted, id: None, awaits_answer: false }
    }

    /// Its name, once it was opened.
    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    /// Whether values may be sent under it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open { .. })
    }

    pub(crate) fn awaits_answer(&self) -> bool {
        self.awaits_answer
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.standing, Standing::Closing)
    }

    /// When it has to be kept alive, unless it is used before.
    pub(crate) fn keep_alive_at(&self) -> Option<Instant> {
        match self.standing {
            Standing::Open { keep_alive_at } if !self.awaits_answer => Some(keep_alive_at),
            _ => None,
        }
    }

    /// Whether something about it has to be sent; `is_needed` if values wait for it.
    pub(crate) fn is_due(&self, now: Instant, is_needed: bool) -> bool {
        !self.awaits_answer
            && match self.standing {
                Standing::Wanted => is_needed,
                Standing::Open { keep_alive_at } => keep_alive_at <= now,
                Standing::Closing => true,
                Standing::Gone => false,
            }
    }

    /// What is sent about it, when it is due, and under which name.
    pub(crate) fn next_to_send(&mut self) -> (u64, About) {
        self.awaits_answer = true;
        let id = self.id.unwrap_or_default();
        match self.standing {
            Standing::Wanted => {
                let lifetime_us = u64::try_from(self.lifetime.as_micros()).unwrap_or(u64::MAX);
                (id, About::Open(Open { nonce: self.nonce.clone(), lifetime_us }))
            }
            Standing::Open { .. } => (id, About::KeepAlive(KeepAlive {})),
            Standing::Closing => (id, About::Close(Close {})),
            Standing::Gone => unreachable!("nothing is due of a session that is gone"),
        }
    }

    /// A node has opened it. If it was asked twice there may be two; the first one counts.
    pub(crate) fn on_opened(&mut self, id: u64, now: Instant) {
        if matches!(self.standing, Standing::Wanted) {
            self.awaits_answer = false;
            self.id = Some(id);
            self.standing = Standing::Open { keep_alive_at: now + self.lifetime / KEEP_ALIVE_PART };
        }
    }

    /// A node has answered something that was sent under it.
    pub(crate) fn on_used(&mut self, now: Instant) {
        if let Standing::Open { keep_alive_at } = &mut self.standing {
            *keep_alive_at = now + self.lifetime / KEEP_ALIVE_PART;
        }
    }

    /// A keep-alive has been answered.
    pub(crate) fn on_kept(&mut self, now: Instant) {
        self.awaits_answer = false;
        self.on_used(now);
    }

    /// What was sent about it was not proposed. Closing is not worth a second try: what is not
    /// closed expires.
    pub(crate) fn on_declined(&mut self) {
        self.awaits_answer = false;
        if self.is_closing() {
            self.standing = Standing::Gone;
        }
    }

    /// No answer will come on this stream any more.
    pub(crate) fn on_stream_lost(&mut self, now: Instant) {
        self.awaits_answer = false;
        if let Standing::Open { keep_alive_at } = &mut self.standing
            && *keep_alive_at <= now
        {
            *keep_alive_at = now + self.lifetime / RETRY_PART;
        }
    }

    /// It is not there any more, or was closed.
    pub(crate) fn on_gone(&mut self) {
        self.awaits_answer = false;
        self.standing = Standing::Gone;
    }

    /// Nobody will append any more. True if there is something to close.
    pub(crate) fn close(&mut self) -> bool {
        if self.is_open() {
            (self.standing, self.awaits_answer) = (Standing::Closing, false);
        }
        self.is_closing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new(Bytes::from_static(&[7; 16]), Duration::from_secs(3))
    }

    #[test]
    fn a_session_is_wanted_once_something_waits_for_it_and_under_one_nonce() {
        let (mut session, now) = (session(), Instant::now());
        assert!(!session.is_due(now, false));
        assert!(session.is_due(now, true));
        let first = session.next_to_send();
        assert!(!session.is_due(now, true), "it is asked for");
        session.on_stream_lost(now);
        assert!(session.is_due(now, true));
        assert_eq!(session.next_to_send(), first);
        session.on_opened(5, now);
        session.on_opened(9, now);
        assert_eq!(session.id(), Some(5), "the first one counts");
    }

    #[test]
    fn an_idle_session_is_kept_alive_after_a_third_of_its_lifetime() {
        let (mut session, start) = (session(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        session.next_to_send();
        session.on_opened(5, at(0));
        assert!(!session.is_due(at(999), true));
        session.on_used(at(500));
        assert!(!session.is_due(at(1000), true));
        assert_eq!(session.keep_alive_at(), Some(at(1500)));
        assert!(session.is_due(at(1500), false));
        assert_eq!(session.next_to_send(), (5, About::KeepAlive(KeepAlive {})));
        assert!(!session.is_due(at(9000), false), "it is being kept");
        session.on_declined();
        assert!(session.is_due(at(1501), false));
        session.next_to_send();
        session.on_kept(at(1600));
        assert_eq!(session.keep_alive_at(), Some(at(2600)));
        session.on_stream_lost(at(2000));
        assert_eq!(session.keep_alive_at(), Some(at(2600)), "nothing was missed");
        session.on_stream_lost(at(2600));
        assert_eq!(session.keep_alive_at(), Some(at(2700)), "not again at once");
    }

    #[test]
    fn only_an_open_session_is_closed_and_one_that_is_gone_does_nothing_more() {
        let (mut wanted, mut open, now) = (session(), session(), Instant::now());
        assert!(!wanted.close());
        open.next_to_send();
        open.on_opened(5, now);
        assert!(open.close());
        assert!(open.is_due(now, false));
        assert_eq!(open.next_to_send(), (5, About::Close(Close {})));
        let mut declined = session();
        declined.on_opened(5, now);
        declined.close();
        declined.on_declined();
        assert!(!declined.close(), "it is tried once");
        open.on_gone();
        let later = now + Duration::from_secs(9);
        assert!(!open.is_due(later, true) && !open.close());
        assert_eq!((open.is_open(), open.keep_alive_at()), (false, None));
    }
}
