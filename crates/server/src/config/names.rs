//! What the names in addresses stand for.
//!
//! Asked once, when a file is loaded: what a node then uses are numbers. A name must therefore
//! stand for one address as long as nodes run, as a service's does.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use super::Problem;

/// Finds the address of a `name:port`.
pub(super) type Resolve = fn(&str) -> Result<SocketAddr, Problem>;

/// Asks nobody: an address is a number.
pub(super) fn none(text: &str) -> Result<SocketAddr, Problem> {
    Err(Problem::Address { text: text.to_owned() })
}

/// Asks the system. Of several addresses the first counts.
pub(super) fn system(text: &str) -> Result<SocketAddr, Problem> {
    split(text)?;
    let unresolved = |why| Problem::Unresolved { text: text.to_owned(), why };
    let mut found = text.to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
    found.next().ok_or_else(|| unresolved("it has no address".to_owned()))
}

/// An address for each name that is no machine's, the same each time.
pub(super) fn stand_in(text: &str) -> Result<SocketAddr, Problem> {
    let (name, port) = split(text)?;
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let [_, b, c, d, ..] = hasher.finish().to_be_bytes();
    // Class E is nobody's. RFC 1112, section 4.
    Ok(SocketAddr::new(Ipv4Addr::new(240, b, c, d).into(), port))
}

fn split(text: &str) -> Result<(&str, u16), Problem> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let parts = text.rsplit_once(':').filter(|(name, _)| {
        name.chars().all(is_letter) && name.chars().any(|letter| letter.is_ascii_alphabetic())
    });
    let (name, port) = parts.ok_or_else(|| Problem::Address { text: text.to_owned() })?;
    let port = port.parse().map_err(|_| Problem::Address { text: text.to_owned() })?;
    Ok((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_and_numbers_are_not() {
        assert!(system("localhost:7101").unwrap().ip().is_loopback());
        assert!(matches!(system("nobody.invalid:7101"), Err(Problem::Unresolved { .. })));
        for wrong in ["127.0.0.1", "127.0.0.300:1", "localhost", "localhost:x", ":1", "a b:1"] {
            assert!(matches!(system(wrong), Err(Problem::Address { .. })), "{wrong}");
        }
        assert!(matches!(none("localhost:7101"), Err(Problem::Address { .. })));
    }

    #[test]
    fn a_stand_in_is_the_same_each_time() {
        assert_eq!(stand_in("a:1").unwrap(), stand_in("a:1").unwrap());
        assert_ne!(stand_in("a:1").unwrap(), stand_in("b:1").unwrap());
    }
}
