//! Two replicas, one of which is to lead in the place of the other.

use alloc::vec;

use super::*;
use crate::config::Announce;
use crate::effects::Input;
use crate::message::Kind;
use crate::replica::Part;
use crate::replica::tests::{APART, ballot, hear, heartbeat, lead, node, sent};
use crate::value::Command;

fn step(replica: &mut Replica, now: Instant, input: Input) -> Effects {
    let mut effects = Effects::default();
    replica.step(now, input, &mut effects);
    effects
}

fn hand_over(replica: &mut Replica, now: Instant, to: u32) -> Effects {
    let to = (to > 0).then_some(NodeId(to));
    step(replica, now, Input::HandOver { id: HandOverId(1), to })
}

fn propose(replica: &mut Replica, now: Instant, byte: u8) -> Effects {
    step(replica, now, Input::Propose(vec![vec![byte].into()]))
}

fn willing(ballot: Ballot, chosen: u64) -> Message {
    Message::Willing { ballot, number: 1, chosen: Slot(chosen) }
}

/// A node that follows the first leader, which offers it to lead.
fn offered(own: Ballot) -> (Replica, Effects) {
    let mut standby = node(2, APART, Announce::EveryLearner);
    hear(&mut standby, 1_000, 1, heartbeat(own));
    let effects = hear(&mut standby, 1_000, 1, Message::Offer { ballot: own, number: 1 });
    (standby, effects)
}

/// The same, once it has said that it could.
fn ready(own: Ballot) -> Replica {
    let (mut standby, effects) = offered(own);
    let probe = effects.send.iter().find_map(|it| match it.message {
        Message::Probe { id } => Some(id),
        _ => None,
    });
    for from in [3, 4] {
        let (id, promised, progress_age) = (probe.unwrap(), own, Some(Duration::ZERO));
        let reply = Message::ProbeReply { id, promised, progress_age };
        let effects = hear(&mut standby, 1_000, from, reply);
        assert_eq!(sent(&effects, Kind::Willing).len(), usize::from(from == 4), "a quorum first");
    }
    standby
}

#[test]
fn who_cannot_hand_over_says_why() {
    let refused = |replica: &mut Replica, now, to| {
        hand_over(replica, now, to).handed_over.first().copied().map(|(_, outcome)| outcome)
    };
    let mut follower = node(2, APART, Announce::EveryLearner);
    let why = HandOverRefusal::NotLeading { leader: None };
    assert_eq!(refused(&mut follower, Instant(0), 0), Some(Err(why)));
    hear(&mut follower, 1_000, 1, heartbeat(ballot(1, 1)));
    let why = HandOverRefusal::NotLeading { leader: Some(NodeId(1)) };
    assert_eq!(refused(&mut follower, Instant(1_000), 0), Some(Err(why)));
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    let why = HandOverRefusal::NoLeader { node: NodeId(3) };
    assert_eq!(refused(&mut leader, now, 3), Some(Err(why)));
    assert_eq!(refused(&mut leader, now, 1), Some(Ok(own)), "it leads already");
    assert_eq!(refused(&mut leader, now, 2), None, "that takes a while");
    assert_eq!(refused(&mut leader, now, 2), Some(Err(HandOverRefusal::UnderWay)));
}

#[test]
fn a_leader_that_hands_over_finishes_what_is_in_flight_and_holds_back_the_rest() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    assert_eq!(sent(&hand_over(&mut leader, now, 0), Kind::Offer), [2]);
    assert!(!sent(&propose(&mut leader, now, 7), Kind::Accept).is_empty(), "nobody waits yet");
    let effects = hear(&mut leader, now.0, 2, willing(own, 0));
    assert!(effects.events.contains(&Event::HandsOver { to: NodeId(2) }));
    assert_eq!(sent(&effects, Kind::HandOver), [], "two slots are in flight");
    assert_eq!(sent(&propose(&mut leader, now, 8), Kind::Accept), []);
    let accepted = Message::Accepted { ballot: own, first: Slot(0), end: Slot(2) };
    hear(&mut leader, now.0, 3, accepted.clone());
    let effects = hear(&mut leader, now.0, 4, accepted);
    assert_eq!(sent(&effects, Kind::HandOver), [2]);
    assert_eq!(sent(&effects, Kind::Chosen), [2], "it need not adopt what is chosen");
    // The next one leads. What was held back was never proposed, and says so.
    let next = ballot(own.round + 1, 2);
    let effects = hear(&mut leader, now.0, 2, heartbeat(next));
    assert_eq!(effects.handed_over, [(HandOverId(1), Ok(next))]);
    let reason = RefusalReason::NotLeading { leader: Some(NodeId(2)) };
    let held: Command = vec![8].into();
    assert_eq!(effects.refused.len(), 1);
    assert_eq!((&effects.refused[0].command, effects.refused[0].reason), (&held, reason));
    assert_eq!(leader.part(), Part::Following);
}

#[test]
fn a_leader_from_whom_nobody_takes_over_goes_on() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    let accepted = Message::Accepted { ballot: own, first: Slot(0), end: Slot(1) };
    for from in [3, 4] {
        hear(&mut leader, now.0, from, accepted.clone());
    }
    hand_over(&mut leader, now, 2);
    let effects = hear(&mut leader, now.0, 2, willing(own, 1));
    assert_eq!(sent(&effects, Kind::HandOver), [2], "nothing is in flight");
    propose(&mut leader, now, 8);
    // An acceptor has promised the one that was told, and then nothing more is heard of it.
    let reject =
        Message::Reject { ballot: own, promised: ballot(own.round + 1, 2), truncated: Slot(0) };
    hear(&mut leader, now.0, 3, reject.clone());
    let patience = leader.config().timing.election_timeout;
    let mut at = now;
    let mut all = Effects::default();
    while at < now.plus(patience) {
        at = Instant(at.0 + 1_000);
        leader.step(at, Input::Tick, &mut all);
        for from in [4, 5] {
            let reply = Message::HeartbeatReply { ballot: own, sent: at, is_suspect: false };
            hear(&mut leader, at.0, from, reply);
        }
        assert_eq!(leader.ballot(), Some(own), "it does not compete with the one that it told");
    }
    assert_eq!(sent(&all, Kind::HandOver).len(), 9, "again and again, until the end");
    let why = HandOverRefusal::NotTaken { to: NodeId(2) };
    assert_eq!(all.handed_over, [(HandOverId(1), Err(why))]);
    assert!(all.events.contains(&Event::KeepsLeading { ballot: own }));
    assert!(!sent(&all, Kind::Accept).is_empty(), "what was held back is proposed");
    hear(&mut leader, at.0, 3, reject);
    let later = at.plus(patience);
    for from in [4, 5] {
        let reply = Message::HeartbeatReply { ballot: own, sent: later, is_suspect: false };
        hear(&mut leader, later.0, from, reply);
    }
    step(&mut leader, later, Input::Tick);
    assert!(leader.ballot() > Some(own), "and it wins back the acceptor");
}

#[test]
fn a_leader_that_is_deposed_and_leads_again_forgets_the_wish() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    hand_over(&mut leader, now, 2);
    hear(&mut leader, now.0, 2, willing(own, 0));
    let promised = ballot(own.round + 4, 2);
    for from in [3, 4] {
        let reject = Message::Reject { ballot: own, promised, truncated: Slot(0) };
        hear(&mut leader, now.0, from, reject);
    }
    assert_eq!(leader.part(), Part::Following);
    let mut effects = Effects::default();
    leader.campaign_without_time(&mut effects);
    leader.step(now, Input::Tick, &mut effects);
    let why = HandOverRefusal::NotLeading { leader: None };
    assert_eq!(effects.handed_over, [(HandOverId(1), Err(why))]);
    assert!(!leader.handover.holds_back());
}

#[test]
fn who_is_told_prepares_at_once_and_once() {
    let own = ballot(3, 1);
    let mut standby = ready(own);
    let told = || Message::HandOver { ballot: own, number: 1 };
    let effects = hear(&mut standby, 2_000, 1, told());
    assert!(effects.events.contains(&Event::TakesOver { from: own }));
    assert_eq!(sent(&effects, Kind::Prepare), [3, 4, 5]);
    assert!(standby.ballot() > Some(own));
    let next = standby.ballot();
    let effects = hear(&mut standby, 2_000, 1, told());
    assert_eq!((sent(&effects, Kind::Prepare), standby.ballot()), (vec![], next), "a repeat");
}

#[test]
fn who_follows_another_is_not_told_to_lead() {
    let own = ballot(3, 1);
    let told = || Message::HandOver { ballot: own, number: 1 };
    let mut standby = ready(own);
    hear(&mut standby, 2_000, 1, heartbeat(ballot(4, 1)));
    let effects = hear(&mut standby, 2_000, 1, told());
    assert_eq!(sent(&effects, Kind::Prepare), [], "it follows a later life of that leader");
    let (mut unasked, _) = offered(own);
    let effects = hear(&mut unasked, 2_000, 1, told());
    assert_eq!(sent(&effects, Kind::Prepare), [], "it has not said that it could");
    let effects = hear(&mut ready(own), 500_000, 1, told());
    assert_eq!(sent(&effects, Kind::Prepare), [], "it comes half a second late");
}

#[test]
fn who_looks_for_a_leader_itself_takes_no_offer() {
    let own = ballot(3, 1);
    let offers = |standby: &mut Replica, at| {
        let offer = Message::Offer { ballot: own, number: 1 };
        sent(&hear(standby, at, 1, offer), Kind::Probe)
    };
    let mut stranger = node(2, APART, Announce::EveryLearner);
    assert_eq!(offers(&mut stranger, 1_000), [], "it does not follow anybody");
    hear(&mut stranger, 1_000, 1, heartbeat(own));
    assert_eq!(offers(&mut stranger, 1_000), [3, 4, 5]);
    let late = stranger.election.deadline();
    let effects = step(&mut stranger, late, Input::Tick);
    assert_eq!(sent(&effects, Kind::Probe), [3, 4, 5], "it has not heard it for its patience");
    assert_eq!(offers(&mut stranger, late.0), []);
}
