//! Golden bytes, round trips, and what hostile bytes do: nothing.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::{format, vec};

use super::*;
use crate::quorum::{DiskId, Member, Roles};
use crate::rng::Rng;

fn configuration() -> Configuration {
    let member = |id: u32| {
        let roles = Roles { leader: id == 1, acceptor: id > 1, learner: false };
        (NodeId(id), Member { roles, disk: (id > 1).then(DiskId::default) })
    };
    Configuration::majority(ClusterId([0xcc; 16]), (1..=4).map(member).collect()).unwrap()
}

fn ballot() -> Ballot {
    Ballot { round: 5, leader: NodeId(1), incarnation: Incarnation(0x1122) }
}

fn run(first: u64) -> Run {
    let values = vec![Value::Noop, Value::LeaderStart, Value::Command(b"hi".as_slice().into())];
    Run { ballot: ballot(), first: Slot(first), values: values.into() }
}

fn page() -> Page {
    Page {
        from: Slot(2),
        votes: vec![run(3), run(9)],
        next: Some(Slot(12)),
        truncated: Slot(1),
        suspect: Slot(2),
    }
}

fn snapshot() -> SnapshotId {
    SnapshotId { below: Slot(8), bytes: 7, digest: Digest([0xee; 16]) }
}

/// One of each kind, in the order of the kinds.
fn messages() -> Vec<Message> {
    let (ballot, age) = (ballot(), Some(Duration::from_micros(258)));
    vec![
        Message::Prepare { ballot, from: Slot(3) },
        Message::Promise { ballot, page: page() },
        Message::Reject { ballot, promised: ballot, truncated: Slot(4) },
        Message::Accept { run: run(7), chosen: Slot(6) },
        Message::Accepted { ballot, first: Slot(7), end: Slot(10) },
        Message::Chosen { ballot, chosen: Slot(10) },
        Message::Heartbeat {
            ballot,
            sent: Instant(77),
            proof_age: age,
            chosen: Slot(10),
            start: Slot(8),
            mark: Mark { below: Slot(9), digest: Digest([0xdd; 16]) },
        },
        Message::HeartbeatReply { ballot, sent: Instant(77), is_suspect: true },
        Message::Probe { id: 8 },
        Message::ProbeReply { id: 8, promised: ballot, progress_age: None },
        Message::Fetch { from: Slot(10) },
        Message::Learned {
            first: Slot(10),
            values: run(10).values,
            chosen: Slot(13),
            truncated: Slot(0),
        },
        Message::Votes { page: Page { next: None, ..page() } },
        Message::Confirm { ballot, round: 3 },
        Message::Confirmed { ballot, round: 3 },
        Message::ReadIndex { id: 4 },
        Message::ReadIndexReply { id: 4, index: Some(Slot(10)) },
        Message::Kept { below: Slot(8) },
        Message::FetchPart { snapshot: Some(snapshot()), offset: 5 },
        Message::Part { snapshot: snapshot(), offset: 5, bytes: b"hi".as_slice().into() },
        Message::Offer { ballot, number: 2 },
        Message::Willing { ballot, number: 2, chosen: Slot(10) },
        Message::HandOver { ballot, number: 2 },
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    encode_message(&configuration(), NodeId(2), NodeId(1), message, &mut out);
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn there_is_an_example_of_every_kind() {
    assert!(messages().iter().map(Message::kind).eq(Kind::ALL));
}

#[test]
fn messages_survive_the_wire() {
    for message in messages() {
        let decoded = decode_message(&configuration(), NodeId(1), &encoded(&message));
        assert_eq!(decoded, Ok((NodeId(2), message)));
    }
}

#[test]
fn records_survive_the_disk() {
    let records = [
        Record::Promised(ballot()),
        Record::Accepted(run(4)),
        Record::Truncated(Slot(9)),
        Record::Suspect,
        Record::Settled(Slot(9)),
    ];
    for record in records {
        let mut out = Vec::new();
        encode_record(&configuration(), &record, &mut out);
        assert_eq!(decode_record(&configuration(), &out), Ok(record));
    }
}

#[test]
fn a_journal_may_begin_in_an_earlier_configuration_and_never_go_on_from_a_later_one() {
    let at = |epoch| configuration().with_epoch(Epoch(epoch));
    let mut out = Vec::new();
    encode_record(&at(3), &Record::Suspect, &mut out);
    assert_eq!(decode_record(&at(3), &out), Ok(Record::Suspect));
    assert_eq!(decode_record(&at(4), &out), Ok(Record::Suspect));
    assert_eq!(decode_record(&at(2), &out), Err(WireError::Epoch(3)));
    let mut out = Vec::new();
    encode_message(&at(3), NodeId(2), NodeId(1), &messages()[0], &mut out);
    for other in [2, 4] {
        assert_eq!(decode_message(&at(other), NodeId(1), &out), Err(WireError::Epoch(3)));
    }
}

#[test]
fn a_flag_is_said_in_one_way() {
    let mut bytes = encoded(&messages()[7]);
    *bytes.last_mut().unwrap() = 2;
    assert_eq!(decode_message(&configuration(), NodeId(1), &bytes), Err(WireError::Kind(2)));
}

#[test]
fn the_bytes_are_the_documented_ones() {
    let head = "cc".repeat(16) + &"00".repeat(8) + "02000000" + "01000000";
    let owner = "0500000000000000" /* round */
        .to_owned()
        + "01000000"
        + "2211000000000000";
    let values = "03000000" /* count */
        .to_owned()
        + "0000000000"
        + "0100000000"
        + "02020000006869";
    let run = format!("{owner}0700000000000000{values}");
    let golden = [
        (0, format!("0201{head}{owner}0300000000000000")),
        (3, format!("0204{head}0600000000000000{run}")),
        (4, format!("0205{head}{owner}07000000000000000a00000000000000")),
        (
            6,
            format!(
                "0207{head}{owner}4d0000000000000002010000000000000a00000000000000\
                 08000000000000000900000000000000{}",
                "dd".repeat(16)
            ),
        ),
        (9, format!("020a{head}0800000000000000{owner}ffffffffffffffff")),
        (20, format!("0215{head}{owner}0200000000000000")),
        (21, format!("0216{head}{owner}02000000000000000a00000000000000")),
        (22, format!("0217{head}{owner}0200000000000000")),
    ];
    for (kind, bytes) in golden {
        assert_eq!(hex(&encoded(&messages()[kind])), bytes);
    }
    let mut record = Vec::new();
    encode_record(&configuration(), &Record::Promised(ballot()), &mut record);
    assert_eq!(hex(&record), format!("0201{}{}{owner}", "cc".repeat(16), "00".repeat(8)));
}

#[test]
fn what_is_not_for_us_is_refused_with_its_reason() {
    let good = encoded(&messages()[0]);
    let refused = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        decode_message(&configuration(), NodeId(1), &bytes).unwrap_err()
    };
    assert_eq!(refused(0, 1), WireError::Version(1));
    assert_eq!(refused(0, 3), WireError::Version(3));
    assert_eq!(refused(1, 99), WireError::Kind(99));
    assert_eq!(refused(2, 0), WireError::Cluster);
    assert_eq!(refused(18, 1), WireError::Epoch(1));
    assert_eq!(refused(26, 9), WireError::Sender(NodeId(9)));
    assert_eq!(refused(30, 3), WireError::Receiver(NodeId(3)));
    assert_eq!(refused(good.len() - 1, 0x7f), WireError::Slots);
    let decode = |bytes: &[u8]| decode_message(&configuration(), NodeId(1), bytes);
    assert_eq!(decode(&good[..good.len() - 1]), Err(WireError::Short));
    assert_eq!(decode(&[good.as_slice(), &[0]].concat()), Err(WireError::Long));
}

#[test]
fn no_snapshot_has_one_form() {
    let fetch = |snapshot| encoded(&Message::FetchPart { snapshot, offset: 0 });
    let decode = |bytes: &[u8]| decode_message(&configuration(), NodeId(1), bytes);
    assert!(decode(&fetch(None)).is_ok());
    let none = SnapshotId::default();
    for named in
        [SnapshotId { below: Slot(12), ..none }, SnapshotId { digest: snapshot().digest, ..none }]
    {
        assert_eq!(decode(&fetch(Some(named))), Err(WireError::Part));
    }
}

#[test]
fn a_round_after_which_none_can_be_counted_is_not_believed() {
    // A leader that recovered it from its disk could not prepare a higher one.
    let record = |round| {
        let mut out = Vec::new();
        let promised = Record::Promised(Ballot { round, ..ballot() });
        encode_record(&configuration(), &promised, &mut out);
        decode_record(&configuration(), &out)
    };
    for round in [Ballot::ROUND_MAX + 1, u64::MAX] {
        assert_eq!(record(round), Err(WireError::Round(round)));
    }
    assert!(record(Ballot::ROUND_MAX).is_ok());
}

#[test]
fn no_bytes_cause_a_panic_or_a_large_allocation() {
    let mut rng = Rng::new(3);
    let examples: Vec<Vec<u8>> = messages().iter().map(encoded).collect();
    let mut accepted = 0;
    for _ in 0..300_000 {
        let mut bytes = examples[rng.index(examples.len())].clone();
        for _ in 0..=rng.below(3) {
            let at = rng.index(bytes.len());
            match rng.below(3) {
                0 => bytes[at] = rng.draw().to_le_bytes()[0],
                1 => bytes[at] ^= 1 << rng.below(8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok((_, message)) = decode_message(&configuration(), NodeId(1), &bytes) {
            accepted += 1;
            // What is accepted is exactly what was there.
            let mut again = Vec::new();
            encode_message(&configuration(), NodeId(2), NodeId(1), &message, &mut again);
            assert_eq!(again.len(), bytes.len());
        }
    }
    assert!(accepted > 1000, "mutations of the body are often well-formed");
}

#[test]
fn the_protocols_own_values_hold_no_bytes() {
    let mut good = encoded(&messages()[3]);
    let values = good.len() - (5 + 5 + 5 + 2);
    for own in [values, values + 5] {
        let mut bytes = good.clone();
        let kind = bytes[own];
        bytes[own + 1] = 1;
        let refused = decode_message(&configuration(), NodeId(1), &bytes);
        assert_eq!(refused, Err(WireError::Kind(kind)));
    }
    good[values] = 3;
    let refused = decode_message(&configuration(), NodeId(1), &good);
    assert_eq!(refused, Err(WireError::Kind(3)));
}

#[test]
fn the_longest_age_is_not_never() {
    let (ballot, sent, chosen) = (ballot(), Instant(0), Slot(0));
    for proof_age in [None, Some(Duration::from_micros(NEVER - 1))] {
        let mark = Mark::default();
        let start = chosen;
        let message = Message::Heartbeat { ballot, sent, proof_age, chosen, start, mark };
        let decoded = decode_message(&configuration(), NodeId(1), &encoded(&message));
        assert_eq!(decoded, Ok((NodeId(2), message)));
    }
    let endless = Message::Heartbeat {
        ballot,
        sent,
        proof_age: Some(Duration::MAX),
        chosen,
        start: chosen,
        mark: Mark::default(),
    };
    let decoded = decode_message(&configuration(), NodeId(1), &encoded(&endless));
    assert!(matches!(decoded, Ok((_, Message::Heartbeat { proof_age: Some(_), .. }))));
}

#[test]
fn every_refusal_has_a_name_and_a_sentence_of_its_own() {
    let all = [
        WireError::Short,
        WireError::Long,
        WireError::Version(9),
        WireError::Kind(9),
        WireError::Cluster,
        WireError::Epoch(9),
        WireError::Receiver(NodeId(9)),
        WireError::Sender(NodeId(9)),
        WireError::Slots,
    ];
    let names: BTreeSet<&str> = all.iter().map(WireError::name).collect();
    let sentences: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!((names.len(), sentences.len()), (all.len(), all.len()));
}

#[test]
fn a_run_ends_below_the_last_slot() {
    let decode = |first| {
        let message = Message::Accept { run: run(first), chosen: Slot(0) };
        decode_message(&configuration(), NodeId(1), &encoded(&message)).map(drop)
    };
    assert_eq!(run(0).values.len(), 3);
    assert_eq!(decode(Slot::LIMIT.0 - 4), Ok(()));
    assert_eq!(decode(Slot::LIMIT.0 - 3), Err(WireError::Slots));
}

#[test]
fn the_smallest_runs_fill_a_page() {
    let smallest =
        |slot| Run { ballot: ballot(), first: Slot(slot), values: vec![Value::Noop].into() };
    let votes: Vec<Run> = (0..3).map(smallest).collect();
    let message = Message::Votes { page: Page { from: Slot(0), votes, ..page() } };
    let decoded = decode_message(&configuration(), NodeId(1), &encoded(&message));
    assert_eq!(decoded, Ok((NodeId(2), message)));
}
