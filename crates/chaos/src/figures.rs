//! A run in numbers: operations, reads by kind, and for each kind of fault how long nothing was
//! acknowledged.

use std::collections::BTreeMap;

use sim::told::{Answer, Append, Read, Told};

use crate::notes::Fault;

/// What was asked and heard, and what faults cost.
pub(crate) fn figures(appends: &[Append], reads: &[Read], faults: &[Fault]) -> String {
    let count = |is: fn(&Answer) -> bool| appends.iter().filter(|it| is(&it.answer)).count();
    let done = count(|answer| matches!(answer, Answer::Done(_)));
    let unknown = count(|answer| *answer == Answer::Unknown);
    let declined = count(|answer| *answer == Answer::NotApplied);
    let linearizable = reads.iter().filter(|read| read.at_least.is_none()).count();
    let mut text = format!(
        "appends: {} asked, {done} acknowledged, {unknown} unknown, {declined} declined\n\
         reads:   {linearizable} linearizable, {} sequential\n",
        appends.len(),
        reads.len() - linearizable,
    );
    let times = acknowledged(appends);
    let mut gaps: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for fault in faults {
        gaps.entry(&fault.kind).or_default().push(longest_gap(&times, fault.began, fault.ended));
    }
    text.push_str("\nlongest time without an acknowledged append, while a fault lasted:\n");
    text.push_str("fault              times   median ms      max ms\n");
    for (kind, mut gaps) in gaps {
        gaps.sort_unstable();
        let (median, most) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
        text.push_str(&row(kind, gaps.len(), median, most));
    }
    text.push('\n');
    text
}

fn row(kind: &str, count: usize, median: u64, most: u64) -> String {
    let ms = |us: u64| format!("{}.{}", us / 1000, us / 100 % 10);
    format!("{kind:<18} {count:>5} {:>11} {:>11}\n", ms(median), ms(most))
}

/// What learners showed.
pub(crate) fn seen(told: &Told) -> String {
    let mut text = format!("history: {} values below slot {}", told.values(), told.end());
    for (learner, unseen) in told.unseen().filter(|(_, unseen)| *unseen > 0) {
        text.push_str(&format!("; {learner} let go of {unseen} slots before they were seen"));
    }
    text.push('\n');
    text
}

/// When appends were acknowledged, in order.
fn acknowledged(appends: &[Append]) -> Vec<u64> {
    let done = appends.iter().filter(|append| matches!(append.answer, Answer::Done(_)));
    let mut times: Vec<u64> = done.map(|append| append.answered.0).collect();
    times.sort_unstable();
    times
}

/// The longest time between two of these that overlaps the one from `began` to `ended`.
fn longest_gap(times: &[u64], began: u64, ended: u64) -> u64 {
    let first = times.partition_point(|time| *time <= began).saturating_sub(1);
    let after = times.partition_point(|time| *time < ended);
    let last = after.min(times.len().saturating_sub(1));
    let within = times.get(first..=last).unwrap_or_default();
    // Nothing came after it: then it is as long as was waited for.
    let open = times.last().filter(|last| **last < ended).map(|last| ended - *last);
    within.windows(2).map(|two| two[1] - two[0]).chain(open).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_where_it_overlaps_the_fault() {
        let times = [10, 20, 100, 110, 200];
        assert_eq!(longest_gap(&times, 12, 15), 10);
        assert_eq!(longest_gap(&times, 12, 30), 80);
        assert_eq!(longest_gap(&times, 50, 60), 80);
        assert_eq!(longest_gap(&times, 105, 108), 10);
        assert_eq!(longest_gap(&times, 0, 210), 90);
        assert_eq!(longest_gap(&times, 300, 400), 200, "so long nothing came any more");
        assert_eq!(longest_gap(&times, 190, 1000), 800);
        assert_eq!(longest_gap(&[], 1, 2), 0);
    }
}
