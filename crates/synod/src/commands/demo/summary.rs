//! What came of the demo: figures for programs, a closing paragraph for people, an exit code.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Exit;
use crate::output::{Report, Value, grouped, short_duration};

/// What was found and measured.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    /// Values proposed.
    pub(crate) proposals: u64,
    /// Of these, found in the history.
    pub(crate) chosen: u64,
    /// Of these, found nowhere, or elsewhere than was answered.
    pub(crate) lost: u64,
    /// Found once more than proposed; each further time counts.
    pub(crate) repeated: u64,
    /// Slots for which two learners name different values.
    pub(crate) conflicts: u64,
    pub(crate) histories_equal: bool,
    /// SHA-256 of the history, in hexadecimal digits.
    pub(crate) digest: String,
    /// From the first proposal to the last answer.
    pub(crate) chosen_in: Duration,
    /// From the leader's death to the next value chosen; none if it was not killed.
    pub(crate) takeover: Option<Duration>,
    /// From the start to a leader.
    pub(crate) startup: Duration,
    /// All of it, pauses included.
    pub(crate) total: Duration,
    pub(crate) decisions_per_second: f64,
    pub(crate) messages_sent: u64,
    /// Lost on purpose.
    pub(crate) messages_lost: u64,
    /// Of those sent, part of an election.
    pub(crate) phase1_messages: u64,
    /// Times that a journal was synced.
    pub(crate) syncs: u64,
    /// How long this disk takes to sync, measured beside the demo.
    pub(crate) disk_sync_p50: Duration,
    pub(crate) disk_sync_p99: Duration,
    /// Where the journals were kept.
    pub(crate) data_dir: Option<PathBuf>,
    /// The command that asks for the same faults again.
    pub(crate) rerun: String,
}

impl Summary {
    /// In every format. `has_unicode` says whether the reader's terminal can show more than ASCII.
    pub(crate) fn report(&self, has_unicode: bool) -> Report {
        let data_dir = self.data_dir.as_ref().map(|path| path.display().to_string());
        let fields = vec![
            ("seed", Value::Id(self.seed)),
            ("proposed", Value::Count(self.proposals)),
            ("chosen", Value::Count(self.chosen)),
            ("lost", Value::Count(self.lost)),
            ("repeated", Value::Count(self.repeated)),
            ("conflicts", Value::Count(self.conflicts)),
            ("histories_equal", Value::Flag(self.histories_equal)),
            ("digest", Value::Text(self.digest.clone())),
            ("chosen_in", micros(self.chosen_in)),
            ("takeover", Value::maybe(self.takeover, micros)),
            ("startup", micros(self.startup)),
            ("total", micros(self.total)),
            ("decisions_per_second", Value::Ratio(self.decisions_per_second)),
            ("messages_sent", Value::Count(self.messages_sent)),
            ("messages_lost", Value::Count(self.messages_lost)),
            ("phase1_messages", Value::Count(self.phase1_messages)),
            ("syncs", Value::Count(self.syncs)),
            ("disk_sync_p50", micros(self.disk_sync_p50)),
            ("disk_sync_p99", micros(self.disk_sync_p99)),
            ("data_dir", Value::maybe(data_dir, Value::Text)),
            ("rerun", Value::Text(self.rerun.clone())),
        ];
        Report::record("synod.demo/1", fields).prose(self.prose(has_unicode)).exit(self.exit())
    }

    /// Disagreement is worse than a lost value, and both are worse than nothing.
    pub(crate) fn exit(&self) -> Exit {
        if self.conflicts > 0 || !self.histories_equal {
            Exit::Violation
        } else if self.lost > 0 || self.repeated > 0 || self.chosen != self.proposals {
            Exit::Failed
        } else {
            Exit::Done
        }
    }

    fn prose(&self, has_unicode: bool) -> String {
        let dot = if has_unicode { "·" } else { "-" };
        let mut lines = vec![
            String::new(),
            format!("{} {}", self.values(), self.histories(has_unicode)),
            format!("  {}", self.speed().join(&format!(" {dot} "))),
            format!("  {}", self.times().join(&format!(" {dot} "))),
            format!("  {} {dot} {} were phase 1", self.messages(), grouped(self.phase1_messages)),
            format!(
                "  {} syncs of journals {dot} this disk takes {} for one, {} at worst (p99)",
                grouped(self.syncs),
                shown(self.disk_sync_p50),
                shown(self.disk_sync_p99),
            ),
        ];
        if let Some(path) = &self.data_dir {
            lines.push(format!("  journals kept in {}", path.display()));
        }
        lines.extend([String::new(), format!("Again, with the same faults:  {}", self.rerun)]);
        lines.join("\n") + "\n"
    }

    fn values(&self) -> String {
        let proposed = grouped(self.proposals);
        if self.chosen == self.proposals && self.lost == 0 && self.repeated == 0 {
            return match self.proposals {
                1 => "The one proposal was chosen.".to_owned(),
                _ => format!("All {proposed} proposals chosen."),
            };
        }
        let (chosen, lost) = (grouped(self.chosen), grouped(self.lost));
        let repeated = match self.repeated {
            0 => String::new(),
            repeated => format!(", {} repeated", grouped(repeated)),
        };
        format!("{chosen} of {proposed} proposals chosen, {lost} lost{repeated}.")
    }

    fn histories(&self, has_unicode: bool) -> String {
        if self.conflicts > 0 {
            return format!("CONFLICT: {} slots hold two values.", grouped(self.conflicts));
        }
        if !self.histories_equal {
            return "The learners' HISTORIES DIFFER.".to_owned();
        }
        let ellipsis = if has_unicode { "…" } else { "..." };
        let head: String = self.digest.chars().take(4).collect();
        let tail: String =
            self.digest.chars().skip(self.digest.chars().count().max(2) - 2).collect();
        format!("Every learner has the same history (sha256 {head}{ellipsis}{tail}).")
    }

    fn speed(&self) -> [String; 2] {
        let rate = format!("{:.0}", self.decisions_per_second).parse().unwrap_or(0);
        [
            format!("{} from the first proposal to the last answer", shown(self.chosen_in)),
            format!("{} decisions/s", grouped(rate)),
        ]
    }

    fn times(&self) -> Vec<String> {
        let mut times = Vec::new();
        times.extend(self.takeover.map(|it| format!("{} without a leader", shown(it))));
        times.push(format!("{} to start", shown(self.startup)));
        times.push(format!("{} in all", shown(self.total)));
        times
    }

    fn messages(&self) -> String {
        format!(
            "{} messages, {} lost on purpose",
            grouped(self.messages_sent),
            grouped(self.messages_lost)
        )
    }
}

fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> Value {
    Value::Micros(whole_micros(duration))
}

fn shown(duration: Duration) -> String {
    short_duration(whole_micros(duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, Words, rendered};

    fn summary() -> Summary {
        Summary {
            seed: 8_302_417,
            proposals: 1000,
            chosen: 1000,
            lost: 0,
            repeated: 0,
            conflicts: 0,
            histories_equal: true,
            digest: format!("4be1{}9c", "0".repeat(58)),
            chosen_in: Duration::from_micros(118_200),
            takeover: None,
            startup: Duration::from_millis(31),
            total: Duration::from_millis(1520),
            decisions_per_second: 8460.2,
            messages_sent: 8442,
            messages_lost: 86,
            phase1_messages: 10,
            syncs: 402,
            disk_sync_p50: Duration::from_micros(850),
            disk_sync_p99: Duration::from_micros(3400),
            data_dir: None,
            rerun: "synod demo --seed 8302417".to_owned(),
        }
    }

    fn prose(summary: &Summary, has_unicode: bool) -> String {
        match summary.report(has_unicode).words {
            Words::Prose(text) => text,
            words => panic!("{words:?}"),
        }
    }

    #[test]
    fn the_closing_paragraph_is_for_people() {
        assert_eq!(
            prose(&summary(), true),
            "\nAll 1,000 proposals chosen. Every learner has the same history (sha256 4be1…9c).\n  \
             118.2 ms from the first proposal to the last answer · 8,460 decisions/s\n  \
             31.0 ms to start · 1.52 s in all\n  \
             8,442 messages, 86 lost on purpose · 10 were phase 1\n  \
             402 syncs of journals · this disk takes 850 us for one, 3.4 ms at worst (p99)\n\n\
             Again, with the same faults:  synod demo --seed 8302417\n"
        );
    }

    #[test]
    fn without_unicode_it_is_ascii() {
        assert!(prose(&summary(), false).is_ascii());
    }

    #[test]
    fn programs_get_numbers() {
        let text = rendered(Format::Json, &summary().report(true));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["schema"], "synod.demo/1");
        for (key, number) in
            [("proposed", 1000), ("chosen", 1000), ("lost", 0), ("repeated", 0), ("conflicts", 0)]
        {
            assert_eq!(document[key], number, "{key}");
        }
        assert_eq!(document["histories_equal"], true);
        assert_eq!(document["seed"], "8302417");
        assert_eq!(document["chosen_in_us"], 118_200);
        assert_eq!(document["chosen_in_ms"], 118.2);
        assert!(document["takeover"].is_null());
        let plain = rendered(Format::Plain, &summary().report(true));
        assert!(plain.contains("\nchosen\t1000\n"), "{plain}");
    }

    #[test]
    fn the_exit_code_names_the_worst() {
        let exit = |change: fn(&mut Summary)| {
            let mut summary = summary();
            change(&mut summary);
            summary.exit()
        };
        assert_eq!(exit(|_| {}), Exit::Done);
        assert_eq!(exit(|it| it.lost = 1), Exit::Failed);
        assert_eq!(exit(|it| it.repeated = 1), Exit::Failed);
        assert_eq!(exit(|it| it.chosen = 999), Exit::Failed);
        assert_eq!(exit(|it| it.histories_equal = false), Exit::Violation);
        assert_eq!(exit(|it| (it.lost, it.conflicts) = (1, 1)), Exit::Violation);
    }

    #[test]
    fn what_went_wrong_is_said_first() {
        let broken = Summary { chosen: 993, lost: 7, conflicts: 2, ..summary() };
        assert!(prose(&broken, true).starts_with(
            "\n993 of 1,000 proposals chosen, 7 lost. CONFLICT: 2 slots hold two values.\n"
        ));
        let differing = Summary { repeated: 1, histories_equal: false, ..summary() };
        assert!(prose(&differing, true).starts_with(
            "\n1,000 of 1,000 proposals chosen, 0 lost, 1 repeated. The learners' HISTORIES DIFFER."
        ));
    }
}
