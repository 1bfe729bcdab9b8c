//! How a small world begins.

use std::collections::VecDeque;

use paxos::Message;

use super::local::{Letter, Local, Move, Output};
use super::scene::Scene;

/// Each node, and the letters on their way to it.
pub fn start(scene: &Scene) -> Vec<(Local, Vec<Letter>)> {
    let fresh = (0..scene.places()).map(|place| (Local::new(scene, place), Vec::new()));
    let fresh: Vec<(Local, Vec<Letter>)> = fresh.collect();
    if scene.settled { settled(scene, fresh) } else { fresh }
}

/// The first leader campaigns, and everything that is said about slot 0 arrives, once and in
/// order.
fn settled(scene: &Scene, mut nodes: Vec<(Local, Vec<Letter>)>) -> Vec<(Local, Vec<Letter>)> {
    let following = Some(scene.config(0, 0).announce);
    let telling = Scene { following, acceptor_crashes: 0, flaw: None, ..*scene };
    let mut output = Output::default();
    nodes[0].0.act(&telling, 0, Move::Campaign, &mut output);
    let mut flying: VecDeque<Letter> = output.letters.into();
    while let Some(letter) = flying.pop_front() {
        let (node, inbox) = &mut nodes[Scene::place(letter.to)];
        match &letter.message {
            Message::Accept { run, .. } if run.first.0 > 0 => {
                if scene.carries(&letter.message, Scene::place(letter.to)) {
                    inbox.push(letter);
                }
            }
            message => {
                if let Message::Prepare { .. } = message {
                    // It may come again, and bring forth a rejection.
                    inbox.push(letter.clone());
                }
                let mut output = Output::default();
                node.deliver(&telling, &letter, &mut output);
                flying.extend(output.letters);
            }
        }
    }
    nodes
}
