//! How time passes on the stage: for one node's timers, or for everybody with a working network.

use std::time::Duration;

use node::Input;
use paxos::{Instant, Message, NodeId, Part};

use super::network::{Flight, is_about_time};
use super::{Done, EVERYBODY, Stage, Telling, Trouble};

/// Each way, between two nodes.
pub const LATENCY: Duration = Duration::from_millis(1);

/// One command delivers no more than this.
const DELIVERIES_MAX: usize = 100_000;

/// A candidate's timers are waited for so often.
const PATIENCE: usize = 50;

impl Stage {
    /// Everything in flight arrives that is not held, and everything that follows from it. No time
    /// passes.
    pub fn settle(&mut self) -> Done {
        self.telling = Telling::Outcomes;
        let settled = self.settle_quietly();
        self.telling = Telling::Everything;
        settled
    }

    fn settle_quietly(&mut self) -> Done {
        for _ in 0..DELIVERIES_MAX {
            let next = self.flying.iter().position(|it| !self.is_held(it));
            let Some(next) = next else { return Ok(()) };
            let flight = self.flying.remove(next);
            self.arrive(&flight)?;
        }
        Err(Trouble::Script("this does not settle".into()))
    }

    /// Time passes for everybody: timers fire, and messages arrive after [`LATENCY`], heartbeats
    /// included.
    pub fn run(&mut self, span: Duration) -> Done {
        let began = self.now;
        self.telling = Telling::Turns { began };
        let ran = self.run_until(began.plus(span));
        self.telling = Telling::Everything;
        for ((id, what), count) in std::mem::take(&mut self.counts) {
            let who = if id == EVERYBODY { "all" } else { self.names.node(id) };
            self.notes.say(None, format!("{who}: {} {count}", what.replace('_', " ")));
        }
        if !self.carries_heartbeats {
            self.flying.retain(|it| !is_about_time(&it.message));
        }
        ran
    }

    fn run_until(&mut self, end: Instant) -> Done {
        for _ in 0..DELIVERIES_MAX {
            let flights = self.flying.iter().enumerate().filter(|(_, it)| !self.is_held(it));
            let flight = flights.map(|(place, it)| (it.at.max(self.now), place)).min();
            let tick = self.deadline(&self.everybody());
            let next = flight.map(|(at, _)| at).into_iter().chain(tick.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = self.now.max(next);
            match (flight, tick) {
                (Some((at, place)), _) if at == next => {
                    let flight = self.flying.remove(place);
                    self.arrive(&flight)?;
                }
                (_, Some((_, id))) => self.step(id, Input::Tick)?,
                (_, None) => {}
            }
        }
        Err(Trouble::Script("too much happens in this time".into()))
    }

    /// Time passes, but only these nodes' timers fire, and nothing arrives.
    pub fn wait(&mut self, nodes: &[NodeId], span: Duration) -> Done {
        let end = self.now.plus(span);
        for _ in 0..DELIVERIES_MAX {
            let Some((at, id)) = self.deadline(nodes).filter(|(at, _)| *at <= end) else {
                self.now = end;
                return Ok(());
            };
            self.now = self.now.max(at);
            self.step(id, Input::Tick)?;
        }
        Err(Trouble::Script("too much happens in this time".into()))
    }

    /// Time passes until the leader is impatient, has probed the acceptors that it reaches, and
    /// prepares. Nobody else's timers fire, and what its own timers repeat meanwhile is lost.
    pub fn campaign(&mut self, leader: NodeId) -> Done {
        let others = std::mem::take(&mut self.flying);
        let carried = std::mem::replace(&mut self.carries_heartbeats, true);
        self.telling = Telling::Candidate;
        let result = self.campaign_alone(leader);
        self.telling = Telling::Everything;
        self.carries_heartbeats = carried;
        let prepares = std::mem::replace(&mut self.flying, others);
        let is_new = |it: &Flight| match &it.message {
            Message::Prepare { ballot, .. } => self.part(leader).1 == Some(*ballot),
            _ => false,
        };
        let prepares: Vec<Flight> = prepares.into_iter().filter(is_new).collect();
        if result? {
            let to: Vec<NodeId> = prepares.iter().map(|it| it.to).collect();
            if let Some(first) = prepares.first() {
                let what = self.names.message(&first.message);
                let what = format!(" -> {}: {what}", self.names.nodes(&to));
                self.tell(leader, what, Telling::Everything);
            }
        } else {
            let what = ": finds no phase-1 quorum that is without a leader".into();
            self.tell(leader, what, Telling::Everything);
        }
        self.flying.extend(prepares);
        Ok(())
    }

    fn campaign_alone(&mut self, leader: NodeId) -> Result<bool, Trouble> {
        let before = self.part(leader);
        if before.0 == Part::Leading {
            return Err(Trouble::Script(format!("{} leads", self.names.node(leader))));
        }
        for _ in 0..PATIENCE {
            let Some((at, _)) = self.deadline(&[leader]) else {
                return Err(Trouble::Script(format!("{} is down", self.names.node(leader))));
            };
            self.now = self.now.max(at);
            self.step(leader, Input::Tick)?;
            while let Some(place) = self.flying.iter().position(|it| is_about_time(&it.message)) {
                let flight = self.flying.remove(place);
                self.arrive(&flight)?;
            }
            let now = self.part(leader);
            if now.0 == Part::Preparing && now != before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn part(&self, id: NodeId) -> (Part, Option<paxos::Ballot>) {
        let node = self.hosts[&id].node.as_ref();
        node.map_or((Part::Following, None), |node| {
            (node.replica().part(), node.replica().ballot())
        })
    }

    fn everybody(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    fn deadline(&self, nodes: &[NodeId]) -> Option<(Instant, NodeId)> {
        let deadline = |id: &NodeId| {
            let at = self.hosts[id].node.as_ref()?.deadline()?;
            Some((at, *id))
        };
        nodes.iter().filter_map(deadline).min()
    }
}
