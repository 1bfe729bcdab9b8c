//! Requests that another node proposes: who waits here for them to be applied.
//!
//! A node that does not lead hands a request on to the one that does, by whatever way its driver
//! has. Wherever it is chosen, it is applied here as well, and that answers. What is lost on the
//! way is asked for again: sessions see to it that it is applied once.

use alloc::vec::Vec;

use crate::machine::StateMachine;
use crate::node::{Append, Effects, Node, Reply, Ticket};
use crate::request::Request;

impl<M: StateMachine> Node<M> {
    /// Waits for a request that is not proposed here. Answers at once what the sessions know of it.
    /// Whoever waited for the same request before is told that it is not known what became of it.
    ///
    /// The caller bounds how many wait, and [forgets](Node::forget) those that it gives up.
    pub fn expect(&mut self, append: Append, effects: &mut Effects<M>) {
        let Append { ticket, request } = append;
        if let Some(reply) = self.sessions.look(&request, self.applied) {
            effects.replies.push((ticket, reply));
        } else if let Some(earlier) = self.elsewhere.wait(&request, ticket) {
            effects.replies.push((earlier, Reply::Unknown { leader: None }));
        }
    }

    /// Nobody waits any more for a request that was [expected](Node::expect). Gives back who did.
    pub fn forget(&mut self, request: &Request) -> Option<Ticket> {
        self.elsewhere.take(request)
    }

    /// How many requests that are proposed elsewhere are waited for.
    pub fn expected(&self) -> usize {
        self.elsewhere.len()
    }

    /// The request is proposed here now. Whoever expected it asks again.
    pub(crate) fn asked_here(&mut self, request: &Request, replies: &mut Replies<M>) {
        if let Some(earlier) = self.elsewhere.take(request) {
            replies.push((earlier, Reply::Unknown { leader: None }));
        }
    }

    /// The request was applied, wherever it was proposed.
    pub(crate) fn answer_expected(
        &mut self,
        request: &Request,
        reply: &Reply<M::Output>,
        replies: &mut Replies<M>,
    ) {
        if let Some(ticket) = self.elsewhere.take(request) {
            replies.push((ticket, reply.clone()));
        }
    }
}

type Replies<M> = Vec<(Ticket, Reply<<M as StateMachine>::Output>)>;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use paxos::{Incarnation, Instant, Limits, NodeId, Slot, Timing};

    use super::*;
    use crate::history::History;
    use crate::node::Input;
    use crate::request::Nonce;

    /// A node that leads alone, once its messages to itself are heard.
    fn settled(node: &mut Node<History>, effects: &mut Effects<History>) {
        for _ in 0..1000 {
            let now = node.deadline().unwrap_or(Instant(0));
            if node.replica().part() != paxos::Part::Leading {
                node.step(now, Input::Tick, effects);
            }
            loop {
                let replica = &mut effects.replica;
                let sent: Vec<_> =
                    replica.send.drain(..).chain(replica.write.then_send.drain(..)).collect();
                replica.write.records.clear();
                if sent.is_empty() {
                    break;
                }
                for envelope in sent {
                    let message = envelope.message;
                    node.step(now, Input::Message { from: NodeId(1), message }, effects);
                }
            }
            if node.replica().part() == paxos::Part::Leading {
                return;
            }
        }
        panic!("nobody leads");
    }

    fn alone() -> Node<History> {
        let roles = paxos::Roles { leader: true, acceptor: true, learner: false };
        let disk = Some(paxos::DiskId::default());
        let members = [(NodeId(1), paxos::Member { roles, disk })].into();
        let configuration =
            paxos::Configuration::majority(paxos::ClusterId([1; 16]), members).unwrap();
        let config = paxos::Config {
            node: NodeId(1),
            incarnation: Incarnation(1),
            configuration,
            timing: Timing::default(),
            limits: Limits::default(),
            announce: paxos::Announce::default(),
        };
        Node::recover(config, [], History::default(), Instant(0), 1)
    }

    fn append(ticket: u64, request: &Request) -> Append {
        Append { ticket: Ticket(ticket), request: request.clone() }
    }

    #[test]
    fn who_waits_for_what_is_proposed_elsewhere_is_answered_when_it_is_applied() {
        let (mut node, mut effects) = (alone(), Effects::default());
        settled(&mut node, &mut effects);
        let open = Request::open(Nonce([3; 16]), 60_000_000);
        node.expect(append(1, &open), &mut effects);
        assert_eq!(effects.replies, [], "nothing is known of it");
        assert_eq!(node.expected(), 1);
        // It was handed on, comes back, as if from another node, and is proposed.
        let now = Instant(10_000_000);
        node.step(now, Input::Append(vec![append(2, &open)]), &mut effects);
        settled(&mut node, &mut effects);
        let lost = effects.replies.remove(0);
        assert_eq!(lost, (Ticket(1), Reply::Unknown { leader: None }), "asked for anew");
        let (_, Reply::Opened { session }) = effects.replies.remove(0) else {
            panic!("a session is opened")
        };
        let value = Request::append(session, 1, 1, b"value").unwrap();
        node.step(now, Input::Append(vec![append(3, &value)]), &mut effects);
        node.expect(append(4, &value), &mut effects);
        settled(&mut node, &mut effects);
        let done: Vec<Ticket> = effects.replies.drain(..).map(|(ticket, _)| ticket).collect();
        assert_eq!(done, [Ticket(4), Ticket(3)], "both who wait are answered");
        node.expect(append(5, &value), &mut effects);
        let slot = Slot(session.0 + 1);
        assert_eq!(effects.replies, [(Ticket(5), Reply::Done { slot, output: () })]);
        assert_eq!((node.expected(), node.waiting()), (0, 0));
    }

    #[test]
    fn who_gives_up_is_forgotten() {
        let (mut node, mut effects) = (alone(), Effects::default());
        let open = Request::open(Nonce([3; 16]), 60_000_000);
        node.expect(append(1, &open), &mut effects);
        node.expect(append(2, &open), &mut effects);
        assert_eq!(effects.replies, [(Ticket(1), Reply::Unknown { leader: None })]);
        assert_eq!(node.forget(&open), Some(Ticket(2)));
        assert_eq!((node.forget(&open), node.expected()), (None, 0));
    }
}
