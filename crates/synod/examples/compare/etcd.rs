//! etcd by its gRPC: the three messages of its interface that this needs, and no more.
//!
//! Field numbers are those of etcd's `rpc.proto` and are part of its stable interface.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::Outcome;
use super::load::{Ended, Kind, Run, Turn};
use super::processes::{Processes, free_ports};
use super::synod::value;

const PATIENCE: Duration = Duration::from_secs(20);

const PUT: &str = "/etcdserverpb.KV/Put";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Of what it says, nothing is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    /// Zero while nobody leads.
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

/// A connection.
#[derive(Clone)]
pub struct Kv {
    channel: Channel,
    bytes: usize,
}

/// What `etcd --version` says first, if there is an etcd.
pub fn version() -> Option<String> {
    let output = Command::new("etcd").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

/// So many members with default settings, and where the leader serves clients.
pub async fn start(members: usize, directory: &Path) -> Outcome<(Processes, String)> {
    let ports = free_ports(2 * members)?;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (clients, peers) = ports.split_at(members);
    let cluster: Vec<String> =
        peers.iter().enumerate().map(|(at, port)| format!("m{at}={}", url(*port))).collect();
    let mut processes = Processes::default();
    for at in 0..members {
        let (client, peer) = (url(clients[at]), url(peers[at]));
        processes.start(
            Command::new("etcd")
                .args(["--name", &format!("m{at}"), "--data-dir"])
                .arg(directory.join(format!("m{at}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"])
                .args(["--log-level", "error"]),
        )?;
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for port in clients {
            if leads(&url(*port)).await.unwrap_or(false) {
                return Ok((processes, url(*port)));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("no member of etcd leads".into())
}

async fn leads(url: &str) -> Outcome<bool> {
    let channel = connected(url).await?;
    let status: StatusResponse = call(channel, STATUS, StatusRequest {}).await?;
    Ok(status.leader != 0 && status.header.is_some_and(|it| it.member_id == status.leader))
}

async fn connected(url: &str) -> Outcome<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?)
}

async fn call<Q, A>(channel: Channel, path: &'static str, question: Q) -> Outcome<A>
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<Q, A>::default();
    let question = tonic::Request::new(question);
    let answer = grpc.unary(question, PathAndQuery::from_static(path), codec).await?;
    Ok(answer.into_inner())
}

/// Clients, each with a connection that has been used.
pub async fn connect(leader: &str, count: usize, bytes: usize) -> Outcome<Vec<Kv>> {
    let mut clients = Vec::new();
    for number in 0..count {
        let kv = Kv { channel: connected(leader).await?, bytes };
        put(&kv, u64::MAX - number as u64).await?;
        clients.push(kv);
    }
    Ok(clients)
}

/// A run of puts, each of a key of its own, as a history has it.
pub async fn load(run: Run, clients: Vec<Kv>) {
    let clients: Arc<[Kv]> = clients.into();
    run.finish(move |turn: Turn| {
        let kv = clients[turn.client].clone();
        async move {
            let ended = match put(&kv, turn.number).await {
                Ok(()) => Ended::Done,
                Err(_) => Ended::Unknown,
            };
            (Kind::Append, ended)
        }
    })
    .await;
}

async fn put(kv: &Kv, number: u64) -> Outcome<()> {
    let key = number.to_be_bytes().to_vec();
    let request = PutRequest { key, value: value(number, kv.bytes) };
    let _: PutResponse = call(kv.channel.clone(), PUT, request).await?;
    Ok(())
}
