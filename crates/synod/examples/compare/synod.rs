//! Synod as anybody runs it: `synod init cluster`, `synod serve`, and the client library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Options};
use tokio::task::JoinSet;

use super::Outcome;
use super::load::{Ended, Kind, Run, Turn};
use super::processes::Processes;

const PATIENCE: Duration = Duration::from_secs(20);

/// The program beside this example.
pub fn program() -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).ok_or("run it from its build directory")?;
    let program = target.join("synod");
    if program.is_file() {
        return Ok(program);
    }
    Err(format!("{} is missing: cargo build --release", program.display()).into())
}

/// So many nodes that lead and remember, and where they serve clients.
pub fn start(program: &Path, nodes: usize, directory: &Path) -> Outcome<(Processes, Vec<String>)> {
    let cluster = directory.join("cluster");
    // Away from the ports that the system draws; another process of this program draws others.
    let base = 11_000 + u16::try_from(std::process::id() % 60)? * 300;
    let made = Command::new(program)
        // As etcd runs here: without certificates.
        .args(["init", "cluster", "--quiet", "--plaintext", "--nodes", &nodes.to_string()])
        .args(["--base-port", &base.to_string(), "--dir"])
        .arg(&cluster)
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let (mut processes, mut endpoints) = (Processes::default(), Vec::new());
    for node in 1..=nodes {
        let file = cluster.join(format!("n{node}")).join("synod.toml");
        endpoints.push(server::config::Config::load(&file)?.own().clients.to_string());
        processes.start(Command::new(program).arg("serve").arg("--config").arg(file))?;
    }
    Ok((processes, endpoints))
}

/// Clients with an open session.
pub async fn connect(endpoints: &[String], count: usize) -> Outcome<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let options = Options { timeout: PATIENCE, ..Options::new(endpoints.to_vec()) };
        clients.push(Client::new(options)?);
    }
    let mut opening = JoinSet::new();
    for client in &clients {
        let client = client.clone();
        opening.spawn(async move { client.append("first").await });
    }
    while let Some(opened) = opening.join_next().await {
        opened??;
    }
    Ok(clients)
}

/// A run of appends.
pub async fn load(run: Run, clients: Vec<Client>, bytes: usize) {
    let clients: Arc<[Client]> = clients.into();
    run.finish(move |turn: Turn| {
        let client = clients[turn.client].clone();
        async move {
            let ended = match client.append(value(turn.number, bytes)).await {
                Ok(_) => Ended::Done,
                Err(_) => Ended::Unknown,
            };
            (Kind::Append, ended)
        }
    })
    .await;
}

/// How long so many values take that one client proposes at the same time.
pub async fn at_once(endpoints: &[String], values: usize, bytes: usize) -> Outcome<Duration> {
    let clients = connect(endpoints, 1).await?;
    let begun = Instant::now();
    let mut appends = JoinSet::new();
    for number in 0..values as u64 {
        let (client, value) = (clients[0].clone(), value(number, bytes));
        appends.spawn(async move { client.append(value).await });
    }
    while let Some(appended) = appends.join_next().await {
        appended??;
    }
    Ok(begun.elapsed())
}

pub fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(bytes, 0x5a);
    value
}
