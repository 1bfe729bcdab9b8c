//! What can go wrong and how often, as plain data. Knows no mechanism: the world reads it.
//!
//! All spans are in virtual microseconds, all chances in permille. The kinds of misfortune are
//! weights: how likely each is, against the others.

use paxos::Rng;
use serde::{Deserialize, Serialize};

/// Everything that a walk may suffer before it is healed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// How long things go wrong; then everything is healed, and the cluster must converge.
    pub lasts_us: u64,
    /// Things go wrong no longer than until so many slots are chosen; zero if that is no matter.
    pub until_slots: u64,
    /// The longest time between two misfortunes.
    pub pause_us_max: u64,
    /// The longest that one misfortune lasts, unless the healing comes first.
    pub misfortune_us_max: u64,
    /// How likely each kind of misfortune is, against the others.
    pub crash: u64,
    /// A link is cut in one direction.
    pub cut_one_way: u64,
    /// A link is cut in both directions.
    pub cut_two_ways: u64,
    /// A node is cut off from all others.
    pub isolate: u64,
    /// A node hears and says nothing, and keeps its memory.
    pub silence: u64,
    /// A node stands still and then finds everything late.
    pub pause: u64,
    /// Every node loses its power at once; each comes back in its own time.
    pub power_loss: u64,
    /// Each link is cut or not, in each direction, by chance.
    pub tear: u64,
    /// The network loses most of what it carries.
    pub storm: u64,
    /// A disk takes many times as long.
    pub slow_disk: u64,
    /// An acceptor's disk has no room for votes; what makes room still fits.
    #[serde(default)]
    pub full_disk: u64,
    /// A clock runs too fast or too slow.
    pub drift: u64,
    /// A clock jumps ahead.
    pub jump: u64,
    /// An acceptor's disk is lost for good, if the others can elect a leader; later it is replaced.
    pub lost_disk: u64,
    /// An operator has another node lead.
    #[serde(default)]
    pub hand_over: u64,
    /// How far a clock may drift, in permille of true time; below 1000.
    pub drift_permille_max: u64,
    /// How far a clock jumps, at most.
    pub jump_us_max: u64,
    /// The longest until a lost disk is replaced, and then again until every node has gone over to
    /// the configuration that says so.
    pub replace_us_max: u64,
    /// How many revived acceptors find their disk damaged beyond what the protocol promises to
    /// survive. They must not start.
    pub damage_permille: u64,
    /// How many nodes find, when they start, that their newest snapshot is damaged, or that all are
    /// gone; never the last of its kind. As many snapshots find no room to be written.
    pub snapshot_loss_permille: u64,
    /// How many revived acceptors find that a part in the middle of their journal is lost, and
    /// votes with it.
    pub rot_permille: u64,
    /// The network meanwhile.
    pub weather: Weather,
    /// The disks, always.
    pub disk: DiskSpeed,
}

/// What the network does to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weather {
    /// The shortest delay.
    pub delay_us_min: u64,
    /// The longest ordinary delay.
    pub delay_us_max: u64,
    /// How many messages are delayed beyond that.
    pub late_permille: u64,
    /// The longest delay of those.
    pub late_us_max: u64,
    /// How many are lost.
    pub loss_permille: u64,
    /// How many arrive twice.
    pub repeat_permille: u64,
}

/// How long a disk takes to make a write durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSpeed {
    /// The shortest time.
    pub sync_us_min: u64,
    /// The longest ordinary time.
    pub sync_us_max: u64,
    /// How many writes take longer.
    pub stall_permille: u64,
    /// The longest time of those.
    pub stall_us_max: u64,
    /// How many syncs fail. Each stops its node.
    pub fail_permille: u64,
}

impl Weather {
    /// A local network on a good day.
    pub const CALM: Weather = Weather {
        delay_us_min: 100,
        delay_us_max: 1_500,
        late_permille: 0,
        late_us_max: 0,
        loss_permille: 0,
        repeat_permille: 0,
    };
}

impl DiskSpeed {
    /// A disk on a good day.
    pub const STEADY: DiskSpeed = DiskSpeed {
        sync_us_min: 80,
        sync_us_max: 300,
        stall_permille: 0,
        stall_us_max: 0,
        fail_permille: 0,
    };
}

impl Faults {
    /// Nothing goes wrong, for a second.
    pub const NONE: Faults = Faults {
        lasts_us: 1_000_000,
        until_slots: 0,
        pause_us_max: 100_000,
        misfortune_us_max: 100_000,
        crash: 0,
        cut_one_way: 0,
        cut_two_ways: 0,
        isolate: 0,
        silence: 0,
        pause: 0,
        power_loss: 0,
        tear: 0,
        storm: 0,
        slow_disk: 0,
        full_disk: 0,
        drift: 0,
        jump: 0,
        lost_disk: 0,
        hand_over: 0,
        drift_permille_max: 0,
        jump_us_max: 0,
        replace_us_max: 0,
        damage_permille: 0,
        snapshot_loss_permille: 0,
        rot_permille: 0,
        weather: Weather::CALM,
        disk: DiskSpeed::STEADY,
    };

    /// The longest that any walk lasts before the healing: an hour.
    pub const LASTS_US_MAX: u64 = 3_600_000_000;

    /// A draw of how bad it gets: from nearly calm to nothing but trouble.
    pub fn drawn(rng: &mut Rng) -> Faults {
        let mut up_to = |bound: u64| rng.below(bound + 1);
        Faults {
            lasts_us: 500_000 + up_to(2_500_000),
            until_slots: 0,
            weather: Weather {
                delay_us_min: 50 + up_to(500),
                delay_us_max: 1_000 + up_to(20_000),
                late_permille: up_to(60),
                late_us_max: 50_000 + up_to(900_000),
                loss_permille: up_to(200) * up_to(1),
                repeat_permille: up_to(150) * up_to(1),
            },
            disk: DiskSpeed {
                sync_us_min: 50 + up_to(500),
                sync_us_max: 1_000 + up_to(8_000),
                stall_permille: up_to(20),
                stall_us_max: 20_000 + up_to(200_000),
                fail_permille: up_to(6) * up_to(1),
            },
            pause_us_max: 60_000 + up_to(600_000),
            misfortune_us_max: 50_000 + up_to(900_000),
            crash: up_to(4),
            cut_one_way: up_to(4),
            cut_two_ways: up_to(2),
            isolate: up_to(2),
            silence: up_to(1),
            pause: 1 + up_to(1),
            power_loss: up_to(1),
            tear: up_to(2),
            storm: up_to(2),
            slow_disk: up_to(2),
            drift: up_to(2),
            jump: up_to(1),
            lost_disk: 0,
            hand_over: 0,
            drift_permille_max: up_to(400),
            jump_us_max: 1_000 + up_to(2_000_000),
            replace_us_max: 0,
            damage_permille: 0,
            snapshot_loss_permille: up_to(200) * up_to(1),
            rot_permille: 0,
            full_disk: up_to(2),
        }
    }
}
