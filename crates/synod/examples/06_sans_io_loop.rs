//! The protocol without anything around it, for a runtime of your own: one leader, three acceptors,
//! a loop that moves messages. One acceptor is gone, and the values are chosen all the same.
//!
//! ```text
//! cargo run -p synod --example 06_sans_io_loop
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use synod::paxos::{
    Announce, ClusterId, Config, Configuration, DiskId, Effects, Envelope, Incarnation, Input,
    Instant, Limits, Member, NodeId, Part, Replica, Roles, Timing,
};

fn main() -> Result<(), Box<dyn Error>> {
    // Node 1 leads; nodes 2, 3 and 4 remember.
    let member = |id: u32| {
        let roles = Roles { leader: id == 1, acceptor: id > 1, learner: false };
        (NodeId(id), Member { roles, disk: (id > 1).then(DiskId::default) })
    };
    let members = (1..=4).map(member).collect();
    let configuration = Configuration::majority(ClusterId([7; 16]), members)?;

    let mut now = Instant(0);
    let mut nodes: BTreeMap<NodeId, Replica> = BTreeMap::new();
    for id in 1..=3 {
        let config = Config {
            node: NodeId(id),
            incarnation: Incarnation(id.into()), // Random bits, in earnest.
            configuration: configuration.clone(),
            timing: Timing::default(),
            limits: Limits::default(),
            announce: Announce::default(),
        };
        // An acceptor that starts again gives what its journal holds in place of [].
        nodes.insert(NodeId(id), Replica::recover(config, [], now, u64::from(id)));
    }

    let mut network: VecDeque<(NodeId, Envelope)> = VecDeque::new();
    let mut effects = Effects::default();
    let mut chosen = 0;
    while chosen < 2 {
        let (node, input) = match network.pop_front() {
            Some((from, Envelope { to, message })) => (to, Input::Message { from, message }),
            None if nodes[&NodeId(1)].part() == Part::Leading && chosen == 0 => {
                let values = [b"one", b"two"].map(|value| value.as_slice().into());
                (NodeId(1), Input::Propose(values.into()))
            }
            None => {
                now = now.plus(Duration::from_millis(1));
                (NodeId(1), Input::Tick)
            }
        };
        let Some(replica) = nodes.get_mut(&node) else { continue };
        replica.step(now, input, &mut effects);
        // Append effects.write.records to the journal and sync it here: `then_send` waits for that.
        effects.write.records.clear();
        let sent = effects.send.drain(..).chain(effects.write.then_send.drain(..));
        network.extend(sent.map(|envelope| (node, envelope)));
        for (slot, value) in effects.chosen.drain(..) {
            if let Some(command) = value.command().filter(|_| node == NodeId(1)) {
                println!("slot {slot}: {}", String::from_utf8_lossy(command));
                chosen += 1;
            }
        }
        effects.clear();
    }
    Ok(())
}
