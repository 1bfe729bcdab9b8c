//! Whatever rows a writer takes, a reader gives back.

mod run;

use proptest::collection::vec;
use proptest::prelude::*;
use run::{header, open, read, rows};
use trace::{
    Ballot, EventKind, Fate, LIMIT, MessageKind, Row, Shown, Slots, Value, Values, What, Writer,
};

fn node() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(9)]
}

/// Small numbers and the largest ones.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, LIMIT - 300..=LIMIT, 0..=LIMIT]
}

fn ballot() -> impl Strategy<Value = Option<Ballot>> {
    let ballot = (0..4_u64, any::<u32>(), 0..3_u64).prop_map(|(round, leader, incarnation)| {
        Ballot { round: round * (u64::MAX / 3), leader, incarnation }
    });
    proptest::option::of(ballot)
}

fn slots() -> impl Strategy<Value = Option<Slots>> {
    let slots = (number(), number());
    proptest::option::of(
        slots.prop_map(|(first, count)| Slots { first, count: count.min(LIMIT - first) }),
    )
}

fn value() -> impl Strategy<Value = Option<Value>> {
    let shown = prop_oneof![
        Just(Shown::Length),
        any::<u64>().prop_map(Shown::Hash),
        (any::<u64>(), "[a-zé]{0,16}").prop_map(|(hash, words)| Shown::Preview(hash, words)),
    ];
    let command = (any::<u64>(), shown).prop_map(|(bytes, shown)| Value::Command { bytes, shown });
    proptest::option::of(prop_oneof![Just(Value::Noop), Just(Value::LeaderStart), command])
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Lost),
        number().prop_map(Fate::Once),
        (number(), number()).prop_map(|(first, second)| Fate::Twice(first, second)),
        number().prop_map(Fate::Unheard),
        Just(Fate::Open),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let message = (0..MessageKind::ALL.len(), node(), fate())
        .prop_map(|(kind, to, fate)| What::Message { kind: MessageKind::ALL[kind], to, fate });
    let event = (0..EventKind::ALL.len(), node(), any::<[u64; 2]>(), "[a-z ·]{0,40}").prop_map(
        |(kind, peer, numbers, text)| What::Event {
            kind: EventKind::ALL[kind],
            peer,
            numbers,
            text,
        },
    );
    prop_oneof![message, event]
}

prop_compose! {
    /// A row whose time and cause are made fit later.
    fn any_row()(
        at_us in 0..1_000_000_u64,
        node in node(),
        cause in any::<Option<u64>>(),
        ballot in ballot(),
        promised in ballot(),
        slots in slots(),
        chosen in proptest::option::of(number()),
        value in value(),
        what in what(),
    ) -> Row {
        Row { at_us, node, cause, ballot, promised, slots, chosen, value, what }
    }
}

fn fit(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.at_us);
    for (number, row) in (0..).zip(&mut rows) {
        row.cause = row.cause.and_then(|cause| cause.checked_rem(number));
    }
    rows
}

proptest! {
    #[test]
    fn rows_survive_their_bytes(given in vec(any_row(), 0..200), values in 0..3_usize) {
        let values = [Values::None, Values::Hash, Values::Preview][values];
        let given = fit(given);
        let read = read(&run::written(values, &given)).unwrap();
        let shown = |row: &Row| {
            let value = row.value.as_ref().map(|value| value.redacted(values));
            Row { value, ..row.clone() }
        };
        prop_assert_eq!(read, given.iter().map(shown).collect::<Vec<Row>>());
    }

    #[test]
    fn any_bytes_behind_a_header_are_no_panic(bytes in vec(any::<u8>(), 0..300)) {
        let empty = run::written(Values::None, &[]);
        let line = &empty[..empty.len() - 24];
        drop(read(&[line, &bytes].concat()));
        drop(read(&[line, b"SYTC", &bytes].concat()));
        drop(read(&bytes));
    }
}

#[test]
fn an_empty_trace_is_whole() {
    let bytes = run::written(Values::Hash, &[]);
    assert!(read(&bytes).unwrap().is_empty());
    assert_eq!(open(&bytes).unwrap().header(), &header(Values::Hash));
}

#[test]
fn rows_beyond_one_chunk_keep_their_numbers() {
    let mut writer = Writer::new(Vec::new(), &header(Values::Preview)).unwrap();
    let long = "x".repeat(1_000);
    let noted = |number: u64| {
        let mut noted = rows().remove(6);
        noted.what = run::event(EventKind::Note, &format!("{number} {long}"));
        noted
    };
    // Tables of texts fill a chunk before rows do.
    for number in 0..10_000 {
        assert_eq!(writer.row(&noted(number)).unwrap(), number);
    }
    let bytes = writer.finish().unwrap();
    let mut reader = open(&bytes).unwrap();
    assert_eq!(reader.chunks().len(), 3);
    for (expected, row) in (0..).zip(reader.rows()) {
        assert_eq!(row.unwrap(), (expected, noted(expected)));
    }
}
