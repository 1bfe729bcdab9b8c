//! Histories with one lie each, and the sound one that they were made of.

use super::*;

const LEARNERS: [&str; 2] = ["l1", "r1"];

/// Ten values, in slots 1, 3, 5 and so on, each answered before the next one is asked for.
struct Seen {
    by: [Vec<(u64, u64)>; 2],
    appends: Vec<Append>,
    reads: Vec<Read>,
}

fn seen() -> Seen {
    let history: Vec<(u64, u64)> = (0..10).map(|n| (2 * n + 1, 100 + n)).collect();
    let append = |(slot, value): &(u64, u64)| Append {
        value: *value,
        asked: Instant(slot * 10),
        answered: Instant(slot * 10 + 10),
        answer: Answer::Done(Slot(*slot)),
    };
    let appends = history.iter().map(append).collect();
    let mut seen = Seen { by: [history.clone(), history], appends, reads: Vec::new() };
    // Value 104 is in slot 9, answered at 100; 105 is asked for at 110.
    seen.reads.push(seen.read(0, 10, (101, 105)));
    seen
}

impl Seen {
    fn read(&self, first: u64, below: u64, (asked, answered): (u64, u64)) -> Read {
        let mut shown = Shown::default();
        for (slot, value) in &self.by[0] {
            if (first..below).contains(slot) {
                shown.extend(Slot(*slot), *value);
            }
        }
        let (asked, answered) = (Instant(asked), Instant(answered));
        let (first, below) = (Slot(first), Slot(below));
        let learner = "l1".to_owned();
        Read { learner, asked, answered, at_least: None, first, below, shown }
    }

    fn judge(&self) -> Checked {
        let mut told = Told::default();
        for (learner, history) in LEARNERS.into_iter().zip(&self.by) {
            told.begins(learner, Slot::FIRST)?;
            for (slot, value) in history {
                told.shows(learner, Slot(*slot), *value)?;
            }
        }
        told.whole(&self.appends, &self.reads)
    }
}

/// Tells one lie, and gives back what the judge says of it.
fn lie(tell: impl FnOnce(&mut Seen)) -> String {
    let mut seen = seen();
    seen.judge().unwrap();
    tell(&mut seen);
    seen.judge().unwrap_err().what
}

#[test]
fn a_lost_value_is_noticed() {
    let lost = lie(|seen| {
        for history in &mut seen.by {
            history.pop();
        }
    });
    assert!(lost.ends_with("is lost"), "{lost}");
}

#[test]
fn a_doubled_value_is_noticed() {
    let twice = lie(|seen| seen.by.iter_mut().for_each(|history| history.push((99, 103))));
    assert_eq!(twice, "0x67 stands in slot 7 and, at l1, in slot 99");
}

#[test]
fn two_orders_are_noticed() {
    let two = lie(|seen| {
        seen.by[1][3].1 = 104;
        seen.by[1][4].1 = 103;
    });
    assert!(two.contains("where others show"), "{two}");
}

#[test]
fn a_learner_that_leaves_a_value_out_or_ends_too_early_is_noticed() {
    let out = lie(|seen| {
        seen.by[1].remove(4);
    });
    assert!(out.starts_with("r1 shows 9 values"), "{out}");
    let early = lie(|seen| seen.by[1].truncate(8));
    assert_eq!(early, "r1 ends at slot 16, others at 20");
}

#[test]
fn a_value_from_nowhere_or_elsewhere_is_noticed() {
    let nowhere = lie(|seen| seen.by.iter_mut().for_each(|history| history.push((99, 7))));
    assert!(nowhere.ends_with("nobody asked for it"), "{nowhere}");
    let elsewhere = lie(|seen| seen.appends[3].answer = Answer::Done(Slot(8)));
    assert!(elsewhere.ends_with("acknowledged in slot 8 and stands in 7"), "{elsewhere}");
}

#[test]
fn a_declined_value_that_stands_there_is_noticed_and_an_unknown_one_may() {
    let declined = lie(|seen| seen.appends[3].answer = Answer::NotApplied);
    assert!(declined.contains("declined for good"), "{declined}");
    let mut seen = seen();
    seen.appends[3].answer = Answer::Unknown;
    seen.judge().unwrap();
    for history in &mut seen.by {
        history.remove(3);
    }
    seen.reads.clear();
    seen.judge().unwrap();
}

#[test]
fn a_stale_read_is_noticed() {
    let stale = lie(|seen| seen.reads.push(seen.read(0, 9, (101, 105))));
    assert!(stale.contains("stands behind"), "{stale}");
    let mut seen = seen();
    let sequential = Read { at_least: Some(Slot(9)), ..seen.read(0, 9, (101, 105)) };
    seen.reads.push(sequential.clone());
    seen.judge().unwrap();
    seen.reads.push(Read { at_least: Some(Slot(10)), ..sequential });
    seen.judge().unwrap_err();
}

#[test]
fn a_read_from_later_or_of_something_else_is_noticed() {
    let later = lie(|seen| seen.reads.push(seen.read(0, 12, (101, 105))));
    assert!(later.contains("stands behind"), "{later}");
    let other = lie(|seen| seen.reads[0].shown.digest ^= 1);
    assert!(other.contains("showed 5 values"), "{other}");
}

#[test]
fn an_append_that_overtakes_an_earlier_one_is_noticed() {
    let overtakes = lie(|seen| {
        seen.appends[2].asked = Instant(300);
        seen.appends[2].answered = Instant(310);
    });
    assert!(overtakes.contains("stands behind"), "{overtakes}");
}

#[test]
fn what_was_let_go_before_it_was_seen_is_not_held_against_a_learner() {
    let seen = seen();
    let mut told = Told::default();
    told.begins("l1", Slot::FIRST).unwrap();
    for (slot, value) in &seen.by[0] {
        told.shows("l1", Slot(*slot), *value).unwrap();
    }
    told.begins("r1", Slot::FIRST).unwrap();
    told.shows("r1", Slot(1), 100).unwrap();
    told.begins("r1", Slot(10)).unwrap();
    for (slot, value) in &seen.by[0][5..] {
        told.shows("r1", Slot(*slot), *value).unwrap();
    }
    told.whole(&seen.appends, &seen.reads).unwrap();
    assert_eq!(told.unseen().collect::<Vec<_>>(), [("l1", 0), ("r1", 8)]);
    told.begins("r1", Slot(4)).unwrap_err();
}
