//! What can be wrong with a configuration, where, and what to do about it.
//!
//! Errors name the file and the line. A misspelt word gets the nearest right one as a suggestion.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{CLIENTS_MAX, NODES_MAX};

/// A configuration that was refused. Nothing has been opened or changed.
#[derive(Debug)]
pub struct ConfigError {
    /// The file, as it was named to us.
    pub path: PathBuf,
    /// Counted from 1; `None` where the fault is the whole file's.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file could not be opened or read, or is not text.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is beyond any sensible configuration.
    #[error("is larger than {} KiB", super::FILE_BYTES_MAX / 1024)]
    TooLarge,
    /// Not TOML, a missing key, or a value of the wrong type.
    #[error("{0}")]
    Malformed(String),
    /// A key, a role, a permission or a transport that does not exist.
    #[error("unknown {kind} `{word}`")]
    Unknown {
        /// "key", "role", "permission", "transport" or "variable".
        kind: &'static str,
        /// As it is written.
        word: String,
        /// The nearest word that would be right.
        nearest: Option<String>,
    },
    /// An identity is not 32 hexadecimal digits.
    #[error("`{key}` must be 32 hexadecimal digits")]
    Identity {
        /// Which key.
        key: &'static str,
    },
    /// An address is not `ip:port`.
    #[error("`{text}` is not an address: write ip:port or name:port, such as 127.0.0.1:7101")]
    Address {
        /// As it is written.
        text: String,
    },
    /// The system knows no address of that name, now.
    #[error("`{text}` cannot be resolved: {why}")]
    Unresolved {
        /// As it is written.
        text: String,
        /// What the system says.
        why: String,
    },
    /// An option or a variable speaks of a key that must stand in the file.
    #[error("`{0}` must stand in the file: it is the same for all nodes")]
    FileOnly(&'static str),
    /// `--set` without `=`.
    #[error("`{0}` is not KEY=VALUE")]
    NoValue(String),
    /// Two nodes would listen at one address.
    #[error("node {id} has the same `{key}` address as node {other}")]
    AddressTwice {
        /// `peers` or `clients`.
        key: &'static str,
        /// The later node.
        id: u32,
        /// The earlier node.
        other: u32,
    },
    /// Metrics would be told where clients are served.
    #[error("`address` of [admin] is where node {0} serves clients")]
    AdminTaken(u32),
    /// A client's name is no label of a name.
    #[error("`{0}` names no client: 1 to 63 lower-case letters, digits and hyphens inside")]
    ClientName(String),
    /// Two clients have one name or one token.
    #[error("client `{0}` has the name or the token of an earlier one")]
    ClientTwice(String),
    /// Clients are named where nobody can show who it is.
    #[error(
        "the transport is \"{0}\", in which nobody can show who it is: [[client]] protects nothing"
    )]
    ClientsUnknown(&'static str),
    /// A client may do nothing.
    #[error("client `{0}` has no permission: some of append, read, operate")]
    NoPermission(String),
    /// Not the hash of a token.
    #[error("`token_sha256` must be 64 hexadecimal digits: the SHA-256 of a token")]
    TokenHash,
    /// The list is longer than it may be.
    #[error("{0} clients are more than the {CLIENTS_MAX} that a file may name")]
    TooManyClients(usize),
    /// Zero names nobody.
    #[error("a node's id must be 1 or more")]
    IdZero,
    /// Two nodes have one id.
    #[error("two nodes have the id {0}")]
    IdTwice(u32),
    /// The file is of a node that the list does not name.
    #[error("this file is node {0}'s, and no [[node]] has that id")]
    OwnIdMissing(u32),
    /// The list is longer than a cluster may be.
    #[error("{0} nodes are more than the {NODES_MAX} that a cluster may have")]
    TooManyNodes(usize),
    /// A node does nothing.
    #[error("node {0} has no role")]
    NoRole(u32),
    /// Nobody would propose.
    #[error("no node is a leader: nobody would propose")]
    NoLeader,
    /// Nobody would remember.
    #[error("no node is an acceptor: nobody would remember what is chosen")]
    NoAcceptor,
    /// An acceptor's directory has no identity.
    #[error("node {0} is an acceptor and needs `disk`, the identity of its directory")]
    DiskMissing(u32),
    /// Two directories claim one identity.
    #[error(
        "nodes {other} and {id} have the same `disk`: each directory has an identity of its own"
    )]
    DiskTwice {
        /// The later node.
        id: u32,
        /// The earlier node.
        other: u32,
    },
    /// A node with a disk has nowhere to write.
    #[error("this node has a `disk` and needs `data_dir`")]
    DataDirMissing,
    /// A node that writes nothing has a directory.
    #[error("this node has no `disk` in its [[node]] and no use for `data_dir`")]
    DataDirUnused,
    /// A quorum of none, or of more acceptors than there are.
    #[error("`{key}` = {size} must be between 1 and the {acceptors} acceptors")]
    QuorumSize {
        /// `phase1` or `phase2`.
        key: &'static str,
        /// As it is written.
        size: u32,
        /// How many there are.
        acceptors: u32,
    },
    /// Two values could be chosen for one slot.
    #[error(
        "quorums of {phase1} and {phase2} among {acceptors} acceptors need not meet: two values \
         could be chosen for one slot"
    )]
    QuorumsDisjoint {
        /// Size in phase 1.
        phase1: u32,
        /// Size in phase 2.
        phase2: u32,
        /// How many there are.
        acceptors: u32,
    },
    /// Nothing says how messages travel between nodes.
    #[error("`transport` is missing in [network]: how nodes talk to each other")]
    TransportMissing,
    /// TLS without certificates.
    #[error("the transport is \"tls\", and there is no [tls] with `ca`, `certificate` and `key`")]
    TlsMissing,
    /// Certificates that nobody would look at.
    #[error("the transport is \"{0}\" and has no use for [tls]")]
    TlsUnused(&'static str),
    /// A duration that cannot be read or is out of range.
    #[error("`{key}`: {reason}")]
    Timing {
        /// `heartbeat` or `election_timeout`.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A size that cannot be read or is out of range.
    #[error("`{key}`: {reason}")]
    Size {
        /// `history_bytes` or `snapshot_bytes`.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    pub(super) fn new(path: &Path, line: Option<usize>, problem: Problem) -> ConfigError {
        ConfigError { path: path.to_owned(), line, problem }
    }

    /// What to do about it, where there is something to say beyond the error itself.
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            Problem::Unknown { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            Problem::Unknown { kind: "transport", nearest: None, .. } => {
                let names = super::Transport::NAMES.map(|name| format!("\"{name}\""));
                Some(format!("write one of {}", names.join(", ")))
            }
            Problem::QuorumsDisjoint { acceptors, .. } => {
                Some(format!("phase1 + phase2 must be more than {acceptors}"))
            }
            Problem::TransportMissing => Some(
                "write `transport = \"tls\"` there, or, on a network that you trust, \
                 \"plaintext-tcp\" or \"plaintext-udp\": the same at all nodes"
                    .to_owned(),
            ),
            Problem::TlsMissing => {
                Some("`synod init certificate` writes the files, and the lines to add".to_owned())
            }
            Problem::TlsUnused(_) => Some(
                "remove [tls], or write `transport = \"tls\"`: a plaintext transport protects \
                 nothing"
                    .to_owned(),
            ),
            Problem::Unreadable(source) if source.kind() == io::ErrorKind::NotFound => {
                Some("`synod init cluster --dir DIR` writes one for each node".to_owned())
            }
            Problem::Unresolved { .. } => {
                Some("write ip:port, or start again once the name has an address".to_owned())
            }
            _ => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unreadable(source) => Some(source),
            _ => None,
        }
    }
}

/// A problem and the bytes of the text that show it.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) span: Option<Range<usize>>,
    pub(super) problem: Problem,
}

impl Located {
    pub(super) fn at(span: Range<usize>, problem: Problem) -> Located {
        Located { span: Some(span), problem }
    }

    pub(super) fn whole_file(problem: Problem) -> Located {
        Located { span: None, problem }
    }

    pub(super) fn in_file(self, path: &Path, text: &str) -> ConfigError {
        let line = self.span.map(|span| line_of(text, span.start));
        ConfigError::new(path, line, self.problem)
    }
}

/// The line of a byte of `text`, counted from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].split(|byte| *byte == b'\n').count()
}

/// The one of `candidates` that `word` is most likely a misspelling of.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may be wrong; beyond that a suggestion is a guess.
    let distance_max = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed or replaced to turn one word into the other.
pub(super) fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("phase1", "phase1"), 0);
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let keys = || ["cluster", "id", "data_dir"].into_iter();
        assert_eq!(nearest("datadir", keys()), Some("data_dir"));
        assert_eq!(nearest("colour", keys()), None);
    }
}
