//! Links that are cut: between two nodes, one way, between a majority and the rest, around a node,
//! and by routes that make sending fail.
//!
//! Without namespaces the nodes' adversaries cut, and clients reach everybody.

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::configuration::Role;
use crate::world::World;

/// A leader and any other node do not hear each other.
pub(super) fn pair(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let leaders: Vec<usize> = world.cluster.of(Role::Leader).collect();
    let one = leaders[rng.index(leaders.len())];
    let others: Vec<usize> = (0..world.cluster.nodes.len()).filter(|node| *node != one).collect();
    let other = others[rng.index(others.len())];
    cut(format!("{} and {}", world.name(one), world.name(other)), both(&[one], &[other]), world)
}

/// One node is not heard by up to four others, which it hears.
pub(super) fn one_way(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let count = world.cluster.nodes.len();
    let one = rng.index(count);
    let mut deaf: Vec<usize> = (0..count).filter(|node| *node != one).collect();
    let most = 1 + rng.index(4);
    while deaf.len() > most {
        deaf.swap_remove(rng.index(deaf.len()));
    }
    let says = format!("{} is not heard by {}", world.name(one), world.names(&deaf));
    cut(says, deaf.into_iter().map(|to| (one, to)).collect(), world)
}

/// Two acceptors, the leader and a learner on one side, all others on the other.
pub(super) fn halves(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(leader) = world.leader() else { return Ok(None) };
    let mut few = vec![leader];
    for _ in 0..2 {
        let Some(acceptor) = world.acceptor(rng) else { break };
        // Held from here on, so that it is not drawn twice, and counts.
        world.hold(acceptor);
        few.push(acceptor);
    }
    let learners: Vec<usize> = world.free(Role::Learner).collect();
    if learners.len() > 1 {
        few.push(learners[rng.index(learners.len())]);
    }
    for node in &few {
        world.hold(*node);
    }
    let rest: Vec<usize> =
        (0..world.cluster.nodes.len()).filter(|node| !few.contains(node)).collect();
    let says = format!("{} from all others", world.names(&few));
    let begun = cut(says, both(&few, &rest), world)?;
    Ok(begun.map(|begun| released(begun, few)))
}

/// A node's cable is pulled: clients do not reach it either.
pub(super) fn isolate(node: Option<usize>, world: &mut World) -> Outcome<Option<Begun>> {
    let (Some(node), Some(spaces)) = (node, &world.cluster.spaces) else { return Ok(None) };
    let name = world.name(node);
    spaces.link(&name, false)?;
    world.hold(node);
    Ok(Some(Begun::new(name.clone(), move |world| {
        world.release(node);
        world.cluster.spaces.as_ref().map_or(Ok(()), |spaces| spaces.link(&name, true))
    })))
}

/// Sending from an acceptor to any leader fails, as it does where a route is gone.
pub(super) fn blackhole(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(node) = world.acceptor(rng) else { return Ok(None) };
    let from = world.name(node);
    let leaders: Vec<usize> = world.cluster.of(Role::Leader).collect();
    let leaders: Vec<String> = leaders.into_iter().map(|leader| world.name(leader)).collect();
    let Some(spaces) = &world.cluster.spaces else { return Ok(None) };
    leaders.iter().try_for_each(|to| spaces.blackhole(&from, to, true))?;
    world.hold(node);
    Ok(Some(Begun::new(format!("{from} to all leaders"), move |world| {
        world.release(node);
        let Some(spaces) = &world.cluster.spaces else { return Ok(()) };
        leaders.iter().try_for_each(|to| spaces.blackhole(&from, to, false))
    })))
}

fn both(some: &[usize], others: &[usize]) -> Vec<(usize, usize)> {
    let there = some.iter().flat_map(|one| others.iter().map(|other| (*one, *other)));
    there.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

fn cut(says: String, ways: Vec<(usize, usize)>, world: &mut World) -> Outcome<Option<Begun>> {
    ways.iter().try_for_each(|(from, to)| world.cut(*from, *to))?;
    Ok(Some(Begun::new(says, move |world| {
        ways.iter().try_for_each(|(from, to)| world.mend(*from, *to))
    })))
}

/// The same, and these are free again afterwards.
fn released(begun: Begun, nodes: Vec<usize>) -> Begun {
    Begun::new(begun.says, move |world| {
        for node in nodes {
            world.release(node);
        }
        (begun.end)(world)
    })
}
