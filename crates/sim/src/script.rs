//! Scenarios: stories in text with golden output, played by production code.
//!
//! ```text
//!   # What happens, where it is known from, which rule forbids it.
//!
//!   > cluster 2 leaders 3 acceptors
//!
//!   > campaign L1
//!     L1: prepares 1·L1
//!     L1 -> A1 A2 A3: Prepare 1·L1 from slot 0
//! ```
//!
//! A line that begins with `> ` is a command; the indented lines below it are what it caused, and
//! they are the assertion. Everything else is for the reader. Beside the golden output, watchers
//! look on in every story: two values chosen for one slot, or a message that no correct node
//! sends, end it. The commands are in `script/command.rs`.

mod command;
mod notes;
mod selector;
mod shelf;
mod stage;
mod words;

use std::fmt;

pub use shelf::{Scenario, scenarios};

use command::{Command, cluster};
use stage::{Stage, Trouble};

const PROMPT: &str = "> ";
const INDENT: &str = "  ";

/// A story as it was played now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// The whole text, with the output of today.
    pub text: String,
    /// Where it differs first from what was written, if it does.
    pub differs: Option<Difference>,
}

/// The first command whose output is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The command's line, counted from 1.
    pub line: usize,
    /// The command.
    pub command: String,
    /// The output that was written.
    pub written: Vec<String>,
    /// The output of today.
    pub played: Vec<String>,
}

/// Why a story cannot be played to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The command's line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
    /// The promise of the protocol that is broken, if one is; otherwise the text is at fault.
    pub promise: Option<&'static str>,
}

/// Plays a story and compares.
pub fn play(text: &str) -> Result<Played, ScriptError> {
    let mut stage: Option<Stage> = None;
    let mut played = Played { text: String::new(), differs: None };
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((line, said)) = lines.next() {
        played.text.push_str(said);
        played.text.push('\n');
        let Some(said) = said.strip_prefix(PROMPT) else { continue };
        let is_output = |(_, next): &(usize, &str)| next.starts_with(INDENT);
        let mut written = Vec::new();
        while let Some((_, output)) = lines.next_if(is_output) {
            written.push(output[INDENT.len()..].to_owned());
        }
        let output = perform(&mut stage, said).map_err(|trouble| match trouble {
            Trouble::Script(what) => ScriptError { line, what, promise: None },
            Trouble::Wrong(wrong) => {
                ScriptError { line, what: wrong.what, promise: Some(wrong.promise) }
            }
        })?;
        played.text.extend(output.iter().map(|output| format!("{INDENT}{output}\n")));
        if output != written && played.differs.is_none() {
            let command = said.to_owned();
            played.differs = Some(Difference { line, command, written, played: output });
        }
    }
    Ok(played)
}

fn perform(stage: &mut Option<Stage>, said: &str) -> Result<Vec<String>, Trouble> {
    let mut words: Vec<&str> = said.split_whitespace().collect();
    let is_quiet = words.first() == Some(&"quiet");
    if is_quiet {
        words.remove(0);
    }
    if words.first() == Some(&"cluster") {
        *stage = Some(cluster(&words[1..]).map_err(Trouble::Script)?);
        return Ok(Vec::new());
    }
    let stage = stage.as_mut().ok_or(Trouble::Script("a story begins with `cluster`".into()))?;
    let command = Command::parse(&words, stage.names()).map_err(Trouble::Script)?;
    command.perform(stage)?;
    let notes = stage.notes();
    Ok(if is_quiet { Vec::new() } else { notes })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: > {}", self.line, self.command)?;
        let same = self.written.iter().zip(&self.played).take_while(|(one, other)| one == other);
        let same = same.count();
        for line in &self.written[..same] {
            writeln!(f, "    {line}")?;
        }
        for line in &self.written[same..] {
            writeln!(f, "  - {line}")?;
        }
        for line in &self.played[same..] {
            writeln!(f, "  + {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.promise {
            None => write!(f, "{}: {}", self.line, self.what),
            Some(promise) => write!(f, "{}: breaks {promise}: {}", self.line, self.what),
        }
    }
}

impl std::error::Error for ScriptError {}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "> cluster 1 leaders 1 acceptors\n";

    fn check(story: &str) -> Result<Played, ScriptError> {
        play(&format!("{START}{story}"))
    }

    #[test]
    fn a_changed_output_is_shown_from_where_it_changed() {
        let written = "> campaign L1\n  L1: prepares 1·L1\n  L1 -> A1: Prepare 9·L1 from slot 0\n";
        let played = check(written).unwrap();
        let differs = played.differs.unwrap().to_string();
        let expected = "2: > campaign L1\n    L1: prepares 1·L1\n  \
                        - L1 -> A1: Prepare 9·L1 from slot 0\n  \
                        + L1 -> A1: Prepare 1·L1 from slot 0\n";
        assert_eq!(differs, expected);
        assert_eq!(check(&played.text[START.len()..]).unwrap().differs, None);
    }

    #[test]
    fn what_is_no_command_is_refused_with_its_line() {
        for (story, what) in [
            ("\n> juggle L1\n", "3: `juggle` is no command"),
            ("> campaign A1\n", "2: A1 does not lead"),
            ("> campaign L9\n", "2: L9 is no node"),
            ("> deliver Prepares\n", "2: Prepares is no message and no ballot"),
            ("> run 1 year\n", "2: `1 year` is no span like 300ms"),
        ] {
            assert_eq!(check(story).unwrap_err().to_string(), what);
        }
        let error = play("> settle\n").unwrap_err();
        assert_eq!(error.to_string(), "1: a story begins with `cluster`");
    }

    #[test]
    fn what_is_said_between_commands_stays_as_it_is() {
        let story = format!("# A story.\n\n{START}\n# Nothing happens.\n> settle\n");
        assert_eq!(play(&story).unwrap(), Played { text: story, differs: None });
    }
}
