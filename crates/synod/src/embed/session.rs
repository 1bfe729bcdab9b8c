//! Sessions: what makes a command that is asked for again count once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::{Refused, Reply, Request};
use paxos::Slot;

use super::asking::Unanswered;
use super::codec::encode_command;
use super::error::ProposeError;
use super::machine::{Committed, StateMachine};
use super::node::{Inner, Node};

/// The name of a session: the slot in which it was opened. It may be kept, and used by another
/// process: see [`Node::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub Slot);

/// Commands that may be asked for again, each applied once.
///
/// The caller numbers its commands: 1, 2, 3 and so on. A command that is asked for again under the
/// same sequence is applied once, and answered alike, even if another process asks: whoever keeps
/// the session's id and the sequence of what is unanswered goes on after its own crash.
///
/// A session that is not used for its lifetime, in the cluster's time, is gone;
/// [`Session::keep_alive`] uses it. Dropping a handle does not close it.
pub struct Session<S: StateMachine> {
    inner: Arc<Inner<S>>,
    id: SessionId,
    first_unanswered: Arc<Mutex<u64>>,
}

/// How long a session lives unused, unless something else is asked for.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);

impl<S: StateMachine> Session<S> {
    pub(crate) fn new(inner: Arc<Inner<S>>, id: SessionId) -> Session<S> {
        Session { inner, id, first_unanswered: Arc::new(Mutex::new(1)) }
    }

    /// Its name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Proposes a command under a sequence of this session: as [`Node::propose`], and a command
    /// that was applied under that sequence before is answered as it was then, and not applied
    /// again.
    ///
    /// At most 65,536 sequences may lie between the first one that was not
    /// [acknowledged](Session::acknowledge) and this one; more are
    /// [`Overloaded`](ProposeError::Overloaded).
    ///
    /// # Panics
    /// If `sequence` is zero.
    pub fn propose(
        &self,
        sequence: u64,
        command: S::Command,
    ) -> impl Future<Output = Result<Committed<S::Output>, ProposeError>> + Send + 'static + use<S>
    {
        assert!(sequence > 0, "sequences are counted from one");
        let first = (*lock(&self.first_unanswered)).min(sequence);
        let (inner, id) = (self.inner.clone(), self.id);
        let proposing = self.inner.runtime.spawn(async move {
            let value = encode_command::<S>(command)?;
            let started = tokio::time::Instant::now();
            let _permit = inner.permit(started).await?;
            inner.append(started, (id.0, sequence, first), &value).await
        });
        let inner = self.inner.clone();
        async move { finished(&inner, proposing.await).await }
    }

    /// Everything below this sequence is answered, and will not be asked for again: the cluster may
    /// forget those answers, with the next command.
    pub fn acknowledge(&self, below: u64) {
        let mut first = lock(&self.first_unanswered);
        *first = below.max(*first);
    }

    /// Uses the session, so that it lives on.
    pub async fn keep_alive(&self) -> Result<(), ProposeError> {
        self.inner.about_session(Request::keep_alive(self.id.0)).await.map(drop)
    }

    /// Ends the session: nothing of it is applied any more.
    pub async fn close(self) -> Result<(), ProposeError> {
        self.inner.about_session(Request::close(self.id.0)).await.map(drop)
    }
}

impl<S: StateMachine> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The session of a node's own proposals, and what is unanswered in it.
pub(crate) struct Lane {
    pub session: Slot,
    state: Mutex<LaneState>,
}

struct LaneState {
    next: u64,
    unanswered: BTreeSet<u64>,
    used: Instant,
}

/// A sequence that nobody else has, until it is dropped.
pub(crate) struct Place {
    pub lane: Arc<Lane>,
    pub sequence: u64,
}

impl Lane {
    pub(crate) fn new(session: Slot) -> Lane {
        let state = LaneState { next: 1, unanswered: BTreeSet::new(), used: Instant::now() };
        Lane { session, state: Mutex::new(state) }
    }

    /// Whether the session may have expired: in doubt another one is opened, for what is proposed
    /// in one that is gone has no certain outcome.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.state).used.elapsed() > LIFETIME / 3
    }

    /// The next sequence; none if an old one is unanswered for so long that the cluster could not
    /// remember all of them.
    pub(crate) fn place(self: &Arc<Lane>) -> Option<Place> {
        let mut state = lock(&self.state);
        let sequence = state.next;
        let first = state.unanswered.first().copied().unwrap_or(sequence);
        if sequence - first >= node::SESSION_WINDOW {
            return None;
        }
        state.next += 1;
        state.unanswered.insert(sequence);
        state.used = Instant::now();
        Some(Place { lane: self.clone(), sequence })
    }
}

impl Place {
    /// The first sequence that may still be asked for.
    pub(crate) fn first_unanswered(&self) -> u64 {
        let state = lock(&self.lane.state);
        state.unanswered.first().copied().unwrap_or(self.sequence).min(self.sequence)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.lane.state).unanswered.remove(&self.sequence);
    }
}

/// What a task that proposes has found out; a task that is gone went with its runtime.
pub(crate) async fn finished<S: StateMachine, T>(
    inner: &Inner<S>,
    proposing: Result<Result<T, ProposeError>, tokio::task::JoinError>,
) -> Result<T, ProposeError> {
    match proposing {
        Ok(done) => done,
        Err(_) => Err(inner.why_stopped().await.into()),
    }
}

impl<S: StateMachine> Node<S> {
    /// Opens a session that lives for an hour when it is not used.
    pub async fn session(&self) -> Result<Session<S>, ProposeError> {
        let id = self.inner.open_session().await?;
        Ok(Session::new(self.inner.clone(), SessionId(id)))
    }

    /// Goes on with a session that was opened before, by this process or another one. Whether it is
    /// still there is found out when it is used.
    pub fn resume(&self, session: SessionId) -> Session<S> {
        Session::new(self.inner.clone(), session)
    }
}

impl<S: StateMachine> Inner<S> {
    /// What became of an append, in words for the caller.
    pub(crate) async fn append(
        &self,
        started: tokio::time::Instant,
        (session, sequence, first_unanswered): (Slot, u64, u64),
        value: &[u8],
    ) -> Result<Committed<S::Output>, ProposeError> {
        let limit = super::machine::COMMAND_BYTES_MAX;
        let bytes = value.len() - super::codec::HEAD_BYTES;
        if bytes > limit {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        let request = Request::append(session, sequence, first_unanswered, value);
        let request = request.unwrap_or_else(|_| unreachable!("first_unanswered <= sequence"));
        match self.asking().ask(request, started + self.timeout).await {
            Ok(Reply::Done { slot, output }) => match output.read() {
                Ok(output) => Ok(Committed::new(slot, output)),
                Err(why) => Err(ProposeError::Output { slot, why }),
            },
            Ok(_) => unreachable!("an append is done or refused"),
            Err(Unanswered::TooLarge) => Err(ProposeError::TooLarge { bytes, limit }),
            Err(why) => Err(self.unanswered(why, started.elapsed()).await),
        }
    }

    /// Something about a session.
    pub(crate) async fn about_session(&self, request: Request) -> Result<Slot, ProposeError> {
        let started = tokio::time::Instant::now();
        match self.asking().ask(request, started + self.timeout).await {
            Ok(Reply::Opened { session: slot } | Reply::Kept { slot } | Reply::Closed { slot }) => {
                Ok(slot)
            }
            Ok(_) => unreachable!("this was about a session"),
            Err(why) => Err(self.unanswered(why, started.elapsed()).await),
        }
    }

    async fn unanswered(&self, why: Unanswered, after: Duration) -> ProposeError {
        match why {
            Unanswered::NoLeader => ProposeError::NoLeader { after },
            Unanswered::Busy => ProposeError::Overloaded,
            Unanswered::Late => ProposeError::Timeout { after },
            Unanswered::Stopped => self.why_stopped().await.into(),
            Unanswered::Refused(Refused::Answered) => ProposeError::Answered,
            Unanswered::Refused(Refused::Window) => ProposeError::Overloaded,
            Unanswered::Refused(Refused::Expired) => ProposeError::SessionExpired,
            Unanswered::TooLarge => unreachable!("only a command can be too large"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
