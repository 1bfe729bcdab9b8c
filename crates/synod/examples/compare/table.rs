//! What was measured, as lines of JSON and as tables of medians.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// One measurement.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub round: usize,
    pub system: &'static str,
    pub nodes: usize,
    /// What was asked, in words.
    pub load: String,
    pub per_second: f64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p99_9_us: u64,
    pub max_us: u64,
    pub failed: u64,
    pub late_starts: u64,
    /// Of all members together, for each operation.
    pub servers_cpu_us: f64,
    pub client_cpu_us: f64,
    /// The disk's own sync, just before.
    pub sync_p50_us: u64,
    pub sync_p99_us: u64,
    /// Processes that wanted to run, over a minute.
    pub load_average: f64,
}

impl Row {
    pub fn json(&self) -> Value {
        json!({
            "round": self.round,
            "system": self.system,
            "nodes": self.nodes,
            "load": self.load,
            "per_second": tenths(self.per_second),
            "p50_us": self.p50_us,
            "p90_us": self.p90_us,
            "p99_us": self.p99_us,
            "p99_9_us": self.p99_9_us,
            "max_us": self.max_us,
            "failed": self.failed,
            "late_starts": self.late_starts,
            "servers_cpu_us": tenths(self.servers_cpu_us),
            "client_cpu_us": tenths(self.client_cpu_us),
            "sync_p50_us": self.sync_p50_us,
            "sync_p99_us": self.sync_p99_us,
            "load_average": self.load_average,
        })
    }
}

/// A table for each number of nodes, and one of what the disk took.
pub fn tables(rows: &[Row]) -> String {
    let nodes: BTreeSet<usize> = rows.iter().map(|row| row.nodes).collect();
    let mut text = String::new();
    for nodes in nodes {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.nodes == nodes).collect();
        text.push_str(&table(nodes, &rows));
    }
    let syncs: Vec<&Row> = rows.iter().filter(|row| row.sync_p50_us > 0).collect();
    let (p50, p99) =
        (spread(&syncs, |row| us(row.sync_p50_us)), spread(&syncs, |row| us(row.sync_p99_us)));
    let load = spread(&rows.iter().collect::<Vec<_>>(), |row| row.load_average);
    text.push_str(&format!(
        "The disk, append and fdatasync, before each: p50 {} us, p99 {} us.\n\
         Load average: {}.\n",
        shown(p50, 0),
        shown(p99, 0),
        shown(load, 1)
    ));
    text
}

fn table(nodes: usize, rows: &[&Row]) -> String {
    let mut loads: Vec<&str> = Vec::new();
    let mut systems: Vec<&str> = Vec::new();
    for row in rows {
        if !loads.contains(&row.load.as_str()) {
            loads.push(&row.load);
        }
        if !systems.contains(&row.system) {
            systems.push(row.system);
        }
    }
    systems.sort_unstable_by_key(|system| *system != "synod");
    let mut text = format!(
        "{nodes} nodes\n\n| load | system | a second | p50 ms | p99 ms | max ms | servers' CPU, us \
         | client's CPU, us | failed | Synod / it |\n|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for load in loads {
        for system in &systems {
            let seen: Vec<&Row> =
                rows.iter().copied().filter(|it| it.load == load && it.system == *system).collect();
            if seen.is_empty() {
                continue;
            }
            let ratio = ratio(rows, load, system).map_or(String::new(), |ratio| shown(ratio, 2));
            let ms = |of: fn(&Row) -> u64| shown(spread(&seen, |row| us(of(row)) / 1e3), 2);
            text.push_str(&format!(
                "| {load} | {system} | {} | {} | {} | {} | {} | {} | {} | {ratio} |\n",
                shown(spread(&seen, |row| row.per_second), 0),
                ms(|row| row.p50_us),
                ms(|row| row.p99_us),
                ms(|row| row.max_us),
                shown(spread(&seen, |row| row.servers_cpu_us), 0),
                shown(spread(&seen, |row| row.client_cpu_us), 0),
                seen.iter().map(|row| row.failed).sum::<u64>(),
            ));
        }
    }
    text.push('\n');
    text
}

/// How many times as much Synod did a second as `system`, round by round.
fn ratio(rows: &[&Row], load: &str, system: &str) -> Option<[f64; 3]> {
    let of = |system: &str, round: usize| {
        let is_it = |row: &&&Row| row.load == load && row.system == system && row.round == round;
        rows.iter().find(is_it).map(|row| row.per_second)
    };
    let rounds: BTreeSet<usize> = rows.iter().map(|row| row.round).collect();
    let ratios: Vec<f64> = rounds
        .into_iter()
        .filter_map(|round| Some(of("synod", round)? / of(system, round)?.max(f64::MIN_POSITIVE)))
        .collect();
    (system != "synod" && !ratios.is_empty()).then(|| least_median_most(ratios))
}

fn spread(rows: &[&Row], of: impl Fn(&Row) -> f64) -> [f64; 3] {
    least_median_most(rows.iter().map(|row| of(row)).collect())
}

fn least_median_most(mut all: Vec<f64>) -> [f64; 3] {
    all.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().unwrap_or_default();
    [at(0), at(all.len() / 2), at(all.len().saturating_sub(1))]
}

/// The median, and between what it lay.
fn shown([least, median, most]: [f64; 3], digits: usize) -> String {
    if most == 0.0 {
        return "-".to_owned();
    }
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

#[expect(clippy::cast_precision_loss, reason = "a day has fewer microseconds than 2^53")]
fn us(us: u64) -> f64 {
    us as f64
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
