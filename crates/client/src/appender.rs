//! One stream for all appends of a client: opened, filled, lost, opened elsewhere.
//!
//! One task owns the stream, the [`Session`] and the [`Window`]; callers meet it only at a queue
//! and at their answers. It does not decide what is sent (`session`, `window`) nor to whom
//! (`endpoints`).
//!
//! A stream is given up when it breaks, when its node does not lead, when an outcome was lost from
//! the node's sight, or when nothing is answered for a while. `Busy` alone keeps the stream: only
//! what was declined is sent again on it, after a pause.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Status, Streaming};

use crate::connection::{ANSWER_BYTES_MAX, Connection, Dialler, root_cause};
use crate::endpoints::Endpoints;
use crate::proto::append_response::Outcome;
use crate::proto::log_client::LogClient;
use crate::proto::{AppendRequest, AppendResponse, Leader};
use crate::session::Session;
use crate::window::{Call, Window};

/// Requests that wait between this task and the connection. The window bounds those in flight;
/// this bounds what a stalled connection still sends of requests that were given up meanwhile.
const STREAM_QUEUE_MAX: usize = 256;

/// Endpoints that an error names, at most.
const TRIED_MAX: usize = 16;

/// How an exchange with one node ended.
enum Ending {
    /// Nothing is wrong with the client: all is answered and nobody can call any more.
    Finished,
    /// Another node should be asked. The address is the node's hint.
    Lost { reason: String, leader: Option<String> },
    /// The node says that this client may not append, and has read nothing of the stream.
    Denied { reason: String },
}

/// Why an exchange must stop now, with the node's hint; `None`: it goes on.
type Verdict = Option<Ending>;

pub(crate) struct Appender {
    session: Session,
    calls: mpsc::UnboundedReceiver<Call>,
    /// Some handle is left that may still call.
    is_open: bool,
    window: Window,
    endpoints: Endpoints,
    /// Keeps a connection to each node that has led: while leaders change often, a handshake of
    /// every client each time is what keeps the new leader from leading.
    dialler: Dialler,
    /// The present stream was given up for what its node said, so that the connection is sound.
    is_told: bool,
    /// A node that owes answers and gives none for this long is left for another.
    silence_max: Duration,
    /// Endpoints asked in vain since the last progress, and the last trouble.
    tried: BTreeSet<String>,
    trouble: String,
    /// Endpoints that have denied since the last progress. Nodes may learn of a client one by one.
    denied: BTreeSet<String>,
}

impl Appender {
    /// `calls` needs no bound of its own: each call holds a place in the window.
    pub(crate) fn new(
        session: Session,
        calls: mpsc::UnboundedReceiver<Call>,
        endpoints: Endpoints,
        silence_max: Duration,
        sent_again: Arc<AtomicU64>,
    ) -> Appender {
        Appender {
            session,
            calls,
            is_open: true,
            window: Window::new(sent_again),
            dialler: endpoints.dialler().apart(),
            is_told: false,
            endpoints,
            silence_max,
            tried: BTreeSet::new(),
            trouble: "no connection in time".to_owned(),
            denied: BTreeSet::new(),
        }
    }

    /// Runs until every handle is gone, every append is answered or given up, and the session is
    /// closed if that works at once.
    pub(crate) async fn run(mut self) {
        while self.has_work().await {
            let address = self.endpoints.current().to_owned();
            if self.tried.len() < TRIED_MAX {
                self.tried.insert(address.clone());
            }
            let dialler = self.dialler.clone();
            self.is_told = false;
            let ending = match self.meanwhile(dialler.keep(&address)).await {
                Ok(channel) => self.exchange(channel).await,
                Err(error) => Ending::Lost { reason: error.to_string(), leader: None },
            };
            if !self.is_told {
                dialler.drop_kept(&address);
            }
            let (reason, leader) = match ending {
                Ending::Finished => return,
                Ending::Lost { reason, leader } => (reason, leader),
                Ending::Denied { reason } => {
                    self.on_denied(address, &reason);
                    (reason, None)
                }
            };
            if self.session.is_closing() {
                return;
            }
            self.window.on_stream_lost();
            self.session.on_stream_lost(Instant::now());
            self.trouble = reason;
            let pause = match leader {
                Some(leader) => self.endpoints.on_hint(&leader),
                None => self.endpoints.on_failure(),
            };
            if !pause.is_zero() {
                self.meanwhile(tokio::time::sleep(pause)).await;
            }
        }
    }

    /// Waits for something to send. False when nothing will ever be.
    async fn has_work(&mut self) -> bool {
        while self.window.is_empty() {
            if !self.is_open {
                return self.session.close();
            }
            tokio::select! {
                biased;
                call = self.calls.recv() => self.on_call(call),
                () = wake_at(self.session.keep_alive_at()) => return true,
            }
        }
        true
    }

    /// Waits for `work` while calls are still taken in and overdue ones are answered.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                call = self.calls.recv(), if self.is_open => self.on_call(call),
                () = wake_at(self.window.deadline()) => self.expire(),
            }
        }
    }

    /// Sends and answers on one stream until it has to be given up.
    async fn exchange(&mut self, channel: Connection) -> Ending {
        let mut log = LogClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        let (requests, queue) = mpsc::channel(STREAM_QUEUE_MAX);
        // A node may open its side only when it has read the first request, so sending and
        // opening go on together.
        let mut opening = pin!(log.append(ReceiverStream::new(queue)));
        let mut answers: Option<Streaming<AppendResponse>> = None;
        // Set while a busy node is given a rest.
        let mut resume_at: Option<Instant> = None;
        let mut heard_at = Instant::now();
        loop {
            if !self.is_open && self.window.is_empty() && !self.session.close() {
                return Ending::Finished;
            }
            let silent_at = self.awaits_answer().then(|| heard_at + self.silence_max);
            // What is overdue waits for room, not for time.
            let keep_alive_at = self.session.keep_alive_at().filter(|at| *at > Instant::now());
            let wake = [self.window.deadline(), resume_at, silent_at, keep_alive_at];
            let wake = wake.into_iter().flatten().min();
            tokio::select! {
                biased;
                opened = &mut opening, if answers.is_none() => match opened {
                    Ok(opened) => answers = Some(Response::into_inner(opened)),
                    Err(status) => return not_opened(&status),
                },
                answer = next(&mut answers), if answers.is_some() => {
                    heard_at = Instant::now();
                    let verdict = match answer {
                        Ok(Some(answer)) => self.on_answer(answer, &mut resume_at),
                        Ok(None) => {
                            Some(Ending::Lost { reason: "the stream ended".into(), leader: None })
                        }
                        Err(status) => Some(lost(&status)),
                    };
                    if let Some(ending) = verdict {
                        return ending;
                    }
                }
                call = self.calls.recv(), if self.is_open => {
                    self.on_call(call);
                    // What is there already leaves together.
                    while let Ok(call) = self.calls.try_recv() {
                        self.window.on_call(call);
                    }
                }
                permit = requests.reserve(), if self.has_unsent() && resume_at.is_none() => {
                    let Ok(permit) = permit else {
                        // The connection dropped its end; the answers' side says why.
                        let reason = "the stream was closed".into();
                        return Ending::Lost { reason, leader: None };
                    };
                    if !self.awaits_answer() {
                        heard_at = Instant::now();
                    }
                    if let Some(request) = self.next_request() {
                        permit.send(request);
                    }
                    self.fill(&requests);
                }
                () = wake_at(wake) => {
                    let now = Instant::now();
                    if resume_at.is_some_and(|at| at <= now) {
                        resume_at = None;
                    }
                    self.expire();
                    if silent_at.is_some_and(|at| at <= now) && self.awaits_answer() {
                        return Ending::Lost { reason: "no answer".into(), leader: None };
                    }
                }
            }
        }
    }

    /// Sends what the queue takes without waiting.
    fn fill(&mut self, requests: &mpsc::Sender<AppendRequest>) {
        while self.has_unsent()
            && let Ok(permit) = requests.try_reserve()
        {
            if let Some(request) = self.next_request() {
                permit.send(request);
            }
        }
    }

    /// Whether an answer is due on the present stream.
    fn awaits_answer(&self) -> bool {
        self.window.awaits_answer() || self.session.awaits_answer()
    }

    /// Whether something can be sent: values only under a session.
    fn has_unsent(&self) -> bool {
        let has_values = self.window.has_unsent();
        (has_values && self.session.is_open()) || self.session.is_due(Instant::now(), has_values)
    }

    /// What concerns the session goes first.
    fn next_request(&mut self) -> Option<AppendRequest> {
        if self.session.is_due(Instant::now(), self.window.has_unsent()) {
            let (session, about) = self.session.next_to_send();
            return Some(AppendRequest { session, about: Some(about), ..AppendRequest::default() });
        }
        let session = self.session.id().filter(|_| self.session.is_open())?;
        let outgoing = self.window.next_to_send()?;
        Some(AppendRequest {
            session,
            sequence: outgoing.sequence,
            first_unanswered: outgoing.first_unanswered,
            value: outgoing.value,
            about: None,
        })
    }

    fn on_answer(&mut self, answer: AppendResponse, resume_at: &mut Option<Instant>) -> Verdict {
        let sequence = answer.sequence;
        match answer.outcome {
            Some(Outcome::Done(done)) => {
                self.on_progress();
                self.session.on_used(Instant::now());
                let session = self.session.id().unwrap_or_default();
                self.window.on_done(session, sequence, done.slot);
                None
            }
            Some(Outcome::Opened(opened)) => {
                self.on_progress();
                self.session.on_opened(opened.session, Instant::now());
                None
            }
            Some(Outcome::Kept(_)) => {
                self.on_progress();
                self.session.on_kept(Instant::now());
                None
            }
            Some(Outcome::Closed(_)) => {
                self.session.on_gone();
                None
            }
            Some(Outcome::Expired(expired)) => {
                self.on_progress();
                self.session.on_gone();
                self.window.on_session_gone(sequence, &expired.reason);
                None
            }
            Some(Outcome::Refused(refused)) if sequence == 0 => {
                Some(Ending::Lost { reason: refused.reason, leader: None })
            }
            Some(Outcome::Refused(refused)) => {
                self.on_progress();
                self.window.on_refused(sequence, refused.reason);
                None
            }
            Some(Outcome::Busy(busy)) => {
                self.trouble = busy.reason;
                self.on_declined(sequence);
                // One pause for all that a full node declines at once.
                if resume_at.is_none() {
                    *resume_at = Some(Instant::now() + self.endpoints.pause());
                }
                None
            }
            Some(Outcome::NotLeading(not_leading)) => {
                self.is_told = true;
                self.on_declined(sequence);
                let leader = address(not_leading.leader);
                let reason = format!("{} does not lead", self.endpoints.current());
                Some(Ending::Lost { reason, leader })
            }
            // The doubt is recorded when the stream is given up.
            Some(Outcome::Unknown(unknown)) => {
                self.is_told = true;
                Some(Ending::Lost { reason: unknown.reason, leader: address(unknown.leader) })
            }
            None => {
                let reason = "an answer of a kind that this client does not know".into();
                Some(Ending::Lost { reason, leader: None })
            }
        }
    }

    /// Number zero is what was asked about the session.
    fn on_declined(&mut self, sequence: u64) {
        if sequence == 0 {
            self.session.on_declined();
            self.window.on_session_declined();
        } else {
            self.window.on_declined(sequence);
        }
    }

    fn on_call(&mut self, call: Option<Call>) {
        match call {
            Some(call) => self.window.on_call(call),
            None => self.is_open = false,
        }
    }

    fn on_progress(&mut self) {
        self.endpoints.on_progress();
        self.tried.clear();
        self.denied.clear();
    }

    /// Once every node has said so there is nobody left to ask.
    fn on_denied(&mut self, address: String, reason: &str) {
        self.window.on_stream_denied();
        if self.denied.len() < TRIED_MAX {
            self.denied.insert(address);
        }
        if self.endpoints.are_all(&self.denied) {
            self.window.give_up_denied(reason);
            self.denied.clear();
        }
    }

    fn expire(&mut self) {
        self.window.expire(Instant::now(), &self.trouble, &self.tried);
    }
}

fn not_opened(status: &Status) -> Ending {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            Ending::Denied { reason: status.message().to_owned() }
        }
        _ => lost(status),
    }
}

/// Where the leader serves clients, if that was said.
fn address(leader: Option<Leader>) -> Option<String> {
    leader.map(|leader| leader.address).filter(|address| !address.is_empty())
}

fn lost(status: &Status) -> Ending {
    // A broken connection is "transport error", and the cause behind it says more.
    let cause = status.source().map(root_cause);
    let reason = format!("{:?}: {}", status.code(), cause.as_deref().unwrap_or(status.message()));
    Ending::Lost { reason, leader: None }
}

async fn next(
    answers: &mut Option<Streaming<AppendResponse>>,
) -> Result<Option<AppendResponse>, Status> {
    match answers {
        Some(answers) => answers.message().await,
        None => std::future::pending().await,
    }
}

async fn wake_at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
