//! Commands, outputs and snapshots as bytes.
//!
//! ```text
//!   command   version of the machine u32 | postcard
//!   output    length u32 | postcard
//!   snapshot  version of the machine u32 | commands u64 | last applied slot + 1 u64 | postcard
//! ```
//!
//! postcard is small, has a specification of its own, and is what `no_std` Rust uses most. Every
//! command names the version of its machine, so that bytes of another version are never guessed at.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ProposeError;
use super::machine::StateMachine;

/// What a command has beside its own bytes.
pub(crate) const HEAD_BYTES: usize = 4;

/// Why bytes are no command of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// Another version of the machine wrote them.
    Version(u32),
    /// They are not what this version writes.
    Malformed(String),
}

/// A machine's output, as bytes: kept for retries without knowing what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output(Arc<[u8]>);

/// The bytes of a command, if they are read back as one: bytes that nobody can read would stop
/// every node that applies them.
pub(crate) fn encode_command<S: StateMachine>(
    command: S::Command,
) -> Result<Vec<u8>, ProposeError> {
    let encode = |why| ProposeError::Encode { why };
    let version = S::VERSION.to_le_bytes().to_vec();
    let bytes = postcard::to_extend(&command, version).map_err(|why| encode(why.to_string()))?;
    drop(command);
    match decode_command::<S>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(Undecodable::Malformed(why)) => {
            Err(encode(format!("its own bytes are not read back: {why}")))
        }
        Err(Undecodable::Version(_)) => unreachable!("it was written a few lines above"),
    }
}

pub(crate) fn decode_command<S: StateMachine>(bytes: &[u8]) -> Result<S::Command, Undecodable> {
    let short = || Undecodable::Malformed("it ends too early".into());
    let (version, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(short)?;
    let version = u32::from_le_bytes(*version);
    if version != S::VERSION {
        return Err(Undecodable::Version(version));
    }
    whole(rest).map_err(Undecodable::Malformed)
}

/// The version of the machine whose command this is.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<HEAD_BYTES>().map(|version| u32::from_le_bytes(*version))
}

/// What the bytes say, to the last of them.
pub(crate) fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err("it goes on after its end".into()),
        Err(error) => Err(error.to_string()),
    }
}

impl Output {
    pub(crate) fn of<T: Serialize>(output: &T) -> Result<Output, String> {
        let bytes = postcard::to_allocvec(output).map_err(|error| error.to_string())?;
        Ok(Output(bytes.into()))
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        whole(&self.0)
    }
}

impl node::Output for Output {
    fn encode(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.0.len()).expect("outputs are far below 4 GiB");
        out.extend(length.to_le_bytes());
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Output> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (output, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(Output(output.into()))
    }
}
