//! Sizes as people write them: a whole number and a unit, the binary ones only.
//!
//! The one parser for files and for the command line. There are no fractions and no sums: `1536KiB`
//! says what `1.5MiB` would.

use super::unit::{self, Unit};

/// Units and their length in bytes, longest first.
const UNITS: [Unit; 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a size: write a whole number and a unit, such as 512KiB, 64MiB or 1GiB")]
pub struct SizeError {
    text: String,
}

/// Reads `4096B`, `512KiB`, `64MiB` or `1GiB`.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    unit::parse(text, &UNITS).ok_or_else(|| SizeError { text: text.to_owned() })
}

/// Writes what [`parse_size`] reads, in the longest unit that is exact.
pub fn format_size(bytes: u64) -> String {
    unit::format(bytes, &UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_they_are_written() {
        for text in ["0B", "4097B", "512KiB", "64MiB", "1GiB", "1536KiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "MiB", "-1MiB", "1.5MiB", "1 MiB", "1MB", "1mib", "1MiB2"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_size(&format!("{}GiB", u64::MAX / 2)).is_err(), "overflow");
    }
}
