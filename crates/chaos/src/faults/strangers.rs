//! A stranger knocks on every port: garbage, floods of connections, half-open ones, datagrams. From
//! a namespace of its own where there are some; bounded in number and time (`stranger.rs`).

use std::process::{Command, Stdio};
use std::time::Duration;

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::network::STRANGERS;
use crate::world::World;

pub(super) fn begin(lasts: Duration, rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let own = std::env::current_exe()?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    if let Some(spaces) = &world.cluster.spaces {
        command.args(spaces.enter_words(STRANGERS));
    }
    command.arg(own).arg("stranger").args(["--lasts", &format!("{}ms", lasts.as_millis())]);
    command.args(["--seed", &rng.draw().to_string()]);
    for node in &world.cluster.nodes {
        command.arg(node.place.peers.to_string()).arg(node.place.clients.to_string());
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let says = format!("{} ports", 2 * world.cluster.nodes.len());
    Ok(Some(Begun::new(says, move |_| {
        drop(child.kill());
        child.wait()?;
        Ok(())
    })))
}
