//! `synod sim ancestor`: the schedule that broke the program that Synod grew from, beside it.

use clap::Args;
use sim::AncestorRow;

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// What the ancestor's two editions did under the same kinds of network, in 2,000 runs each:
/// two values chosen, leaders that disagree at the end, runs with a dead acceptor; in percent.
const ANCESTOR: [(&str, &str, [f64; 3]); 6] = [
    ("ancestor", "reorder", [90.1, 41.4, 92.5]),
    ("ancestor", "+ 10 % loss", [64.8, 29.2, 97.0]),
    ("ancestor", "+ 10 % repeats", [48.6, 29.2, 99.7]),
    ("its port", "reorder", [49.2, 14.7, 92.2]),
    ("its port", "+ 10 % loss", [23.3, 9.8, 93.3]),
    ("its port", "+ 10 % repeats", [10.1, 8.1, 99.7]),
];

/// Put two leaders who both want to lead where the ancestor chose two values
///
/// The rows of the ancestor were measured with a transcription of its logic, 2,000 seeds each, all
/// messages delivered in random order. Fewer violations under more faults most likely because less
/// gets done. The rows of Synod are measured now. Figures are percent of runs.
///
/// Exit codes: 0 nothing but zeros for Synod, 10 anything else.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim ancestor
  synod sim ancestor --seeds 100 -o json")]
pub(super) struct AncestorArgs {
    /// Runs for each row
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
}

pub(super) fn run(args: &AncestorArgs, output: &Output) -> Result<Exit, CliError> {
    output.show(report(&sim::ancestor_table(args.seeds)))
}

fn report(rows: &[AncestorRow]) -> Report {
    let text = |text: &str| Value::Text(text.to_owned());
    let then = ANCESTOR.iter().map(|(program, network, percents)| {
        let [two, disagree, dead] = percents.map(Value::Ratio);
        vec![text(program), text(network), Value::Count(2000), two, disagree, dead]
    });
    let now = rows.iter().map(|row| {
        let percent = |count| Value::Ratio(percent(count, row.runs));
        vec![
            text("Synod"),
            text(row.network),
            Value::Count(row.runs),
            percent(row.two_values),
            percent(row.learners_disagree),
            percent(row.dead_nodes),
        ]
    });
    let columns = ["program", "network", "runs", "two_values", "disagree", "dead_node"];
    let all = then.chain(now).collect();
    let wrong = |row: &AncestorRow| row.two_values + row.learners_disagree + row.dead_nodes > 0;
    let exit = if rows.iter().any(wrong) { Exit::Violation } else { Exit::Done };
    Report::rows("synod.sim.ancestor/1", "rows", &columns, all).exit(exit)
}

#[expect(clippy::cast_precision_loss, reason = "a share for a reader")]
fn percent(count: u64, runs: u64) -> f64 {
    100.0 * count as f64 / runs.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_zeros_is_a_violation() {
        let mut rows = sim::ancestor_table(2);
        assert_eq!(report(&rows).exit, Exit::Done);
        assert_eq!(report(&rows).rows.len(), 9);
        rows[1].two_values = 1;
        assert_eq!(report(&rows).exit, Exit::Violation);
    }
}
