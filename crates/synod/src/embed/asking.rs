//! One request until it is answered, wherever it has to be proposed for that.
//!
//! A node that leads proposes it. One that does not hands it on to the one that does, waits until
//! it is applied here, and hands it on again in the meantime: the session sees to it that it is
//! applied once, however often it is chosen.

use std::sync::Arc;
use std::time::Duration;

use node::{Refused, Reply, Request};
use paxos::NodeId;
use server::inbox::{Answer, Inbox, Job, Replied, ReplyTo};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::codec::Output;
use super::door::Door;
use super::hosting::Hosting;
use super::machine::StateMachine;

/// Between two tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It was never proposed, as far as anybody knows: nobody led.
    NoLeader,
    /// It was never proposed: too much was waiting.
    Busy,
    /// It may have been proposed.
    Late,
    /// The node is gone.
    Stopped,
    TooLarge,
    Refused(Refused),
}

/// A way to ask.
pub(crate) struct Asking<S: StateMachine> {
    pub door: Arc<Door<S>>,
    pub inbox: Inbox<Hosting<S>>,
    /// Closed when the node is gone.
    pub applied: watch::Receiver<u64>,
}

/// Forgets what was expected, when nobody waits any more.
struct Expected<'a, S: StateMachine>(&'a Inbox<Hosting<S>>, &'a Request, bool);

impl<S: StateMachine> Drop for Expected<'_, S> {
    fn drop(&mut self) {
        if self.2 {
            // Where there is no room for the word, it is forgotten when it is applied.
            self.0.offer(Job::Forget(self.1.clone())).ok();
        }
    }
}

impl<S: StateMachine> Asking<S> {
    pub(crate) async fn ask(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<Reply<Output>, Unanswered> {
        let mut pause = PAUSE.0;
        // What is known if nothing better comes.
        let mut known = Unanswered::NoLeader;
        let mut expected = Expected(&self.inbox, &request, false);
        loop {
            let until = deadline.min(Instant::now() + pause);
            match self.propose(&request, deadline).await? {
                None => return Err(Unanswered::Late),
                Some(Reply::NotLeading { leader: Some(leader) }) => {
                    known = Unanswered::Late;
                    expected.2 = true;
                    if let Some(reply) = self.hand_on(&request, leader, until).await? {
                        expected.2 = false;
                        return Ok(reply);
                    }
                }
                Some(Reply::NotLeading { leader: None }) => {}
                Some(Reply::Busy) if known != Unanswered::Late => known = Unanswered::Busy,
                Some(Reply::Busy) => {}
                Some(Reply::Unknown { .. }) => known = Unanswered::Late,
                Some(Reply::TooLarge { .. }) => return Err(Unanswered::TooLarge),
                // The next one that is answered moves the window on.
                Some(Reply::Refused(Refused::Window)) => return Err(Unanswered::Busy),
                Some(Reply::Refused(why)) => return Err(Unanswered::Refused(why)),
                Some(reply) => return Ok(reply),
            }
            if Instant::now() >= deadline {
                return Err(known);
            }
            tokio::time::sleep_until(until).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Proposes it here, if this node leads. None if there is no answer in time.
    async fn propose(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Option<Reply<Output>>, Unanswered> {
        let (to, mut replies) = reply_to();
        if self.inbox.offer(Job::Append(request.clone(), to)).is_err() {
            let is_gone = self.applied.has_changed().is_err();
            return if is_gone { Err(Unanswered::Stopped) } else { Ok(Some(Reply::Busy)) };
        }
        reply(&mut replies, deadline).await
    }

    /// Hands it on, and waits for a while until it is applied here.
    async fn hand_on(
        &self,
        request: &Request,
        leader: NodeId,
        until: Instant,
    ) -> Result<Option<Reply<Output>>, Unanswered> {
        let (to, mut replies) = reply_to();
        if self.inbox.offer(Job::Expect(request.clone(), to)).is_err() {
            return Ok(None);
        }
        self.door.hand_on(leader, request);
        // Unknown: its place was lost from sight, and is found when it is asked for again.
        let reply = reply(&mut replies, until).await?;
        match reply {
            Some(Reply::Refused(Refused::Window)) => Err(Unanswered::Busy),
            Some(Reply::Refused(why)) => Err(Unanswered::Refused(why)),
            reply => Ok(reply.filter(|it| !matches!(it, Reply::Unknown { .. }))),
        }
    }
}

fn reply_to() -> (ReplyTo<Output>, UnboundedReceiver<Replied<Output>>) {
    // One answer at most is ever sent.
    let (replies, receiver) = mpsc::unbounded_channel();
    (ReplyTo { replies, sequence: 0, asked: std::time::Instant::now() }, receiver)
}

async fn reply(
    replies: &mut UnboundedReceiver<Replied<Output>>,
    until: Instant,
) -> Result<Option<Reply<Output>>, Unanswered> {
    match timeout_at(until, replies.recv()).await {
        Err(_) => Ok(None),
        Ok(Some(Replied { answer: Answer::Node(reply), .. })) => Ok(Some(reply)),
        Ok(Some(Replied { answer: Answer::Malformed(_), .. })) => {
            unreachable!("only the client API calls a request malformed")
        }
        Ok(None) => Err(Unanswered::Stopped),
    }
}
