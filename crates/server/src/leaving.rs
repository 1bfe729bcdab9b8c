//! How a node leaves a cluster that goes on without it: another one leads before it stops, and who
//! waits for an answer here has it. Each step has its end; together they last no longer than the
//! patience that they are given.

use std::time::{Duration, Instant};

use paxos::{Ballot, HandOverRefusal, NodeId, Part};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout_at};

use crate::hosted::Hosted;
use crate::inbox::Job;
use crate::runtime::Runtime;

/// Handing over is tried so often. Each try ends by itself in less than a second at default timing.
const TRIES_MAX: usize = 3;

/// Between two tries, and two looks at a hand-over that somebody else has begun.
const PAUSE: Duration = Duration::from_millis(20);

impl<M: Hosted> Runtime<M> {
    /// Has another node lead. None if this one has ended meanwhile, or is overloaded.
    pub async fn hand_over(&self, to: Option<NodeId>) -> Option<Result<Ballot, HandOverRefusal>> {
        let (answer, outcome) = oneshot::channel();
        self.inbox().offer(Job::HandOver { to, answer }).ok()?;
        outcome.await.ok()
    }

    /// Hands over leadership if this node has it, then answers what is under way, then stops.
    /// Returns once the protocol thread is gone.
    pub async fn leave(&self, patience: Duration) {
        let until = Instant::now() + patience;
        // Whoever hangs must leave time to answer the others.
        let half = tokio::time::Instant::from_std(Instant::now() + patience / 2);
        if timeout_at(half, self.let_another_lead()).await.is_err() {
            tracing::warn!("stops without having handed over leadership");
        }
        self.ask(Job::Leave { until }).await;
        let mut applied = self.applied();
        // The thread's end of this channel goes with it.
        let gone = async { while applied.changed().await.is_ok() {} };
        let slack = tokio::time::Instant::from_std(until) + PAUSE;
        if timeout_at(slack, gone).await.is_err() {
            self.ask(Job::Stop).await;
        }
    }

    async fn let_another_lead(&self) {
        let mut tries = 0;
        while tries < TRIES_MAX && self.leads().await {
            match self.hand_over(None).await {
                Some(Ok(_)) | None => return,
                Some(Err(HandOverRefusal::UnderWay)) => {}
                Some(Err(why)) => {
                    tries += 1;
                    tracing::info!(?why, tries, "could not hand over leadership");
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn leads(&self) -> bool {
        self.status().await.is_some_and(|status| status.part == Part::Leading)
    }
}
