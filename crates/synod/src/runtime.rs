//! Runs what must wait for sockets, and listens for the signals that end it.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::error::{CliError, Exit};

/// Runs `command` to its end, or until a signal. A command that must tidy up after a signal waits
/// for [`stop_signal`] itself; it is asked first.
///
/// One thread: tasks start in the order in which they are spawned, and so values are appended in
/// the order in which they are given.
pub(crate) fn block_on(
    command: impl Future<Output = Result<Exit, CliError>>,
) -> Result<Exit, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| refused(&error))?;
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            result = command => result,
            exit = stop_signal() => {
                let exit = exit?;
                Err(CliError::new("interrupted", exit, "stopped by a signal").outcome_unknown())
            }
        }
    });
    // A thread may still wait for a line on stdin; nobody waits for it.
    runtime.shutdown_background();
    result
}

/// A runtime for a node, whose clients are served side by side.
pub(crate) fn for_a_server() -> Result<Runtime, CliError> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| refused(&error))
}

/// Returns when SIGINT or SIGTERM comes, with the exit code that says so.
pub(crate) async fn stop_signal() -> Result<Exit, CliError> {
    Ok(StopSignals::listen()?.next().await)
}

/// SIGINT and SIGTERM as they come. None is missed between two calls of `next`.
#[cfg(unix)]
pub(crate) struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    pub(crate) fn listen() -> Result<StopSignals, CliError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| refused(&error));
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(StopSignals { interrupt, terminate: listen(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// Interrupts of the console as they come.
#[cfg(windows)]
pub(crate) struct StopSignals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl StopSignals {
    pub(crate) fn listen() -> Result<StopSignals, CliError> {
        tokio::signal::windows::ctrl_c().map(StopSignals).map_err(|error| refused(&error))
    }

    pub(crate) async fn next(&mut self) -> Exit {
        self.0.recv().await;
        Exit::Interrupted
    }
}

/// The system gives no runtime, or no word of signals.
pub(crate) fn refused(error: &io::Error) -> CliError {
    CliError::new("system", Exit::Failed, format!("the system refused a runtime: {error}"))
}
