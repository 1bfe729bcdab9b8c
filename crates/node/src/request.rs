//! A client's request, as bytes that the protocol does not look into.
//!
//! ```text
//!   version u8 | client 16 | sequence u64 | first unanswered u64 | value ...
//! ```

use alloc::vec::Vec;
use core::fmt;

use paxos::Command;

/// 16 random bytes that a client draws once. Retries of one client are told apart from requests of
/// another by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub [u8; 16]);

/// One value that a client wants in the history, once. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Who asks.
    pub client: ClientId,
    /// Which of its requests: 1, 2, 3 and so on. A retry repeats the number.
    pub sequence: u64,
    /// Every smaller sequence of this client has been answered, and the client will not ask again.
    /// `1 <= first_unanswered <= sequence`.
    pub first_unanswered: u64,
    command: Command,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// They end before the value begins.
    Short,
    /// A format of another version.
    Version(u8),
    /// Not `1 <= first_unanswered <= sequence`.
    Sequence,
}

const VERSION: u8 = 1;
const HEAD: usize = 1 + 16 + 8 + 8;

impl Request {
    /// How many bytes a request has beside its value.
    pub const OVERHEAD: usize = HEAD;

    /// Makes a request.
    pub fn new(
        client: ClientId,
        sequence: u64,
        first_unanswered: u64,
        value: &[u8],
    ) -> Result<Request, RequestError> {
        if first_unanswered == 0 || first_unanswered > sequence {
            return Err(RequestError::Sequence);
        }
        let mut bytes = Vec::with_capacity(HEAD + value.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&client.0);
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&first_unanswered.to_le_bytes());
        bytes.extend_from_slice(value);
        Ok(Request { client, sequence, first_unanswered, command: bytes.into() })
    }

    /// Reads what was chosen.
    pub fn decode(command: &Command) -> Result<Request, RequestError> {
        let (version, rest) = command.split_first().ok_or(RequestError::Short)?;
        if *version != VERSION {
            return Err(RequestError::Version(*version));
        }
        let (client, rest) = rest.split_first_chunk::<16>().ok_or(RequestError::Short)?;
        let (sequence, rest) = rest.split_first_chunk::<8>().ok_or(RequestError::Short)?;
        let (first, _) = rest.split_first_chunk::<8>().ok_or(RequestError::Short)?;
        let sequence = u64::from_le_bytes(*sequence);
        let first_unanswered = u64::from_le_bytes(*first);
        if first_unanswered == 0 || first_unanswered > sequence {
            return Err(RequestError::Sequence);
        }
        let command = command.clone();
        Ok(Request { client: ClientId(*client), sequence, first_unanswered, command })
    }

    /// The client's bytes.
    pub fn value(&self) -> &[u8] {
        &self.command[HEAD..]
    }

    /// The whole request, as it is proposed.
    pub fn command(&self) -> &Command {
        &self.command
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Short => write!(f, "the request ends too early"),
            RequestError::Version(found) => write!(f, "request format {found} is not known"),
            RequestError::Sequence => {
                write!(f, "sequences must obey 1 <= first_unanswered <= sequence")
            }
        }
    }
}

impl core::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_request_survives_its_bytes() {
        let request = Request::new(ClientId([9; 16]), 7, 3, b"value").unwrap();
        assert_eq!(Request::decode(request.command()), Ok(request.clone()));
        assert_eq!(request.value(), b"value");
        assert_eq!(request.command().len(), Request::OVERHEAD + 5);
    }

    #[test]
    fn bytes_that_are_no_request_are_refused() {
        let good = Request::new(ClientId([9; 16]), 7, 3, b"").unwrap();
        for length in 0..HEAD {
            let short: Command = good.command()[..length].into();
            assert_eq!(Request::decode(&short), Err(RequestError::Short));
        }
        let mut other = good.command().to_vec();
        other[0] = 9;
        let error = Request::decode(&other.into()).unwrap_err();
        assert_eq!(error, RequestError::Version(9));
        assert_eq!(error.to_string(), "request format 9 is not known");
        let twisted = Request::new(ClientId([9; 16]), 3, 4, b"");
        assert_eq!(twisted, Err(RequestError::Sequence));
        let mut zero = good.command().to_vec();
        zero[25..33].fill(0);
        assert_eq!(Request::decode(&zero.into()), Err(RequestError::Sequence));
    }
}
