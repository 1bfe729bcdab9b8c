//! `synod sim scenarios`: the stories that every build must tell in the same way.

use clap::Args;
use clap::builder::PossibleValuesParser;
use sim::Scenario;

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Play a story of what is known to go wrong in Paxos programs, or list all of them
///
/// A story is a text: commands, and below each what production code did. It is played now, and
/// compared with what was written when it was read and agreed.
///
/// Exit codes: 0 the story goes as it is written, 10 it goes otherwise or a promise is broken.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim scenarios
  synod sim scenarios ghost-entry -o json")]
pub(super) struct ScenariosArgs {
    /// The story to play [default: list all]
    #[arg(value_name = "NAME", value_parser = names(), hide_possible_values = true)]
    name: Option<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(sim::scenarios().iter().map(|scenario| scenario.name))
}

pub(super) fn run(args: &ScenariosArgs, output: &Output) -> Result<Exit, CliError> {
    let all = sim::scenarios();
    match &args.name {
        None => output.show(list(all)),
        Some(name) => {
            let scenario = all.iter().find(|scenario| scenario.name == name);
            let scenario = scenario.ok_or_else(|| CliError::usage(format!("no story {name}")))?;
            play(scenario, output)
        }
    }
}

fn list(all: &[Scenario]) -> Report {
    let row = |it: &Scenario| vec![Value::Text(it.name.to_owned()), Value::Text(it.about())];
    let rows = all.iter().map(row).collect();
    Report::rows("synod.sim.scenarios/1", "scenarios", &["name", "about"], rows)
}

fn play(scenario: &Scenario, output: &Output) -> Result<Exit, CliError> {
    let name = scenario.name;
    let violation = |what: String| CliError::new("violation", Exit::Violation, what);
    let played = sim::play(scenario.text);
    let played = played.map_err(|error| violation(format!("{name}.txt:{error}")))?;
    output.show(report(name, &played))?;
    match played.differs {
        None => Ok(Exit::Done),
        Some(differs) => Err(violation(format!("{name}.txt:{differs}"))),
    }
}

fn report(name: &str, played: &sim::Played) -> Report {
    let fields = vec![
        ("name", Value::Text(name.to_owned())),
        ("as_written", Value::Flag(played.differs.is_none())),
        ("text", Value::Text(played.text.clone())),
    ];
    Report::record("synod.sim.scenario/1", fields).verbatim(played.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_each_is_about() {
        let report = list(sim::scenarios());
        assert_eq!(report.rows.len(), sim::scenarios().len());
        let ghost = Value::Text("ghost-entry".to_owned());
        let row = report.rows.iter().find(|row| row[0] == ghost).expect("it is on the shelf");
        let Value::Text(about) = &row[1] else { panic!("{row:?}") };
        assert!(about.ends_with('.'), "{about}");
    }

    #[test]
    fn a_story_that_goes_otherwise_is_not_as_written() {
        let text = "> cluster 1 leaders 1 acceptors\n> show\n  something else\n";
        let played = sim::play(text).expect("it can be played");
        let report = report("story", &played);
        assert_eq!(report.rows[0][1], Value::Flag(false));
    }
}
