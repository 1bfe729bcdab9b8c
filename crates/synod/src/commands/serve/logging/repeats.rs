//! A line that comes again and again is left out for a while, so that a fault that lasts fills no
//! disk and hides nothing else. How often it was left out is said when it comes next.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;

/// Lines from one place in the code, within a period, at most.
pub(super) const LINES_MAX: u64 = 20;

/// After so long they count anew.
const PERIOD: Duration = Duration::from_secs(10);

/// What each place in the code has said lately. As many as there are such places.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    places: Mutex<HashMap<Identifier, Place>>,
}

#[derive(Debug)]
struct Place {
    begun: Instant,
    said: u64,
    left_out: u64,
}

impl Repeats {
    /// None if this line is to be left out; else how many were left out before it.
    pub(super) fn left_out_before(&self, place: Identifier, now: Instant) -> Option<u64> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Place { begun: now, said: 0, left_out: 0 };
        let place = places.entry(place).or_insert(new);
        let mut left_out = 0;
        if now.saturating_duration_since(place.begun) >= PERIOD {
            left_out = place.left_out;
            *place = Place { begun: now, said: 0, left_out: 0 };
        }
        if place.said >= LINES_MAX {
            place.left_out += 1;
            return None;
        }
        place.said += 1;
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Metadata;
    use tracing::callsite::Callsite;
    use tracing::subscriber::Interest;

    use super::*;

    /// A place in the code, as far as it has an identity. Not of size zero: it is its address.
    struct Here(&'static u8);

    static PLACES: [Here; 2] = [Here(&1), Here(&2)];

    impl Callsite for Here {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            panic!("nobody asks place {}", self.0)
        }
    }

    #[test]
    fn a_place_is_heard_again_after_a_while() {
        let [here, there] = [0, 1].map(|place: usize| Identifier(&PLACES[place]));
        let (repeats, begin) = (Repeats::default(), Instant::now());
        for _ in 0..LINES_MAX {
            assert_eq!(repeats.left_out_before(here.clone(), begin), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(repeats.left_out_before(here.clone(), begin), None);
        }
        assert_eq!(repeats.left_out_before(there, begin), Some(0), "another one is heard");
        let later = begin + PERIOD;
        assert_eq!(repeats.left_out_before(here.clone(), later), Some(3), "and it is said");
        assert_eq!(repeats.left_out_before(here, later), Some(0));
    }
}
