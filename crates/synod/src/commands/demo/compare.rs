//! What was proposed against what every learner says was chosen. The demo's judge: it trusts
//! neither the client nor any node.

use std::collections::BTreeMap;

use client::proto::Entry;
use client::{AppendError, Appended, Bytes};
use paxos::NodeId;
use sha2::{Digest, Sha256};

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Proposed values that stand in a history.
    pub(crate) chosen: u64,
    /// Proposed values that stand in no history, and acknowledged ones that stand elsewhere than
    /// the client was told.
    pub(crate) lost: u64,
    /// Proposals that stand in a history more than once; each further time counts.
    pub(crate) repeated: u64,
    /// Slots for which two learners name different values.
    pub(crate) conflicts: u64,
    pub(crate) histories_equal: bool,
    /// SHA-256 over slot and value of each entry of the first learner's history, in hex.
    pub(crate) digest: String,
}

/// Compares `values`, as proposed by one client under the sequences 1, 2, 3 and so on in any order,
/// with what each learner knows. Which session is the client's, the first answer tells.
pub(crate) fn compare(
    values: &[Bytes],
    answers: &[Result<Appended, AppendError>],
    histories: &BTreeMap<NodeId, Vec<Entry>>,
) -> Compared {
    let mut by_slot: BTreeMap<u64, &Entry> = BTreeMap::new();
    let mut conflicts = 0;
    let mut repeated = 0;
    for history in histories.values() {
        let mut times: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for entry in history {
            *times.entry((entry.session, entry.sequence)).or_default() += 1;
            let known = by_slot.entry(entry.slot).or_insert(entry);
            conflicts += u64::from(*known != entry);
        }
        repeated = times.values().map(|times| times - 1).sum::<u64>().max(repeated);
    }
    let mut left: BTreeMap<&[u8], u64> = BTreeMap::new();
    for value in values {
        *left.entry(&value[..]).or_default() += 1;
    }
    let mut chosen = 0;
    let session = answers.iter().flatten().next().map(|appended| appended.session);
    for entry in by_slot.values().filter(|entry| Some(entry.session) == session) {
        if let Some(count) = left.get_mut(&entry.value[..]).filter(|count| **count > 0) {
            *count -= 1;
            chosen += 1;
        }
    }
    let misplaced = values.iter().zip(answers).filter(|(value, answer)| {
        let told = answer.as_ref().ok().map(|appended| appended.slot);
        told.is_some_and(|slot| by_slot.get(&slot).is_none_or(|entry| entry.value != **value))
    });
    let lost = left.values().sum::<u64>().max(misplaced.count() as u64);
    let mut all = histories.values();
    let first = all.next().map_or(&[][..], Vec::as_slice);
    Compared {
        chosen,
        lost,
        repeated,
        conflicts,
        histories_equal: histories.values().all(|history| history == first),
        digest: digest(first),
    }
}

fn digest(history: &[Entry]) -> String {
    let mut sha = Sha256::new();
    for entry in history {
        sha.update(entry.slot.to_le_bytes());
        sha.update((entry.value.len() as u64).to_le_bytes());
        sha.update(&entry.value);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: u64 = 1;

    fn entry(slot: u64, sequence: u64, value: &'static str) -> Entry {
        Entry { slot, value: value.into(), session: SESSION, sequence }
    }

    fn judge(histories: [Vec<Entry>; 2]) -> Compared {
        let done = |slot, sequence| Ok(Appended { slot, session: SESSION, sequence });
        let answers = [done(4, 1), done(5, 2)];
        let histories = (1..).map(NodeId).zip(histories).collect();
        compare(&["a".into(), "b".into()], &answers, &histories)
    }

    fn good() -> Vec<Entry> {
        vec![entry(4, 1, "a"), entry(5, 2, "b")]
    }

    #[test]
    fn equal_and_complete_histories_pass() {
        let found = judge([good(), good()]);
        assert_eq!((found.chosen, found.lost, found.repeated, found.conflicts), (2, 0, 0, 0));
        assert!(found.histories_equal);
        assert_eq!(found.digest.len(), 64);
    }

    #[test]
    fn a_value_in_no_history_is_lost() {
        let short = vec![entry(4, 1, "a")];
        assert_eq!(judge([short.clone(), short]).lost, 1);
    }

    #[test]
    fn a_value_elsewhere_than_acknowledged_is_lost() {
        let moved = vec![entry(4, 1, "a"), entry(6, 2, "b")];
        assert_eq!(judge([moved.clone(), moved]).lost, 1);
    }

    #[test]
    fn one_request_in_two_slots_is_repeated() {
        let twice = [good(), vec![entry(6, 2, "b")]].concat();
        assert_eq!(judge([twice.clone(), twice]).repeated, 1);
    }

    #[test]
    fn two_values_in_one_slot_are_a_conflict() {
        let found = judge([good(), vec![entry(4, 1, "a"), entry(5, 2, "x")]]);
        assert_eq!(found.conflicts, 1);
        assert!(!found.histories_equal);
    }

    #[test]
    fn a_shorter_history_is_not_equal() {
        let found = judge([good(), vec![entry(4, 1, "a")]]);
        assert_eq!((found.lost, found.conflicts, found.histories_equal), (0, 0, false));
    }
}
