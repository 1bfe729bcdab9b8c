//! A counterexample in sentences.

use paxos::{Ballot, Message, NodeId, Run, Slot};

use super::judge::name;
use super::local::{Letter, Move};
use super::scene::Scene;

/// One move, with the names that nodes had at the start.
pub struct Step {
    pub place: usize,
    pub act: Move,
    pub letter: Option<Letter>,
    /// The place at the start of what stood at each place when the move was made.
    pub names: Vec<usize>,
}

/// A sentence a move.
pub fn story(scene: &Scene, steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| sentence(scene, step)).collect()
}

fn sentence(scene: &Scene, step: &Step) -> String {
    let role = |place: usize| if scene.is_leader(place) { "Leader" } else { "Acceptor" };
    let who = |place: usize| format!("{} {}", role(place), Scene::node(place));
    let me = who(step.place);
    match (step.act, &step.letter) {
        (Move::Deliver(_), Some(letter)) => {
            let from = who(named(step, letter.from)).to_lowercase();
            format!("{me} hears from {from}: {}.", said(&letter.message))
        }
        (Move::Deliver(_), None) => unreachable!("a delivery has a letter"),
        (Move::Campaign, _) => format!("{me} campaigns."),
        (Move::Fetch, _) => format!("{me} asks everyone for what it does not know."),
        (Move::Sync, _) => format!("{me} gets on disk what it has written."),
        (Move::Crash, _) => format!("{me} crashes and starts again."),
        (Move::Lose, _) => format!("{me} crashes, and its votes are lost with a part of its disk."),
        (Move::Heartbeat, _) => format!("{me} says that it leads."),
        (Move::Read, _) => format!("Somebody begins to read at {}.", me.to_lowercase()),
        (Move::Keep, _) => format!("What {} knows is in snapshots now.", me.to_lowercase()),
    }
}

fn named(step: &Step, node: NodeId) -> usize {
    step.names[Scene::place(node)]
}

fn said(message: &Message) -> String {
    let proposal = |run: &Run| {
        let values: Vec<String> = run.values.iter().map(name).collect();
        format!("{} in slot {} at {}", values.join(", "), run.first, life(run.ballot))
    };
    match message {
        Message::Prepare { ballot, .. } => format!("prepare {}", life(*ballot)),
        Message::Promise { ballot, page } if page.suspect > page.from => {
            let below = match page.suspect {
                Slot::LIMIT => "anywhere".to_string(),
                slot => format!("below {slot}"),
            };
            format!("I promise {}; {below} I may have lost votes", life(*ballot))
        }
        Message::Promise { ballot, page } if page.truncated > page.from => {
            format!("I promise {}; below {} my votes are cut", life(*ballot), page.truncated)
        }
        Message::Promise { ballot, page } if page.votes.is_empty() => {
            format!("I promise {} and show no votes", life(*ballot))
        }
        Message::Promise { ballot, page } => {
            let votes: Vec<String> = page.votes.iter().map(proposal).collect();
            format!("I promise {}; I have voted for {}", life(*ballot), votes.join(" and "))
        }
        Message::Reject { ballot, promised, .. } => {
            format!("I reject {}, for I promised {}", life(*ballot), life(*promised))
        }
        Message::Accept { run, chosen } => {
            format!("accept {}; all below {chosen} is chosen", proposal(run))
        }
        Message::Accepted { ballot, first, .. } => {
            format!("I have accepted slot {first} at {}", life(*ballot))
        }
        Message::Chosen { ballot, chosen } => {
            format!("all below {chosen} is chosen, says {}", life(*ballot))
        }
        Message::Votes { page } if page.votes.is_empty() => "I have not voted".into(),
        Message::Votes { page } => {
            let votes: Vec<String> = page.votes.iter().map(proposal).collect();
            format!("I have voted for {}", votes.join(" and "))
        }
        Message::Fetch { from } => format!("what is there from slot {from} on"),
        Message::Learned { first, values, .. } => {
            let values: Vec<String> = values.iter().map(name).collect();
            format!("from slot {first} on these are chosen: {}", values.join(", "))
        }
        Message::Heartbeat { ballot, chosen, start, .. } => {
            format!(
                "I lead at {} from slot {start} on; all below {chosen} is chosen",
                life(*ballot)
            )
        }
        Message::ReadIndex { .. } => "what must a read have seen".into(),
        Message::ReadIndexReply { index: Some(index), .. } => format!("all below slot {index}"),
        Message::ReadIndexReply { index: None, .. } => "I do not lead".into(),
        Message::Confirm { ballot, round } => {
            format!("is {} the highest, round {round}", life(*ballot))
        }
        Message::Confirmed { ballot, round } => {
            format!("{} is the highest, round {round}", life(*ballot))
        }
        Message::Kept { below } => format!("keepers have all below {below} in snapshots"),
        Message::Part { snapshot, .. } => format!("a snapshot of all below {}", snapshot.below),
        other => other.kind().name().to_string(),
    }
}

/// A ballot with the life of its leader where that is not the first.
fn life(ballot: Ballot) -> String {
    match ballot.incarnation.0 {
        0 | 1 => format!("ballot {ballot}"),
        life => format!("ballot {ballot} of life {life}"),
    }
}
