//! Notes of a small run, written and judged as they would be; and the same with a lie in them.

use std::fs;

use super::*;

const APPENDS: &str =
    "1,100,200,5\n2,150,260,6\n3,300,400,8\n4,410,900,unknown\n5,500,600,declined\n";
const SHOWN: &str = "from,0\n5,1\n6,2\n8,3\n";

/// Judges a run whose second learner showed this, and whose clients heard that.
fn wrong(appends: &str, other: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("appends.csv", appends);
    write("shown-l1.csv", SHOWN);
    write("shown-r1.csv", other);
    let mut shown = sim::told::Shown::default();
    for (slot, value) in [(5, 1), (6, 2)] {
        shown.extend(paxos::Slot(slot), value);
    }
    let sum = format!("{},{}", shown.count, shown.digest);
    write("reads.csv", &format!("l1,270,290,,0,7,{sum}\nr1,280,295,7,0,7,{sum}\n"));
    write("faults.csv", "kill-leader,240,280,l1, and more\n");
    judge(directory.path()).unwrap().wrong
}

#[test]
fn a_sound_run_is_sound_and_each_lie_is_found() {
    assert_eq!(wrong(APPENDS, SHOWN), None);
    let found = |appends: &str, other: &str| wrong(appends, other).expect("it is found");
    assert!(found(APPENDS, "from,0\n5,1\n8,3\n").contains("r1 shows 2 values"));
    assert!(found(APPENDS, "from,0\n5,2\n6,1\n8,3\n").contains("where others show"));
    assert!(found(APPENDS, &format!("{SHOWN}9,1\n")).contains("stands in slot"));
    assert!(found(APPENDS, &format!("{SHOWN}9,5\n")).contains("l1 ends at slot 9"));
    assert!(found(&format!("{APPENDS}6,700,800,9\n"), SHOWN).contains("is lost"));
    assert!(found(&APPENDS.replace("300,400,8", "100,120,8"), SHOWN).contains("stands behind"));
}

#[test]
fn notes_that_make_no_sense_are_no_verdict() {
    let directory = tempfile::tempdir().unwrap();
    assert!(judge(directory.path()).is_err());
    fs::write(directory.path().join("appends.csv"), "1,2\n").unwrap();
    let error = judge(directory.path()).err().expect("no verdict").to_string();
    assert!(error.contains("appends.csv:1"), "{error}");
}
