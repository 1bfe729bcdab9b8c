//! `synod log append`: values in, a slot for each out, in the order of the values.

use std::collections::VecDeque;
use std::path::PathBuf;

use clap::Args;
use client::{AppendError, Appended};
use tokio::task::{JoinError, JoinHandle};

use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit, Outcome};
use crate::lines;
use crate::output::{Output, Rows, Shape, Value};
use crate::runtime;

/// Append values to the history
///
/// Prints a row for each value: its index among the values, its slot in the history, the outcome.
/// Each value is applied at most once, however often it has to be sent. Values that are under way
/// together may change places when a leader fails; `--window 1` keeps their order at any price.
///
/// Exit codes: 0 all appended, 1 refused, 4 nothing reachable or no quorum, 5 outcome unknown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod log append hello world -e 127.0.0.1:7201,127.0.0.1:7202
  synod log append --file orders.txt -o jsonl -e 127.0.0.1:7201")]
pub(crate) struct AppendArgs {
    /// The values
    #[arg(value_name = "VALUE", required_unless_present = "file")]
    values: Vec<String>,

    /// Append each line of a file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "values")]
    file: Option<PathBuf>,

    /// Values that may be unanswered at once, 1 to 65536
    #[arg(
        long,
        value_name = "N",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    window: u32,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

type Answer = JoinHandle<Result<Appended, AppendError>>;

pub(super) fn run(args: AppendArgs, output: &Output) -> Result<Exit, CliError> {
    let window = args.window as usize;
    runtime::block_on(async {
        let connection = connection::open(&args.endpoints, Some(window))?;
        let mut values = match args.file {
            Some(path) => lines::of_file(path),
            None => lines::of_arguments(args.values),
        };
        let mut told = Told::begin(output)?;
        let mut unanswered: VecDeque<Answer> = VecDeque::new();
        let mut is_open = true;
        // Rows come in the order of the values, so only the oldest answer is waited for. The first
        // failure stops the reading; what is under way is still waited for and told.
        while is_open || !unanswered.is_empty() {
            tokio::select! {
                value = values.recv(), if is_open && unanswered.len() < window => match value {
                    Some(Ok(value)) => {
                        let client = connection.client.clone();
                        let append = async move { client.append(value).await };
                        unanswered.push_back(tokio::spawn(append));
                    }
                    Some(Err(error)) => told.blame(error),
                    None => is_open = false,
                },
                answer = oldest(&mut unanswered), if !unanswered.is_empty() => {
                    unanswered.pop_front();
                    told.tell(answer)?;
                }
            }
            is_open &= told.failure.is_none();
        }
        // All is told before the session is closed, which may take its time.
        let exit = told.end();
        connection.client.close().await;
        exit
    })
}

/// The answer to the value that has waited longest. It may be dropped and called again.
async fn oldest(unanswered: &mut VecDeque<Answer>) -> Result<Appended, AppendError> {
    let oldest = unanswered.front_mut().expect("only asked for while there is one");
    let joined: Result<_, JoinError> = oldest.await;
    joined.unwrap_or(Err(AppendError::Closed))
}

/// What has been said so far: a row for each value, and at last what went wrong.
struct Told {
    rows: Rows,
    index: u64,
    failure: Option<CliError>,
}

impl Told {
    fn begin(output: &Output) -> Result<Told, CliError> {
        let columns = [("index", 6), ("slot", 8), ("outcome", 0)];
        let shape = Shape::rows("synod.log.append/1", "appended", columns);
        Ok(Told { rows: output.stream(shape)?, index: 0, failure: None })
    }

    fn tell(&mut self, answer: Result<Appended, AppendError>) -> Result<(), CliError> {
        let slot = Value::maybe(answer.as_ref().ok(), |it| Value::Id(it.slot));
        let outcome = outcome(&answer).to_owned();
        self.rows.push(&[Value::Id(self.index), slot, Value::Text(outcome)])?;
        self.index += 1;
        if let Err(error) = answer {
            self.blame(error.into());
        }
        Ok(())
    }

    /// Of several failures the first one is told, but one that leaves a value unknown goes before
    /// one that does not: only the former asks for a look at the history.
    fn blame(&mut self, error: CliError) {
        let is_worse = |known: &CliError| {
            known.outcome == Outcome::NotDone && error.outcome == Outcome::Unknown
        };
        if self.failure.as_ref().is_none_or(is_worse) {
            self.failure = Some(error);
        }
    }

    fn end(self) -> Result<Exit, CliError> {
        self.rows.end()?;
        self.failure.map_or(Ok(Exit::Done), Err)
    }
}

fn outcome(answer: &Result<Appended, AppendError>) -> &'static str {
    match answer {
        Ok(_) => "appended",
        Err(AppendError::Refused { .. } | AppendError::TooLarge { .. }) => "refused",
        Err(error) => match error.outcome() {
            client::Outcome::NotApplied => "not_applied",
            client::Outcome::Unknown => "unknown",
        },
    }
}
