//! What goes wrong, and how each of it ends by itself unless the healing comes first.

use paxos::{Instant, NodeId};

use super::{Happening, World};
use crate::broken::Broken;
use crate::check::{Checked, durability};
use crate::trace::Line;

/// The end of a misfortune.
#[derive(Debug)]
pub enum Mend {
    Restart(NodeId),
    Links(Vec<(NodeId, NodeId)>),
    Speak(NodeId),
}

impl World {
    /// One misfortune now, and the next one planned.
    pub fn misfortune(&mut self) -> Checked {
        if self.healed.is_some() {
            return Ok(());
        }
        let pause = self.rng.below(self.options.faults.pause_us_max);
        self.after(pause, Happening::Misfortune);
        let faults = self.options.faults.clone();
        let kinds = [
            faults.crash,
            faults.cut_one_way,
            faults.cut_two_ways,
            faults.isolate,
            faults.silence,
            faults.pause,
        ];
        let mut draw = self.rng.below(kinds.iter().sum());
        let drawn = kinds.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        let lasts_us = 1 + self.rng.below(faults.misfortune_us_max);
        let (one, other) = (self.somebody(), self.somebody());
        match drawn {
            Some(0) => self.crash(one, lasts_us)?,
            Some(1) => self.cut(vec![(one, other)], lasts_us),
            Some(2) => self.cut(vec![(one, other), (other, one)], lasts_us),
            Some(3) => {
                let others = self.hosts.keys().filter(|id| **id != one);
                let links = others.flat_map(|id| [(one, *id), (*id, one)]).collect();
                self.cut(links, lasts_us);
            }
            Some(4) => self.silence(one, lasts_us),
            Some(5) => self.pause(one, lasts_us),
            _ => {}
        }
        Ok(())
    }

    pub fn mend(&mut self, mend: Mend) {
        match mend {
            Mend::Restart(id) => {
                if self.hosts[&id].node.is_none() {
                    self.revive(id);
                }
            }
            Mend::Links(links) => {
                for (from, to) in links {
                    self.network.mend(from, to);
                }
            }
            Mend::Speak(id) => {
                self.hosts.get_mut(&id).expect("a member has a host").is_silent = false;
            }
        }
    }

    /// A crashed node lives again, from whatever its disk holds. In a broken world that is less
    /// than was synced.
    pub fn revive(&mut self, id: NodeId) {
        let held = self.hosts[&id].records().len();
        let keep = match self.options.broken {
            Some(Broken::Amnesia) if held > 0 => self.rng.index(held),
            Some(Broken::EmptyDisk) => 0,
            _ => held,
        };
        if keep < held {
            self.hosts.get_mut(&id).expect("a member has a host").damage(keep);
        }
        self.start(id);
    }

    fn somebody(&mut self) -> NodeId {
        let place = self.rng.index(self.hosts.len());
        *self.hosts.keys().nth(place).expect("an index below the number of hosts")
    }

    fn crash(&mut self, id: NodeId, lasts_us: u64) -> Checked {
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        if host.node.is_none() {
            return Ok(());
        }
        let memory = host.node.as_ref().and_then(|node| node.replica().acceptor());
        durability::fold(id, host.expected(), memory, true)?;
        let survivors = host.crash(&mut self.rng);
        durability::recovers(id, host.records(), host.durable())?;
        for record in &survivors {
            self.checks.agreement.durable(id, record)?;
        }
        self.statistics.crashes += 1;
        self.tell(format!("{id} crashes, {} late records survive", survivors.len()));
        self.after(lasts_us, Happening::Mend(Mend::Restart(id)));
        Ok(())
    }

    fn cut(&mut self, links: Vec<(NodeId, NodeId)>, lasts_us: u64) {
        self.statistics.misfortunes += 1;
        for (from, to) in &links {
            self.network.cut(*from, *to);
        }
        self.tell(format!("links are cut: {links:?}"));
        self.after(lasts_us, Happening::Mend(Mend::Links(links)));
    }

    fn silence(&mut self, id: NodeId, lasts_us: u64) {
        self.statistics.misfortunes += 1;
        self.hosts.get_mut(&id).expect("a member has a host").is_silent = true;
        self.tell(format!("{id} falls silent"));
        self.after(lasts_us, Happening::Mend(Mend::Speak(id)));
    }

    fn pause(&mut self, id: NodeId, lasts_us: u64) {
        self.statistics.misfortunes += 1;
        let until = Instant(self.now.0 + lasts_us);
        self.hosts.get_mut(&id).expect("a member has a host").paused_until = until;
        self.tell(format!("{id} stands still until {}", until.0));
    }

    fn tell(&mut self, what: String) {
        let bytes = what.clone().into_bytes();
        self.trace.note(self.now, Line::World(what), &bytes);
    }
}
