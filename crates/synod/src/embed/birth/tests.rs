//! Births under every loss that a network and disks can think of.

use paxos::Rng;

use super::*;

fn disk(seed: u64) -> DiskId {
    DiskId(u128::from(seed).to_le_bytes())
}

fn members(count: u32) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

fn fresh(seed: u64) -> Kept {
    Kept { disk: disk(seed), pledged: None, is_born: false }
}

fn birth(me: u32, count: u32, kept: Kept) -> Birth {
    Birth::new(NodeId(me), members(count), 1, kept)
}

fn certificate(disks: &[u64]) -> Certificate {
    (1..).zip(disks).map(|(id, seed)| (NodeId(id), disk(*seed))).collect()
}

#[test]
fn a_node_that_is_alone_is_born_at_once() {
    let mut alone = birth(1, 1, fresh(7));
    assert_eq!(alone.next(), Ok(Step::Pledge(certificate(&[7]))));
    alone.pledged(certificate(&[7]));
    assert_eq!(alone.next(), Ok(Step::Born(certificate(&[7]))));
}

#[test]
fn nobody_is_born_before_everybody_has_pledged() {
    let mut one = birth(1, 3, fresh(1));
    let hello = |seed, pledged| Hello { version: 1, disk: disk(seed), pledged, asks: false };
    one.hear(NodeId(2), hello(2, None));
    assert_eq!(one.next(), Ok(Step::Wait), "it has not heard the third");
    assert_eq!(one.unheard(), [NodeId(3)]);
    one.hear(NodeId(3), hello(3, None));
    let all = certificate(&[1, 2, 3]);
    assert_eq!(one.next(), Ok(Step::Pledge(all.clone())));
    one.pledged(all.clone());
    one.hear(NodeId(2), hello(2, Some(all.clone())));
    assert_eq!(one.next(), Ok(Step::Wait));
    one.hear(NodeId(3), hello(3, Some(all.clone())));
    assert_eq!(one.next(), Ok(Step::Born(all)));
}

#[test]
fn a_lost_disk_is_not_taken_for_a_new_one() {
    let mut lost = birth(3, 3, fresh(9));
    let pledged = Some(certificate(&[1, 2, 3]));
    lost.hear(NodeId(1), Hello { version: 1, disk: disk(1), pledged, asks: false });
    assert_eq!(lost.next(), Err(Trouble::Lost { peer: NodeId(1) }));
}

#[test]
fn members_of_another_version_or_another_list_are_refused() {
    let hello = |version, pledged| Hello { version, disk: disk(2), pledged, asks: false };
    let mut one = birth(1, 2, fresh(1));
    one.hear(NodeId(2), hello(2, None));
    assert_eq!(one.next(), Err(Trouble::Version { peer: NodeId(2), theirs: 2 }));
    let mut one = birth(1, 2, fresh(1));
    one.hear(NodeId(2), hello(1, Some(certificate(&[1, 2, 3]))));
    assert_eq!(one.next(), Err(Trouble::Disagree { peer: NodeId(2) }));
    let mut one = birth(1, 2, fresh(1));
    one.hear(NodeId(9), hello(7, None));
    assert_eq!(one.next(), Ok(Step::Wait), "nobody asked it");
}

/// Nodes that lose messages, are started again, and lose their disks. As long as one directory is
/// left that knows of a cluster that was born, no other cluster is born.
#[test]
fn one_birth_at_most_whatever_is_lost() {
    let (mut births, mut refused) = (0, 0);
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.index(3);
        let size = u32::try_from(count).unwrap();
        let mut drawn = 0;
        let mut draw = || {
            drawn += 1;
            fresh(drawn)
        };
        let mut nodes: Vec<Birth> = (1..=size).map(|id| birth(id, size, draw())).collect();
        let (mut born, mut pledges) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let at = rng.index(count);
            let id = u32::try_from(at).unwrap() + 1;
            match rng.below(40) {
                0 => nodes[at] = birth(id, size, nodes[at].kept().clone()),
                1 => nodes[at] = birth(id, size, draw()),
                2..=25 => {
                    let (to, asks) = (rng.index(count), rng.below(2) == 0);
                    let hello = nodes[at].hello(asks);
                    if to != at {
                        nodes[to].hear(NodeId(id), hello);
                    }
                }
                _ => match nodes[at].next() {
                    Ok(Step::Wait) => {}
                    Ok(Step::Pledge(certificate)) => {
                        pledges.push((NodeId(id), certificate.clone()));
                        nodes[at].pledged(certificate);
                    }
                    Ok(Step::Born(certificate)) => {
                        assert_eq!(certificate[&NodeId(id)], nodes[at].kept().disk);
                        let mut all = members(size).into_iter().map(|id| (id, certificate.clone()));
                        assert!(all.all(|one| pledges.contains(&one)), "not pledged: seed {seed}");
                        for known in nodes.iter().filter_map(|node| node.kept().pledged.clone()) {
                            let is_other = known != certificate && born.contains(&known);
                            assert!(!is_other, "two clusters were born: seed {seed}");
                        }
                        nodes[at].born();
                        born.push(certificate);
                    }
                    Err(_) => refused += 1,
                },
            }
        }
        births += born.len();
    }
    assert!(births > 1000 && refused > 1000, "{births} births, {refused} refusals");
}
