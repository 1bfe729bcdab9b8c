//! An operator on the stage, who wants another node to lead.

use node::Input;
use paxos::{Ballot, HandOverId, HandOverRefusal, NodeId};

use super::{Done, Stage, Trouble};

impl Stage {
    /// The node is asked to let another one lead.
    pub fn hand_over(&mut self, from: NodeId, to: Option<NodeId>) -> Done {
        let host = &self.hosts[&from];
        if host.node.is_none() || host.is_failed {
            return Err(Trouble::Script(format!("{} answers nobody", self.names.node(from))));
        }
        self.wishes += 1;
        self.step(from, Input::HandOver { id: HandOverId(self.wishes), to })
    }

    pub(super) fn handed_over(&mut self, all: Vec<(HandOverId, Result<Ballot, HandOverRefusal>)>) {
        for (id, outcome) in all {
            let node = |node: NodeId| self.names.node(node).to_owned();
            let said = match outcome {
                Ok(ballot) => format!("{} leads", self.names.ballot(ballot)),
                Err(HandOverRefusal::NotLeading { leader: None }) => {
                    "it does not lead, and knows of nobody who does".into()
                }
                Err(HandOverRefusal::NotLeading { leader: Some(leader) }) => {
                    format!("it does not lead, {} does", node(leader))
                }
                Err(HandOverRefusal::UnderWay) => "it is at it already".into(),
                Err(HandOverRefusal::NoLeader { node: named }) => {
                    format!("{} may not lead", node(named))
                }
                Err(HandOverRefusal::NobodyReady) => "nobody is ready to lead".into(),
                Err(HandOverRefusal::NotTaken { to }) => format!("{} did not lead", node(to)),
            };
            self.notes.add(self.at(), &format!("operator {}", id.0), format!(" hears: {said}"));
        }
    }
}
