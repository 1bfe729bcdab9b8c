//! The network of the stage: what is in flight, which links carry, what is held.

use node::Input;
use paxos::wire::{WireError, decode_message, encode_message};
use paxos::{Envelope, Epoch, Instant, Kind, Message, NodeId};

use super::{Done, Stage, Telling, Trouble, passing};
use crate::check::Wrong;
use crate::script::selector::Selector;

/// A message in flight.
#[derive(Debug)]
pub struct Flight {
    pub from: NodeId,
    pub to: NodeId,
    /// In which it was said.
    pub epoch: Epoch,
    pub message: Message,
    pub bytes: Vec<u8>,
    /// When it arrives if nobody says otherwise.
    pub at: Instant,
}

/// The same message to one or more.
struct Sent {
    to: Vec<NodeId>,
    arrives: bool,
    message: Message,
}

pub fn is_about_time(message: &Message) -> bool {
    matches!(
        message.kind(),
        Kind::Heartbeat | Kind::HeartbeatReply | Kind::Probe | Kind::ProbeReply
    )
}

impl Stage {
    /// Delivers what is meant, in the order of sending or against it. A copy stays in flight if
    /// the network is to repeat it.
    pub fn deliver(&mut self, which: &Selector, reversed: bool, repeats: bool) -> Done {
        let mut meant = self.take(which, repeats);
        if meant.is_empty() {
            self.notes.say(None, "nothing like that is in flight".into());
        }
        if reversed {
            meant.reverse();
        }
        meant.into_iter().try_for_each(|flight| self.arrive(&flight))
    }

    /// The network loses what is meant.
    pub fn drop(&mut self, which: &Selector) {
        let count = self.take(which, false).len();
        let messages = if count == 1 { "message is" } else { "messages are" };
        self.notes.say(None, format!("{count} {messages} lost"));
    }

    /// What is meant, now and later, waits until it is delivered by name or released.
    pub fn hold(&mut self, which: Selector) {
        self.holds.push(which);
    }

    /// Nothing is held any more.
    pub fn release(&mut self) {
        self.holds.clear();
    }

    /// Links carry nothing, from the first to the second and perhaps back; or they do again.
    pub fn link(&mut self, from: &[NodeId], to: &[NodeId], both_ways: bool, carries: bool) {
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        for (one, other) in pairs {
            for link in [(one, other), (other, one)].into_iter().take(1 + usize::from(both_ways)) {
                if carries {
                    self.cuts.remove(&link);
                } else {
                    self.cuts.insert(link);
                }
            }
        }
    }

    /// Every link carries again.
    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// Whether heartbeats and probes travel while messages are delivered one by one. They always
    /// do while time passes.
    pub fn carry_heartbeats(&mut self, carries: bool) {
        self.carries_heartbeats = carries;
    }

    fn take(&mut self, which: &Selector, keeps: bool) -> Vec<Flight> {
        let names = &self.names;
        let is_meant = |it: &Flight| which.is_about(names, it.from, it.to, &it.message);
        let (meant, others): (Vec<Flight>, Vec<Flight>) =
            std::mem::take(&mut self.flying).into_iter().partition(is_meant);
        self.flying = others;
        if keeps {
            let copy = |it: &Flight| Flight {
                bytes: it.bytes.clone(),
                message: it.message.clone(),
                ..*it
            };
            self.flying.extend(meant.iter().map(copy));
        }
        meant
    }

    pub(super) fn is_held(&self, it: &Flight) -> bool {
        self.holds.iter().any(|which| which.is_about(&self.names, it.from, it.to, &it.message))
    }

    pub(super) fn arrive(&mut self, flight: &Flight) -> Done {
        let host = &self.hosts[&flight.to];
        if host.node.is_none() || host.is_failed {
            let what = format!(": does not hear {}", self.names.message(&flight.message));
            self.tell(flight.to, what, Telling::Everything);
            return Ok(());
        }
        let own = host.configuration.epoch();
        let decoded = decode_message(&host.configuration, flight.to, &flight.bytes);
        if let Err(WireError::Epoch(epoch)) = decoded {
            let what = self.names.message(&flight.message);
            let what = format!(": does not hear {what}, of epoch {epoch}");
            self.tell(flight.to, what, Telling::Everything);
            return Ok(());
        }
        if decoded.is_ok() && flight.epoch != own {
            let who = self.names.node(flight.to);
            let what = format!("{who} hears a message of another epoch");
            return Err(Trouble::Wrong(Wrong { promise: "wire", what }));
        }
        let (from, message) = decoded.map_err(|error| {
            let what = format!("{} cannot read a message: {error}", self.names.node(flight.to));
            Trouble::Wrong(Wrong { promise: "wire", what })
        })?;
        self.step(flight.to, Input::Message { from, message })
    }

    /// A message leaves; it is in flight afterwards, unless its link carries nothing.
    fn post(&mut self, from: NodeId, envelope: Envelope, sent: &mut Vec<Sent>) -> Done {
        let Envelope { to, message } = envelope;
        let host = &self.hosts[&from];
        let epoch = host.configuration.epoch();
        self.wire
            .leaves(from, host.life, epoch, &message, &host.durable)
            .map_err(Trouble::Wrong)?;
        let time_passes = !self.tells_outcomes();
        if is_about_time(&message) && !time_passes && !self.carries_heartbeats {
            return Ok(());
        }
        let arrives = !host.is_failed && !self.cuts.contains(&(from, to));
        let same = |it: &&mut Sent| it.arrives == arrives && it.message == message;
        match sent.iter_mut().find(same) {
            Some(known) if known.to.contains(&to) => {}
            Some(known) => known.to.push(to),
            None => sent.push(Sent { to: vec![to], arrives, message: message.clone() }),
        }
        if arrives {
            let mut bytes = Vec::new();
            encode_message(&host.configuration, from, to, &message, &mut bytes);
            let at = if from == to { self.now } else { self.now.plus(passing::LATENCY) };
            self.flying.push(Flight { from, to, epoch, message, bytes, at });
        }
        Ok(())
    }

    pub(super) fn post_all(&mut self, from: NodeId, all: Vec<Envelope>) -> Done {
        let mut sent = Vec::new();
        for envelope in all {
            self.post(from, envelope, &mut sent)?;
        }
        for Sent { to, arrives, message } in sent {
            let arrow = if arrives { "->" } else { "-x" };
            let (to, what) = (self.names.nodes(&to), self.names.message(&message));
            self.tell(from, format!(" {arrow} {to}: {what}"), Telling::Everything);
        }
        Ok(())
    }
}
