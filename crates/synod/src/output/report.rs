//! What a command has to say, before any format.

use crate::error::Exit;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) shape: Shape,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) words: Words,
    /// What a person may do next; a hint, hence on stderr.
    pub(crate) next: Option<String>,
    pub(crate) exit: Exit,
}

/// Whether a text takes the place of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Words {
    /// Rows and columns say it.
    None,
    /// Sentences say it better to a person.
    Prose(String),
    /// The answer is a text, such as a script, whoever reads it.
    Verbatim(String),
}

/// Names and order of what is said.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// `synod.<command>/<version>`; changes are additive within a version.
    pub(crate) schema: &'static str,
    /// What the rows are in JSON; `None` if the answer is one record, which is one row.
    pub(crate) rows: Option<&'static str>,
    pub(crate) columns: Vec<Column>,
}

/// One thing that is said of each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The key in JSON, and the header, with spaces for underscores.
    pub(crate) key: &'static str,
    /// The least width in a table whose rows are not known yet.
    pub(crate) width: usize,
}

/// A value by meaning; formats decide how it looks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// A small count: a number in JSON.
    Count(u64),
    /// An id, a slot, a counter: any u64, hence a string in JSON, where numbers lose bits.
    Id(u64),
    Flag(bool),
    /// A rate or a share.
    Ratio(f64),
    /// A time in microseconds: `<key>_us` and `<key>_ms` in JSON.
    Micros(u64),
    /// A client's bytes; also fills `encoding` in JSON.
    Bytes(Vec<u8>),
    List(Vec<String>),
    /// Counts of things by name: ids by name in JSON.
    Counts(Vec<(&'static str, u64)>),
    Absent,
}

impl Report {
    /// A list of things.
    pub(crate) fn rows(
        schema: &'static str,
        rows_key: &'static str,
        columns: &[&'static str],
        rows: Vec<Vec<Value>>,
    ) -> Report {
        let shape = Shape::rows(schema, rows_key, columns.iter().map(|key| (*key, 0)));
        Report { shape, rows, words: Words::None, next: None, exit: Exit::Done }
    }

    /// One thing.
    pub(crate) fn record(schema: &'static str, fields: Vec<(&'static str, Value)>) -> Report {
        let columns = fields.iter().map(|(key, _)| Column { key, width: 0 }).collect();
        let shape = Shape { schema, rows: None, columns };
        let row = fields.into_iter().map(|(_, value)| value).collect();
        Report { shape, rows: vec![row], words: Words::None, next: None, exit: Exit::Done }
    }

    pub(crate) fn prose(mut self, prose: impl Into<String>) -> Report {
        self.words = Words::Prose(prose.into());
        self
    }

    pub(crate) fn verbatim(mut self, text: impl Into<String>) -> Report {
        self.words = Words::Verbatim(text.into());
        self
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Report {
        self.next = Some(next.into());
        self
    }

    pub(crate) fn exit(mut self, exit: Exit) -> Report {
        self.exit = exit;
        self
    }
}

impl Shape {
    pub(crate) fn rows(
        schema: &'static str,
        rows: &'static str,
        columns: impl IntoIterator<Item = (&'static str, usize)>,
    ) -> Shape {
        let columns = columns.into_iter().map(|(key, width)| Column { key, width }).collect();
        Shape { schema, rows: Some(rows), columns }
    }
}

impl Value {
    /// A value that may be missing.
    pub(crate) fn maybe<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
        value.map_or(Value::Absent, make)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A list that every renderer must cope with.
    pub(in crate::output) fn list() -> Report {
        let roles = |roles: &[&str]| Value::List(roles.iter().map(|it| (*it).into()).collect());
        Report::rows(
            "synod.list/1",
            "entries",
            &["slot", "value", "all_roles"],
            vec![
                vec![Value::Id(7), Value::Bytes(b"val\nue".into()), roles(&["leader", "learner"])],
                vec![Value::Id(8), Value::Bytes(b"\xff".into()), roles(&[])],
            ],
        )
    }

    /// A record that every renderer must cope with.
    pub(in crate::output) fn record() -> Report {
        Report::record(
            "synod.record/1",
            vec![
                ("chosen", Value::Count(1000)),
                ("histories_equal", Value::Flag(true)),
                ("elapsed", Value::Micros(21_400)),
                ("takeover", Value::Absent),
                ("fates", Value::Counts(vec![("lost", 1_000), ("heard", 2)])),
                ("rate", Value::Ratio(2.5)),
            ],
        )
    }
}
