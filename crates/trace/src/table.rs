//! What many rows of a chunk name, kept once a chunk: ballots, values, texts. Rows hold an entry's
//! place, from 1; zero names none.

use std::collections::BTreeMap;

use crate::row::{Ballot, PREVIEW_BYTES_MAX, Shown, TEXT_BYTES_MAX, Value};
use crate::varint::{Taken, put, take, take_byte, take_bytes};

/// A chunk whose tables are at least so large takes no more rows.
pub const CHUNK_TABLES_MAX: usize = 4 * 1024 * 1024;

/// What a table holds.
pub trait Entry: Clone + Ord {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Taken<Self>;
}

/// A table that is being filled.
#[derive(Debug)]
pub struct Table<T> {
    places: BTreeMap<T, u64>,
    bytes: Vec<u8>,
}

impl<T: Entry> Table<T> {
    pub fn new() -> Table<T> {
        Table { places: BTreeMap::new(), bytes: Vec::new() }
    }

    /// The place of an entry that is here from now on.
    pub fn place(&mut self, entry: Option<&T>) -> u64 {
        let Some(entry) = entry else { return 0 };
        if let Some(place) = self.places.get(entry) {
            return *place;
        }
        entry.put(&mut self.bytes);
        let place = self.entries() + 1;
        self.places.insert(entry.clone(), place);
        place
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The number of entries, and the entries one after another.
    pub fn end(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 3);
        put(&mut out, self.entries());
        out.extend(self.bytes);
        out
    }

    fn entries(&self) -> u64 {
        u64::try_from(self.places.len()).expect("a length in memory fits in 64 bits")
    }
}

/// All entries of a table, of which there are at most `entries_max`.
pub fn take_all<T: Entry>(mut input: &[u8], entries_max: u64) -> Taken<Vec<T>> {
    let count = take(&mut input)?;
    if count > entries_max {
        return Err("a table is larger than its rows can need");
    }
    let entries = (0..count).map(|_| T::take(&mut input)).collect::<Taken<Vec<T>>>()?;
    if input.is_empty() { Ok(entries) } else { Err("a table goes on after its end") }
}

/// The entry at a place; none for zero.
pub fn at<T: Clone>(entries: &[T], place: u64) -> Taken<Option<T>> {
    let Some(index) = place.checked_sub(1) else { return Ok(None) };
    let entry = usize::try_from(index).ok().and_then(|index| entries.get(index));
    entry.cloned().map(Some).ok_or("a row names an entry that no table has")
}

impl Entry for Ballot {
    fn put(&self, out: &mut Vec<u8>) {
        put(out, self.round);
        put(out, self.leader.into());
        out.extend(self.incarnation.to_le_bytes());
    }

    fn take(input: &mut &[u8]) -> Taken<Ballot> {
        let round = take(input)?;
        let leader = take(input)?.try_into().map_err(|_| "a node's number is too large")?;
        Ok(Ballot { round, leader, incarnation: take_u64(input)? })
    }
}

impl Entry for Value {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Value::Noop => out.push(0),
            Value::LeaderStart => out.push(1),
            Value::Command { bytes, shown } => match shown {
                Shown::Length => {
                    out.push(2);
                    put(out, *bytes);
                }
                Shown::Hash(hash) => {
                    out.push(3);
                    put(out, *bytes);
                    out.extend(hash.to_le_bytes());
                }
                Shown::Preview(hash, words) => {
                    out.push(4);
                    put(out, *bytes);
                    out.extend(hash.to_le_bytes());
                    put_text(words, out);
                }
            },
        }
    }

    fn take(input: &mut &[u8]) -> Taken<Value> {
        let kind = take_byte(input)?;
        match kind {
            0 => return Ok(Value::Noop),
            1 => return Ok(Value::LeaderStart),
            2..=4 => {}
            _ => return Err("a value is of no known kind"),
        }
        let bytes = take(input)?;
        let shown = match kind {
            2 => Shown::Length,
            3 => Shown::Hash(take_u64(input)?),
            _ => Shown::Preview(take_u64(input)?, take_text(input, PREVIEW_BYTES_MAX)?),
        };
        Ok(Value::Command { bytes, shown })
    }
}

impl Entry for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }

    fn take(input: &mut &[u8]) -> Taken<String> {
        take_text(input, TEXT_BYTES_MAX)
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put(out, u64::try_from(text.len()).expect("a length in memory fits in 64 bits"));
    out.extend(text.as_bytes());
}

fn take_text(input: &mut &[u8], bytes_max: usize) -> Taken<String> {
    let length = take(input)?;
    let bytes = take_bytes(input, length)?;
    if bytes.len() > bytes_max {
        return Err("a text is too long");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
    Ok(text.to_owned())
}

fn take_u64(input: &mut &[u8]) -> Taken<u64> {
    let (taken, rest) = input.split_first_chunk().ok_or("a part ends too early")?;
    *input = rest;
    Ok(u64::from_le_bytes(*taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_kept_once() {
        let mut table = Table::new();
        let (one, other) = ("one".to_owned(), "other".to_owned());
        let entries = [None, Some(&one), Some(&other), Some(&one)];
        assert_eq!(entries.map(|entry| table.place(entry)), [0, 1, 2, 1]);
        let bytes = table.end();
        assert_eq!(bytes, b"\x02\x03one\x05other");
        let read: Vec<String> = take_all(&bytes, 2).unwrap();
        assert_eq!(at(&read, 0), Ok(None));
        assert_eq!(at(&read, 2), Ok(Some(other)));
        assert!(at(&read, 3).is_err());
        assert!(at(&read, u64::MAX).is_err());
    }

    #[test]
    fn a_table_holds_no_more_than_it_may() {
        assert!(take_all::<Value>(b"\x02\x00\x01", 2).is_ok());
        for (bytes, entries_max) in [
            (&b"\x02\x00\x01"[..], 1),
            (b"\x02\x00", 9),
            (b"\x01\x00\x00", 9),
            (b"\xff\xff\xff\xff\x0f", 9),
            (b"\x01\x05", 9),
        ] {
            assert!(take_all::<Value>(bytes, entries_max).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be_and_no_longer() {
        let table = |length: usize| {
            let mut bytes = vec![1];
            put_text(&"x".repeat(length), &mut bytes);
            take_all::<String>(&bytes, 1)
        };
        assert!(table(TEXT_BYTES_MAX).is_ok());
        assert!(table(TEXT_BYTES_MAX + 1).is_err());
        assert!(take_all::<String>(b"\x01\x01\xff", 1).is_err(), "not UTF-8");
    }
}
