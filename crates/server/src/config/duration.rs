//! Durations as people write them: a whole number and a unit.
//!
//! The one parser for files and for the command line. There are no fractions and no sums: `1500us`
//! says what `1.5ms` would.

use std::time::Duration;

use super::unit::{self, Unit};

/// Units and their length in microseconds, longest first.
const UNITS: [Unit; 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: write a whole number and a unit, such as 200us, 50ms or 5s")]
pub struct DurationError {
    text: String,
}

/// Reads `200us`, `50ms`, `1s`, `2m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let us = unit::parse(text, &UNITS).ok_or_else(|| DurationError { text: text.to_owned() })?;
    Ok(Duration::from_micros(us))
}

/// Writes what [`parse_duration`] reads, in the longest unit that is exact. Nanoseconds are cut.
pub fn format_duration(duration: Duration) -> String {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    unit::format(us, &UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_they_are_written() {
        for text in ["0us", "200us", "50ms", "1s", "90s", "2m", "1h", "1500us"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "ms", "-1s", "1.5s", "1 s", "1S", "1s2", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_duration(&format!("{}h", u64::MAX / 2)).is_err(), "overflow");
    }
}
