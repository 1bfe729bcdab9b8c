//! Is this node alive, and is it ready? Judged from what its threads show; nobody is asked.
//!
//! *Alive* is about this process alone. A node without a quorum is alive: to start it again would
//! not bring its peers back, and would make it worse (etcd's one `/health` was used for both, and
//! members were restarted exactly when a quorum was lost).
//!
//! *Ready* means that every role of the node does its work: what leads or learns hears of a leader
//! with a quorum, and what remembers can vote and be elected by. So whoever restarts nodes one
//! after the other may go on when the last one is ready, and no quorum is lost on the way.

use std::time::{Duration, Instant};

use paxos::{Part, Roles};

use crate::inbox::Status;
use crate::sight::Sight;

/// A protocol thread that has not come round for so long is stuck. Its longest turns, and a journal
/// so slow that the thread has to wait for it, are well below.
pub const STUCK: Duration = Duration::from_secs(5);

/// What the threads of a node show.
#[derive(Clone, Debug)]
pub struct Signs {
    /// The protocol thread's last picture; none before its first turn.
    pub sight: Option<Sight>,
    /// When the threads were started.
    pub begun: Instant,
    /// Names of threads, and whether they run.
    pub threads: Vec<(&'static str, bool)>,
    /// Whether the node was told to stop.
    pub is_stopping: bool,
    /// What the node does.
    pub roles: Roles,
    /// Votes that choose a value.
    pub phase2: usize,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Why it is not well, if it is not.
    pub fault: Option<String>,
}

fn check(name: &'static str, is_well: bool, fault: impl FnOnce() -> String) -> Check {
    Check { name, fault: (!is_well).then(fault) }
}

/// Whether to start the process again is worth a try.
pub fn live(signs: &Signs, now: Instant) -> Vec<Check> {
    let threads = signs.threads.iter();
    let mut checks: Vec<Check> =
        threads.map(|(name, runs)| check(name, *runs, || "the thread has ended".into())).collect();
    let turned = signs.sight.as_ref().map_or(signs.begun, |sight| sight.at);
    let age = now.saturating_duration_since(turned);
    let fault = || format!("no turn for {:.1} s", age.as_secs_f64());
    checks.push(check("protocol_turns", age < STUCK, fault));
    checks
}

/// Whether the node does what it is there for.
pub fn ready(signs: &Signs, now: Instant) -> Vec<Check> {
    let mut checks = live(signs, now);
    checks.push(check("not_stopping", !signs.is_stopping, || "the node is stopping".into()));
    let Some(Sight { status, .. }) = &signs.sight else {
        let fault = Some("nothing is known of the protocol yet".into());
        checks.push(Check { name: "first_turn", fault });
        return checks;
    };
    if signs.roles.learns() {
        let contact = contact(status, signs.phase2);
        checks.push(Check { name: "quorum_contact", fault: contact.err() });
    }
    if signs.roles.acceptor {
        checks.push(check("journal_room", status.storage.has_room, || "the disk is full".into()));
        checks.push(check("votes_known", !status.is_suspect, || {
            "votes are lost, and not here again yet".into()
        }));
    }
    checks
}

/// A leader counts who answers it. The others hear its heartbeats, which it would not send for long
/// without a quorum.
fn contact(status: &Status, phase2: usize) -> Result<(), String> {
    let reachable = status.acceptors_reachable;
    match (status.part, status.leader) {
        (Part::Leading, _) if reachable >= phase2 => Ok(()),
        (Part::Leading, _) => {
            Err(format!("leads, but {reachable} acceptors answer and {phase2} are needed"))
        }
        (_, Some(_)) => Ok(()),
        (_, None) => Err("no leader was heard for two election timeouts".into()),
    }
}

/// Whether nothing is wrong, and the words for it: what is wrong, or everything.
pub fn told(checks: &[Check], is_verbose: bool) -> (bool, String) {
    let is_well = checks.iter().all(|check| check.fault.is_none());
    let mut text = String::new();
    for Check { name, fault } in checks {
        match fault {
            Some(why) => text.push_str(&format!("[-] {name}: {why}\n")),
            None if is_verbose => text.push_str(&format!("[+] {name}\n")),
            None => {}
        }
    }
    text.push_str(if is_well { "ok\n" } else { "not ok\n" });
    (is_well, text)
}

#[cfg(test)]
mod tests {
    use paxos::{NodeId, Slot};

    use super::*;
    use crate::inbox::Storage;

    fn signs(leader: bool, acceptor: bool, now: Instant) -> Signs {
        let storage = Storage {
            first_held: Slot::FIRST,
            snapshot: Slot::FIRST,
            truncated: Slot::FIRST,
            journal_bytes: 0,
            snapshot_bytes: 0,
            has_room: true,
        };
        let status = Status {
            part: Part::Following,
            ballot: None,
            leader: None,
            chosen: Slot::FIRST,
            applied: Slot::FIRST,
            values: 0,
            in_flight: 0,
            gaps: 0,
            sessions: 0,
            promised: None,
            acceptors_reachable: 0,
            is_suspect: false,
            other_epoch: None,
            storage,
        };
        Signs {
            sight: Some(Sight { at: now, status }),
            begun: now,
            threads: vec![("journal", true)],
            is_stopping: false,
            roles: Roles { leader, acceptor, learner: false },
            phase2: 2,
        }
    }

    fn faults(checks: &[Check]) -> Vec<&'static str> {
        checks.iter().filter(|check| check.fault.is_some()).map(|check| check.name).collect()
    }

    fn with(mut signs: Signs, change: impl FnOnce(&mut Status)) -> Signs {
        change(&mut signs.sight.as_mut().expect("a picture").status);
        signs
    }

    #[test]
    fn a_node_without_a_quorum_is_alive_and_not_ready() {
        let now = Instant::now();
        let alone = signs(true, true, now);
        assert_eq!(faults(&live(&alone, now)), [""; 0]);
        assert_eq!(faults(&ready(&alone, now)), ["quorum_contact"]);
        let followed = with(alone.clone(), |it| it.leader = Some(NodeId(2)));
        assert_eq!(faults(&ready(&followed, now)), [""; 0]);
        for (reachable, expected) in [(1, &["quorum_contact"][..]), (2, &[])] {
            let leading = with(alone.clone(), |it| {
                (it.part, it.leader) = (Part::Leading, Some(NodeId(1)));
                it.acceptors_reachable = reachable;
            });
            assert_eq!(faults(&ready(&leading, now)), expected);
        }
    }

    #[test]
    fn an_acceptor_is_ready_when_it_can_vote_and_elect() {
        let now = Instant::now();
        let acceptor = signs(false, true, now);
        assert_eq!(faults(&ready(&acceptor, now)), [""; 0], "it needs no leader");
        let full = with(acceptor.clone(), |it| it.storage.has_room = false);
        assert_eq!(faults(&ready(&full, now)), ["journal_room"]);
        let suspect = with(acceptor, |it| it.is_suspect = true);
        assert_eq!(faults(&ready(&suspect, now)), ["votes_known"]);
        assert_eq!(faults(&live(&suspect, now)), [""; 0]);
    }

    #[test]
    fn a_thread_that_is_stuck_or_gone_is_not_alive() {
        let now = Instant::now();
        let mut late = signs(true, false, now);
        assert_eq!(faults(&live(&late, now + STUCK)), ["protocol_turns"]);
        late.threads[0].1 = false;
        assert_eq!(faults(&live(&late, now)), ["journal"]);
    }

    #[test]
    fn before_its_first_turn_a_node_is_alive_and_not_ready() {
        let now = Instant::now();
        let mut new = signs(false, true, now);
        new.sight = None;
        assert_eq!(faults(&live(&new, now)), [""; 0], "it has only just begun");
        assert_eq!(faults(&ready(&new, now)), ["first_turn"]);
        assert_eq!(faults(&live(&new, now + STUCK)), ["protocol_turns"]);
    }

    #[test]
    fn a_node_that_stops_is_not_ready() {
        let now = Instant::now();
        let mut stopping = signs(false, true, now);
        stopping.is_stopping = true;
        assert_eq!(faults(&ready(&stopping, now)), ["not_stopping"]);
        assert_eq!(faults(&live(&stopping, now)), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_said_in_any_case() {
        let checks =
            [Check { name: "a", fault: None }, Check { name: "b", fault: Some("why".into()) }];
        assert_eq!(told(&checks, false), (false, "[-] b: why\nnot ok\n".into()));
        assert_eq!(told(&checks, true), (false, "[+] a\n[-] b: why\nnot ok\n".into()));
        assert_eq!(told(&checks[..1], false), (true, "ok\n".into()));
    }
}
