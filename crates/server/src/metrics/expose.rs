//! Which figure stands under which name.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use std::sync::atomic::Ordering;

use paxos::{Kind, Part};

use super::list;
use super::page::Page;
use super::process::{Process, Space};
use crate::config::{Config, Role, format_identity};
use crate::sight::Sight;
use crate::switches::Switches;

pub use super::page::CONTENT_TYPE;

/// What a page is made of.
pub struct Exposed<'a> {
    /// Who is who.
    pub config: &'a Config,
    /// What was counted.
    pub switches: &'a Arc<Switches>,
    /// The last picture; none before the first turn.
    pub sight: Option<Sight>,
    /// Which commit this was built from, if that is known.
    pub commit: &'a str,
    /// When the node started.
    pub started: SystemTime,
    /// The disk's size.
    pub space: Option<Space>,
}

/// The whole page.
pub fn expose(exposed: &Exposed<'_>) -> String {
    let mut page = Page::default();
    exposed.identity(&mut page);
    exposed.leadership(&mut page);
    exposed.history(&mut page);
    exposed.quorums(&mut page);
    exposed.messages(&mut page);
    exposed.journal(&mut page);
    exposed.clients(&mut page);
    exposed.rest(&mut page);
    exposed.process(&mut page);
    page.finish()
}

impl Exposed<'_> {
    fn identity(&self, page: &mut Page) {
        let config = self.config;
        let version = env!("CARGO_PKG_VERSION");
        page.family(&list::BUILD_INFO).count(&[version, self.commit], 1);
        let roles: Vec<String> = config.own().roles.iter().map(Role::to_string).collect();
        let labels = [&config.id.to_string(), &format_identity(&config.cluster), &roles.join("+")];
        page.family(&list::NODE_INFO).count(&labels.map(String::as_str), 1);
        page.family(&list::EPOCH).count(&[], config.epoch);
    }

    fn leadership(&self, page: &mut Page) {
        let status = self.sight.as_ref().map(|sight| &sight.status);
        let has_leader = status.is_some_and(|it| it.leader.is_some());
        page.family(&list::HAS_LEADER).flag(has_leader);
        page.family(&list::IS_LEADER).flag(self.is_leading());
        let round = status.and_then(|it| it.ballot).map_or(0, |ballot| ballot.round);
        page.family(&list::BALLOT_ROUND).count(&[], round);
        let figures = &self.switches.counters.figures;
        each(page, &list::LEADER_CHANGES, figures.changes());
        each(page, &list::PREPARES_TOTAL, figures.prepares());
        each(page, &list::REJECTS, figures.rejects());
    }

    fn is_leading(&self) -> bool {
        self.sight.as_ref().is_some_and(|sight| sight.status.part == Part::Leading)
    }

    fn history(&self, page: &mut Page) {
        let figures = &self.switches.counters.figures;
        each(page, &list::PROPOSALS, figures.proposals());
        page.family(&list::COMMIT).histogram(&[], &figures.commit);
        let status = self.sight.as_ref().map(|sight| &sight.status);
        page.family(&list::SLOT_CHOSEN).count(&[], status.map_or(0, |it| it.chosen.0));
        page.family(&list::SLOT_APPLIED).count(&[], status.map_or(0, |it| it.applied.0));
        page.family(&list::SLOT_GAPS).count(&[], status.map_or(0, |it| it.gaps));
        page.family(&list::INFLIGHT).count(&[], status.map_or(0, |it| it.in_flight));
        page.family(&list::ADOPTED).count(&[], figures.adopted.load(Ordering::Relaxed));
    }

    fn quorums(&self, page: &mut Page) {
        let quorums = self.config.quorums;
        let phases = [("1", quorums.phase1), ("2", quorums.phase2)];
        page.family(&list::ACCEPTORS).count(&[], self.config.acceptors().into());
        each(page, &list::QUORUM, phases.map(|(phase, size)| (phase, size.into())).into_iter());
        let leading = self.sight.as_ref().filter(|_| self.is_leading());
        let reachable = leading.map(|sight| sight.status.acceptors_reachable);
        page.family(&list::REACHABLE).count(&[], reachable.map_or(0, |count| count as u64));
        let mut spare = page.family(&list::SPARE);
        for (phase, size) in phases {
            // At most 64 either way.
            let reachable = reachable.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            let value = reachable.map_or(0.0, |count| f64::from(count) - f64::from(size));
            spare.number(&[phase], value);
        }
        let mut round_trips = page.family(&list::PEER_ROUND_TRIP);
        self.switches.counters.figures.round_trips(|peer, histogram| {
            round_trips.histogram(&[&peer.to_string()], histogram);
        });
    }

    fn messages(&self, page: &mut Page) {
        let counters = &self.switches.counters;
        let mut messages = page.family(&list::MESSAGES);
        for kind in Kind::ALL {
            let (sent, received) = counters.messages(kind);
            messages.count(&[kind.name(), "sent"], sent);
            messages.count(&[kind.name(), "received"], received);
        }
        let bytes = [
            ("sent", counters.figures.bytes_sent.load(Ordering::Relaxed)),
            ("received", counters.figures.bytes_received.load(Ordering::Relaxed)),
        ];
        each(page, &list::MESSAGE_BYTES, bytes.into_iter());
    }

    fn journal(&self, page: &mut Page) {
        let counters = &self.switches.counters;
        let figures = &counters.figures;
        let status = self.sight.as_ref().map(|sight| &sight.status);
        let storage = status.map(|status| status.storage);
        page.family(&list::FSYNC).histogram(&[], &figures.sync);
        page.family(&list::WAL_RECORDS).count(&[], counters.frames.load(Ordering::Relaxed));
        page.family(&list::WAL_BYTES).count(&[], storage.map_or(0, |it| it.journal_bytes));
        page.family(&list::DISK_FULL).flag(storage.is_some_and(|it| !it.has_room));
        page.family(&list::SUSPECT).flag(status.is_some_and(|it| it.is_suspect));
        maybe(page, &list::DISK_SIZE, self.space.map(|space| space.size));
        maybe(page, &list::DISK_AVAILABLE, self.space.map(|space| space.available));
        page.family(&list::SNAPSHOT).histogram(&[], &figures.snapshot);
        page.family(&list::SNAPSHOT_BYTES).count(&[], storage.map_or(0, |it| it.snapshot_bytes));
        page.family(&list::SNAPSHOT_SLOT).count(&[], storage.map_or(0, |it| it.snapshot.0));
    }

    fn clients(&self, page: &mut Page) {
        let figures = &self.switches.counters.figures;
        page.family(&list::APPLY).histogram(&[], &figures.apply);
        let sessions = self.sight.as_ref().map_or(0, |sight| sight.status.sessions);
        page.family(&list::SESSIONS).count(&[], sessions as u64);
        let mut requests = page.family(&list::REQUESTS);
        for (method, outcome, count) in figures.requests() {
            requests.count(&[method, outcome], count);
        }
        let mut durations = page.family(&list::REQUEST_DURATION);
        for (method, histogram) in figures.durations() {
            durations.histogram(&[method], histogram);
        }
    }

    fn rest(&self, page: &mut Page) {
        let expires = self.switches.network.tls().map(|tls| tls.expires());
        maybe(page, &list::CERTIFICATE_EXPIRES, expires);
        let mut events = page.family(&list::EVENTS);
        for (name, count) in self.switches.named() {
            events.count(&[&name], count);
        }
        let age = self.sight.as_ref().map(|it| Instant::now().saturating_duration_since(it.at));
        page.family(&list::TURN_AGE).number(&[], age.map_or(0.0, |age| age.as_secs_f64()));
    }

    fn process(&self, page: &mut Page) {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.family(&list::START_TIME).number(&[], started.as_secs_f64());
        let process = Process::look();
        let mut cpu = page.family(&list::CPU);
        if let Some(seconds) = process.cpu {
            cpu.number(&[], seconds);
        }
        maybe(page, &list::RESIDENT, process.resident);
        maybe(page, &list::OPEN_FDS, process.fds);
        maybe(page, &list::MAX_FDS, process.fds_max);
    }
}

fn each<'a>(
    page: &mut Page,
    family: &'static list::Family,
    counts: impl Iterator<Item = (&'a str, u64)>,
) {
    let mut samples = page.family(family);
    for (label, count) in counts {
        samples.count(&[label], count);
    }
}

/// What is not known is not told.
fn maybe(page: &mut Page, family: &'static list::Family, value: Option<u64>) {
    let mut samples = page.family(family);
    if let Some(value) = value {
        samples.count(&[], value);
    }
}
