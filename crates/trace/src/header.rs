//! The first line of a trace: one JSON object, for `head -1` as well as for programs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::ReadError;

/// The version of the format that this crate writes, and the only one that it reads.
pub const VERSION: u64 = 1;
/// A longer header is refused.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Nodes are one byte in a row, and zero is none.
pub const NODES_MAX: usize = 255;

/// Where, how and of whom a trace was made. Readers skip keys that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the Synod that made it.
    pub synod: String,
    /// The commit of that Synod, if known.
    pub commit: Option<String>,
    /// The seed that decided everything, if one did. A string in the file: JSON's numbers lose
    /// bits.
    #[serde(with = "decimal")]
    pub seed: Option<u64>,
    /// The command that makes it again, or made it.
    pub command: String,
    /// What times mean.
    pub clock: Clock,
    /// What is shown of clients' values; no row shows more.
    pub values: Values,
    /// How many acceptors are enough.
    pub quorums: Quorums,
    /// Who takes part, at most [`NODES_MAX`].
    pub nodes: Vec<Node>,
}

/// What times mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Microseconds of a painted world, from its beginning.
    Virtual,
    /// Microseconds since 1970, UTC, as the nodes' clocks had it.
    Unix,
}

/// What is shown of clients' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Their lengths.
    None,
    /// Lengths and hashes.
    Hash,
    /// Lengths, hashes, and words for a person.
    Preview,
}

/// How many acceptors are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorums {
    /// To promise.
    pub phase1: u32,
    /// To accept.
    pub phase2: u32,
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its number in rows; not zero, and nobody else's.
    pub id: u32,
    /// Its name, for people.
    pub name: String,
    /// What it does.
    pub roles: Vec<Role>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May propose.
    Leader,
    /// Remembers.
    Acceptor,
    /// Follows.
    Learner,
}

/// What every trace of any version begins with.
const BEGINNING: &[u8] = br#"{"format":"synodtrace","version":"#;

#[derive(Serialize)]
struct Line<'a> {
    format: &'static str,
    version: u64,
    #[serde(flatten)]
    header: &'a Header,
}

impl Header {
    /// The line, with its end. None if it is too long or its nodes make no sense.
    pub(crate) fn to_line(&self) -> Option<Vec<u8>> {
        let line = Line { format: "synodtrace", version: VERSION, header: self };
        let mut line = serde_json::to_vec(&line).expect("a header is plain data");
        line.push(b'\n');
        (line.len() <= HEADER_BYTES_MAX && self.has_sound_nodes()).then_some(line)
    }

    /// Reads a line without its end.
    pub(crate) fn of_line(line: &[u8]) -> Result<Header, ReadError> {
        if !line.starts_with(BEGINNING) {
            return Err(ReadError::Foreign);
        }
        let wrong = |error: serde_json::Error| ReadError::Header(error.to_string());
        let json: serde_json::Value = serde_json::from_slice(line).map_err(wrong)?;
        match json["version"].as_u64() {
            Some(VERSION) => {}
            Some(version) => return Err(ReadError::Version(version)),
            None => return Err(ReadError::Header("its version is no number".into())),
        }
        let header: Header = serde_json::from_value(json).map_err(wrong)?;
        if !header.has_sound_nodes() {
            return Err(ReadError::Header("its nodes are too many, or not told apart".into()));
        }
        Ok(header)
    }

    /// Whether the bytes may be the beginning of a trace.
    pub(crate) fn may_begin_with(bytes: &[u8]) -> bool {
        let common = bytes.len().min(BEGINNING.len());
        bytes[..common] == BEGINNING[..common]
    }

    fn has_sound_nodes(&self) -> bool {
        let ids: BTreeSet<u32> = self.nodes.iter().map(|node| node.id).collect();
        self.nodes.len() <= NODES_MAX && ids.len() == self.nodes.len() && !ids.contains(&0)
    }

    /// The name of a node; `world` for zero.
    pub fn name(&self, id: u32) -> &str {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.map_or("world", |node| &node.name)
    }
}

/// A number as a string.
mod decimal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with the field")]
    pub fn serialize<S: Serializer>(number: &Option<u64>, out: S) -> Result<S::Ok, S::Error> {
        number.map(|number| number.to_string()).serialize(out)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(input)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
