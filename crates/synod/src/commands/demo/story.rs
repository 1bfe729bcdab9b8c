//! What happens, in sentences, as it happens: time, what failed, who leads, how far it has come.
//!
//! Where the answer is a table the sentences are part of it, on stdout; otherwise they are
//! progress, on stderr. On a terminal they have colours, glyphs and a bar; elsewhere they are
//! plain lines. The words are the same.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use paxos::NodeId;

use super::DemoArgs;
use crate::output::{Output, grouped, milliseconds, print};

/// The bar is drawn so often a second, at most.
const BAR_HZ: u8 = 10;

/// Milliseconds are written in a column of this width: room for `99999.9`.
const TIME_WIDTH: usize = 7;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Something worth a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoryEvent {
    /// Every node runs.
    Started { nodes: u64 },
    /// A leader has the promises of so many acceptors.
    LeaderElected { leader: NodeId, round: u64, acceptors: u32 },
    /// An acceptor was killed; so many are left, so many are needed.
    AcceptorFailed { node: NodeId, left: u32, needed: u32 },
    /// The proposals are on their way.
    Proposing { total: u64, to: NodeId },
    /// The leader was killed.
    LeaderKilled { node: NodeId, chosen_so_far: u64, total: u64 },
    /// Another one leads.
    Takeover { leader: NodeId, after: Duration },
    /// A killed node runs again, to compare its history as well.
    Restarted { node: NodeId },
    /// The last answer has come.
    AllAnswered { after: Duration },
    /// The histories of the learners were read and compared.
    Compared { learners: u64, values: u64 },
}

/// The teller.
pub(crate) struct Story {
    voice: Voice,
    /// Node ids up to this are leaders'; the acceptors' come after.
    leaders: u32,
    bar: ProgressBar,
}

/// Where and how sentences are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts about a place, not states")]
struct Voice {
    is_silent: bool,
    to_stdout: bool,
    is_terminal: bool,
    has_colour: bool,
    has_unicode: bool,
}

impl Story {
    /// Says what is about to be shown.
    pub(crate) fn new(output: &Output, args: &DemoArgs, seed: u64) -> Story {
        let voice = Voice::new(output);
        let bar = if output.is_live() && output.tells_progress() {
            bar(args.proposals, voice)
        } else {
            ProgressBar::hidden()
        };
        let story = Story { voice, leaders: args.leaders, bar };
        story.say(&header(args, seed, voice.has_unicode));
        story
    }

    /// Says what happened `at` that time since the start.
    pub(crate) fn tell(&mut self, at: Duration, event: StoryEvent) {
        let line = self.voice.line(at, event, self.leaders);
        self.say(&line);
    }

    /// Shows how many proposals are chosen.
    pub(crate) fn progress(&mut self, chosen: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(chosen);
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        if self.voice.is_silent {
            return;
        }
        self.bar.suspend(|| {
            if self.voice.to_stdout {
                // If nobody reads, the summary will find out; what is told is not lost work.
                drop(print(&format!("{line}\n")));
            } else {
                Output::note(line);
            }
        });
    }
}

impl Voice {
    fn new(output: &Output) -> Voice {
        let to_stdout = output.is_table();
        let is_terminal = if to_stdout { output.is_terminal() } else { output.is_live() };
        Voice {
            is_silent: !output.tells_progress(),
            to_stdout,
            is_terminal,
            has_colour: output.has_colour() && (to_stdout || is_terminal),
            has_unicode: output.has_unicode(),
        }
    }

    fn line(self, at: Duration, event: StoryEvent, leaders: u32) -> String {
        let (look, sentence) = sentence(event, leaders, self.has_unicode);
        let time = milliseconds(at);
        if !self.is_terminal {
            return format!("{time} ms  {sentence}");
        }
        let glyph = look.glyph(self.has_unicode);
        if self.has_colour {
            let colour = look.colour();
            format!("{DIM}{time:>TIME_WIDTH$} ms{RESET}  {colour}{glyph}{RESET} {sentence}")
        } else {
            format!("{time:>TIME_WIDTH$} ms  {glyph} {sentence}")
        }
    }
}

/// What a sentence is about. The glyph says it as well as the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Leading,
    Down,
    Quiet,
    Good,
}

impl Look {
    fn glyph(self, has_unicode: bool) -> &'static str {
        match (self, has_unicode) {
            (Look::Leading | Look::Good, true) => "●",
            (Look::Leading | Look::Good, false) => "*",
            (Look::Down, true) => "✕",
            (Look::Down, false) => "x",
            (Look::Quiet, true) => "○",
            (Look::Quiet, false) => "o",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Look::Leading => CYAN,
            Look::Down => RED,
            Look::Quiet => DIM,
            Look::Good => GREEN,
        }
    }
}

fn header(args: &DemoArgs, seed: u64, has_unicode: bool) -> String {
    let dot = if has_unicode { "·" } else { "-" };
    let mut parts = vec![
        "Synod demo".to_owned(),
        format!("seed {seed}"),
        counted(args.leaders.into(), "leader"),
        counted(args.acceptors.into(), "acceptor"),
        format!("{} will fail", args.fail),
    ];
    parts.push(match &args.input {
        Some(path) => format!("proposals from {}", path.display()),
        None => counted(args.proposals.into(), "proposal"),
    });
    if args.kill_leader {
        parts.push("the leader will be killed".to_owned());
    }
    let faults = args.network.to_options();
    if !faults.is_empty() {
        parts.push(faults.trim_start().to_owned());
    }
    parts.join(&format!(" {dot} "))
}

fn sentence(event: StoryEvent, leaders: u32, has_unicode: bool) -> (Look, String) {
    let name = |node: NodeId| name(node, leaders);
    let dot = if has_unicode { "·" } else { "." };
    match event {
        StoryEvent::Started { nodes } => {
            let nodes = counted(nodes, "node");
            (Look::Quiet, format!("{nodes} started: real sockets, and journals on disk."))
        }
        StoryEvent::LeaderElected { leader, round, acceptors } => {
            let leader = name(leader);
            let promises = counted(acceptors.into(), "acceptor");
            let text =
                format!("{leader} leads with ballot {round}{dot}{leader}: {promises} promised.");
            (Look::Leading, text)
        }
        StoryEvent::AcceptorFailed { node, left, needed } => {
            let node = name(node);
            let rest = if left > needed {
                format!("{left} acceptors left; {needed} are enough.")
            } else {
                format!("{left} left: one more and nothing could be chosen.")
            };
            (Look::Down, format!("{node} crashed. {rest}"))
        }
        StoryEvent::Proposing { total, to } => {
            let total = counted(total, "value");
            (Look::Quiet, format!("A client proposes {total} to {}, all at once.", name(to)))
        }
        StoryEvent::LeaderKilled { node, chosen_so_far, total } => {
            let (chosen, total) = (grouped(chosen_so_far), grouped(total));
            (
                Look::Down,
                format!("{} crashed while leading, {chosen} of {total} chosen.", name(node)),
            )
        }
        StoryEvent::Takeover { leader, after } => {
            let (leader, after) = (name(leader), milliseconds(after));
            (Look::Leading, format!("{leader} leads, {after} ms later, and the client goes on."))
        }
        StoryEvent::Restarted { node } => {
            (Look::Quiet, format!("{} runs again and catches up.", name(node)))
        }
        StoryEvent::AllAnswered { after } => {
            let after = milliseconds(after);
            (
                Look::Good,
                format!("Every proposal is answered, {after} ms after the first was made."),
            )
        }
        StoryEvent::Compared { learners, values } => {
            let (learners, values) = (counted(learners, "learner"), counted(values, "value"));
            (Look::Quiet, format!("Compared the histories of {learners}: {values}."))
        }
    }
}

/// `L1` is the first leader, `A1` the first acceptor.
fn name(node: NodeId, leaders: u32) -> String {
    match node.0.checked_sub(leaders) {
        None | Some(0) => format!("L{}", node.0),
        Some(number) => format!("A{number}"),
    }
}

fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

fn bar(total: u32, voice: Voice) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(BAR_HZ);
    let bar = ProgressBar::with_draw_target(Some(total.into()), target);
    let style = ProgressStyle::with_template("  {bar:48} {human_pos} of {human_len} chosen")
        .expect("the template is a constant, drawn in a test");
    bar.with_style(style.progress_chars(if voice.has_unicode { "█▓░" } else { "#>-" }))
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::args;
    use super::*;

    const PIPE: Voice = Voice {
        is_silent: false,
        to_stdout: true,
        is_terminal: false,
        has_colour: false,
        has_unicode: true,
    };

    fn crash() -> StoryEvent {
        StoryEvent::AcceptorFailed { node: NodeId(7), left: 4, needed: 3 }
    }

    fn said(event: StoryEvent) -> String {
        sentence(event, 2, true).1
    }

    #[test]
    fn the_first_line_says_what_will_be_seen() {
        assert_eq!(
            header(&args(""), 8_302_417, true),
            "Synod demo · seed 8302417 · 2 leaders · 5 acceptors · 2 will fail · 1,000 proposals"
        );
        assert_eq!(
            header(&args("-n 1 --kill-leader --loss 10%"), 7, false),
            "Synod demo - seed 7 - 2 leaders - 5 acceptors - 2 will fail - 1 proposal - the leader \
             will be killed - --loss 10%"
        );
    }

    #[test]
    fn leaders_are_counted_before_acceptors() {
        let names: Vec<String> = (1..=4).map(|id| name(NodeId(id), 2)).collect();
        assert_eq!(names, ["L1", "L2", "A1", "A2"]);
    }

    #[test]
    fn a_terminal_gets_columns_glyphs_and_colours() {
        let at = Duration::from_micros(21_420);
        assert_eq!(
            PIPE.line(at, crash(), 2),
            "21.4 ms  A5 crashed. 4 acceptors left; 3 are enough."
        );
        let terminal = Voice { is_terminal: true, ..PIPE };
        assert_eq!(
            terminal.line(at, crash(), 2),
            "   21.4 ms  ✕ A5 crashed. 4 acceptors left; 3 are enough."
        );
        let ascii = Voice { has_unicode: false, ..terminal };
        assert!(ascii.line(at, crash(), 2).is_ascii());
        let coloured = Voice { has_colour: true, ..terminal };
        assert!(coloured.line(at, crash(), 2).contains("\x1b[31m✕\x1b[0m A5 crashed."));
    }

    #[test]
    fn the_last_acceptor_that_may_fail_is_named_as_such() {
        let event = StoryEvent::AcceptorFailed { node: NodeId(6), left: 3, needed: 3 };
        assert_eq!(said(event), "A4 crashed. 3 left: one more and nothing could be chosen.");
    }

    #[test]
    fn every_event_has_a_sentence() {
        let (node, after) = (NodeId(1), Duration::from_millis(5));
        let events = [
            StoryEvent::Started { nodes: 7 },
            StoryEvent::LeaderElected { leader: node, round: 1, acceptors: 5 },
            StoryEvent::Proposing { total: 1000, to: node },
            StoryEvent::LeaderKilled { node, chosen_so_far: 333, total: 1000 },
            StoryEvent::Takeover { leader: NodeId(2), after },
            StoryEvent::Restarted { node },
            StoryEvent::AllAnswered { after },
            StoryEvent::Compared { learners: 2, values: 1000 },
        ];
        let told: Vec<String> = events.into_iter().map(said).collect();
        assert_eq!(
            told,
            [
                "7 nodes started: real sockets, and journals on disk.",
                "L1 leads with ballot 1·L1: 5 acceptors promised.",
                "A client proposes 1,000 values to L1, all at once.",
                "L1 crashed while leading, 333 of 1,000 chosen.",
                "L2 leads, 5.0 ms later, and the client goes on.",
                "L1 runs again and catches up.",
                "Every proposal is answered, 5.0 ms after the first was made.",
                "Compared the histories of 2 learners: 1,000 values.",
            ]
        );
    }

    #[test]
    fn the_bar_can_be_drawn() {
        for has_unicode in [true, false] {
            bar(10, Voice { has_unicode, ..PIPE }).finish_and_clear();
        }
    }
}
