//! One run, from an empty directory to a verdict.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::arguments::RunArguments;
use crate::clients::Clients;
use crate::cluster::Cluster;
use crate::configuration::{self, Role};
use crate::director::{self, Directed, say};
use crate::disks::Disk;
use crate::faults::lying_disks;
use crate::followers::{self, Seen};
use crate::judge::{self, Verdict};
use crate::load::{self, Shared};
use crate::network::Spaces;
use crate::plan::{Abilities, Kind, plan};
use crate::readers;
use crate::world::World;
use crate::{leftovers, notes};

/// For the first leader, and for the last learner.
const PATIENCE: Duration = Duration::from_secs(60);

/// A lie takes so long to be worth finding out.
const LIE: Duration = Duration::from_secs(5);

/// How a run ends.
enum End {
    /// Every promise was kept.
    Kept,
    /// One was broken.
    Broken,
    /// Somebody did not want to know.
    Interrupted,
}

/// True if every promise was kept.
pub(crate) fn run(arguments: &RunArguments) -> Outcome<bool> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => getrandom::u64()? >> 32,
    };
    println!("seed {seed}");
    let only = kinds(&arguments.only)?;
    let synod = synod(arguments)?;
    leftovers::remove(&arguments.dir);
    let directory = arguments.dir.join(std::process::id().to_string());
    fs::create_dir_all(&directory)?;
    let done = within(arguments, &directory, &synod, seed, &only);
    let is_kept = arguments.keep || !matches!(done, Ok(End::Kept | End::Interrupted));
    if is_kept {
        // Under a name that the next run does not take for something left behind.
        let kept = arguments.dir.join(format!("seed-{seed}-{}", std::process::id()));
        fs::rename(&directory, &kept)?;
        println!("everything is in {}", kept.display());
        println!("judge it again: cargo xtask chaos -- judge {}", kept.display());
    } else {
        fs::remove_dir_all(&directory)?;
    }
    match done? {
        End::Kept => Ok(true),
        End::Broken => Ok(false),
        End::Interrupted => Err("interrupted: no verdict".into()),
    }
}

fn within(
    arguments: &RunArguments,
    directory: &Path,
    synod: &Path,
    seed: u64,
    only: &[Kind],
) -> Outcome<End> {
    let spaces = if arguments.loopback { None } else { spaces() };
    let has_disks = !arguments.loopback && has_disks(directory, arguments.disk_bytes());
    let abilities = Abilities { spaces: spaces.is_some(), disks: has_disks };
    println!(
        "network: {}; disks: {}",
        if abilities.spaces { "a namespace for each node" } else { "loopback for all" },
        if has_disks { "a file system for each node" } else { "directories" },
    );
    if let Some(spaces) = &spaces {
        // Before any other thread is there, so that all of them live where clients do.
        spaces.enter()?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let guard = runtime.enter();
    let is_stopping = stop_signal();
    let (notes, writer) = notes::open(directory);
    let cluster = Cluster::make(arguments, synod, directory, spaces, has_disks)?;
    let clients = Clients::new(cluster.credentials.as_deref())?;
    let client = clients.client(vec![cluster.endpoint(0)], Duration::from_secs(1))?;
    let mut world = World {
        cluster,
        notes: notes.clone(),
        client,
        runtime: runtime.handle().clone(),
        adversaries: BTreeMap::new(),
        is_stopping,
    };
    drop(guard);
    world.cluster.start_all()?;
    if !world.wait(PATIENCE, |world| world.leader().is_some()) {
        return Err(format!("nobody leads; see {}", directory.join("logs").display()).into());
    }

    let shared = Shared::new(notes, clients);
    let work = Work::begin(&runtime, &world, arguments, seed, &shared);
    let directed = if arguments.lying_disks {
        lie(&mut world, arguments)
    } else {
        let plan = plan(seed, arguments.duration, arguments.every, abilities, only);
        director::direct(&mut world, &plan)
    };
    shared.is_over.store(true, Ordering::Relaxed);
    let directed = directed?;
    if world.is_stopping.load(Ordering::Relaxed) {
        return Ok(End::Interrupted);
    }
    let skipped = shared.skipped.load(Ordering::Relaxed);
    let mut wrong = directed.wrong.clone();
    if let Err(error) = runtime.block_on(work.finish(&world, shared)) {
        wrong.push(error.to_string());
    }
    if !wrong.is_empty() {
        keep_all(&world);
    }
    drop(world);
    writer.finish()?;
    let Verdict { wrong: judged, figures } = judge::judge(directory)?;
    wrong.extend(judged);
    print!("\n{figures}");
    tell(&directed, skipped);
    for wrong in &wrong {
        println!("VIOLATION: {wrong}");
    }
    if !wrong.is_empty() {
        return Ok(End::Broken);
    }
    println!("verdict: every promise was kept");
    Ok(End::Kept)
}

/// What the nodes' disks hold, before they are gone.
fn keep_all(world: &World) {
    for node in 0..world.cluster.nodes.len() {
        if let Err(error) = world.cluster.keep(node, "end") {
            eprintln!("not kept: {error}");
        }
    }
}

fn tell(directed: &Directed, skipped: u64) {
    let Directed { replaced, skipped: nobody, healed, .. } = directed;
    println!(
        "{replaced} disks replaced; {nobody} faults found nobody; {skipped} values not asked for, \
         with too many under way; whole {:.1} s after the last fault",
        healed.as_secs_f64()
    );
}

/// Everything that clients do.
struct Work {
    appends: tokio::task::JoinHandle<()>,
    readers: JoinSet<()>,
    followers: JoinSet<()>,
    seen: Seen,
}

impl Work {
    fn begin(
        runtime: &Runtime,
        world: &World,
        arguments: &RunArguments,
        seed: u64,
        shared: &Shared,
    ) -> Work {
        let guard = runtime.enter();
        let leaders = world.cluster.endpoints(Role::Leader);
        let appends = runtime.spawn(load::append(leaders, arguments.rate, seed, shared.clone()));
        let (mut readers, mut followers) = (JoinSet::new(), JoinSet::new());
        let seen = Seen::default();
        for learner in world.learners() {
            let (name, endpoint) = (world.name(learner), world.cluster.endpoint(learner));
            let by = (shared.clients.clone(), shared.notes.clone());
            let (name_of, at) = (name.clone(), endpoint.clone());
            followers::follow(&mut followers, name_of, at, by, seen.clone());
            for kind in readers::KINDS {
                let (name, endpoint) = (name.clone(), endpoint.clone());
                readers::read(&mut readers, name, endpoint, kind, shared.clone());
            }
        }
        drop(guard);
        Work { appends, readers, followers, seen }
    }

    /// Waits for what is under way, and until everybody was seen to show the last value; then
    /// everything that each learner still holds is read once more, from its beginning.
    async fn finish(self, world: &World, shared: Shared) -> Outcome<()> {
        self.appends.await?;
        self.readers.join_all().await;
        let client = shared.clients.appending(world.cluster.endpoints(Role::Leader), false)?;
        while !shared.append(&client).await {}
        let last = shared.acknowledged.load(Ordering::SeqCst);
        let learners = world.learners();
        let names: Vec<String> = learners.iter().map(|node| world.name(*node)).collect();
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let behind = names.iter().find(|name| seen.get(*name).is_none_or(|it| *it < last));
            let Some(behind) = behind else { break };
            if tokio::time::Instant::now() > until {
                return Err(format!("{behind} does not show slot {}", last - 1).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for (learner, name) in learners.into_iter().zip(&names) {
            let endpoint = world.cluster.endpoint(learner);
            let (first, below) = readers::all(name, endpoint, &shared).await?;
            say(shared.notes.now(), &format!("{name} was read from slot {first} to {below}"));
        }
        let mut followers = self.followers;
        followers.shutdown().await;
        Ok(())
    }
}

/// The self-test: what the disks acknowledged for a while is gone.
fn lie(world: &mut World, arguments: &RunArguments) -> Outcome<Directed> {
    let pause = |world: &World, time: Duration| {
        world.wait(time, |_| false);
    };
    pause(world, LIE.min(arguments.duration));
    say(world.notes.now(), "from now on the disks lie");
    lying_disks::lie(world)?;
    pause(world, LIE);
    say(world.notes.now(), "all power fails");
    lying_disks::be_found_out(world)?;
    pause(world, LIE);
    director::direct(world, &[])
}

/// As root, and where the system can.
fn spaces() -> Option<Spaces> {
    let nodes: Vec<String> = configuration::names().into_iter().map(|(name, _)| name).collect();
    Spaces::make(&nodes).map_err(|error| println!("no network namespaces: {error}")).ok()
}

/// Whether small file systems can be made, mounted, and lose their power.
fn has_disks(directory: &Path, bytes: u64) -> bool {
    let (image, mount) = (directory.join("probe.ext4"), directory.join("probe"));
    let probe = Disk::make(image, mount.clone(), bytes).and_then(|disk| {
        disk.lose_power()?;
        disk.regain_power()
    });
    drop(fs::remove_dir(mount));
    probe.map_err(|error| println!("no file systems of our own: {error}")).is_ok()
}

/// Set by SIGINT and SIGTERM.
fn stop_signal() -> Arc<AtomicBool> {
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stop = is_stopping.clone();
    tokio::spawn(async move {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        match terminate {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
        println!("stopping; everything is removed");
        stop.store(true, Ordering::Relaxed);
    });
    is_stopping
}

fn kinds(names: &[String]) -> Outcome<Vec<Kind>> {
    let kind = |name: &String| {
        let all = || format!("no fault is called {name}; there are {}", Kind::names().join(", "));
        Kind::named(name).ok_or_else(|| all().into())
    };
    names.iter().map(kind).collect()
}

/// The program under test.
fn synod(arguments: &RunArguments) -> Outcome<PathBuf> {
    let beside = || -> Outcome<PathBuf> { Ok(std::env::current_exe()?.with_file_name("synod")) };
    let synod = arguments.synod.clone().map_or_else(beside, Ok)?;
    if !synod.is_file() {
        return Err(
            format!("{} is missing: cargo build --release -p synod", synod.display()).into()
        );
    }
    Ok(synod.canonicalize()?)
}
