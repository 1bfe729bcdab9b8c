//! What a measurement says, in every format.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum as _;

use super::args::BenchArgs;
use super::load::Kind;
use super::picture;
use super::probe::Sync;
use super::tally::{Latency, Tally};
use crate::commands::version;
use crate::error::Exit;
use crate::output::{Report, Value, grouped, short_duration};

/// What the disk takes, and which one it is.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) directory: PathBuf,
    pub(super) sync: Sync,
}

/// All that came out.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) tally: Tally,
    /// How much of the time was measured: all, unless it was stopped.
    pub(super) lasted: Duration,
    /// Operations that could be under way.
    pub(super) places: usize,
    pub(super) sent_again: u64,
    pub(super) first_failure: Option<String>,
    pub(super) disk: Option<Disk>,
    /// The signal that ended it early.
    pub(super) stopped: Option<Exit>,
}

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// The fields of a kind: its percentiles, and its histogram.
const APPEND: [&str; 6] =
    ["append_p50", "append_p90", "append_p99", "append_p99_9", "append_max", "append_histogram"];
const READ: [&str; 6] =
    ["read_p50", "read_p90", "read_p99", "read_p99_9", "read_max", "read_histogram"];

pub(super) fn report(args: &BenchArgs, measured: &Measured, has_unicode: bool) -> Report {
    let tally = &measured.tally;
    let text = |text: &str| Value::Text(text.to_owned());
    let took = tally.took(measured.lasted);
    let (appends, reads) = (tally.latency(Kind::Append), tally.latency(Kind::Read));
    let kind = args.consistency.to_possible_value().expect("every kind has a name");
    let is_open = args.rate.is_some();
    let mut fields = vec![
        ("loop", text(if is_open { "open" } else { "closed" })),
        ("clients", Value::Count(args.clients.into())),
        ("window", Value::Count(args.window().into())),
        ("rate", Value::maybe(args.rate, Value::Ratio)),
        ("bytes", Value::Count(args.bytes.into())),
        ("reads_percent", Value::Count(args.reads.into())),
        ("consistency", text(kind.get_name())),
        ("warmup", micros(args.warmup)),
        ("took", micros(took)),
        ("operations_per_second", Value::Ratio(per_second(tally.done(), took))),
        ("appended", Value::Id(appends.count())),
        ("read", Value::Id(reads.count())),
        ("not_applied", Value::Id(tally.not_applied())),
        ("unknown", Value::Id(tally.unknown())),
        ("unanswered", Value::Id(tally.unanswered())),
        ("sent_again", Value::Id(measured.sent_again)),
        ("first_failure", Value::maybe(measured.first_failure.clone(), Value::Text)),
        ("late_starts", Value::maybe(is_open.then(|| tally.late_starts()), Value::Id)),
        ("latest_start", Value::maybe(is_open.then(|| tally.latest_start()), micros)),
        ("overloaded", Value::Flag(is_overloaded(args, tally))),
    ];
    fields.extend(latencies(APPEND, appends));
    fields.extend(latencies(READ, reads));
    let disk = measured.disk.as_ref();
    let sync = |of: fn(&Sync) -> Duration| Value::maybe(disk, |disk| micros(of(&disk.sync)));
    fields.extend([
        ("disk", Value::maybe(disk, |disk| text(&disk.directory.display().to_string()))),
        ("disk_sync_p50", sync(|sync| sync.p50)),
        ("disk_sync_p99", sync(|sync| sync.p99)),
        ("disk_sync_max", sync(|sync| sync.max)),
        ("version", text(version::VERSION)),
        ("commit", Value::maybe(version::COMMIT, text)),
    ]);
    let exit = match measured.stopped {
        Some(exit) => exit,
        None if tally.done() == 0 => Exit::Failed,
        None if is_overloaded(args, tally) => Exit::No,
        None => Exit::Done,
    };
    Report::record("synod.bench/1", fields).prose(prose(args, measured, has_unicode)).exit(exit)
}

/// A closed loop asks no more than it is answered.
fn is_overloaded(args: &BenchArgs, tally: &Tally) -> bool {
    args.rate.is_some() && tally.is_overloaded()
}

fn latencies(
    names: [&'static str; 6],
    latency: &Latency,
) -> impl Iterator<Item = (&'static str, Value)> {
    let any = latency.count() > 0;
    let value = |percent| Value::maybe(any.then(|| latency.us_at(percent)), Value::Micros);
    let mut values: Vec<Value> = PERCENTILES.into_iter().map(value).collect();
    values.push(Value::maybe(any.then(|| picture::counts(latency)), Value::Counts));
    names.into_iter().zip(values)
}

fn prose(args: &BenchArgs, measured: &Measured, has_unicode: bool) -> String {
    let tally = &measured.tally;
    let took = tally.took(measured.lasted);
    let mut text = String::new();
    let pace = match args.rate {
        Some(rate) => format!("{rate} operations a second begun"),
        None => format!("{} under way each", args.window()),
    };
    let seconds = took.as_secs_f64();
    let rate = per_second(tally.done(), took);
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!("{} clients, {pace}, {} B a value, {seconds:.1} s", args.clients, args.bytes));
    line(format!(
        "{} done, {rate:.0} a second · {} not applied · {} unknown · {} sent again",
        grouped(tally.done()),
        grouped(tally.not_applied()),
        grouped(tally.unknown()),
        grouped(measured.sent_again),
    ));
    if tally.unanswered() > 0 {
        line(format!("{} unanswered when it ended", grouped(tally.unanswered())));
    }
    if let Some(failure) = &measured.first_failure {
        line(format!("The first failure: {failure}"));
    }
    match &measured.disk {
        Some(Disk { directory, sync }) => line(format!(
            "Disk of {}: append and fdatasync p50 {}, p99 {}, max {}",
            directory.display(),
            shown(sync.p50),
            shown(sync.p99),
            shown(sync.max)
        )),
        None => line("The nodes' disk was not measured (--sync-probe DIR)".to_owned()),
    }
    for (name, kind) in [("append", Kind::Append), ("read", Kind::Read)] {
        let latency = tally.latency(kind);
        if latency.count() == 0 {
            continue;
        }
        let [p50, p90, p99, p999, max] =
            PERCENTILES.map(|percent| short_duration(latency.us_at(percent)));
        let _ = write!(
            text,
            "\n{name}  p50 {p50} · p90 {p90} · p99 {p99} · p99.9 {p999} · max {max}\n{}",
            picture::bars(latency, has_unicode)
        );
    }
    if is_overloaded(args, tally) || (args.rate.is_some() && tally.is_late()) {
        let (late, by) = (grouped(tally.late_starts()), shown(tally.latest_start()));
        let why = if is_overloaded(args, tally) {
            let places = grouped(measured.places as u64);
            format!(
                "Overloaded: {late} starts were late, by up to {by}, as {places} operations were \
                 under way.\nThe latencies hold that wait. Lower --rate, or find what cannot \
                 keep up."
            )
        } else {
            format!(
                "{late} starts were late, by up to {by}: this machine had no time for the \
                 clients.\n\
                 The latencies hold that wait. Measure from a machine that has."
            )
        };
        let _ = write!(text, "\n{why}\n");
    }
    if has_unicode { text } else { text.replace('·', "-") }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> Value {
    Value::Micros(us(time))
}

fn shown(time: Duration) -> String {
    short_duration(us(time))
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::args;
    use super::super::load::Ended;
    use super::*;
    use crate::output::{Format, rendered};

    fn measured(late: u64) -> Measured {
        let mut tally = Tally::default();
        let ms = Duration::from_millis;
        for number in 0..100 {
            tally.begun(ms(if number < late { 700 } else { 0 }));
            if number < late {
                tally.crowded();
            }
            let ended = if number == 99 { Ended::Unknown } else { Ended::Done };
            tally.ended(Kind::Append, ended, ms(3), ms(number));
        }
        let sync = Sync { p50: ms(1), p99: ms(2), max: ms(3) };
        Measured {
            tally,
            lasted: Duration::from_secs(2),
            places: 20,
            sent_again: 7,
            first_failure: Some("no answer".into()),
            disk: Some(Disk { directory: "/data".into(), sync }),
            stopped: None,
        }
    }

    #[test]
    fn a_document_has_numbers_by_name() {
        let json = rendered(Format::Json, &report(&args(""), &measured(0), true));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["schema"], "synod.bench/1");
        assert_eq!(json["operations_per_second"], 49.5);
        assert_eq!((&json["appended"], &json["unknown"]), (&"99".into(), &"1".into()));
        assert!(json["append_p50_us"].as_u64().unwrap().abs_diff(3000) <= 3);
        assert_eq!(json["append_histogram"]["5ms"], "99");
        assert_eq!(json["disk_sync_p99_us"], 2000);
        assert!(json["read_p50"].is_null() && json["late_starts"].is_null());
    }

    #[test]
    fn an_overload_is_said_and_not_hidden() {
        let of = |options: &str, late| report(&args(options), &measured(late), false);
        let overloaded = of("--rate 50", 2);
        let crate::output::Words::Prose(prose) = &overloaded.words else { panic!() };
        assert!(prose.contains("Overloaded: 2 starts were late, by up to 700.0 ms"), "{prose}");
        assert_eq!(overloaded.exit, Exit::No);
        assert!(rendered(Format::Plain, &overloaded).contains("overloaded\ttrue\n"));
        assert_eq!(of("--rate 50", 1).exit, Exit::Done, "one of a hundred is an accident");
        let mut starved = measured(0);
        (0..9).for_each(|_| starved.tally.begun(Duration::from_secs(1)));
        let starved = report(&args("--rate 50"), &starved, false);
        let crate::output::Words::Prose(prose) = &starved.words else { panic!() };
        assert!(prose.contains("9 starts were late, by up to 1.00 s: this machine"), "{prose}");
        assert_eq!(starved.exit, Exit::Done, "that is not the cluster's doing");
        assert_eq!(of("", 100).exit, Exit::Done, "a closed loop has no due starts");
    }

    #[test]
    fn what_was_measured_until_a_signal_is_told_with_its_exit_code() {
        let mut stopped = measured(0);
        stopped.stopped = Some(Exit::Interrupted);
        assert_eq!(report(&args(""), &stopped, true).exit, Exit::Interrupted);
        stopped = Measured { tally: Tally::default(), stopped: None, ..stopped };
        assert_eq!(report(&args(""), &stopped, true).exit, Exit::Failed, "nothing was done");
    }
}
