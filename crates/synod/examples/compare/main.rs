//! Synod beside etcd and the ancestor: one machine, one run, rounds in turn.
//!
//! `cargo build --release && cargo run --release -p synod --example compare -- --rounds 5`
//!
//! Real processes with a disk each on loopback, every answer durable. Each system is started anew
//! in each round, and its turn moves, so that what else the machine does meets all of them alike.
//! The load is made by the code of `synod bench`: closed loops of so many clients, each with a
//! connection of its own, and one fixed rate. etcd is asked by gRPC as any of its clients would ask
//! it, and at its leader, which spares it a hop. A system that is not there is left out: no figure
//! is given for what was not run.
//!
//! What is measured goes to `--raw` as a line of JSON each; the tables show medians of the rounds.

mod ancestor;
mod etcd;
#[path = "../../src/commands/bench/load.rs"]
#[expect(dead_code, reason = "`synod bench` uses the rest")]
mod load;
#[path = "../../src/commands/bench/probe.rs"]
mod probe;
mod processes;
mod synod;
mod table;
#[path = "../../src/commands/bench/tally.rs"]
#[expect(dead_code, reason = "`synod bench` uses the rest")]
mod tally;

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use load::{Kind, Pace, Plan, Run};
use processes::{Processes, cpu_of_this_process};
use table::Row;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Not measured: sessions open, leaders settle.
const WARMUP: Duration = Duration::from_millis(500);

/// Clients of the fixed rate, and what each may have under way.
const RATE_CLIENTS: usize = 16;
const RATE_WINDOW: usize = 1024;

/// Compare Synod with etcd and the ancestor
#[derive(Debug, Parser)]
struct Args {
    /// How often everything is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds a measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Clients of the closed loops
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1000")]
    clients: Vec<usize>,
    /// Acceptors, or members
    #[arg(long, value_delimiter = ',', default_value = "3,5")]
    nodes: Vec<usize>,
    /// Operations a second of the fixed rate; zero leaves it out
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// The size of a value
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Where the nodes' directories are made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The ancestor's Python program
    #[arg(long, env = "SYNOD_ANCESTOR")]
    ancestor: Option<PathBuf>,
    /// Values at once, for the ancestor
    #[arg(long, default_value_t = 1000)]
    values: usize,
    /// Where each measurement goes
    #[arg(long, default_value = "compare.jsonl")]
    raw: PathBuf,
}

/// Who is measured.
enum Clients {
    Synod(Vec<client::Client>),
    Etcd(Vec<etcd::Kv>),
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(compare(&args))
}

async fn compare(args: &Args) -> Outcome<()> {
    let program = synod::program()?;
    let mut systems = vec!["synod"];
    println!("synod {}", env!("CARGO_PKG_VERSION"));
    match etcd::version() {
        Some(version) => {
            println!("{version}");
            systems.push("etcd");
        }
        None => println!("etcd is not on the path: it is left out"),
    }
    let mut raw = std::fs::File::create(&args.raw)?;
    let mut rows = Vec::new();
    for round in 1..=args.rounds {
        for &nodes in &args.nodes {
            for &system in &systems {
                let directory = tempfile::tempdir_in(&args.dir)?;
                let place = Place { round, system, nodes, directory: directory.path() };
                let seen = if system == "etcd" {
                    let (members, leader) = etcd::start(nodes, directory.path()).await?;
                    let connect = async |count| {
                        Ok(Clients::Etcd(etcd::connect(&leader, count, args.bytes).await?))
                    };
                    measure(args, &place, &members, connect).await?
                } else {
                    let (members, endpoints) = synod::start(&program, nodes, directory.path())?;
                    let connect =
                        async |count| Ok(Clients::Synod(synod::connect(&endpoints, count).await?));
                    let mut seen = measure(args, &place, &members, connect).await?;
                    let took = synod::at_once(&endpoints, args.values, args.bytes).await?;
                    seen.push(at_once(&place, args.values, args.values, took));
                    seen
                };
                for row in seen {
                    writeln!(raw, "{}", row.json())?;
                    rows.push(row);
                }
            }
            if let Some(program) = &args.ancestor {
                let directory = args.dir.as_path();
                let place = Place { round, system: "ancestor", nodes, directory };
                let (decided, took) = ancestor::at_once(program, nodes, args.values)?;
                let row = at_once(&place, decided, args.values, took);
                writeln!(raw, "{}", row.json())?;
                rows.push(row);
            }
            // The next comparison begins with the other one.
            systems.rotate_left(1);
        }
        println!("round {round} of {} is over", args.rounds);
    }
    println!("\n{}", table::tables(&rows));
    Ok(())
}

/// What a row is about.
struct Place<'a> {
    round: usize,
    system: &'static str,
    nodes: usize,
    directory: &'a Path,
}

impl Place<'_> {
    fn row(&self, load: String) -> Row {
        let Place { round, system, nodes, .. } = *self;
        Row {
            round,
            system,
            nodes,
            load,
            load_average: processes::load_average(),
            ..Row::default()
        }
    }
}

/// Every load on one cluster.
async fn measure(
    args: &Args,
    place: &Place<'_>,
    members: &Processes,
    connect: impl AsyncFn(usize) -> Outcome<Clients>,
) -> Outcome<Vec<Row>> {
    let sync = probe::sync(place.directory)?;
    let duration = Duration::from_secs(args.seconds);
    let mut loads: Vec<(String, Plan)> = Vec::new();
    for &clients in &args.clients {
        let plan = Plan { clients, window: 1, pace: Pace::Closed, warmup: WARMUP, duration };
        loads.push((format!("{clients} clients"), plan));
    }
    if args.rate > 0.0 {
        let (pace, window) = (Pace::Rate(args.rate), RATE_WINDOW);
        let plan = Plan { clients: RATE_CLIENTS, window, pace, warmup: WARMUP, duration };
        loads.push((format!("{} a second", args.rate), plan));
    }
    let mut rows = Vec::new();
    for (name, plan) in loads {
        let clients = connect(plan.clients).await?;
        let (servers, own) = (members.cpu()?, cpu_of_this_process()?);
        let run = Run::new(plan);
        match clients {
            Clients::Synod(clients) => {
                synod::load(run.clone(), clients, args.bytes).await;
            }
            Clients::Etcd(clients) => etcd::load(run.clone(), clients).await,
        }
        let servers = members.cpu()?.saturating_sub(servers);
        let own = cpu_of_this_process()?.saturating_sub(own);
        let tally = run.so_far();
        let all = plan.warmup + tally.took(plan.duration);
        let per_second = rate(tally.done(), tally.took(plan.duration));
        // The warm-up works as hard as the rest.
        let operations = per_second * all.as_secs_f64();
        let latency = tally.latency(Kind::Append);
        let us_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / operations.max(1.0);
        rows.push(Row {
            per_second,
            p50_us: latency.us_at(50.0),
            p90_us: latency.us_at(90.0),
            p99_us: latency.us_at(99.0),
            p99_9_us: latency.us_at(99.9),
            max_us: latency.us_at(100.0),
            failed: tally.not_applied() + tally.unknown(),
            late_starts: if plan.pace == Pace::Closed { 0 } else { tally.late_starts() },
            servers_cpu_us: us_each(servers),
            client_cpu_us: us_each(own),
            sync_p50_us: micros(sync.p50),
            sync_p99_us: micros(sync.p99),
            ..place.row(name)
        });
    }
    Ok(rows)
}

/// So many values at once; fewer may have been decided.
fn at_once(place: &Place<'_>, decided: usize, values: usize, took: Duration) -> Row {
    let (decided, values) = (decided as u64, values as u64);
    let name = format!("{values} at once");
    let (failed, max_us) = (values - decided, micros(took));
    Row { per_second: rate(decided, took), failed, max_us, ..place.row(name) }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}
