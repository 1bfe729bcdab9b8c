//! Bytes from outside: a million datagrams at each kind of node, some random, some nearly right,
//! some with a right checksum around wrong content. No panic, no growth, and every one counted.

use std::net::UdpSocket;
use std::time::Duration;

use paxos::wire::encode_message;
use paxos::{
    Ballot, ClusterId, Configuration, DiskId, Incarnation, Instant, Kind, Mark, Member, Message,
    NodeId, Page, Rng, Roles, Run, Slot, Value,
};
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use server::transport::datagram::Packer;
use server::{End, Options};

const DATAGRAMS: u64 = 1_000_000;
/// Sent before the receiver must have caught up, so that the kernel drops none.
const BATCH: u64 = 500;
const MEMORY_GROWTH_MAX: u64 = 96 << 20;
const LAYOUT: Layout = Layout { leaders: 2, acceptors: 3, both: 0, learners: 0 };

/// What members of this cluster say to `to`, one of each kind.
fn messages(to: NodeId) -> Vec<(NodeId, Message)> {
    let (leader, acceptor) = (NodeId(2), NodeId(4));
    let theirs = Ballot { round: 3, leader, incarnation: Incarnation(77) };
    let ours = Ballot { leader: to, ..theirs };
    let values = vec![Value::Command(b"a value".as_slice().into()), Value::Noop];
    let run = Run { ballot: theirs, first: Slot(5), values: values.into() };
    let page = Page {
        from: Slot(0),
        votes: vec![run.clone()],
        next: None,
        truncated: Slot(0),
        suspect: Slot(0),
    };
    let (sent, proof_age) = (Instant(9), Some(Duration::from_millis(1)));
    let mark = Mark::default();
    vec![
        (leader, Message::Prepare { ballot: theirs, from: Slot(0) }),
        (acceptor, Message::Promise { ballot: ours, page: page.clone() }),
        (acceptor, Message::Reject { ballot: ours, promised: theirs, truncated: Slot(0) }),
        (leader, Message::Accept { run: run.clone(), chosen: Slot(0) }),
        (acceptor, Message::Accepted { ballot: theirs, first: Slot(5), end: Slot(7) }),
        (leader, Message::Chosen { ballot: theirs, chosen: Slot(6) }),
        (
            leader,
            Message::Heartbeat {
                ballot: theirs,
                sent,
                proof_age,
                chosen: Slot(6),
                start: Slot(5),
                mark,
            },
        ),
        (acceptor, Message::HeartbeatReply { ballot: ours, sent, is_suspect: false }),
        (leader, Message::Probe { id: 1 }),
        (acceptor, Message::ProbeReply { id: 1, promised: theirs, progress_age: None }),
        (leader, Message::Fetch { from: Slot(0) }),
        (
            leader,
            Message::Learned {
                first: Slot(9),
                values: run.values,
                chosen: Slot(11),
                truncated: Slot(0),
            },
        ),
        (acceptor, Message::Votes { page }),
    ]
}

fn configuration(local: &Local) -> Configuration {
    let config = local.configs().values().next().expect("a node");
    let member = |id: u32| {
        let acceptor = id > LAYOUT.leaders;
        let roles = Roles { leader: !acceptor, acceptor, learner: false };
        (NodeId(id), Member { roles, disk: acceptor.then_some(DiskId([0; 16])) })
    };
    let members = (1..=LAYOUT.leaders + LAYOUT.acceptors).map(member).collect();
    Configuration::majority(ClusterId(config.cluster), members).expect("a configuration")
}

/// Up to so many bytes of a message are who, to whom and what kind.
const HEAD: usize = 34;

/// A forged word about what is chosen is a lie that nothing can see through; two of them are a
/// reason to stop. Those keep their content here, and lose only their head.
fn claims_choice(message: &Message) -> bool {
    matches!(
        message.kind(),
        Kind::Accept | Kind::Accepted | Kind::Chosen | Kind::Learned | Kind::Votes
    )
}

fn mutate(bytes: &mut [u8], rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.index(bytes.len());
        bytes[at] = rng.draw().to_le_bytes()[0];
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = statm.split(' ').nth(1).expect("a second number");
    pages.parse::<u64>().expect("a number") * 4096
}

async fn received(local: &Local, node: NodeId) -> u64 {
    let counters = local.running()[&node].switches().counters();
    tokio::task::yield_now().await;
    counters["network_datagrams_received"]
}

async fn attack(node: NodeId) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut local = Local::start(
        LAYOUT,
        directory.path(),
        Timing::default(),
        Storage::default(),
        Options::default(),
    )
    .expect("a cluster");
    // Alone: whatever it comes to believe, it has nobody to tell.
    for other in local.configs().keys().copied().filter(|id| *id != node).collect::<Vec<_>>() {
        local.kill(other).await;
    }
    let configuration = configuration(&local);
    let learns = node.0 <= LAYOUT.leaders;
    let examples: Vec<(NodeId, Vec<u8>, usize)> = messages(node)
        .into_iter()
        .map(|(from, message)| {
            let mut bytes = Vec::new();
            encode_message(&configuration, from, node, &message, &mut bytes);
            let spare = learns && claims_choice(&message);
            let mutable = if spare { HEAD } else { bytes.len() };
            (from, bytes, mutable)
        })
        .collect();
    let address = local.configs()[&node].own().peers;
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut rng = Rng::new(u64::from(node.0));
    let before = received(&local, node).await;
    let memory_before = resident_bytes();
    let mut sent = 0;
    while sent < DATAGRAMS {
        for _ in 0..BATCH {
            let (from, message, mutable) = &examples[rng.index(examples.len())];
            let mut message = message.clone();
            let kind = rng.below(3);
            if kind == 1 {
                mutate(&mut message[..*mutable], &mut rng);
            }
            let mut packer = Packer::new(configuration.cluster(), *from, 60_000, 0);
            let mut datagram = Vec::new();
            packer.pack(node, &[&message], &mut |bytes| datagram = bytes.to_vec());
            match kind {
                0 => mutate(&mut datagram, &mut rng),
                1 => {}
                _ => datagram = (0..rng.below(200)).map(|_| rng.draw().to_le_bytes()[0]).collect(),
            }
            socket.send_to(&datagram, address).expect("sent");
        }
        sent += BATCH;
        while received(&local, node).await < before + sent {
            assert!(!local.running()[&node].has_ended(), "it ended");
        }
    }
    let server = &local.running()[&node];
    let counters = server.switches().counters();
    let sum = |part: &str| -> u64 {
        counters.iter().filter(|(name, _)| name.contains(part)).map(|(_, count)| count).sum()
    };
    let (refused, declined) = (sum("refused_"), sum("declined"));
    println!("node {node}: {sent} sent, {refused} refused, {declined} declined");
    assert!(refused > sent / 2, "what is random or damaged is refused, and counted");
    assert!(refused + declined <= sent + sum("received_"));
    let growth = resident_bytes().saturating_sub(memory_before);
    assert!(growth < MEMORY_GROWTH_MAX, "memory grew by {growth} bytes");
    assert!(server.status().await.is_some(), "it still answers");
    assert_eq!(local.stop().await, [].into(), "it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_datagrams_leave_an_acceptor_unmoved() {
    attack(NodeId(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_datagrams_leave_a_leader_unmoved() {
    attack(NodeId(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_chosen_values_in_one_slot_stop_a_node_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = Local::start(
        LAYOUT,
        directory.path(),
        Timing::default(),
        Storage::default(),
        Options::default(),
    )
    .unwrap();
    local.kill(NodeId(2)).await;
    let configuration = configuration(&local);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !local.running()[&NodeId(1)].has_ended() {
        assert!(std::time::Instant::now() < deadline, "it goes on");
        for value in [b"one", b"two"] {
            let values = vec![Value::Command(value.as_slice().into())].into();
            let (first, chosen, truncated) = (Slot(40), Slot(41), Slot(0));
            let learned = Message::Learned { first, values, chosen, truncated };
            let mut bytes = Vec::new();
            encode_message(&configuration, NodeId(2), NodeId(1), &learned, &mut bytes);
            let mut packer = Packer::new(configuration.cluster(), NodeId(2), 60_000, 0);
            let address = local.configs()[&NodeId(1)].own().peers;
            packer.pack(NodeId(1), &[&bytes], &mut |datagram| {
                socket.send_to(datagram, address).unwrap();
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(local.stop().await, [(NodeId(1), End::Conflict(40))].into());
}
