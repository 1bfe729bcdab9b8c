//! The threads around one node, whatever machine it replicates: protocol, journal and snapshots.
//!
//! It knows no client, no address and no file. Whoever starts it brings the node, a way to peers
//! and a disk, and hands it what arrives.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::bounded;
use node::History;
use paxos::{Configuration, Event, NodeId};
use tokio::sync::{broadcast, oneshot, watch};

use crate::counters::Counters;
use crate::driver::{Driver, Ended};
use crate::hosted::Hosted;
use crate::inbox::{Inbox, Job, Jobs, Status};
use crate::post::Post;
use crate::recovery::Recovered;
use crate::server::End;
use crate::sight::{Sight, Window};
use crate::snapshotter::{Orders, Snapshotter};
use crate::threads::Threads;
use crate::transport::Outbound;
use crate::writer::{WRITES_MAX, Writer};

/// What a node's threads are started with.
pub struct Parts<M: Hosted> {
    /// Who it is, and the members.
    pub member: (NodeId, Arc<Configuration>),
    /// The node, as its disk left it.
    pub recovered: Recovered<M>,
    /// Made as the node's machine is, and empty.
    pub like: M,
    /// Both ends of its inbox.
    pub inbox: (Inbox<M>, Jobs<M>),
    /// The way to its peers.
    pub outbound: Arc<dyn Outbound>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// Where it tells what happens, if anybody may want to know.
    pub events: Option<broadcast::Sender<Event>>,
    /// Set while it is to hear and say nothing.
    pub failed: Arc<AtomicBool>,
    /// The origin of its time.
    pub origin: Instant,
}

/// A node whose threads run.
pub struct Runtime<M: Hosted = History> {
    inbox: Inbox<M>,
    applied: watch::Receiver<u64>,
    failed: Arc<AtomicBool>,
    killed: Arc<AtomicBool>,
    leaving: Arc<AtomicBool>,
    protocol: JoinHandle<Ended>,
    journal: Option<JoinHandle<Result<(), journal::AppendError>>>,
    snapshotter: JoinHandle<()>,
    threads: Threads,
    sights: watch::Receiver<Option<Sight>>,
}

impl<M: Hosted> Runtime<M> {
    /// Starts the threads.
    pub fn start(parts: Parts<M>) -> io::Result<Runtime<M>> {
        let Parts { member, recovered, like, inbox, outbound, counters, events, failed, origin } =
            parts;
        let ((me, configuration), (inbox, jobs)) = (member, inbox);
        let Recovered { node, effects, journal, journal_bytes, shelf, snapshot } = recovered;
        let snapshot_bytes = shelf.used();
        let post = || {
            let (outbound, inbox, counters) = (outbound.clone(), inbox.clone(), counters.clone());
            Post::new(me, configuration.clone(), outbound, inbox, counters, failed.clone())
        };
        let mut threads = Threads::default();
        let killed = Arc::new(AtomicBool::new(false));
        let leaving = Arc::new(AtomicBool::new(false));

        let (writes, journal) = match journal {
            None => (None, None),
            Some((journal, ledger)) => {
                let (writes, waiting) = bounded(WRITES_MAX);
                let (configuration, counters) = (configuration.clone(), counters.clone());
                let flags = (killed.clone(), leaving.clone());
                let ends = (post(), inbox.clone());
                let writer = Writer::new(journal, ledger, configuration, ends, counters, flags);
                let thread = threads.spawn("journal", me, move || writer.run(&waiting))?;
                (Some(writes), Some(thread))
            }
        };

        let (orders, ordered) = Orders::new();
        let snapshotter = Snapshotter::new(
            (me, configuration.clone()),
            like,
            shelf,
            (post(), inbox.clone()),
            counters.clone(),
            killed.clone(),
        );
        let snapshotter = threads.spawn("snapshots", me, move || snapshotter.run(&ordered))?;
        let (window, sights) = Window::new();
        let (applied, applied_seen) = watch::channel(0);
        let driver = Driver {
            node,
            configuration: configuration.clone(),
            me,
            jobs,
            writes,
            orders,
            snapshot,
            journal_bytes,
            snapshot_bytes,
            has_room: true,
            other_epoch: None,
            post: post(),
            events,
            counters,
            origin,
            window,
            applied,
            killed: killed.clone(),
            deaf: failed.clone(),
        };
        let protocol = threads.spawn("protocol", me, move || driver.run(effects))?;
        Ok(Runtime {
            inbox,
            applied: applied_seen,
            failed,
            killed,
            leaving,
            protocol,
            journal,
            snapshotter,
            threads,
            sights,
        })
    }

    /// Where jobs go.
    pub fn inbox(&self) -> &Inbox<M> {
        &self.inbox
    }

    /// One past the last applied slot, as it grows.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    /// Whether its threads run, for who does not wait for them.
    pub(crate) fn threads(&self) -> Threads {
        self.threads.clone()
    }

    /// What its protocol thread shows, as it is shown.
    pub(crate) fn sights(&self) -> watch::Receiver<Option<Sight>> {
        self.sights.clone()
    }

    /// What it sees of itself; none once it has ended.
    pub async fn status(&self) -> Option<Status> {
        let (answer, status) = oneshot::channel();
        self.inbox.offer(Job::Status(answer)).ok()?;
        status.await.ok()
    }

    /// Whether it has ended by itself: its disk failed, or agreement is broken.
    pub fn has_ended(&self) -> bool {
        let is_journal_gone = self.journal.as_ref().is_some_and(JoinHandle::is_finished);
        self.protocol.is_finished() || is_journal_gone || self.snapshotter.is_finished()
    }

    /// Asks it to stop, after what was asked before. Waits until that is heard.
    pub async fn ask_to_stop(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.ask(Job::Stop).await;
    }

    /// Tells it something that must not be lost. Waits until there is room.
    pub(crate) async fn ask(&self, job: Job<M>) {
        let inbox = self.inbox.clone();
        let asked = tokio::task::spawn_blocking(move || inbox.tell(job)).await;
        drop(asked);
    }

    /// Lets it end at once, as a crash would: nothing more is written, synced or sent.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Waits for its threads, which were asked to stop, killed, or have ended by themselves.
    pub fn join(self) -> End {
        let Runtime { protocol, journal, snapshotter, .. } = self;
        let protocol = protocol.join();
        let journal = journal.map(JoinHandle::join);
        let snapshotter = snapshotter.join();
        match (protocol, journal, snapshotter) {
            (Ok(Ended::Conflict(slot)), _, _) => End::Conflict(slot.0),
            (Ok(Ended::Diverged { from, below, ours, theirs }), _, _) => {
                End::Diverged { from, below, ours, theirs }
            }
            (Ok(_), Some(Ok(Err(error))), _) => End::Disk(error.to_string()),
            (Ok(_), None | Some(Ok(Ok(()))), Ok(())) => End::Stopped,
            _ => End::Panicked,
        }
    }
}
