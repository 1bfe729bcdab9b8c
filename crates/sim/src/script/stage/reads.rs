//! Readers on the stage: of whom they ask, and what they are shown.

use node::{Consistency, Input, Node, Read, ReadReply, Ticket};
use paxos::{NodeId, Slot};

use super::{Done, Stage, Trouble};
use crate::check::linearizable::shows_enough;
use crate::script::words::value;

impl Stage {
    /// Somebody reads at a node.
    pub fn read(&mut self, node: NodeId, consistency: Consistency) -> Done {
        let host = &self.hosts[&node];
        if host.node.is_none() || host.is_failed {
            return Err(Trouble::Script(format!("{} answers nobody", self.names.node(node))));
        }
        let ticket = Ticket(self.reads.len() as u64);
        self.reads.push((consistency, self.observer.end()));
        self.step(node, Input::Read(vec![Read { ticket, consistency }]))
    }

    /// What readers hear.
    pub(super) fn read_replies(&mut self, id: NodeId, replies: &[(Ticket, ReadReply)]) -> Done {
        for (Ticket(number), reply) in replies {
            let place = usize::try_from(*number).expect("a few reads");
            let (consistency, chosen) = self.reads[place];
            let said = match reply {
                ReadReply::Ready { .. } => {
                    let shown = self.hosts[&id].node.as_ref().map_or(Slot::FIRST, Node::applied);
                    shows_enough(id, consistency, chosen, shown).map_err(Trouble::Wrong)?;
                    let last = shown.0.checked_sub(1).and_then(|it| self.observer.chosen(Slot(it)));
                    let last = last.map_or("nothing".into(), value);
                    format!("is shown all below slot {shown}, up to {last}")
                }
                ReadReply::NotLearning => "is told that nothing is kept there".into(),
                ReadReply::Busy => "is not served, too much is waiting".into(),
                ReadReply::TimedOut { leader: None } => {
                    "is not served in time, nobody is known to lead".into()
                }
                ReadReply::TimedOut { leader: Some(leader) } => {
                    format!("is not served in time, {} leads", self.names.node(*leader))
                }
            };
            let (at, reader) = (self.at(), format!("reader {}", number + 1));
            self.notes.add(at, &reader, format!(" at {} {said}", self.names.node(id)));
        }
        Ok(())
    }
}
