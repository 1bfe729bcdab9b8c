//! What goes wrong and when, and how each of it ends by itself unless the healing comes first.

use node::Input;
use paxos::{Instant, NodeId, Rng};

use super::{Happening, World};
use crate::check::Checked;
use crate::clock::TRUE_PACE;
use crate::disk::Ending;
use crate::recording::What;

/// Of so many links, a tear cuts one.
const TORN_ONE_IN: u64 = 3;

/// The end of a misfortune.
#[derive(Debug)]
pub enum Mend {
    Restart(NodeId),
    Links(Vec<(NodeId, NodeId)>),
    Speak(NodeId),
    Calm,
    TrueClock(NodeId),
    /// A lost disk is replaced, in the next configuration.
    Replace(NodeId),
    /// A node goes over to the configuration of that epoch.
    GoOver(NodeId, usize),
    Room(NodeId),
}

impl World {
    /// One misfortune now, and the next one planned.
    pub fn misfortune(&mut self) -> Checked {
        if self.healed.is_some() {
            return Ok(());
        }
        let number = self.misfortunes;
        self.misfortunes += 1;
        let mut luck = self.luck.of_misfortune(number);
        let faults = self.options.faults.clone();
        self.after(luck.below(faults.pause_us_max), Happening::Misfortune);
        if self.options.spared.contains(&number) {
            return Ok(());
        }
        let kinds = [
            faults.crash,
            faults.cut_one_way,
            faults.cut_two_ways,
            faults.isolate,
            faults.silence,
            faults.pause,
            faults.power_loss,
            faults.tear,
            faults.storm,
            faults.slow_disk,
            faults.drift,
            faults.jump,
            faults.lost_disk,
            faults.full_disk,
            faults.hand_over,
        ];
        let mut draw = luck.below(kinds.iter().sum());
        let drawn = kinds.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        let lasts_us = 1 + luck.below(faults.misfortune_us_max);
        let (one, other) = (self.somebody(&mut luck), self.somebody(&mut luck));
        match drawn {
            Some(0) => {
                let ending = if luck.below(2) == 0 { Ending::Killed } else { Ending::PowerLost };
                self.crash(one, ending, lasts_us)?;
            }
            Some(1) => self.cut(vec![(one, other)], lasts_us),
            Some(2) => self.cut(vec![(one, other), (other, one)], lasts_us),
            Some(3) => {
                let others = self.hosts.ids().filter(|id| *id != one);
                let links = others.flat_map(|id| [(one, id), (id, one)]).collect();
                self.cut(links, lasts_us);
            }
            Some(4) => self.silence(one, lasts_us),
            Some(5) => self.pause(one, lasts_us),
            Some(6) => self.power_loss(lasts_us, &mut luck)?,
            Some(7) => self.tear(lasts_us, &mut luck),
            Some(8) => self.storm(lasts_us),
            Some(9) => self.slow_disk(one, lasts_us),
            Some(10) => self.drift(one, lasts_us, &mut luck),
            Some(11) => self.jump(one, &mut luck),
            Some(12) => self.lose_disk(one, lasts_us)?,
            Some(13) => self.full_disk(one, lasts_us)?,
            Some(14) => self.hand_over(one, &mut luck)?,
            _ => {}
        }
        Ok(())
    }

    pub fn mend(&mut self, mend: Mend) -> Checked {
        match mend {
            Mend::Restart(id) => {
                if self.hosts[id].node.is_none() {
                    return self.revive(id);
                }
            }
            Mend::Links(links) => {
                for (from, to) in links {
                    self.network.mend(from, to);
                }
            }
            Mend::Calm => self.network.calm(),
            Mend::Room(id) => return self.has_room(id, true),
            Mend::TrueClock(id) => self.set_pace(id, TRUE_PACE),
            Mend::Replace(id) => self.replace(id),
            Mend::GoOver(id, epoch) => return self.go_over(id, epoch),
            Mend::Speak(id) => {
                self.hosts[id].is_silent = false;
            }
        }
        Ok(())
    }

    fn somebody(&self, luck: &mut Rng) -> NodeId {
        let place = luck.index(self.hosts.len());
        self.hosts.ids().nth(place).expect("an index below the number of hosts")
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
        self.hosts[id].is_silent = true;
        self.tell(format!("{id} falls silent"));
        self.after(lasts_us, Happening::Mend(Mend::Speak(id)));
    }

    fn pause(&mut self, id: NodeId, lasts_us: u64) {
        self.statistics.misfortunes += 1;
        let until = Instant(self.now.0 + lasts_us);
        self.hosts[id].paused_until = until;
        self.tell(format!("{id} stands still until {}", until.0));
    }

    fn power_loss(&mut self, lasts_us: u64, luck: &mut Rng) -> Checked {
        for id in self.hosts.ids() {
            let back_us = 1 + luck.below(lasts_us);
            self.crash(id, Ending::PowerLost, back_us)?;
        }
        Ok(())
    }

    fn tear(&mut self, lasts_us: u64, luck: &mut Rng) {
        let all: Vec<NodeId> = self.hosts.ids().collect();
        let mut links = Vec::new();
        for from in &all {
            for to in all.iter().filter(|to| *to != from) {
                if luck.below(TORN_ONE_IN) == 0 {
                    links.push((*from, *to));
                }
            }
        }
        self.cut(links, lasts_us);
    }

    fn storm(&mut self, lasts_us: u64) {
        self.statistics.misfortunes += 1;
        self.network.storm();
        self.tell("a storm begins".to_owned());
        self.after(lasts_us, Happening::Mend(Mend::Calm));
    }

    fn slow_disk(&mut self, id: NodeId, lasts_us: u64) {
        self.statistics.misfortunes += 1;
        let until = Instant(self.now.0 + lasts_us);
        self.hosts[id].slow_until = until;
        self.tell(format!("{id} has a slow disk until {}", until.0));
    }

    fn full_disk(&mut self, id: NodeId, lasts_us: u64) -> Checked {
        if self.hosts[id].storage.is_none() {
            return Ok(());
        }
        self.statistics.misfortunes += 1;
        self.after(lasts_us, Happening::Mend(Mend::Room(id)));
        self.has_room(id, false)
    }

    /// A disk is full, or has room again, and the node hears of it when it lives and does not stand
    /// still.
    pub fn has_room(&mut self, id: NodeId, has_room: bool) -> Checked {
        let host = &mut self.hosts[id];
        if host.is_full != has_room {
            return Ok(());
        }
        if host.node.is_some() && host.paused_until > self.now {
            let wait_us = host.paused_until.0 - self.now.0;
            if has_room {
                self.after(wait_us, Happening::Mend(Mend::Room(id)));
            }
            return Ok(());
        }
        host.is_full = !has_room;
        let is_alive = host.node.is_some();
        self.tell(format!("{id} has {} room on its disk", if has_room { "again" } else { "no" }));
        if is_alive { self.step(id, Input::Room(has_room)) } else { Ok(()) }
    }

    fn drift(&mut self, id: NodeId, lasts_us: u64, luck: &mut Rng) {
        self.statistics.misfortunes += 1;
        let max = self.options.faults.drift_permille_max.min(TRUE_PACE - 1);
        let pace = TRUE_PACE - max + luck.below(2 * max + 1);
        self.set_pace(id, pace);
        self.after(lasts_us, Happening::Mend(Mend::TrueClock(id)));
    }

    fn set_pace(&mut self, id: NodeId, pace: u64) {
        let host = &mut self.hosts[id];
        host.clock.set_pace(self.now, pace);
        host.wake = None;
        self.tell(format!("{id} has a clock of pace {pace}"));
        self.plan_wake(id);
    }

    fn jump(&mut self, id: NodeId, luck: &mut Rng) {
        self.statistics.misfortunes += 1;
        let ahead_us = 1 + luck.below(self.options.faults.jump_us_max);
        let host = &mut self.hosts[id];
        host.clock.jump(self.now, ahead_us);
        host.wake = None;
        self.tell(format!("{id} has a clock that jumps {ahead_us} us ahead"));
        self.plan_wake(id);
    }

    pub fn tell(&mut self, what: String) {
        self.fingerprint.note(self.now, what.as_bytes());
        self.recording.note(self.now, || What::World(what));
    }
}
