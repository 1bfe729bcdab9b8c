//! The state of the stage as tables: disks slot by slot, what learners know, what is in flight.

use paxos::acceptor::Acceptor;
use paxos::{NodeId, Part, Slot};

use super::{Host, Stage};
use crate::script::words::{text, value, values};

/// So many slots fit on a line; earlier ones are left out.
const SLOTS_MAX: u64 = 7;

impl Stage {
    /// What is on the disks, what is chosen, and what those know who keep the history.
    pub fn show(&mut self) {
        self.say_table(&self.acceptors());
        self.say_table(&self.learners());
    }

    /// What clients' values each node has applied, with their slots.
    pub fn show_histories(&mut self) {
        let mut rows = Vec::new();
        for (id, host) in &self.hosts {
            let learns = self.configuration.roles(*id).learns();
            let Some(node) = host.node.as_ref().filter(|_| learns) else { continue };
            let entries = node.machine().entries();
            let entries: Vec<String> =
                entries.map(|entry| format!("{}: {}", entry.slot, text(&entry.request))).collect();
            let all = if entries.is_empty() { "nothing".into() } else { entries.join(", ") };
            rows.push(vec![self.names.node(*id).to_owned(), all]);
        }
        self.say_table(&rows);
    }

    /// How many sessions each node knows of, and its reading of the log's time.
    pub fn show_sessions(&mut self) {
        let mut rows = Vec::new();
        for id in self.configuration.learners() {
            let Some(node) = &self.hosts[&id].node else { continue };
            let (count, time_us) = (node.sessions().count(), node.sessions().time_us());
            let sessions = if count == 1 { "session" } else { "sessions" };
            let known = format!("{count} {sessions} at {} ms", time_us / 1000);
            rows.push(vec![self.names.node(id).to_owned(), known]);
        }
        self.say_table(&rows);
    }

    /// What is in flight, in the order of sending.
    pub fn show_network(&mut self) {
        if self.flying.is_empty() {
            self.notes.say(None, "nothing is in flight".into());
        }
        let mut sent: Vec<(NodeId, String, Vec<NodeId>)> = Vec::new();
        for it in &self.flying {
            let held = if self.is_held(it) { " (held)" } else { "" };
            let what = format!("{}{held}", self.names.message(&it.message));
            let same = |(from, known, to): &&mut (NodeId, String, Vec<NodeId>)| {
                *from == it.from && *known == what && !to.contains(&it.to)
            };
            match sent.iter_mut().find(same) {
                Some((_, _, to)) => to.push(it.to),
                None => sent.push((it.from, what, vec![it.to])),
            }
        }
        for (from, what, to) in sent {
            let line = format!(" -> {}: {what}", self.names.nodes(&to));
            self.notes.add(None, self.names.node(from), line);
        }
    }

    fn acceptors(&self) -> Vec<Vec<String>> {
        let acceptors: Vec<(NodeId, &Host)> =
            self.configuration.acceptors().iter().map(|id| (*id, &self.hosts[id])).collect();
        let ends = acceptors.iter().map(|(_, host)| host.expected.votes().end());
        let end = ends.max().unwrap_or(Slot::FIRST);
        let first = end.0.saturating_sub(SLOTS_MAX);
        let shown: Vec<Slot> = (first..end.0).map(Slot).collect();
        let mut rows = vec![vec![String::new(), "promised".into()]];
        rows[0].extend(shown.iter().map(|slot| format!("slot {slot}")));
        for (id, host) in acceptors {
            let name = self.names.node(id);
            let state = match (&host.node, host.is_failed) {
                (None, _) => " down",
                (Some(_), true) => " failed",
                (Some(_), false) => "",
            };
            rows.push(self.acceptor(format!("{name}{state}"), &host.durable, &shown));
            if host.node.is_some() && host.expected != host.durable {
                rows.push(self.acceptor(format!("{name} in memory"), &host.expected, &shown));
            }
        }
        let mut row = vec!["chosen".into(), String::new()];
        row.extend(shown.iter().map(|slot| self.observer.chosen(*slot).map_or("-".into(), value)));
        rows.push(row);
        rows
    }

    fn acceptor(&self, name: String, acceptor: &Acceptor, shown: &[Slot]) -> Vec<String> {
        let mut row = vec![name, self.names.ballot(acceptor.promised())];
        row.extend(shown.iter().map(|slot| match acceptor.votes().get(*slot) {
            None => "-".into(),
            Some((ballot, vote)) => format!("{} @{}", value(vote), self.names.ballot(ballot)),
        }));
        row
    }

    fn learners(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for id in self.configuration.learners() {
            let name = self.names.node(id).to_owned();
            let Some(node) = &self.hosts[&id].node else {
                rows.push(vec![name, "down".into()]);
                continue;
            };
            let replica = node.replica();
            let ballot = replica.ballot().map(|ballot| self.names.ballot(ballot));
            let part = match (replica.part(), ballot) {
                (Part::Leading, Some(ballot)) => format!("leads at {ballot}"),
                (Part::Preparing, Some(ballot)) => format!("prepares {ballot}"),
                (_, Some(ballot)) => format!("follows {ballot}"),
                (_, None) => "follows nobody".into(),
            };
            let known = replica.read(Slot::FIRST, usize::MAX);
            let known = match known.len() {
                0 if replica.forgotten() > Slot::FIRST => {
                    format!("has a snapshot below slot {}", replica.forgotten())
                }
                0 => "knows nothing".into(),
                1 => format!("knows 1 slot: {}", values(&known)),
                count => format!("knows {count} slots: {}", values(&known)),
            };
            rows.push(vec![name, part, known]);
        }
        rows
    }

    fn say_table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let cells = row.iter().zip(&widths);
            let line: String = cells.map(|(cell, width)| format!("{cell:<width$}  ")).collect();
            self.notes.say(None, line.trim_end().to_owned());
        }
    }
}
