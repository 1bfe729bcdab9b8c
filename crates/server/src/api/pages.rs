//! The history, page by page: a range of it, or on and on.
//!
//! The first page of a range waits for what the reader must be shown, and says how much there is.
//! The others are whatever comes next below that: a slot that was applied never changes, so it does
//! not matter when they are read.

use client::proto::ReadResponse;
use node::Consistency;
use paxos::Slot;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::asked::Range;
use super::{ANSWERS_WAITING_MAX, Answers, Api, answers, overloaded, stopped};
use crate::hosted::Read;
use crate::inbox::Job;
use crate::page::{Page, Wanted};

/// Entries in one page.
const PAGE_ENTRIES_MAX: usize = 4096;

type Responses = mpsc::Sender<Result<ReadResponse, Status>>;

impl Api {
    /// A range, once its first page is there.
    pub(super) async fn range(&self, range: Range) -> Result<Answers<ReadResponse>, Status> {
        let first = self.page(range, range.consistency).await?;
        let (responses, answers) = mpsc::channel(ANSWERS_WAITING_MAX);
        let api = self.clone();
        tokio::spawn(async move {
            if let Err(error) = api.send_range(range, first, &responses).await {
                let gone = responses.send(Err(error)).await;
                drop(gone);
            }
        });
        Ok(Box::pin(ReceiverStream::new(answers)))
    }

    /// Everything from a slot on, as it comes.
    pub(super) fn follow(&self, first: Slot) -> Answers<ReadResponse> {
        let (responses, answers) = mpsc::channel(ANSWERS_WAITING_MAX);
        let api = self.clone();
        tokio::spawn(async move {
            if let Err(error) = api.send_all(first, &responses).await {
                let gone = responses.send(Err(error)).await;
                drop(gone);
            }
        });
        Box::pin(ReceiverStream::new(answers))
    }

    async fn send_range(
        &self,
        mut range: Range,
        mut page: Page,
        responses: &Responses,
    ) -> Result<(), Status> {
        let read_below = page.applied;
        range.end = range.end.min(read_below);
        // The first one is sent in any case: somebody wants to know how far it reaches.
        let mut is_first = true;
        loop {
            range.limit -= page.entries.len() as u64;
            range.first = page.next;
            if is_first || !page.entries.is_empty() {
                let response = answers::entries(&page.entries, read_below);
                if responses.send(Ok(response)).await.is_err() {
                    return Ok(()); // The reader has gone.
                }
            }
            is_first = false;
            if range.limit == 0 || page.is_last {
                return Ok(());
            }
            page = self.page(range, None).await?;
        }
    }

    async fn send_all(mut self, mut first: Slot, responses: &Responses) -> Result<(), Status> {
        loop {
            let (end, limit, consistency) = (Slot::LIMIT, u64::MAX, None);
            let page = self.page(Range { first, end, limit, consistency }, None).await?;
            first = page.next;
            if !page.entries.is_empty() {
                let response = answers::entries(&page.entries, page.applied);
                if responses.send(Ok(response)).await.is_err() {
                    return Ok(()); // The reader has gone.
                }
            }
            if page.is_last {
                tokio::select! {
                    more = self.applied.wait_for(|applied| *applied > first.0) => {
                        more.map_err(|_| stopped())?;
                    }
                    _ = self.stopping.wait_for(|stopping| *stopping) => return Err(stopped()),
                    () = responses.closed() => return Ok(()),
                }
            }
        }
    }

    /// The range's first page. Whoever stops waiting for it is forgotten by the node in time.
    pub(super) async fn page(
        &self,
        range: Range,
        consistency: Option<Consistency>,
    ) -> Result<Page, Status> {
        let Range { first, end, limit, .. } = range;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(PAGE_ENTRIES_MAX);
        let (answer, page) = oneshot::channel();
        let question = Box::new(Wanted { first, end, limit, answer });
        let read = Read { consistency, question };
        self.inbox.offer(Job::Read(read)).map_err(|_| overloaded())?;
        let page = page.await.map_err(|_| stopped())?;
        page.map_err(|why| answers::unreadable(&self.config, first, why))
    }
}
