//! What a slot can hold, and a cheap way to share many of them.
//!
//! A no-op and a leader's start are kinds of their own, equal to no client's value: the ancestor's
//! no-op was 0, and so was its first command.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use crate::ballot::Slot;

/// A client's value: opaque bytes, shared and never copied on their way through the protocol.
pub type Command = Arc<[u8]>;

/// What is proposed and chosen in one slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Fills a slot in which nothing can have been chosen.
    Noop,
    /// A new leader's first own entry. Once it is chosen, every slot that an older leader left
    /// open below it is closed for good, so no forgotten value can reappear later.
    LeaderStart,
    /// A client's value.
    Command(Command),
}

impl Value {
    /// The bytes that a client gave; zero for the protocol's own values.
    pub fn len(&self) -> usize {
        match self {
            Value::Noop | Value::LeaderStart => 0,
            Value::Command(bytes) => bytes.len(),
        }
    }

    /// The client's bytes; none for the protocol's own values.
    pub fn command(&self) -> Option<&Command> {
        match self {
            Value::Command(command) => Some(command),
            Value::Noop | Value::LeaderStart => None,
        }
    }

    /// Whether it holds no client's bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Values of consecutive slots: a window on a shared slice. Cloning and slicing copy no value.
#[derive(Clone)]
pub struct Values {
    shared: Arc<[Value]>,
    start: usize,
    end: usize,
}

impl Values {
    /// The part `from..to` of this window, counted from its start.
    ///
    /// # Panics
    /// If the range is not within the window.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Values {
        assert!(from <= to);
        assert!(to <= self.len());
        Values { shared: self.shared.clone(), start: self.start + from, end: self.start + to }
    }

    /// How many bytes of clients' values it holds.
    pub fn bytes(&self) -> usize {
        self.iter().map(Value::len).sum()
    }

    /// The number of values as a distance between slots.
    pub fn count(&self) -> u64 {
        u64::try_from(self.len()).expect("a length in memory fits in 64 bits")
    }
}

impl From<Vec<Value>> for Values {
    fn from(values: Vec<Value>) -> Values {
        let end = values.len();
        Values { shared: values.into(), start: 0, end }
    }
}

impl Deref for Values {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.shared[self.start..self.end]
    }
}

// Equality is that of the values, wherever they are stored; one place is looked at once.
impl PartialEq for Values {
    fn eq(&self, other: &Values) -> bool {
        let window = |values: &Values| (values.start, values.end);
        let is_same = Arc::ptr_eq(&self.shared, &other.shared) && window(self) == window(other);
        is_same || self[..] == other[..]
    }
}

impl Eq for Values {}

impl Hash for Values {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

/// How many slots a distance within one window is.
///
/// # Panics
/// If the distance does not fit in memory; windows are in memory, so it always does.
pub(crate) fn distance(from: Slot, to: Slot) -> usize {
    usize::try_from(to.since(from)).expect("a distance within values in memory")
}

/// About what a value costs on the wire beside its bytes: kind, length.
pub(crate) const VALUE_OVERHEAD: usize = 5;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn only_clients_values_hold_bytes() {
        let value = Value::Command(vec![7; 3].into());
        assert_eq!((value.len(), value.is_empty()), (3, false));
        assert_eq!(value.command(), Some(&vec![7; 3].into()));
        for own in [Value::Noop, Value::LeaderStart] {
            assert_eq!((own.len(), own.is_empty(), own.command()), (0, true, None));
        }
    }

    #[test]
    fn a_window_on_values_is_equal_wherever_they_are_stored() {
        let value = |byte| Value::Command(vec![byte].into());
        let all = Values::from((0..5).map(value).collect::<Vec<_>>());
        let part = all.slice(1, 4).slice(1, 3);
        assert_eq!(part, Values::from(vec![value(2), value(3)]));
        assert_ne!(part, all.slice(1, 3));
        assert_eq!((part.bytes(), part.count()), (2, 2));
    }
}
