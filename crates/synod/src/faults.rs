//! What is done to messages on purpose: the same words in the demo and on live nodes.

use std::time::Duration;

use clap::Args;
use server::config::{format_duration, parse_duration};
use server::transport::adversary::Faults;

/// No message is held back longer; nodes refuse to do so.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Faults of a network.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Share of messages that are lost
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    pub(crate) loss: Share,

    /// Share of messages that arrive twice
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
    pub(crate) duplicate: Share,

    /// How long messages are held back, such as 1ms..5ms
    #[arg(long, value_name = "RANGE", default_value = "0us", value_parser = parse_delay)]
    pub(crate) delay: Delay,

    /// Let messages overtake each other
    #[arg(long)]
    pub(crate) reorder: bool,
}

/// A share of messages, in parts in a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// 0 to 1,000,000.
    pub(crate) ppm: u32,
}

/// Bounds of a delay: `min <= max <= 10 s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl NetworkArgs {
    /// These faults, decided by a seed.
    pub(crate) fn faults(&self, seed: u64) -> Faults {
        Faults {
            loss_ppm: self.loss.ppm,
            duplicate_ppm: self.duplicate.ppm,
            reorder: self.reorder,
            delay_min: self.delay.min,
            delay_max: self.delay.max,
            seed: Some(seed),
            ..Faults::default()
        }
    }

    /// The options that ask for these faults again, each with a space before it.
    pub(crate) fn to_options(&self) -> String {
        let share = |name, share: Share| match share.ppm {
            0 => String::new(),
            ppm => format!(" --{name} {}%", f64::from(ppm) / 10_000.0),
        };
        let (min, max) = (format_duration(self.delay.min), format_duration(self.delay.max));
        let delay =
            if self.delay.max.is_zero() { String::new() } else { format!(" --delay {min}..{max}") };
        let reorder = if self.reorder { " --reorder" } else { "" };
        let (loss, duplicate) = (share("loss", self.loss), share("duplicate", self.duplicate));
        format!("{loss}{duplicate}{delay}{reorder}")
    }
}

fn parse_share(text: &str) -> Result<Share, String> {
    let wrong = || format!("`{text}` is not a share: write a percentage, such as 10% or 0.5%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    // One percent is 10,000 parts in a million, so four digits behind the point are exact.
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 4 {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().ok().filter(|it| *it <= 100).ok_or_else(wrong)?;
    let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| wrong())?;
    let ppm = whole * 10_000 + fraction;
    if ppm > 1_000_000 {
        return Err(wrong());
    }
    Ok(Share { ppm })
}

fn parse_delay(text: &str) -> Result<Delay, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let bound = |text| parse_duration(text).map_err(|error| error.to_string());
    let delay = Delay { min: bound(min)?, max: bound(max)? };
    if delay.min > delay.max {
        return Err(format!("{min} is longer than {max}"));
    }
    if delay.max > DELAY_MAX {
        return Err(format!("{max} is longer than {}", format_duration(DELAY_MAX)));
    }
    Ok(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_to_a_part_in_a_million() {
        for (text, ppm) in [
            ("0%", 0),
            ("10%", 100_000),
            ("0.5%", 5_000),
            ("0.0001%", 1),
            ("99.9999%", 999_999),
            ("100%", 1_000_000),
        ] {
            assert_eq!(parse_share(text), Ok(Share { ppm }), "{text}");
        }
        for text in ["", "10", "%", "-1%", "100.1%", "1000%", "1e1%", "0.00001%", ".5%", "+1%"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_delay_is_a_range_or_a_constant() {
        let delay =
            |min, max| Delay { min: Duration::from_millis(min), max: Duration::from_millis(max) };
        assert_eq!(parse_delay("1ms..5ms"), Ok(delay(1, 5)));
        assert_eq!(parse_delay("2ms"), Ok(delay(2, 2)));
        for text in ["5ms..1ms", "..", "1ms..", "1..5", "1h"] {
            assert!(parse_delay(text).is_err(), "{text}");
        }
    }

    #[test]
    fn faults_write_the_options_that_read_them() {
        let faults = NetworkArgs {
            loss: Share { ppm: 105_000 },
            duplicate: Share { ppm: 0 },
            delay: parse_delay("1ms..5ms").unwrap(),
            reorder: true,
        };
        assert_eq!(faults.to_options(), " --loss 10.5% --delay 1ms..5ms --reorder");
        assert_eq!(parse_share("10.5%"), Ok(faults.loss));
    }
}
