//! Clients append, others read at both leaders, all the time, while the primary is killed and comes
//! back without memory. Whoever was answered first must not stand behind: the painted world's
//! checker looks at what real processes said.

mod cluster;
#[path = "cluster/seven.rs"]
mod seven;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::{Client, Consistency};
use cluster::{Cluster, PATIENCE};
use paxos::Slot;
use seven::{LEADERS, SEVEN};
use sim::Operation;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const APPENDERS: u64 = 3;

/// Each at one leader, so that it is known who has read.
const READERS_EACH: u64 = 2;

/// What one client did, and heard.
#[derive(Default)]
struct Notes {
    /// Number, asked, answered.
    appends: Vec<(u64, Duration, Option<Duration>)>,
    reads: Vec<Read>,
}

struct Read {
    node: &'static str,
    asked: Duration,
    answered: Duration,
    first: u64,
    below: u64,
    /// By slot.
    values: Vec<(u64, u64)>,
}

/// Until when, and by which clock.
#[derive(Clone)]
struct Watch {
    origin: Instant,
    is_over: Arc<AtomicBool>,
    appended: Arc<AtomicU64>,
}

impl Watch {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Until so many more values are appended.
    async fn wait_for(&self, more: u64) {
        let wanted = self.appended.load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + PATIENCE;
        while self.appended.load(Ordering::Relaxed) < wanted {
            assert!(Instant::now() < deadline, "nothing is appended any more");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn appends(client: Client, name: u64, watch: Watch) -> Notes {
    let mut notes = Notes::default();
    for number in 0.. {
        if !watch.goes_on() {
            break;
        }
        let number = name << 32 | number;
        let asked = watch.origin.elapsed();
        let answer = client.append(number.to_le_bytes().to_vec()).await;
        let answered = answer.is_ok().then(|| watch.origin.elapsed());
        notes.appends.push((number, asked, answered));
        watch.appended.fetch_add(1, Ordering::Relaxed);
    }
    notes
}

async fn reads(client: Client, node: &'static str, watch: Watch) -> Notes {
    let mut notes = Notes::default();
    let mut first = 0;
    while watch.goes_on() {
        let asked = watch.origin.elapsed();
        // A node that is gone answers nothing, which is no answer to be wrong.
        let Ok(entries) = client.read(Consistency::Linearizable, first, None, 0).await else {
            continue;
        };
        let below = entries.read_below();
        let entries: Vec<_> = entries.collect().await;
        let answered = watch.origin.elapsed();
        let Ok(entries) = entries.into_iter().collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a number"));
        let values = entries.iter().map(|entry| (entry.slot, number(&entry.value))).collect();
        notes.reads.push(Read { node, asked, answered, first, below, values });
        first = below;
    }
    notes
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_answered_first_never_stands_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = Path::new(env!("CARGO_BIN_EXE_synod"));
    let mut cluster = Cluster::start(binary, directory.path(), SEVEN);
    let primary = cluster.primary().await;
    let watch = Watch { origin: Instant::now(), is_over: Arc::default(), appended: Arc::default() };
    let mut clients = JoinSet::new();
    for name in 0..APPENDERS {
        clients.spawn(appends(cluster.client(&[0, 1]), name, watch.clone()));
    }
    for (leader, node) in LEADERS.into_iter().enumerate() {
        for _ in 0..READERS_EACH {
            let client = cluster.client_within(&[leader], Duration::from_secs(3));
            clients.spawn(reads(client, node, watch.clone()));
        }
    }
    watch.wait_for(300).await;
    cluster.kill(LEADERS[primary]);
    watch.wait_for(300).await;
    cluster.serve(LEADERS[primary]);
    watch.wait_for(600).await;
    watch.is_over.store(true, Ordering::Relaxed);
    let notes = clients.join_all().await;

    let history = cluster.client(&[0, 1]).read(Consistency::Linearizable, 0, None, 0).await;
    let history: Vec<_> = history.expect("readable").collect().await;
    let mut values = BTreeMap::new();
    for entry in history {
        let entry = entry.expect("an entry");
        let number = u64::from_le_bytes(entry.value[..].try_into().expect("a number"));
        values.insert(entry.slot, number);
    }
    let slots: BTreeMap<u64, u64> = values.iter().map(|(slot, number)| (*number, *slot)).collect();
    assert_eq!(slots.len(), values.len(), "a value stands there twice");

    let time = |at: Duration| paxos::Instant(0).plus(at);
    let mut operations = Vec::new();
    let mut read_at = BTreeMap::new();
    for Notes { appends, reads } in notes {
        for (number, asked, answered) in appends {
            let Some(slot) = slots.get(&number) else {
                assert_eq!(answered, None, "value {number:#x} is lost");
                continue;
            };
            let name = format!("value {number:#x}");
            let (asked, answered) = (time(asked), answered.map(time));
            operations.push(Operation { place: (Slot(*slot), true), asked, answered, name });
        }
        for Read { node, asked, answered, first, below, values: shown } in reads {
            let all = values.range(first.min(below)..below).map(|(slot, number)| (*slot, *number));
            assert!(all.eq(shown), "{node} shows something else in {first}..{below}");
            let name = format!("a read at {node}");
            let (asked, answered) = (time(asked), Some(time(answered)));
            operations.push(Operation { place: (Slot(below), false), asked, answered, name });
            *read_at.entry(node).or_insert(0) += 1;
        }
    }
    println!("{} values, reads {read_at:?}", slots.len());
    assert!(read_at.len() == LEADERS.len() && read_at.values().all(|reads| *reads > 20));
    sim::linearizable(operations).unwrap_or_else(|wrong| panic!("{}", wrong.what));
}
