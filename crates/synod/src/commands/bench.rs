//! `synod bench`: load on a cluster, and what it takes.
//!
//! `load` decides when an operation begins and `tally` what was measured; both know nothing of
//! Synod. `subject` is the clients, `probe` the disk, `local` a cluster of its own, `report` the
//! answer.

mod args;
mod load;
mod local;
mod picture;
mod probe;
mod progress;
mod report;
mod subject;
mod tally;

use std::path::{Path, PathBuf};

use crate::connection;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::runtime::{self, StopSignals};

pub(crate) use args::BenchArgs;
use load::Run;
use local::Local;
use subject::Subject;

pub(super) fn run(args: &BenchArgs, output: &Output) -> Result<Exit, CliError> {
    args.check()?;
    // Of several threads: one alone would be the bottleneck before the nodes are.
    let runtime = runtime::for_a_server()?;
    let result = runtime.block_on(measure(args, output));
    // What is still unanswered after a signal is not waited for.
    runtime.shutdown_background();
    result
}

async fn measure(args: &BenchArgs, output: &Output) -> Result<Exit, CliError> {
    let mut signals = StopSignals::listen()?;
    let mut local = None;
    let prepared = tokio::select! {
        prepared = prepare(args, &mut local) => prepared,
        exit = signals.next() => {
            Err(CliError::new("interrupted", exit, "stopped by a signal before anything was \
            measured"))
        }
    };
    let (subject, disk) =
        prepared.map_err(|error| match local.as_mut().and_then(Local::obituary) {
            Some(last_words) => error.hint(format!("a node has ended: {last_words}")),
            None => error,
        })?;
    let plan = args.plan();
    let run = Run::new(plan);
    let progress = progress::begin(&run, plan, output);
    let operate = subject.clone();
    let stopped = tokio::select! {
        () = run.clone().finish(move |turn| operate.clone().operate(turn)) => None,
        exit = signals.next() => {
            run.stop();
            Some(exit)
        }
    };
    progress.end();
    let measured = report::Measured {
        tally: run.so_far(),
        lasted: run.measured_for(),
        places: run.places(),
        sent_again: subject.sent_again(),
        first_failure: subject.first_failure(),
        disk,
        stopped,
    };
    let exit = output.show(report::report(args, &measured, output.has_unicode()));
    if stopped.is_none() {
        // Sessions are closed for the cluster's sake, not for the measurement's.
        subject.close().await;
    }
    exit
}

/// The clients, each with an answered operation behind it, and what the disk takes.
async fn prepare(
    args: &BenchArgs,
    local: &mut Option<Local>,
) -> Result<(Subject, Option<report::Disk>), CliError> {
    if args.local.is_some() {
        let place = args.data_dir.clone().unwrap_or_else(|| PathBuf::from("."));
        *local = Some(Local::new(&place)?);
    }
    let disk = disk(args, local.as_ref())?;
    if let (Some(local), Some(nodes)) = (local.as_mut(), args.local) {
        local.start(nodes)?;
    }
    let endpoints = match local {
        Some(local) => args.endpoints.with_file(local.config(1), local.credentials()),
        None => args.endpoints.clone(),
    };
    let connections = (0..args.clients)
        .map(|_| connection::open(&endpoints, Some(args.window_of_a_client())).map(|it| it.client));
    let clients = connections.collect::<Result<Vec<_>, _>>()?;
    let subject = Subject::new(clients, args.workload());
    subject.warm().await?;
    Ok((subject, disk))
}

/// What the disk takes while nobody else of ours uses it.
fn disk(args: &BenchArgs, local: Option<&Local>) -> Result<Option<report::Disk>, CliError> {
    let probed = args.sync_probe.as_deref().or(local.map(Local::directory));
    let Some(probed) = probed else { return Ok(None) };
    let sync = probe::sync(probed).map_err(|error| CliError::file("measure", probed, &error))?;
    // A directory that is gone when this is read is not named, but the one that it was in.
    let named = args.sync_probe.as_deref().or(args.data_dir.as_deref());
    let directory = named.unwrap_or(Path::new(".")).to_owned();
    Ok(Some(report::Disk { directory, sync }))
}
