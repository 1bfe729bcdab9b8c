//! Whole numbers with a unit, as people write them: what sizes and durations have in common.

/// A unit and its length, longest first in a list of them. The last one has length one.
pub type Unit = (&'static str, u64);

/// Reads a number and one of these units, with nothing between; none if it is something else, or
/// does not fit.
pub fn parse(text: &str, units: &[Unit]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (_, length) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*length)
}

/// Writes what [`parse`] reads, in the longest unit that is exact.
pub fn format(value: u64, units: &[Unit]) -> String {
    let fits = |(_, length): &&Unit| value >= *length && value.is_multiple_of(*length);
    let shortest = units.last().expect("there is a unit of length one");
    let (unit, length) = units.iter().find(fits).unwrap_or(shortest);
    format!("{}{unit}", value / length)
}
