//! A small run for the tests of the format: two chunks' worth of everything that rows can say.

use std::io::Cursor;

use trace::{
    Ballot, Clock, EventKind, Fate, Header, MessageKind, Node, Quorums, ReadError, Reader, Role,
    Row, Slots, Value, Values, What, Writer,
};

pub fn header(values: Values) -> Header {
    let node = |id, name: &str, role| Node { id, name: name.into(), roles: vec![role] };
    Header {
        synod: "0.1.0".into(),
        commit: None,
        seed: Some(u64::MAX),
        command: "synod sim replay --seed 18446744073709551615".into(),
        clock: Clock::Virtual,
        values,
        quorums: Quorums { phase1: 1, phase2: 1 },
        nodes: vec![node(1, "L1", Role::Leader), node(9, "A1", Role::Acceptor)],
    }
}

/// A row with nothing in it but what it is.
pub fn row(at_us: u64, node: u32, what: What) -> Row {
    Row {
        at_us,
        node,
        cause: None,
        ballot: None,
        promised: None,
        slots: None,
        chosen: None,
        value: None,
        what,
    }
}

pub fn message(kind: MessageKind, to: u32, fate: Fate) -> What {
    What::Message { kind, to, fate }
}

pub fn event(kind: EventKind, text: &str) -> What {
    What::Event { kind, peer: 0, numbers: [0, 0], text: text.into() }
}

/// A leader prepares, is refused once, and has a value accepted.
pub fn rows() -> Vec<Row> {
    let ballot = |round, incarnation| Some(Ballot { round, leader: 1, incarnation });
    let slots = |first, count| Some(Slots { first, count });
    let value = Some(Value::command(b"abc", "abc"));
    let started =
        What::Event { kind: EventKind::Started, peer: 0, numbers: [2, 0], text: String::new() };
    let (prepare, reject) = (MessageKind::Prepare, MessageKind::Reject);
    vec![
        row(0, 1, started),
        Row {
            ballot: ballot(1, 0x0102_0304_0506_0708),
            slots: slots(0, 0),
            ..row(1_000, 1, message(prepare, 9, Fate::Twice(300, 500)))
        },
        Row {
            cause: Some(1),
            ballot: ballot(1, 0x0102_0304_0506_0708),
            promised: ballot(2, 7),
            ..row(1_300, 9, message(reject, 1, Fate::Lost))
        },
        Row {
            ballot: ballot(3, 7),
            slots: slots(4_539, 2),
            chosen: Some(4_539),
            value: value.clone(),
            ..row(2_000, 1, message(MessageKind::Accept, 9, Fate::Once(700)))
        },
        Row {
            cause: Some(3),
            ballot: ballot(3, 7),
            slots: slots(4_539, 2),
            value,
            ..row(2_800, 9, event(EventKind::AcceptedPersisted, ""))
        },
        Row {
            slots: slots(4_541, 1),
            value: Some(Value::Noop),
            ..row(2_800, 1, message(MessageKind::Learned, 9, Fate::Unheard(90)))
        },
        row(2_900, 0, event(EventKind::Misfortune, "a storm begins")),
        row(2_900, 9, message(MessageKind::HeartbeatReply, 1, Fate::Open)),
    ]
}

pub fn written(values: Values, rows: &[Row]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header(values)).expect("a sound header");
    for (number, row) in (0..).zip(rows) {
        assert_eq!(writer.row(row).expect("a sound row"), number);
    }
    writer.finish().expect("memory takes it")
}

pub fn open(bytes: &[u8]) -> Result<Reader<Cursor<&[u8]>>, ReadError> {
    Reader::open(Cursor::new(bytes))
}

pub fn read(bytes: &[u8]) -> Result<Vec<Row>, ReadError> {
    open(bytes)?.rows().map(|row| row.map(|(_, row)| row)).collect()
}
