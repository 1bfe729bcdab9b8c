//! A walk's trace tells the walk.

use std::collections::BTreeMap;
use std::io::Cursor;

use sim::{Broken, Faults, Happened, Options, Origin, Shape, Violation, What, trace_header};
use trace::{EventKind, Fate, MessageKind, Reader, Row, Values};

const ORIGIN: Origin<'_> = Origin { synod: "0", commit: None, command: "a test" };

fn traced(seed: u64, options: &Options) -> (Vec<Happened>, Option<Violation>, Vec<u8>) {
    let (outcome, happened) = sim::replay(seed, options);
    let header = trace_header(seed, options, ORIGIN, Values::Preview);
    let violation = outcome.violation;
    let bytes = sim::write_trace(Vec::new(), &header, &happened, violation.as_ref());
    (happened, violation, bytes.expect("memory takes it"))
}

fn read(bytes: &[u8]) -> Vec<Row> {
    let mut reader = Reader::open(Cursor::new(bytes)).expect("a trace");
    reader.rows().map(|row| row.expect("a sound trace").1).collect()
}

fn sent(row: &Row) -> Option<(MessageKind, u32, Fate)> {
    match row.what {
        trace::What::Message { kind, to, fate } => Some((kind, to, fate)),
        trace::What::Event { .. } => None,
    }
}

fn happens(row: &Row, wanted: EventKind) -> bool {
    matches!(row.what, trace::What::Event { kind, .. } if kind == wanted)
}

#[test]
fn every_message_is_a_row_with_its_fate() {
    for seed in 0..20 {
        let (happened, _, bytes) = traced(seed, &Options::drawn_beyond(seed));
        let count =
            |wanted: fn(&What) -> bool| happened.iter().filter(|one| wanted(&one.what)).count();
        let fates: Vec<Fate> =
            read(&bytes).iter().filter_map(|row| sent(row).map(|(.., fate)| fate)).collect();
        assert_eq!(fates.len(), count(|what| matches!(what, What::Sent { .. })));
        let heard: usize = fates.iter().map(|fate| fate.heard().count()).sum();
        assert_eq!(heard, count(|what| matches!(what, What::Arrived { .. })), "seed {seed}");
        let lost = |what: &What| matches!(what, What::Sent { arrives, .. } if arrives.is_empty());
        assert_eq!(fates.iter().filter(|fate| **fate == Fate::Lost).count(), count(lost));
    }
}

#[test]
fn a_cause_was_heard_by_who_reacts_to_it() {
    let mut reactions = BTreeMap::new();
    for seed in 0..20 {
        let rows = read(&traced(seed, &Options::drawn(seed)).2);
        for row in &rows {
            let Some(cause) = row.cause else { continue };
            let cause = &rows[usize::try_from(cause).unwrap()];
            let (kind, to, fate) = sent(cause).expect("a cause is a message");
            assert_eq!(to, row.node);
            assert!(fate.heard().any(|latency| cause.at_us + latency <= row.at_us));
            *reactions.entry((kind.name(), row.what.name())).or_insert(0) += 1;
        }
    }
    for (cause, reaction) in [
        ("prepare", "promise"),
        ("promise", "elected"),
        ("accept", "accepted"),
        ("accepted", "slots_learned"),
        ("probe", "probe_reply"),
        ("fetch", "learned"),
    ] {
        assert!(reactions.contains_key(&(cause, reaction)), "{reaction} after {cause}");
    }
}

#[test]
fn what_is_chosen_can_be_read_from_the_trace() {
    let mut slots = 0;
    for seed in 7..10 {
        let rows = read(&traced(seed, &Options::drawn(seed)).2);
        let learned = rows.iter().filter(|row| happens(row, EventKind::SlotsLearned));
        let mut history = BTreeMap::new();
        for row in learned {
            let slot = row.slots.unwrap().first;
            let value = history.entry(slot).or_insert_with(|| row.value.clone());
            assert_eq!(*value, row.value, "seed {seed}, slot {slot}");
        }
        slots += history.len();
        let persisted = |row: &&Row| happens(row, EventKind::AcceptedPersisted);
        let is_whole = |row: &Row| row.ballot.is_some() && row.value.is_some();
        assert!(rows.iter().filter(persisted).all(is_whole));
    }
    assert!(slots > 20);
}

#[test]
fn a_violation_is_the_last_row() {
    let options = |seed| Options {
        shape: Shape::all()[0].clone(),
        faults: Faults { crash: 8, ..Options::drawn(seed).faults },
        broken: Some(Broken::TwistedAccept),
        ..Options::drawn(seed)
    };
    let broken = (0..50).map(|seed| traced(seed, &options(seed)));
    let (_, violation, bytes) = broken.into_iter().find(|it| it.1.is_some()).expect("a violation");
    let violation = violation.unwrap();
    let last = read(&bytes).pop().unwrap();
    assert_eq!(last.at_us, violation.at.0);
    let trace::What::Event { kind: EventKind::Violation, text, .. } = last.what else {
        panic!("{:?} is no violation", last.what)
    };
    assert!(text.starts_with(&format!("{}: ", violation.promise)));
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    let make = || traced(11, &Options::drawn(11)).2;
    assert_eq!(make(), make());
}

#[test]
fn nodes_are_named_by_what_they_do() {
    let names = |shape: &Shape| {
        let options = Options { shape: shape.clone(), ..Options::drawn(1) };
        let header = trace_header(1, &options, ORIGIN, Values::None);
        header.nodes.into_iter().map(|node| node.name).collect::<Vec<_>>().join(" ")
    };
    let all = Shape::all();
    assert_eq!(names(&all[0]), "L1 L2 A1 A2 A3 A4 A5");
    assert_eq!(names(&all[7]), "N1 N2 N3 F1");
}
