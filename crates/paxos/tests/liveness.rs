//! Incidents of liveness: partitions, long histories, slow links. Whole replicas in virtual time,
//! on a network whose only faults are the links that a test cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use paxos::*;

const SECOND: Duration = Duration::from_secs(1);
/// Each way.
const LATENCY: Duration = Duration::from_millis(1);

struct World {
    now: Instant,
    sent: u64,
    nodes: BTreeMap<u32, Replica>,
    /// By arrival: time, then order of sending.
    network: BTreeMap<(Instant, u64), (u32, u32, Message)>,
    latency: Duration,
    /// What a value's byte takes on its way; what is sent later over the same link waits behind it.
    byte: Duration,
    busy: BTreeMap<(u32, u32), Instant>,
    cut: BTreeSet<(u32, u32)>,
    events: Vec<(u32, Event)>,
    refused: Vec<Refusal>,
}

impl World {
    /// Leaders have the ids from 1 on, acceptors the ids after them, with `records` on each disk.
    fn new(leaders: u32, records: &[Record], limits: Limits, latency: Duration) -> World {
        World::with_disks(leaders, |_| records.to_vec(), limits, latency)
    }

    /// The same, with records of its own on each acceptor's disk.
    fn with_disks(
        leaders: u32,
        records: impl Fn(u32) -> Vec<Record>,
        limits: Limits,
        latency: Duration,
    ) -> World {
        let member = |id: u32| {
            let roles = Roles { leader: id <= leaders, acceptor: id > leaders, learner: false };
            (NodeId(id), Member { roles, disk: (id > leaders).then(DiskId::default) })
        };
        let members = (1..=leaders + 3).map(member).collect();
        let configuration = Configuration::majority(ClusterId([7; 16]), members);
        let configuration = configuration.expect("a configuration");
        let replica = |id: u32| {
            let config = Config {
                node: NodeId(id),
                incarnation: Incarnation(id.into()),
                configuration: configuration.clone(),
                timing: Timing::default(),
                limits,
                announce: Announce::default(),
            };
            let records = if id > leaders { records(id) } else { Vec::new() };
            (id, Replica::recover(config, records, Instant(0), u64::from(id)))
        };
        World {
            now: Instant(0),
            sent: 0,
            nodes: (1..=leaders + 3).map(replica).collect(),
            network: BTreeMap::new(),
            latency,
            byte: Duration::ZERO,
            busy: BTreeMap::new(),
            cut: BTreeSet::new(),
            events: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Two leaders, one of which leads: the world, the leader, the other one.
    fn led() -> (World, u32, u32) {
        World::led_within(Limits::default(), LATENCY)
    }

    fn led_within(limits: Limits, latency: Duration) -> (World, u32, u32) {
        let mut world = World::new(2, &[], limits, latency);
        world.run(2 * SECOND);
        let leader = (1..=2).find(|id| world.part(*id) == Part::Leading).expect("a leader");
        (world, leader, 3 - leader)
    }

    fn part(&self, id: u32) -> Part {
        self.nodes[&id].part()
    }

    fn cut(&mut self, one: u32, other: u32) {
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Of two leaders, this one reaches nobody.
    fn isolate(&mut self, leader: u32) {
        self.cut(leader, 3 - leader);
        for acceptor in 3..=5 {
            self.cut(leader, acceptor);
        }
    }

    /// It reaches the acceptors again, and no leader.
    fn meet_acceptors(&mut self, leader: u32) {
        for acceptor in 3..=5 {
            self.heal(leader, acceptor);
        }
    }

    fn heal(&mut self, one: u32, other: u32) {
        self.cut.retain(|link| *link != (one, other) && *link != (other, one));
    }

    fn step(&mut self, id: u32, input: Input) {
        let mut effects = Effects::default();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.step(self.now, input, &mut effects);
        for envelope in effects.send.into_iter().chain(effects.write.then_send) {
            let to = envelope.to.0;
            if !self.cut.contains(&(id, to)) {
                let at = if to == id { self.now } else { self.arrival(id, to, &envelope.message) };
                self.sent += 1;
                self.network.insert((at, self.sent), (id, to, envelope.message));
            }
        }
        self.events.extend(effects.events.into_iter().map(|event| (id, event)));
        self.refused.extend(effects.refused);
    }

    /// When a message that is sent now is with its receiver.
    fn arrival(&mut self, from: u32, to: u32, message: &Message) -> Instant {
        let bytes = match message {
            Message::Accept { run, .. } => run.values.bytes(),
            Message::Learned { values, .. } => values.bytes(),
            Message::Promise { page, .. } | Message::Votes { page } => {
                page.votes.iter().map(|run| run.values.bytes()).sum()
            }
            _ => 0,
        };
        let took = self.byte * u32::try_from(bytes).expect("a small message");
        let free = self.busy.entry((from, to)).or_default();
        *free = self.now.max(*free).plus(took);
        free.plus(self.latency)
    }

    fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    fn run_until(&mut self, span: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now.plus(span);
        while !done(self) {
            let message = self.network.keys().next().map(|(at, _)| *at);
            let deadlines = self.nodes.iter().map(|(id, node)| (node.deadline(), *id));
            let tick = deadlines.filter_map(|(at, id)| Some((at?, id))).min();
            let next = message.into_iter().chain(tick.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            if message == Some(next) {
                let (_, (from, to, message)) = self.network.pop_first().expect("a message");
                self.step(to, Input::Message { from: NodeId(from), message });
            } else if let Some((_, id)) = tick {
                self.step(id, Input::Tick);
            }
        }
        true
    }

    fn propose(&mut self, id: u32, count: u8) {
        self.step(id, Input::Propose((0..count).map(|byte| vec![byte; 8].into()).collect()));
    }

    fn count(&self, id: u32, name: &str) -> usize {
        self.events.iter().filter(|(node, event)| *node == id && event.name() == name).count()
    }
}

/// Each acceptor's is of another ballot, so that nothing is chosen that could be learned otherwise.
fn vote(acceptor: u32, slot: u64, bytes: usize) -> Record {
    let incarnation = Incarnation(acceptor.into());
    let ballot = Ballot { round: 1, leader: NodeId(1), incarnation };
    let values = vec![Value::Command(vec![1; bytes].into())].into();
    Record::Accepted(Run { ballot, first: Slot(slot), values })
}

#[test]
fn a_long_phase_one_is_not_overtaken_for_ever() {
    // Every leader has restarted and reads the whole history: ten milliseconds a page, four
    // seconds in all, against a patience of a fifth of a second.
    let records = |acceptor| (0..400).map(|slot| vote(acceptor, slot, 990)).collect();
    let limits = Limits { run_bytes_max: 1000, ..Limits::default() };
    for leaders in [2, 3] {
        let mut world = World::with_disks(leaders, records, limits, Duration::from_millis(5));
        let leads = |world: &World| (1..=leaders).any(|id| world.part(id) == Part::Leading);
        assert!(world.run_until(10 * SECOND, leads), "{leaders} leaders, none leads");
    }
}

#[test]
fn a_leader_that_adopts_more_than_its_acceptors_write_in_a_patience_stays_the_leader() {
    // Everybody has restarted. To read what was voted on takes one and a half seconds, and to have
    // it voted on again as much, against a patience of a fifth of a second.
    let records = |acceptor| (0..15_000).map(|slot| vote(acceptor, slot, 1_000)).collect();
    let mut world = World::with_disks(2, records, Limits::default(), LATENCY);
    world.byte = Duration::from_nanos(100);
    let is_done = |world: &World| (1..=2).all(|id| world.nodes[&id].chosen() > Slot(15_000));
    assert!(world.run_until(8 * SECOND, is_done), "{:?}", world.nodes[&1].chosen());
    let elected = world.count(1, "elected") + world.count(2, "elected");
    assert!(elected <= 2, "{elected} elections");
}

#[test]
fn a_lost_prepare_is_sent_again_within_the_campaign() {
    let mut world = World::new(1, &[], Limits::default(), LATENCY);
    assert!(world.run_until(SECOND, |world| world.part(1) == Part::Preparing));
    let to_all_but_one = |to: u32, message: &Message| to > 2 && message.kind() == Kind::Prepare;
    world.network.retain(|_, (_, to, message)| !to_all_but_one(*to, message));
    assert!(world.run_until(SECOND / 10, |world| world.part(1) == Part::Leading));
    assert_eq!(world.count(1, "prepared"), 1, "by repeating, not by a new campaign");
}

#[test]
fn a_learner_that_does_not_hear_the_leader_learns_from_acceptors() {
    let (mut world, leader, other) = World::led();
    world.cut(leader, other);
    world.propose(leader, 10);
    // Sooner than it would miss the leader and ask for news.
    world.run(Timing::default().election_timeout);
    assert!(world.nodes[&leader].chosen() > Slot(10));
    assert_eq!(world.nodes[&other].chosen(), world.nodes[&leader].chosen());
    world.run(5 * SECOND);
    assert!(world.count(other, "fetched") < 20, "it asks when there is something to ask for");
}

#[test]
fn a_learner_that_was_away_and_hears_only_acceptors_asks_them() {
    // Nothing new is proposed, so nobody says anything that would show it what it misses.
    let (mut world, leader, other) = World::led();
    world.isolate(other);
    world.propose(leader, 100);
    world.run(SECOND);
    world.meet_acceptors(other);
    world.run(2 * SECOND);
    assert!(world.nodes[&leader].chosen() > Slot(100));
    assert_eq!(world.nodes[&other].chosen(), world.nodes[&leader].chosen());
    assert_eq!(world.part(leader), Part::Leading, "and it disturbs nobody");
}

#[test]
fn a_learner_beyond_its_own_window_follows_votes_back() {
    // The votes that it hears are for slots that it does not keep, so it cannot count them.
    let limits = Limits { slots_in_flight_max: 8, ahead_slots_max: 8, ..Limits::default() };
    let (mut world, leader, other) = World::led_within(limits, LATENCY);
    world.isolate(other);
    world.propose(leader, 100);
    world.run(SECOND);
    world.meet_acceptors(other);
    // Soon, not only when it next looks around.
    world.propose(leader, 1);
    world.run(Timing::default().resend_max / 2);
    assert!(world.nodes[&leader].chosen() > Slot(101));
    let behind = world.nodes[&leader].chosen().since(world.nodes[&other].chosen());
    assert!(behind <= 8, "{behind} slots behind");
}

#[test]
fn a_learner_without_a_leader_reads_page_after_page_over_a_slow_link() {
    // Five values a page, and an answer that takes three times as long as a first pause.
    let limits = Limits { run_bytes_max: 100, ..Limits::default() };
    let (mut world, leader, other) = World::led_within(limits, 30 * LATENCY);
    world.isolate(other);
    world.propose(leader, 100);
    world.run(SECOND);
    world.meet_acceptors(other);
    world.run(4 * SECOND);
    assert!(world.nodes[&leader].chosen() > Slot(100));
    assert_eq!(world.nodes[&other].chosen(), world.nodes[&leader].chosen());
}

#[test]
fn a_learner_far_behind_catches_up_by_pages_not_by_values() {
    let (mut world, leader, other) = World::led();
    world.isolate(other);
    for _ in 0..1000 {
        world.propose(leader, 1);
        world.run(Duration::from_millis(3));
    }
    world.cut.clear();
    let before = world.count(other, "fetched");
    let chosen = world.nodes[&leader].chosen();
    let caught_up = |world: &World| world.nodes[&other].chosen() >= chosen;
    assert!(world.run_until(SECOND, caught_up), "{:?}", world.nodes[&other].chosen());
    assert!(world.count(other, "fetched") - before < 10);
}

#[test]
fn a_deposed_leader_answers_for_its_values_though_it_does_not_hear_the_new_one() {
    let (mut world, old, new) = World::led();
    for id in [new, 3, 4, 5] {
        world.cut(old, id);
    }
    world.propose(old, 10);
    world.run(5 * SECOND);
    assert_eq!(world.part(new), Part::Leading);
    for acceptor in 3..=5 {
        world.heal(old, acceptor);
    }
    world.run(5 * SECOND);
    assert_eq!(world.refused.len(), 10, "nobody may wait for ever");
    let deposed = RefusalReason::Deposed { leader: NodeId(new) };
    assert!(world.refused.iter().all(|refusal| refusal.reason == deposed));
    assert_eq!(world.part(new), Part::Leading, "and the new leader is not disturbed");
}

#[test]
fn a_leader_that_keeps_one_acceptor_disturbs_nobody_and_answers_its_clients() {
    let (mut world, old, new) = World::led();
    world.cut(old, new);
    world.cut(old, 4);
    world.cut(old, 5);
    world.run(10 * SECOND);
    let (prepared, elected) = (world.count(old, "prepared"), world.count(new, "elected"));
    world.propose(old, 10);
    world.run(60 * SECOND);
    assert_eq!(world.part(old), Part::Following);
    assert_eq!(world.part(new), Part::Leading);
    assert_eq!(world.refused.len(), 10);
    assert_eq!(world.count(old, "prepared"), prepared, "probes disturb nobody");
    assert_eq!(world.count(new, "elected"), elected);
}

#[test]
fn a_leader_without_a_quorum_steps_down_and_leads_again_when_it_has_one() {
    let (mut world, leader, other) = World::led();
    for id in [other, 3, 4, 5] {
        world.cut(leader, id);
    }
    // The other one is gone for good.
    world.nodes.remove(&other);
    world.propose(leader, 10);
    world.run(5 * SECOND);
    assert_eq!(world.part(leader), Part::Following);
    assert_eq!(world.count(leader, "forsaken"), 1);
    world.cut.clear();
    world.run(2 * SECOND);
    assert_eq!(world.part(leader), Part::Leading);
    let slots = world.nodes[&leader].chosen();
    world.run(SECOND);
    assert!(slots >= Slot(11), "the values that it kept are chosen: {slots}");
    assert!(world.refused.is_empty());
}

#[test]
fn wherever_a_leader_reaches_a_quorum_values_are_chosen_and_nobody_flaps() {
    // Every way to cut the links of two leaders to three acceptors and to each other.
    for cuts in 0..128u32 {
        let (mut world, _, _) = World::led();
        let mut links: Vec<(u32, u32)> = vec![(1, 2)];
        links.extend((1..=2).flat_map(|leader| (3..=5).map(move |acceptor| (leader, acceptor))));
        for (bit, (one, other)) in links.into_iter().enumerate() {
            if cuts >> bit & 1 == 1 {
                world.cut(one, other);
            }
        }
        world.run(10 * SECOND);
        let reach = |world: &World, leader: u32| {
            (3..=5).filter(|acceptor| !world.cut.contains(&(leader, *acceptor))).count()
        };
        let before = world.nodes.values().map(Replica::chosen).max();
        let elected = world.count(1, "elected") + world.count(2, "elected");
        for _ in 0..50 {
            world.propose(1, 1);
            world.propose(2, 1);
            world.run(SECOND / 10);
        }
        if reach(&world, 1) >= 2 || reach(&world, 2) >= 2 {
            let after = world.nodes.values().map(Replica::chosen).max();
            assert!(after >= before.map(|slot| slot.plus(50)), "cuts {cuts:07b}");
        }
        let flaps = world.count(1, "elected") + world.count(2, "elected") - elected;
        assert_eq!(flaps, 0, "cuts {cuts:07b}");
    }
}

#[test]
fn a_leader_that_was_overtaken_is_told_so_by_its_next_heartbeat() {
    let (mut world, old, new) = World::led();
    for id in [new, 3, 4, 5] {
        world.cut(old, id);
    }
    assert!(world.run_until(SECOND, |world| world.part(new) == Part::Leading));
    assert_eq!(world.part(old), Part::Leading, "it knows nothing of it");
    for acceptor in 3..=5 {
        world.heal(old, acceptor);
    }
    world.run(Timing::default().heartbeat + 3 * LATENCY);
    assert_eq!(world.part(old), Part::Following);
    assert_eq!(world.count(old, "deposed"), 1, "not by its own patience");
}

#[test]
fn a_new_ballot_is_not_proved_by_answers_to_an_old_one() {
    let mut world = World::new(1, &[], Limits::default(), LATENCY);
    world.run(SECOND);
    let old = world.nodes[&1].ballot().expect("it leads");
    let reachable = |world: &World| world.nodes[&1].acceptors_reachable(world.now);
    assert_eq!(reachable(&world), 3);
    // An acceptor has promised a higher ballot, whose leader is gone.
    let promised = Ballot { round: old.round + 1, ..old };
    let reject = Message::Reject { ballot: old, promised, truncated: Slot(0) };
    world.step(1, Input::Message { from: NodeId(2), message: reject });
    assert!(world.run_until(SECOND, |world| world.count(1, "elected") == 2));
    assert_eq!(reachable(&world), 0);
    for acceptor in 2..=4 {
        let message = Message::HeartbeatReply { ballot: old, sent: world.now, is_suspect: false };
        world.step(1, Input::Message { from: NodeId(acceptor), message });
    }
    assert_eq!(reachable(&world), 0, "they came late");
    world.run(Timing::default().heartbeat);
    assert_eq!(reachable(&world), 3);
}

#[test]
fn whoever_lacks_what_was_cut_does_not_lead() {
    // What stood below slot 5 is decided and gone; only a snapshot could tell.
    let records = [Record::Truncated(Slot(5))];
    let mut world = World::new(2, &records, Limits::default(), LATENCY);
    world.run(3 * SECOND);
    assert!(world.count(1, "behind") > 0);
    assert!((1..=2).all(|id| world.part(id) != Part::Leading && world.nodes[&id].chosen().0 == 0));
}
