//! Writes an input of every kind into the corpus of each target that reads a format: where a
//! search starts. Run it when a format grows, then `cargo xtask fuzz --corpus`.

#![expect(clippy::unwrap_used, reason = "a developer sees what is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::proto::append_request::About;
use client::proto::read_request::Consistency;
use client::proto::{AppendRequest, NetworkRequest, Open, ReadRequest, Sequential};
use node::{Nonce, Request};
use paxos::wire::{encode_message, encode_record};
use paxos::{
    Ballot, ClusterId, Configuration, Digest, DiskId, Incarnation, Instant, Mark, Member, Message,
    NodeId, Page, Record, Roles, Run, Slot, SnapshotId, Value,
};
use prost::Message as _;
use server::config::{Config, Log, Node, Quorums, Role, Storage, Timing, Transport};
use server::tls::Files;

/// The cluster and the receiver that `fuzz` knows.
const CLUSTER: [u8; 16] = [0xcc; 16];
const TO: NodeId = NodeId(7);

fn main() {
    let configuration = configuration();
    for (at, message) in messages().iter().enumerate() {
        let mut bytes = Vec::new();
        encode_message(&configuration, NodeId(3), TO, message, &mut bytes);
        write("message", at, &bytes);
    }
    let records =
        [Record::Promised(ballot()), Record::Accepted(run(4)), Record::Truncated(Slot(9))];
    for (at, record) in records.iter().enumerate() {
        let mut bytes = Vec::new();
        encode_record(&configuration, record, &mut bytes);
        write("record", at, &bytes);
    }
    let requests = [
        request(),
        Request::open(Nonce([9; 16]), 3_600_000_000),
        Request::keep_alive(Slot(1)),
        Request::close(Slot(1)),
    ];
    for (at, request) in requests.iter().enumerate() {
        write("request", at, request.command());
    }
    write("sessions", 0, &sessions());
    write("portable", 0, &state());
    write("config", 0, config().to_toml().as_bytes());
    write("config", 1, b"1500us");
    for (at, call) in calls().iter().enumerate() {
        // The first byte says which call it is.
        write("api", at, &[&[u8::try_from(at).unwrap()], call.as_slice()].concat());
    }
    // The rest read choices, not a format: any bytes will do.
    let any: Vec<u8> = (0..=255).collect();
    for target in ["damage", "datagram", "files", "snapshots", "stream"] {
        write(target, 0, &any);
        write(target, 1, &[any.as_slice(); 8].concat());
    }
    for me in 0..4 {
        write("node", me.into(), &calm(me));
    }
}

fn write(target: &str, at: usize, bytes: &[u8]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&corpus).unwrap();
    fs::write(corpus.join(format!("seed-{at}")), bytes).unwrap();
}

/// Choices of the target `node`, without a lie: time passes, mail arrives, somebody asks.
fn calm(me: u8) -> Vec<u8> {
    let (tick, settle, append) = ([11], [4, 63], 13);
    let turn = |sequence: u8| {
        let one = [append, 1, 0, sequence % 8, 2, b'v', 10];
        [&tick[..], &settle, &one, &settle].concat()
    };
    let start = vec![me, 0, 0, 5];
    start.into_iter().chain((0..60).flat_map(turn)).collect()
}

fn configuration() -> Configuration {
    let member = |id: u32| {
        let roles = Roles { leader: id == 7, acceptor: id == 3, learner: false };
        (NodeId(id), Member { roles, disk: roles.acceptor.then(DiskId::default) })
    };
    let members: BTreeMap<NodeId, Member> = [3, 7].map(member).into();
    Configuration::majority(ClusterId(CLUSTER), members).unwrap()
}

fn ballot() -> Ballot {
    Ballot { round: 5, leader: TO, incarnation: Incarnation(0x1122) }
}

fn run(first: u64) -> Run {
    let command = Value::Command(request().command().clone());
    let values = vec![Value::Noop, Value::LeaderStart, command];
    Run { ballot: ballot(), first: Slot(first), values: values.into() }
}

fn request() -> Request {
    Request::append(Slot(1), 7, 3, b"value").unwrap()
}

/// A session that was opened in slot 1, and its only answer, in slot 3.
/// A snapshot of one node that does everything, after `docs/formats.md`: a session, and a value.
fn state() -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(CLUSTER);
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(7u32.to_le_bytes());
    bytes.extend([0b111, 1]);
    bytes.extend([9; 16]);
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(100u64.to_le_bytes());
    bytes.extend([7; 16]);
    let sessions = sessions();
    bytes.extend((sessions.len() as u64).to_le_bytes());
    bytes.extend(sessions);
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(50u64.to_le_bytes());
    let request = request();
    bytes.extend(u32::try_from(request.command().len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(request.command());
    bytes
}

fn sessions() -> Vec<u8> {
    let numbers = |numbers: &[u64]| -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    };
    let head = [&[1], &numbers(&[5])[..], &1u32.to_le_bytes()].concat();
    let session = [numbers(&[1, 3_600_000_000, 3, 5, 3]), 1u32.to_le_bytes().to_vec()].concat();
    [head, session, numbers(&[4, 3])].concat()
}

/// One of each kind.
fn messages() -> [Message; 24] {
    let (ballot, slot) = (ballot(), Slot(10));
    let page = |next| {
        let votes = vec![run(3), run(9)];
        Page { from: Slot(2), votes, next, truncated: Slot(1), suspect: Slot(2) }
    };
    let mark = Mark { below: slot, digest: Digest([6; 16]) };
    let snapshot = SnapshotId { below: slot, bytes: 9, digest: Digest([7; 16]) };
    let (first, values) = (slot, run(10).values);
    let (sent, age) = (Instant(77), Some(Duration::from_micros(258)));
    [
        Message::Prepare { ballot, from: slot },
        Message::Promise { ballot, page: page(Some(Slot(12))) },
        Message::Promise { ballot, page: page(None) },
        Message::Reject { ballot, promised: ballot, truncated: slot },
        Message::Accept { run: run(7), chosen: slot },
        Message::Accepted { ballot, first: Slot(7), end: slot },
        Message::Chosen { ballot, chosen: slot },
        Message::Heartbeat { ballot, sent, proof_age: age, chosen: slot, start: slot, mark },
        Message::HeartbeatReply { ballot, sent, is_suspect: true },
        Message::Probe { id: 8 },
        Message::ProbeReply { id: 8, promised: ballot, progress_age: None },
        Message::Fetch { from: slot },
        Message::Learned { first, values, chosen: Slot(13), truncated: Slot(0) },
        Message::Votes { page: page(None) },
        Message::Confirm { ballot, round: 3 },
        Message::Confirmed { ballot, round: 3 },
        Message::ReadIndex { id: 4 },
        Message::ReadIndexReply { id: 4, index: Some(slot) },
        Message::Kept { below: slot },
        Message::FetchPart { snapshot: Some(snapshot), offset: 5 },
        Message::Part { snapshot, offset: 5, bytes: [1, 2].into() },
        Message::Offer { ballot, number: 2 },
        Message::Willing { ballot, number: 2, chosen: slot },
        Message::HandOver { ballot, number: 2 },
    ]
}

/// In the order in which the target tells them apart, and the first kind once more.
fn calls() -> [Vec<u8>; 4] {
    let append = AppendRequest {
        sequence: 7,
        first_unanswered: 3,
        value: b"value".to_vec().into(),
        session: 1,
        about: None,
    };
    let nonce = vec![9; 16].into();
    let about = Some(About::Open(Open { nonce, lifetime_us: 3_600_000_000 }));
    let open = AppendRequest { about, ..AppendRequest::default() };
    let consistency = Some(Consistency::Sequential(Sequential { at_least: 42 }));
    let read = ReadRequest { first_slot: 3, end_slot: 1 << 62, limit: 10, consistency };
    let network = NetworkRequest {
        loss_ppm: 100_000,
        duplicate_ppm: 20_000,
        reorder: true,
        delay_min_us: 500,
        delay_max_us: 10_000_000,
        cut_to: vec![1, 2],
        cut_from: vec![3],
        seed: 7,
    };
    let (append, open) = (append.encode_to_vec(), open.encode_to_vec());
    [append, read.encode_to_vec(), network.encode_to_vec(), open]
}

fn config() -> Config {
    let node = |id: u32, role| Node {
        id: NodeId(id),
        roles: BTreeSet::from([role]),
        disk: (role == Role::Acceptor).then_some([u8::try_from(id).unwrap(); 16]),
        peers: format!("127.0.0.1:710{id}").parse().unwrap(),
        clients: format!("[::1]:720{id}").parse().unwrap(),
    };
    Config {
        cluster: CLUSTER,
        epoch: 0,
        id: NodeId(2),
        data_dir: Some(PathBuf::from("data")),
        listen: None,
        shutdown_timeout: server::config::SHUTDOWN_TIMEOUT,
        log: Log::default(),
        quorums: Quorums::majorities(1),
        timing: Timing::default(),
        transport: Transport::Tls(Files {
            ca: "ca.crt".into(),
            certificate: "node.crt".into(),
            key: "node.key".into(),
        }),
        storage: Storage::default(),
        admin: None,
        clients: Vec::new(),
        nodes: vec![node(1, Role::Leader), node(2, Role::Acceptor), node(3, Role::Learner)],
    }
}
