//! A row as a line for people.

use trace::{Ballot, EventKind, Fate, Header, Row, Shown, Slots, Value, What};

/// What it is and what it is about, without when, where and what became of it.
pub(super) fn words(header: &Header, row: &Row) -> String {
    let mut parts = vec![row.what.name().replace('_', " ")];
    match &row.what {
        What::Message { to, .. } => parts.push(format!("to {}", header.name(*to))),
        What::Event { peer, .. } if *peer != 0 => parts.push(header.name(*peer).to_owned()),
        What::Event { .. } => {}
    }
    parts.extend(row.ballot.map(|it| ballot(header, it)));
    parts.extend(row.promised.map(|it| format!("promised {}", ballot(header, it))));
    parts.extend(row.slots.map(slots));
    parts.extend(row.value.as_ref().map(value));
    parts.extend(row.chosen.map(|it| format!("chosen below {it}")));
    if let What::Event { kind, numbers, text, .. } = &row.what {
        parts.extend(counted(*kind, *numbers));
        if !text.is_empty() {
            parts.push(text.clone());
        }
    }
    one_line(&parts.join(" "))
}

/// What became of a message, if it is not simply heard.
pub(super) fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Once(_) => "",
        Fate::Twice(..) => ", heard twice",
        Fate::Lost => ", lost",
        Fate::Unheard(_) => ", not heard",
        Fate::Open => ", still under way",
    }
}

/// `round·leader`, as everywhere.
pub(super) fn ballot(header: &Header, ballot: Ballot) -> String {
    format!("{}·{}", ballot.round, header.name(ballot.leader))
}

/// Nothing that could end the line or move a cursor: the words of a file are not ours.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn counted(kind: EventKind, [one, other]: [u64; 2]) -> Option<String> {
    match kind {
        EventKind::Started => Some(format!("life {one}")),
        EventKind::Called | EventKind::Returned => Some(format!("client {one} value {other}")),
        EventKind::Elected => Some(format!("adopted {one}, no-ops {other}")),
        EventKind::SentAgain => Some(format!("messages {one}")),
        _ => None,
    }
}

fn slots(slots: Slots) -> String {
    match slots.count {
        0 => format!("from slot {} on", slots.first),
        1 => format!("slot {}", slots.first),
        count => format!("slots {} to {}", slots.first, slots.first + count - 1),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Noop => "no-op".to_owned(),
        Value::LeaderStart => "leader start".to_owned(),
        Value::Command { bytes, shown: Shown::Length } => format!("{bytes} bytes"),
        Value::Command { shown: Shown::Hash(hash), .. } => format!("{hash:016x}"),
        Value::Command { shown: Shown::Preview(_, words), .. } => format!("\"{words}\""),
    }
}
