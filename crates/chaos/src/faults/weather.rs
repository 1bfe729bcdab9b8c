//! Loss, repeats, delay and reordering between nodes, by the adversaries in some or all of them.

use client::proto::NetworkRequest;
use paxos::Rng;

use super::Begun;
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Option<Begun> {
    let loss_ppm = below(rng, 3) * below(rng, 70_000) + 1000;
    let duplicate_ppm = below(rng, 2) * below(rng, 100_000);
    let delay_max_us = rng.below(4) * rng.below(12_000);
    let delay_min_us = delay_max_us / 4;
    let reorder = rng.below(2) == 0;
    let seed = rng.draw() | 1;
    let reached: Vec<usize> = if rng.below(2) == 0 {
        (0..world.cluster.nodes.len()).collect()
    } else {
        let drawn: Vec<usize> =
            (0..world.cluster.nodes.len()).filter(|_| rng.below(3) == 0).collect();
        drawn
    };
    // One weather at a time: a node's adversary has one sky.
    if reached.is_empty() || world.adversaries.values().any(|it| it.seed != 0) {
        return None;
    }
    for node in &reached {
        let cut_to = world.adversaries.remove(node).unwrap_or_default().cut_to;
        let faults = NetworkRequest {
            loss_ppm,
            duplicate_ppm,
            reorder,
            delay_min_us,
            delay_max_us,
            cut_to,
            cut_from: Vec::new(),
            seed,
        };
        world.adversaries.insert(*node, faults);
        world.tell_adversary(*node);
    }
    let says = format!(
        "{}: loss {:.1}%, repeats {:.1}%, delay {delay_min_us}..{delay_max_us} us{}",
        world.names(&reached),
        f64::from(loss_ppm) / 1e4,
        f64::from(duplicate_ppm) / 1e4,
        if reorder { ", out of order" } else { "" },
    );
    Some(Begun::new(says, move |world| {
        for node in reached {
            let cut_to = world.adversaries.remove(&node).unwrap_or_default().cut_to;
            if !cut_to.is_empty() {
                let faults = NetworkRequest { cut_to, ..NetworkRequest::default() };
                world.adversaries.insert(node, faults);
            }
            // Who does not answer has been started anew, or is healed at the end.
            world.tell_adversary(node);
        }
        Ok(())
    }))
}

fn below(rng: &mut Rng, bound: u32) -> u32 {
    u32::try_from(rng.below(bound.into())).unwrap_or_default()
}
