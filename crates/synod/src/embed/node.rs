//! A handle on a node in this process.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use node::{Consistency, Nonce, Request};
use paxos::{HandOverRefusal, NodeId, Part, Slot};
use server::End;
use server::hosted::{self, Question, State, Unreadable};
use server::inbox::{Inbox, Job};
use server::runtime::Runtime;
use tokio::sync::{Semaphore, broadcast, oneshot, watch};
use tokio_stream::Stream;

use super::asking::Asking;
use super::builder::Builder;
use super::codec::{decode_command, encode_command};
use super::door::Door;
use super::error::{LogError, ProposeError, ReadError, ShutdownError, Stopped, TransferError};
use super::hosting::{Faults, Hosting};
use super::machine::{Committed, Entry, Event, Role, StateMachine, Status};
use super::session::{LIFETIME, Lane, finished};
use super::transport::Link;

/// A node of a cluster, in this process: a replica of the state machine, and a way to change it.
///
/// A handle is cheap to clone; all clones are the same node. When the last one is dropped the node
/// ends as a crash would end it, which harms nothing; [`Node::shutdown`] ends it in order.
pub struct Node<S: StateMachine> {
    pub(crate) inner: Arc<Inner<S>>,
}

/// How much a read must show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Read {
    /// Everything that was committed, anywhere, before the read began. Costs a round of messages to
    /// the leader and one from there to a quorum, which all reads that begin together share.
    #[default]
    Linearizable,
    /// Everything below a slot, as one's own writes: one past the slot of the last
    /// [`Committed`]. Costs nothing but the wait until this node has applied as much.
    AtLeast(Slot),
    /// Everything that was committed so long before the read began, by this node's clock. Costs
    /// nothing while other reads have confirmed as much.
    Stale(Duration),
    /// Whatever this node has applied. Costs nothing, promises nothing but a state that was.
    Local,
}

/// Proposals of a node that are under way. More wait, in order.
const PROPOSALS_MAX: usize = 4096;

/// Entries that are read of the log at a time.
const PAGE_MAX: usize = 1024;

/// What the handles of a node share.
pub(crate) struct Inner<S: StateMachine> {
    pub door: Arc<Door<S>>,
    pub inbox: Inbox<Hosting<S>>,
    pub applied: watch::Receiver<u64>,
    pub events: broadcast::Sender<paxos::Event>,
    pub faults: Arc<Faults>,
    pub timeout: Duration,
    pub runtime: tokio::runtime::Handle,
    pub link: Arc<dyn Link>,
    threads: Mutex<Option<Runtime<Hosting<S>>>>,
    ended: OnceLock<String>,
    places: Arc<Semaphore>,
    lane: tokio::sync::Mutex<Option<Arc<Lane>>>,
}

/// How often it is looked whether a node has ended by itself.
const LOOK: Duration = Duration::from_millis(100);

/// How long a thread that is ending, or busy, is left alone.
const TURN: Duration = Duration::from_millis(5);

impl<S: StateMachine> Node<S> {
    /// Describes a node that starts with this state machine. All nodes of a cluster begin with
    /// equal ones.
    pub fn builder(machine: S) -> Builder<S> {
        Builder::new(machine)
    }

    pub(crate) fn new(
        door: Arc<Door<S>>,
        threads: Runtime<Hosting<S>>,
        events: broadcast::Sender<paxos::Event>,
        faults: Arc<Faults>,
        link: Arc<dyn Link>,
        timeout: Duration,
    ) -> Node<S> {
        let inner = Arc::new(Inner {
            door,
            inbox: threads.inbox().clone(),
            applied: threads.applied(),
            events,
            faults,
            timeout,
            runtime: tokio::runtime::Handle::current(),
            link,
            threads: Mutex::new(Some(threads)),
            ended: OnceLock::new(),
            places: Arc::new(Semaphore::new(PROPOSALS_MAX)),
            lane: tokio::sync::Mutex::new(None),
        });
        let watched = Arc::downgrade(&inner);
        tokio::spawn(async move {
            // One thread that ends by itself takes the others along.
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(inner) = watched.upgrade() else { return };
                if inner.has_ended() {
                    inner.end().await;
                    return;
                }
            }
        });
        Node { inner }
    }

    /// Which node it is.
    pub fn id(&self) -> NodeId {
        self.inner.door.me
    }

    /// Proposes a command, at this node or, through it, at the one that leads. The future resolves
    /// when the command is chosen and applied here, once, or says what is known of it.
    ///
    /// What is proposed first need not be applied first: to order two commands, await the first.
    ///
    /// The future owns everything: it can be spawned, joined and dropped. **Dropping it does not
    /// take the command back**: it is asked for, and asked for again, until it is answered or its
    /// time runs out.
    pub fn propose(
        &self,
        command: S::Command,
    ) -> impl Future<Output = Result<Committed<S::Output>, ProposeError>> + Send + 'static + use<S>
    {
        let inner = self.inner.clone();
        let proposing = self.inner.runtime.spawn(async move {
            let value = encode_command::<S>(command)?;
            inner.propose(&value).await
        });
        let inner = self.inner.clone();
        async move { finished(&inner, proposing.await).await }
    }

    /// Looks at the state once it shows as much as `how` says. `look` runs on the thread that
    /// drives the protocol: it should be quick, and must not wait. If it panics, so does this
    /// future.
    pub async fn read<T: Send + 'static>(
        &self,
        how: Read,
        look: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let look = |state: State<'_, Hosting<S>>| look(state.machine.machine());
        match self.inner.read(how, look).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Some(Unreadable::TimedOut { leader })) => Err(ReadError::Timeout { leader }),
            Err(Some(Unreadable::Busy)) => Err(ReadError::Overloaded),
            Err(Some(Unreadable::NotLearning | Unreadable::Gone { .. })) => {
                unreachable!("every node of this kind learns, and the state is there")
            }
            Err(None) => Err(self.inner.why_stopped().await.into()),
        }
    }

    /// The commands from a slot on, as they were applied here, in order, each once. Has no end: it
    /// waits for what is to come. An error is the last item.
    ///
    /// A node holds the newest commands in memory, [`Builder::log_bytes`] of them, and none from
    /// before it started with a snapshot: the log is for those who follow, not an archive.
    pub fn log(
        &self,
        from: Slot,
    ) -> impl Stream<Item = Result<Entry<S::Command>, LogError>> + Send + 'static + use<S> {
        let (items, receiver) = tokio::sync::mpsc::channel(PAGE_MAX);
        let inner = self.inner.clone();
        // The handle must not keep the node alive for ever.
        let weak = Arc::downgrade(&inner);
        let applied = inner.applied.clone();
        self.inner.runtime.spawn(async move {
            let (mut applied, mut from) = (applied, from);
            loop {
                let Some(inner) = weak.upgrade() else { return };
                let page = inner.page(from).await;
                drop(inner);
                let (entries, next) = match page {
                    Ok(page) => page,
                    Err(error) => {
                        items.send(Err(error)).await.ok();
                        return;
                    }
                };
                let is_empty = entries.is_empty();
                for entry in entries {
                    if items.send(Ok(entry)).await.is_err() {
                        return;
                    }
                }
                from = next;
                if is_empty {
                    tokio::select! {
                        // An end is told of by the next page.
                        _ = applied.wait_for(|applied| *applied > from.0) => {}
                        () = items.closed() => return,
                    }
                }
            }
        });
        tokio_stream::wrappers::ReceiverStream::new(receiver)
    }

    /// What happens at this node from now on. Ends with the node.
    pub fn events(&self) -> impl Stream<Item = Event> + Send + 'static + use<S> {
        use tokio_stream::StreamExt as _;
        use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

        let events = self.inner.events.subscribe();
        let events = tokio_stream::wrappers::BroadcastStream::new(events);
        events.filter_map(|event| match event {
            Ok(paxos::Event::Elected { ballot, .. }) => Some(Event::LeadershipGained { ballot }),
            Ok(
                paxos::Event::Deposed { .. }
                | paxos::Event::Forsaken { .. }
                | paxos::Event::Overtaken { .. },
            ) => Some(Event::LeadershipLost),
            Ok(paxos::Event::Following { ballot }) => Some(Event::Following { ballot }),
            Ok(paxos::Event::Restored { below }) => Some(Event::Restored { below }),
            Ok(_) => None,
            Err(BroadcastStreamRecvError::Lagged(events)) => Some(Event::Missed { events }),
        })
    }

    /// What it sees of itself and of the others.
    pub async fn status(&self) -> Result<Status, Stopped> {
        let status = loop {
            let (answer, status) = oneshot::channel();
            match self.inner.inbox.offer(Job::Status(answer)) {
                Ok(()) => break status.await.ok(),
                Err(_) if self.inner.is_gone() => break None,
                // There will be room as soon as its thread takes a turn.
                Err(_) => tokio::time::sleep(TURN).await,
            }
        };
        let Some(status) = status else { return Err(self.inner.why_stopped().await) };
        Ok(Status {
            node: self.id(),
            role: match status.part {
                Part::Leading => Role::Leading,
                Part::Preparing => Role::Preparing,
                Part::Following => Role::Following,
            },
            ballot: status.ballot,
            leader: status.leader,
            chosen: status.chosen,
            applied: status.applied,
            commands: status.values,
            first_held: status.storage.first_held,
            snapshot: status.storage.snapshot,
            in_flight: status.in_flight,
            acceptors_reachable: status.acceptors_reachable,
            is_suspect: status.is_suspect,
            has_room: status.storage.has_room,
        })
    }

    /// Has another node lead. Asked of the node that leads; that it leads no more is told by its
    /// events.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), TransferError> {
        let (answer, outcome) = oneshot::channel();
        if self.inner.inbox.offer(Job::HandOver { to: Some(to), answer }).is_err() {
            if self.inner.is_gone() {
                return Err(self.inner.why_stopped().await.into());
            }
            return Err(TransferError::Overloaded);
        }
        match outcome.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(HandOverRefusal::NotLeading { leader })) => {
                Err(TransferError::NotLeading { leader })
            }
            Ok(Err(HandOverRefusal::UnderWay)) => Err(TransferError::UnderWay),
            Ok(Err(HandOverRefusal::NoLeader { node })) => Err(TransferError::NoMember { node }),
            Ok(Err(HandOverRefusal::NobodyReady)) => Err(TransferError::NotReady { to }),
            Ok(Err(HandOverRefusal::NotTaken { to })) => Err(TransferError::NotTaken { to }),
            Err(_) => Err(self.inner.why_stopped().await.into()),
        }
    }

    /// Stops the node, for all its handles, such that the others hardly notice: if it leads,
    /// another one does first; what was asked before is answered, and what was written is synced.
    /// Takes five seconds at most where there is nobody to hand over to.
    pub async fn shutdown(self) -> Result<(), ShutdownError> {
        let threads = lock(&self.inner.threads).take();
        if let Some(threads) = threads {
            threads.leave(LEAVE).await;
            self.inner.join(threads).await;
        }
        match self.inner.ended.get().map(String::as_str) {
            Some(STOPPED) | None => Ok(()),
            Some(reason) => Err(ShutdownError { reason: reason.into() }),
        }
    }

    /// Resolves when the node has stopped, by itself or by [`Node::shutdown`], and says why.
    pub async fn stopped(&self) -> Stopped {
        let mut applied = self.inner.applied.clone();
        // Nothing applies any more once the thread that does is gone.
        while applied.changed().await.is_ok() {}
        self.inner.why_stopped().await
    }
}

/// How long a node may take to leave.
const LEAVE: Duration = Duration::from_secs(5);

const STOPPED: &str = "it was asked to";

impl<S: StateMachine> Inner<S> {
    pub(crate) fn asking(&self) -> Asking<S> {
        Asking { door: self.door.clone(), inbox: self.inbox.clone(), applied: self.applied.clone() }
    }

    /// Proposes in the node's own session: one copy at most is applied.
    async fn propose(&self, value: &[u8]) -> Result<Committed<S::Output>, ProposeError> {
        let started = tokio::time::Instant::now();
        let _permit = self.permit(started).await?;
        let lane = tokio::time::timeout_at(started + self.timeout, self.lane());
        let lane = lane.await.map_err(|_| ProposeError::NoLeader { after: self.timeout })??;
        let place = lane.place().ok_or(ProposeError::Overloaded)?;
        let first = place.first_unanswered();
        let named = (place.lane.session, place.sequence, first);
        let done = self.append(started, named, value).await;
        if matches!(done, Err(ProposeError::SessionExpired)) {
            let mut lane = self.lane.lock().await;
            lane.take_if(|lane| Arc::ptr_eq(lane, &place.lane));
        }
        done
    }

    /// A place among the proposals that are under way.
    pub(crate) async fn permit(
        &self,
        started: tokio::time::Instant,
    ) -> Result<tokio::sync::SemaphorePermit<'_>, ProposeError> {
        let permit = tokio::time::timeout_at(started + self.timeout, self.places.acquire()).await;
        let permit = permit.map_err(|_| ProposeError::Overloaded)?;
        Ok(permit.unwrap_or_else(|_| unreachable!("nobody closes the semaphore")))
    }

    /// The session for the node's own proposals. Whoever comes first opens it for all.
    async fn lane(&self) -> Result<Arc<Lane>, ProposeError> {
        let mut lane = self.lane.lock().await;
        if let Some(lane) = lane.as_ref().filter(|lane| !lane.is_idle()) {
            return Ok(lane.clone());
        }
        let session = match self.open_session().await {
            Ok(session) => session,
            // That a session was opened and nobody knows harms nothing: the command was not asked
            // for.
            Err(ProposeError::Timeout { after }) => return Err(ProposeError::NoLeader { after }),
            Err(error) => return Err(error),
        };
        let opened = Arc::new(Lane::new(session));
        *lane = Some(opened.clone());
        Ok(opened)
    }

    pub(crate) async fn open_session(&self) -> Result<Slot, ProposeError> {
        let mut nonce = [0; 16];
        let random = getrandom::fill(&mut nonce);
        random.map_err(|error| Stopped::because(format!("no random bits: {error}")))?;
        let lifetime_us = u64::try_from(LIFETIME.as_micros()).unwrap_or(u64::MAX);
        self.about_session(Request::open(Nonce(nonce), lifetime_us)).await
    }

    /// Looks at the state, or says why not; none if the node is gone.
    async fn read<T: Send + 'static>(
        &self,
        how: Read,
        look: impl FnOnce(State<'_, Hosting<S>>) -> T + Send + 'static,
    ) -> Result<std::thread::Result<T>, Option<Unreadable>> {
        let consistency = match how {
            Read::Linearizable => Some(Consistency::Linearizable),
            Read::AtLeast(at_least) => Some(Consistency::Sequential { at_least }),
            Read::Stale(max_age) => Some(Consistency::Stale { max_age }),
            Read::Local => None,
        };
        let (answer, seen) = oneshot::channel();
        let look =
            move |state: State<'_, Hosting<S>>| catch_unwind(AssertUnwindSafe(|| look(state)));
        let question = Box::new(Look { look, answer });
        if self.inbox.offer(Job::Read(hosted::Read { consistency, question })).is_err() {
            return Err(if self.is_gone() { None } else { Some(Unreadable::Busy) });
        }
        seen.await.map_err(|_| None)?.map_err(Some)
    }

    /// What was applied from a slot on, and where to go on.
    async fn page(&self, from: Slot) -> Result<(Vec<Entry<S::Command>>, Slot), LogError> {
        use server::hosted::Hosted as _;

        let look = move |state: State<'_, Hosting<S>>| {
            let State { machine, applied } = state;
            let first_held = machine.first_held(applied);
            if from < first_held {
                return Err(first_held);
            }
            let page: Vec<_> = machine.log(from).take(PAGE_MAX).cloned().collect();
            Ok((page, applied))
        };
        let (page, applied) = match self.read(Read::Local, look).await {
            Ok(Ok(Ok(page))) => page,
            Ok(Ok(Err(first_held))) => return Err(LogError::Gone { first_held }),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Some(_)) => return Err(LogError::Overloaded),
            Err(None) => return Err(self.why_stopped().await.into()),
        };
        let next = page.last().map_or(applied.max(from), |entry| entry.slot.plus(1));
        let entry = |entry: node::Entry| {
            let command = decode_command::<S>(entry.request.value());
            let command = command.unwrap_or_else(|_| unreachable!("it was applied"));
            Entry::new(entry.slot, command)
        };
        Ok((page.into_iter().map(entry).collect(), next))
    }

    /// Whether the thread that would answer is gone.
    fn is_gone(&self) -> bool {
        self.applied.has_changed().is_err()
    }

    fn has_ended(&self) -> bool {
        lock(&self.threads).as_ref().is_none_or(Runtime::has_ended)
    }

    /// Ends what is left of a node that has ended.
    async fn end(&self) {
        let threads = lock(&self.threads).take();
        if let Some(threads) = threads {
            threads.kill();
            self.join(threads).await;
        }
    }

    async fn join(&self, threads: Runtime<Hosting<S>>) {
        let link = self.link.clone();
        let joined = tokio::task::spawn_blocking(move || {
            let end = threads.join();
            link.stop();
            end
        });
        let reason = match joined.await {
            Ok(End::Stopped) => self.faults.fatal().unwrap_or_else(|| STOPPED.into()),
            Ok(End::Disk(why)) => format!("its disk failed: {why}"),
            Ok(End::Conflict(slot)) => format!("two values claim slot {slot}"),
            Ok(End::Diverged { from, below, .. }) => {
                format!("node {from} holds another history below slot {below}")
            }
            Ok(End::Panicked) | Err(_) => {
                self.faults.fatal().unwrap_or_else(|| "a bug: an assertion failed".into())
            }
        };
        self.ended.set(reason).ok();
    }

    pub(crate) async fn why_stopped(&self) -> Stopped {
        // The thread that has hung up is about to end.
        for _ in 0..200 {
            if self.has_ended() {
                self.end().await;
                break;
            }
            tokio::time::sleep(TURN).await;
        }
        let reason = self.ended.get().cloned().or_else(|| self.faults.fatal());
        Stopped::because(reason.unwrap_or_else(|| "it is stopping".into()))
    }
}

/// A look at the state.
struct Look<F, T> {
    look: F,
    answer: oneshot::Sender<Result<T, Unreadable>>,
}

impl<S, F, T> Question<Hosting<S>> for Look<F, T>
where
    S: StateMachine,
    F: FnOnce(State<'_, Hosting<S>>) -> T + Send,
    T: Send,
{
    fn is_closed(&self) -> bool {
        self.answer.is_closed()
    }

    fn answer(
        self: Box<Self>,
        state: Result<State<'_, Hosting<S>>, Unreadable>,
        _room: &mut usize,
    ) {
        let seen = state.map(self.look);
        self.answer.send(seen).ok();
    }
}

impl<F, T> fmt::Debug for Look<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

impl<S: StateMachine> Drop for Inner<S> {
    fn drop(&mut self) {
        if let Some(threads) = lock(&self.threads).take() {
            threads.kill();
            let link = self.link.clone();
            // Its threads see to themselves; the listener may be this very thread.
            std::thread::spawn(move || {
                threads.join();
                link.stop();
            });
        }
    }
}

impl<S: StateMachine> Clone for Node<S> {
    fn clone(&self) -> Node<S> {
        Node { inner: self.inner.clone() }
    }
}

impl<S: StateMachine> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
