//! What the demo does: a real cluster in this process, some of it killed, values proposed, and
//! every history that is left compared with what was proposed.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use client::proto::Entry;
use client::{AppendError, Appended, Bytes, Client, Consistency, Options as ClientOptions};
use paxos::NodeId;
use server::Options;
use server::config::{Role, Storage, Timing};
use server::file_disk::FileDisk;
use server::local::{Layout, Local};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::DemoArgs;
use super::compare::{Compared, compare};
use super::story::{Story, StoryEvent};
use super::summary::Summary;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::runtime;

/// How long the cluster may take for anything before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time to read a sentence, between the phases; none of it is measured.
const PAUSE: Duration = Duration::from_millis(250);

/// How often the disk's own sync is timed, to stand beside the figures.
const SYNC_SAMPLES: usize = 64;

/// What became of a value.
type Answer = Result<Appended, AppendError>;

pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, CliError> {
    let seed = args.seed_or_drawn()?;
    let values: Vec<Bytes> = args.values()?.into_iter().map(Bytes::from).collect();
    if values.is_empty() {
        return Err(CliError::usage("there is nothing to propose"));
    }
    let temporary;
    let directory = if let Some(path) = &args.data_dir {
        require_empty(path)?;
        path
    } else {
        temporary = tempfile::tempdir()
            .map_err(|error| CliError::file("create", &std::env::temp_dir(), &error))?;
        temporary.path()
    };
    let mut story = Story::new(output, args, seed);
    let runtime = runtime::for_a_server()?;
    let shown = runtime.block_on(async {
        tokio::select! {
            biased;
            shown = show(args, seed, values, directory, &mut story) => shown,
            exit = runtime::stop_signal() => {
                Err(CliError::new("interrupted", exit?, "stopped by a signal"))
            }
        }
    });
    story.end();
    runtime.shutdown_background();
    output.show(shown?.report(output.has_unicode()))
}

/// Journals are made, never overwritten.
fn require_empty(path: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(path).map_err(|error| CliError::file("create", path, &error))?;
    let mut entries =
        std::fs::read_dir(path).map_err(|error| CliError::file("read", path, &error))?;
    if entries.next().is_none() {
        return Ok(());
    }
    let message = format!("{} is not empty", path.display());
    Err(CliError::new("not_empty", Exit::Failed, message).hint("name a directory that is new"))
}

async fn show(
    args: &DemoArgs,
    seed: u64,
    values: Vec<Bytes>,
    directory: &Path,
    story: &mut Story,
) -> Result<Summary, CliError> {
    let (disk_sync_p50, disk_sync_p99) = sync_latency(directory)?;
    let pause = if args.fast { Duration::ZERO } else { PAUSE };
    let origin = Instant::now();
    let mut cluster = Cluster::start(args, seed, directory)?;
    let nodes = cluster.local.configs().len() as u64;
    story.tell(origin.elapsed(), StoryEvent::Started { nodes });
    let (leader, round) = cluster.leader().await?;
    let startup = origin.elapsed();
    let acceptors = args.needed();
    story.tell(startup, StoryEvent::LeaderElected { leader, round, acceptors });

    for failed in 0..args.fail {
        tokio::time::sleep(pause).await;
        let left = args.acceptors - failed - 1;
        let node = NodeId(args.leaders + left + 1);
        cluster.kill(node).await;
        let needed = args.needed();
        story.tell(origin.elapsed(), StoryEvent::AcceptorFailed { node, left, needed });
    }

    tokio::time::sleep(pause).await;
    let client = cluster.client(leader, values.len())?;
    let total = values.len() as u64;
    story.tell(origin.elapsed(), StoryEvent::Proposing { total, to: leader });
    let kill = args.kill_leader.then_some(leader);
    let burst = burst(&values, kill, &mut cluster, &client, origin, story).await;
    story.tell(origin.elapsed(), StoryEvent::AllAnswered { after: burst.chosen_in });
    if let Some(node) = kill {
        cluster.local.restart(node).map_err(failed)?;
        story.tell(origin.elapsed(), StoryEvent::Restarted { node });
    }

    let histories = histories(&cluster.local, &burst.answers).await?;
    let compared = compare(&values, &burst.answers, &histories);
    let learners = histories.len() as u64;
    let event = StoryEvent::Compared { learners, values: compared.chosen };
    story.tell(origin.elapsed(), event);
    let counters = cluster.stop().await;
    let Compared { chosen, lost, repeated, conflicts, histories_equal, digest } = compared;
    Ok(Summary {
        seed,
        proposals: total,
        chosen,
        lost,
        repeated,
        conflicts,
        histories_equal,
        digest,
        chosen_in: burst.chosen_in,
        takeover: burst.takeover,
        startup,
        total: origin.elapsed(),
        decisions_per_second: per_second(total, burst.chosen_in),
        messages_sent: counters.sum(|name| name.starts_with("sent_")),
        messages_lost: counters.sum(|name| name == "network_lost"),
        phase1_messages: counters.sum(|name| PHASE1.contains(&name)),
        syncs: counters.sum(|name| name == "journal_syncs"),
        disk_sync_p50,
        disk_sync_p99,
        data_dir: args.data_dir.clone(),
        rerun: args.rerun(seed),
    })
}

const PHASE1: [&str; 2] = ["sent_prepare", "sent_promise"];

/// The cluster, and what its dead had counted.
struct Cluster {
    local: Local,
    counters: Counters,
}

#[derive(Default)]
struct Counters(BTreeMap<String, u64>);

impl Counters {
    fn add(&mut self, counted: BTreeMap<String, u64>) {
        for (name, count) in counted {
            *self.0.entry(name).or_default() += count;
        }
    }

    fn sum(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|(name, _)| wanted(name)).map(|(_, count)| count).sum()
    }
}

impl Cluster {
    fn start(args: &DemoArgs, seed: u64, directory: &Path) -> Result<Cluster, CliError> {
        let (leaders, acceptors) = (args.leaders, args.acceptors);
        let layout = Layout { leaders, acceptors, ..Layout::default() };
        let options = Options { faults: args.network.faults(seed), ..Options::default() };
        let local = Local::start(layout, directory, Timing::default(), Storage::default(), options)
            .map_err(failed)?;
        Ok(Cluster { local, counters: Counters::default() })
    }

    async fn leader(&self) -> Result<(NodeId, u64), CliError> {
        let (leader, status) = self.local.leader(PATIENCE).await.ok_or_else(|| {
            let message = format!("nobody leads after {PATIENCE:?}");
            CliError::new("no_leader", Exit::Unreachable, message)
        })?;
        Ok((leader, status.ballot.map_or(0, |ballot| ballot.round)))
    }

    /// A client that knows who leads, as one that has been here before.
    fn client(&self, leader: NodeId, window: usize) -> Result<Client, CliError> {
        let mut endpoints = self.local.leader_endpoints();
        let first = self.local.address(leader).map(|address| address.to_string());
        endpoints.sort_by_key(|endpoint| Some(endpoint) != first.as_ref());
        let window = window.clamp(1, ClientOptions::WINDOW_MAX);
        let options = ClientOptions { timeout: PATIENCE, window, ..ClientOptions::new(endpoints) };
        Client::new(options).map_err(failed)
    }

    async fn kill(&mut self, node: NodeId) {
        self.count(node);
        self.local.kill(node).await;
    }

    fn count(&mut self, node: NodeId) {
        if let Some(server) = self.local.running().get(&node) {
            self.counters.add(server.switches().counters());
        }
    }

    async fn stop(mut self) -> Counters {
        let running: Vec<NodeId> = self.local.running().keys().copied().collect();
        for node in running {
            self.count(node);
        }
        // What a node has to say against its own end is in the log.
        drop(self.local.stop().await);
        self.counters
    }
}

/// What became of the values.
struct Burst {
    answers: Vec<Answer>,
    chosen_in: Duration,
    takeover: Option<Duration>,
}

/// Proposes everything at once, and kills a leader once a third is answered.
async fn burst(
    values: &[Bytes],
    kill: Option<NodeId>,
    cluster: &mut Cluster,
    client: &Client,
    origin: Instant,
    story: &mut Story,
) -> Burst {
    let total = values.len();
    let mut answers: Vec<Answer> = Vec::new();
    answers.resize_with(total, || Err(AppendError::Closed));
    let mut appends = JoinSet::new();
    let start = Instant::now();
    for (index, value) in values.iter().cloned().enumerate() {
        let client = client.clone();
        let mut append = Box::pin(async move { (index, client.append(value).await) });
        // Polled once, in order: that is what numbers it.
        let is_done = append.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!is_done, "no answer comes before the question is sent");
        appends.spawn(append);
    }
    let mut answered = 0;
    let mut killed: Option<Instant> = None;
    let mut takeover = None;
    let mut chosen_in = Duration::ZERO;
    while let Some(joined) = appends.join_next().await {
        let Ok((index, answer)) = joined else { continue };
        let is_chosen = answer.is_ok();
        answers[index] = answer;
        answered += 1;
        chosen_in = start.elapsed();
        story.progress(answered as u64, total as u64);
        if let (Some(since), None, true) = (killed, takeover, is_chosen) {
            let after = since.elapsed();
            // What the dead leader had answered is still on its way for a moment.
            if let Some((leader, _)) = cluster.local.leader(Duration::from_millis(1)).await {
                takeover = Some(after);
                let event = StoryEvent::Takeover { leader, after };
                story.tell(origin.elapsed(), event);
            }
        }
        if let (Some(node), None, true) = (kill, killed, answered >= (total / 3).max(1)) {
            killed = Some(Instant::now());
            cluster.kill(node).await;
            let (chosen_so_far, total) = (answered as u64, total as u64);
            let event = StoryEvent::LeaderKilled { node, chosen_so_far, total };
            story.tell(origin.elapsed(), event);
        }
    }
    Burst { answers, chosen_in, takeover }
}

/// Every leader's history, once it holds all that was answered.
async fn histories(
    local: &Local,
    answers: &[Answer],
) -> Result<BTreeMap<NodeId, Vec<Entry>>, CliError> {
    let end = answers.iter().flatten().map(|appended| appended.slot + 1).max().unwrap_or(0);
    let deadline = Instant::now() + PATIENCE;
    let mut histories = BTreeMap::new();
    for (&node, server) in local.running() {
        if !server.config().own().roles.contains(&Role::Leader) {
            continue;
        }
        while Instant::now() < deadline
            && server.status().await.is_some_and(|status| status.applied.0 < end)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        histories.insert(node, read(local, node, end).await?);
    }
    Ok(histories)
}

async fn read(local: &Local, node: NodeId, end: u64) -> Result<Vec<Entry>, CliError> {
    let endpoint = local.address(node).map(|address| address.to_string());
    let client = Client::new(ClientOptions::new(endpoint.into_iter().collect())).map_err(failed)?;
    let mut entries = client.read(Consistency::Local, 0, Some(end), 0).await.map_err(failed)?;
    let mut history = Vec::new();
    while let Some(entry) = entries.next().await {
        history.push(entry.map_err(failed)?);
    }
    Ok(history)
}

/// How long this disk takes for a sync: half of the time at most, and 99 of 100 times at most.
fn sync_latency(directory: &Path) -> Result<(Duration, Duration), CliError> {
    let probe = tempfile::tempdir_in(directory)
        .map_err(|error| CliError::file("create", directory, &error))?;
    let disk = FileDisk::open(probe.path()).map_err(failed)?;
    let mut samples = disk.sync_latency(SYNC_SAMPLES).map_err(failed)?;
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100];
    Ok((at(50), at(99)))
}

/// To a tenth.
fn per_second(count: u64, time: Duration) -> f64 {
    let micros = time.as_micros().max(1);
    let tenths = u128::from(count) * 10_000_000 / micros;
    u32::try_from(tenths).map_or(f64::from(u32::MAX), f64::from) / 10.0
}

fn failed(error: impl std::error::Error) -> CliError {
    CliError::new("demo", Exit::Failed, error.to_string())
}
