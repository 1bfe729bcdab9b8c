//! Whom a leader picks, what waits meanwhile, and which offers are good.

use alloc::vec;

use super::*;
use crate::ballot::Incarnation;
use crate::quorum::{ClusterId, DiskId, Member, Roles};

const ID: HandOverId = HandOverId(7);

fn ballot(round: u64) -> Ballot {
    Ballot { round, leader: NodeId(1), incarnation: Incarnation(0) }
}

/// A leader that has begun to look among these.
fn looking(among: &[u32]) -> Handover {
    let mut handover = Handover::new(&Timing::default());
    let among = among.iter().map(|id| NodeId(*id)).collect();
    handover.begin(ID, ballot(1), among, Slot(10), Instant(0)).unwrap();
    handover
}

fn ms(count: u64) -> Instant {
    Instant(count * 1000)
}

fn configuration() -> Configuration {
    let member = |id: u32| {
        let roles = Roles { leader: id <= 2, acceptor: id > 2, learner: false };
        (NodeId(id), Member { roles, disk: (id > 2).then(DiskId::default) })
    };
    Configuration::majority(ClusterId::default(), (1..=5).map(member).collect()).unwrap()
}

#[test]
fn nobody_waits_before_somebody_can_lead() {
    let mut handover = looking(&[2, 3]);
    let offer = Due::Offer(ballot(1), 1, vec![NodeId(2), NodeId(3)]);
    assert_eq!(handover.due(ms(0)), Some(offer.clone()));
    assert_eq!(handover.due(ms(19)), None);
    assert_eq!(handover.due(ms(20)), Some(offer), "it may be lost");
    assert!(!handover.holds_back());
    assert_eq!(handover.pick(ms(40)), None);
    let why = HandOverRefusal::NobodyReady;
    assert_eq!(handover.due(ms(200)), Some(Due::Over(ID, ballot(1), why)));
    assert_eq!((handover.due(ms(900)), handover.deadline()), (None, None), "and that is all");
}

#[test]
fn the_furthest_is_picked_once_all_have_answered() {
    let mut handover = looking(&[2, 3, 4]);
    handover.due(ms(0));
    assert!(handover.willing(NodeId(3), ballot(1), 1, Slot(11)));
    assert!(handover.willing(NodeId(2), ballot(1), 1, Slot(12)));
    assert_eq!(handover.pick(ms(1)), None, "one has not answered yet");
    assert!(handover.willing(NodeId(4), ballot(1), 1, Slot(12)));
    assert_eq!(handover.pick(ms(1)), Some(NodeId(2)), "as far as the other, and before it");
    assert!(handover.holds_back());
    assert_eq!(handover.pick(ms(1)), None, "once");
}

#[test]
fn who_is_silent_is_not_waited_for_long() {
    let mut handover = looking(&[2, 3]);
    handover.due(ms(0));
    handover.willing(NodeId(3), ballot(1), 1, Slot(10));
    assert_eq!(handover.pick(ms(19)), None);
    assert_eq!(handover.pick(ms(20)), Some(NodeId(3)));
}

#[test]
fn an_answer_to_another_question_counts_for_nothing() {
    let mut handover = looking(&[2]);
    assert!(!handover.willing(NodeId(2), ballot(2), 1, Slot(10)), "of another ballot");
    assert!(!handover.willing(NodeId(2), ballot(1), 2, Slot(10)), "of another offer");
    assert!(!handover.willing(NodeId(3), ballot(1), 1, Slot(10)), "of whom nobody asked");
    assert!(!handover.willing(NodeId(2), ballot(1), 1, Slot(9)), "of one who is behind");
    assert_eq!(handover.pick(ms(50)), None);
    assert!(handover.willing(NodeId(2), ballot(1), 1, Slot(10)));
    assert_eq!(handover.pick(ms(50)), Some(NodeId(2)));
    assert!(!handover.willing(NodeId(2), ballot(1), 1, Slot(10)), "too late");
}

#[test]
fn what_is_in_flight_is_waited_for_and_not_for_ever() {
    let draining = || {
        let mut handover = looking(&[2]);
        handover.willing(NodeId(2), ballot(1), 1, Slot(10));
        handover.pick(ms(1));
        handover
    };
    let tell = Some(Due::Tell(ballot(1), 1, NodeId(2)));
    let mut soon = draining();
    soon.drained(false, ms(2));
    assert_eq!(soon.due(ms(2)), None);
    soon.drained(true, ms(3));
    assert_eq!(soon.due(ms(3)), tell);
    assert_eq!(soon.due(ms(22)), None);
    assert_eq!(soon.due(ms(23)), tell, "it may be lost");
    let mut late = draining();
    assert_eq!(late.deadline(), Some(ms(101)));
    late.drained(false, ms(101));
    assert_eq!(late.due(ms(101)), tell, "the next leader adopts the rest");
    assert_eq!(late.due(ms(300)), tell);
    let why = HandOverRefusal::NotTaken { to: NodeId(2) };
    assert_eq!(late.due(ms(301)), Some(Due::Over(ID, ballot(1), why)));
    assert!(!late.holds_back());
}

#[test]
fn one_is_under_way_at_a_time() {
    let mut handover = looking(&[2]);
    let begin = |handover: &mut Handover, among| {
        handover.begin(HandOverId(8), ballot(1), among, Slot(10), ms(5))
    };
    assert_eq!(begin(&mut handover, vec![NodeId(2)]), Err(HandOverRefusal::UnderWay));
    assert_eq!(handover.heard(ballot(1)), None, "that is its own");
    assert_eq!(handover.heard(ballot(2)), Some(ID), "whoever it is");
    assert_eq!(begin(&mut handover, vec![]), Err(HandOverRefusal::NobodyReady));
    assert_eq!(begin(&mut handover, vec![NodeId(2)]), Ok(()));
    assert!(!handover.willing(NodeId(2), ballot(1), 1, Slot(10)), "that was the last one's");
}

#[test]
fn who_would_lead_asks_a_quorum_first() {
    let mut standby = Standby::default();
    let (probe, _) = standby.offered(ballot(1), 1, || 5).expect("a new offer");
    assert_eq!(probe, 5);
    let probed = |standby: &mut Standby, acceptor, id| {
        standby.probed(&configuration(), NodeId(acceptor), id, ms(400))
    };
    assert_eq!(probed(&mut standby, 3, 5), None);
    assert_eq!(probed(&mut standby, 3, 5), None, "one acceptor counts once");
    assert_eq!(probed(&mut standby, 4, 4), None, "another probe's answer");
    assert!(!standby.told(ballot(1), 1, ms(1)), "it has not said that it could");
    let again = standby.offered(ballot(1), 1, || 6).expect("it is at it");
    assert_eq!((again.0, again.1.len()), (5, 1), "what was answered need not be asked again");
    assert_eq!(probed(&mut standby, 4, 5), Some((ballot(1), 1)));
    assert_eq!(probed(&mut standby, 5, 5), None, "said once");
    assert!(
        standby.offered(ballot(1), 1, || 6).is_some_and(|(probe, _)| probe == 6),
        "was it lost?"
    );
}

#[test]
fn an_offer_is_good_for_one_campaign_and_a_while() {
    let willing = || {
        let mut standby = Standby::default();
        standby.offered(ballot(1), 3, || 5);
        for id in [3, 4] {
            standby.probed(&configuration(), NodeId(id), 5, ms(400));
        }
        standby
    };
    let mut standby = willing();
    assert!(!standby.told(ballot(1), 2, ms(1)), "another offer");
    assert!(!standby.told(ballot(2), 3, ms(1)), "another ballot");
    assert!(standby.told(ballot(1), 3, ms(400)));
    assert!(!standby.told(ballot(1), 3, ms(400)), "repeated");
    assert_eq!(standby.offered(ballot(1), 3, || 6), None, "it was made use of");
    assert_eq!(standby.offered(ballot(1), 2, || 6), None, "an old one comes late");
    assert!(standby.offered(ballot(1), 4, || 6).is_some());
    assert!(!willing().told(ballot(1), 3, ms(401)), "it comes too late");
}
