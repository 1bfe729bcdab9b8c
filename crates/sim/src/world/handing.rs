//! Operators who want another node to lead, whatever else goes wrong, and what they are told: each
//! of them something, once, unless the node that they asked dies.

use std::collections::BTreeMap;

use node::Input;
use paxos::{Ballot, HandOverId, HandOverRefusal, NodeId, Part, Rng};

use super::World;
use crate::check::{Checked, Wrong};

/// Of so many operators, one asks twice at once.
const TWICE_ONE_IN: u64 = 4;

/// Who asked whom, and is not answered.
#[derive(Debug, Default)]
pub struct Wishes {
    asked: u64,
    /// With the life that was asked.
    open: BTreeMap<HandOverId, (NodeId, u32)>,
}

impl World {
    /// Somebody asks a leader, if there is one, or else whoever was drawn.
    pub fn hand_over(&mut self, anybody: NodeId, luck: &mut Rng) -> Checked {
        self.statistics.misfortunes += 1;
        let leads = |id: &NodeId| {
            let node = self.hosts[*id].node.as_ref();
            node.is_some_and(|node| node.replica().part() == Part::Leading)
        };
        let leaders: Vec<NodeId> = self.hosts.ids().filter(leads).collect();
        let from = if leaders.is_empty() { anybody } else { leaders[luck.index(leaders.len())] };
        let named = self.hosts.ids().nth(luck.index(self.hosts.len()));
        let to = named.filter(|_| luck.below(2) == 0);
        let times = 1 + u64::from(luck.below(TWICE_ONE_IN) == 0);
        let host = &self.hosts[from];
        if host.node.is_none() || host.is_silent || host.paused_until > self.now {
            return Ok(());
        }
        for _ in 0..times {
            let life = self.hosts[from].life;
            self.wishes.asked += 1;
            let id = HandOverId(self.wishes.asked);
            self.wishes.open.insert(id, (from, life));
            let whom = to.map_or("anybody".to_owned(), |to| to.to_string());
            self.tell(format!("{from} is to let {whom} lead"));
            self.step(from, Input::HandOver { id, to })?;
        }
        Ok(())
    }

    /// What an operator is told.
    pub fn handed_over(
        &mut self,
        from: NodeId,
        id: HandOverId,
        outcome: Result<Ballot, HandOverRefusal>,
    ) -> Checked {
        let life = self.hosts[from].life;
        let wrong = |what: String| Err(Wrong { promise: "progress", what });
        if self.wishes.open.remove(&id) != Some((from, life)) {
            return wrong(format!("{from} answers {id:?}, which nobody asked of this life"));
        }
        let node = self.hosts[from].node.as_ref().expect("only a living node answers");
        match outcome {
            Ok(ballot) if Some(ballot) < node.replica().ballot() => {
                wrong(format!("{from} says that {ballot} leads, and knows better"))
            }
            _ => Ok(()),
        }
    }

    /// Whether everybody who asked a node that lives was told something.
    pub fn wishes_are_answered(&self) -> bool {
        let lives = |(from, life): &(NodeId, u32)| {
            let host = &self.hosts[*from];
            host.node.is_some() && host.life == *life
        };
        !self.wishes.open.values().any(lives)
    }
}
