//! The threads of a node: started under a name, and seen to run or not by whoever watches.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use paxos::NodeId;

/// The threads that one node has started.
#[derive(Clone, Debug, Default)]
pub struct Threads {
    /// Each thread holds on to what is pointed at here, until it ends, however it ends.
    lives: Vec<(&'static str, Weak<()>)>,
}

impl Threads {
    /// Starts one more.
    pub fn spawn<T: Send + 'static>(
        &mut self,
        name: &'static str,
        node: NodeId,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let life = Arc::new(());
        self.lives.push((name, Arc::downgrade(&life)));
        thread::Builder::new().name(format!("{name}-{node}")).spawn(move || {
            let result = run();
            drop(life);
            result
        })
    }

    /// Each name, and whether the thread still runs.
    pub fn look(&self) -> Vec<(&'static str, bool)> {
        self.lives.iter().map(|(name, life)| (*name, life.strong_count() > 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ends_is_seen_to_end() {
        let mut threads = Threads::default();
        let (wait, until) = crossbeam_channel::bounded::<()>(0);
        let first = threads.spawn("first", NodeId(1), move || until.recv().is_err()).unwrap();
        let second = threads.spawn("second", NodeId(1), || panic!("on purpose")).unwrap();
        second.join().expect_err("it panics");
        assert_eq!(threads.look(), [("first", true), ("second", false)]);
        drop(wait);
        assert!(first.join().unwrap());
        assert_eq!(threads.look(), [("first", false), ("second", false)]);
    }
}
