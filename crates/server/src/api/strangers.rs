//! Connections of which nothing good is known yet: few, and not for long.
//!
//! Whoever connects is a stranger until a first request of its was allowed. A crowd of strangers
//! costs the oldest of them its place and nobody else: who means well says so within a round trip,
//! so a flood would have to be faster than that to keep others out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// What is known of one connection's other end.
#[derive(Debug, Default)]
pub struct Standing {
    is_known: AtomicBool,
    is_evicted: AtomicBool,
    evicted: Notify,
}

/// All strangers, the oldest first.
#[derive(Debug, Default)]
pub struct Strangers {
    oldest_first: Mutex<VecDeque<Weak<Standing>>>,
}

impl Standing {
    /// A request of its was allowed: from now on it may stay.
    pub fn vouch(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Whether a request of its was ever allowed.
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Returns once it has to go to make room. Who is known never has to.
    pub async fn evicted(&self) {
        // Asked for before it is looked at, so that nothing is missed in between.
        let evicted = self.evicted.notified();
        if !self.is_evicted.load(Ordering::Acquire) {
            evicted.await;
        }
    }

    fn evict(&self) {
        self.is_evicted.store(true, Ordering::Release);
        self.evicted.notify_waiters();
    }
}

impl Strangers {
    /// A new one. True if the oldest had to go, for there are never more than `max`.
    pub fn admit(&self, max: usize) -> (Arc<Standing>, bool) {
        let newest = Arc::new(Standing::default());
        // Every change is one call on the queue: a panic leaves it whole.
        let mut all = self.oldest_first.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(Arc::downgrade(&newest));
        if all.len() <= max {
            return (newest, false);
        }
        all.retain(|it| it.upgrade().is_some_and(|standing| !standing.is_known()));
        let oldest = if all.len() > max { all.pop_front() } else { None };
        let oldest = oldest.and_then(|it| it.upgrade());
        if let Some(oldest) = &oldest {
            oldest.evict();
        }
        (newest, oldest.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(standing: &Standing) -> bool {
        standing.is_evicted.load(Ordering::Acquire)
    }

    #[test]
    fn a_crowd_costs_the_oldest_stranger_its_place() {
        let strangers = Strangers::default();
        let standing: Vec<_> = (0..5).map(|_| strangers.admit(3)).collect();
        let evictions: Vec<bool> = standing.iter().map(|(_, evicts)| *evicts).collect();
        assert_eq!(evictions, [false, false, false, true, true]);
        let gone: Vec<bool> = standing.iter().map(|(it, _)| is_evicted(it)).collect();
        assert_eq!(gone, [true, true, false, false, false]);
    }

    #[test]
    fn who_is_known_or_gone_takes_no_place() {
        let strangers = Strangers::default();
        let (known, _) = strangers.admit(2);
        known.vouch();
        let (gone, _) = strangers.admit(2);
        drop(gone);
        let (kept, _) = strangers.admit(2);
        let (_newest, evicts) = strangers.admit(2);
        assert!(!evicts && !is_evicted(&known) && !is_evicted(&kept));
    }

    #[tokio::test]
    async fn eviction_is_heard_before_and_after() {
        let strangers = Strangers::default();
        let (standing, _) = strangers.admit(1);
        let waiting = tokio::spawn({
            let standing = standing.clone();
            async move { standing.evicted().await }
        });
        tokio::task::yield_now().await;
        strangers.admit(1);
        waiting.await.unwrap();
        standing.evicted().await;
    }
}
