//! Numbers as people read them.

use std::time::Duration;

/// `1000` as `1,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with one digit behind the point: `21.4`.
pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e3)
}

/// A time in the unit that suits it: `85 us`, `21.4 ms`, `1.32 s`.
pub(crate) fn short_duration(us: u64) -> String {
    let duration = Duration::from_micros(us);
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{} ms", milliseconds(duration)),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_time_has_the_unit_that_suits_it() {
        assert_eq!(short_duration(999), "999 us");
        assert_eq!(short_duration(21_420), "21.4 ms");
        assert_eq!(short_duration(1_320_000), "1.32 s");
    }
}
