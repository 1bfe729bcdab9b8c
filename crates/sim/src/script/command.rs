//! The commands of a story, from their words.
//!
//! ```text
//!   cluster 2 leaders 3 acceptors 1 learners 3 nodes    who takes part; `nodes` lead and remember
//!       quorums 2 2 | announce leader    sizes of both phases; acceptors tell the leader alone
//!       2 keepers                        who follow and have a disk for snapshots
//!       snapshots 100 | retain 0         bytes applied between two; bytes kept below them
//!       votes 900                      bytes of votes that an acceptor keeps, at most
//!       part 100 | parts 2             bytes of a snapshot's part; parts asked for at a time
//!       window 4 | flight 200 | queue 2 | value 40 | page 200 | run 2 | ahead 4    bounds
//!   campaign L1                    time passes for L1 alone until it has probed and prepares
//!   hand over L1 | hand over L1 to L2      an operator wants another leader
//!   open c1 at L1 | open c1 at L1 for 2000ms    a client asks for a session, by default of an hour
//!   keep c1 at L1 | close c1 at L1              it keeps its session alive, or needs it no more
//!   append a b to L1 as c1#1       one client, one request; `append 9 values to L1` makes v1..v9
//!   read at L1 | read at L1 past slot 5 | read at L1 at most 100ms old    three consistencies
//!   deliver [reversed] [copies of] WHICH    what is in flight arrives; copies stay in flight
//!   drop WHICH | hold WHICH | release       WHICH: see selector.rs; held is what `settle` leaves
//!   settle                         everything in flight arrives, and what follows; time stands
//!   run 300ms                      time passes for all; the network works, heartbeats included
//!   wait L1 A1 30ms                time passes, these timers fire, nothing arrives
//!   cut L1 <-> A1 A2 | cut L1 -> A1 | heal L1 <-> A1 | heal
//!   heartbeats travel | heartbeats stay     one by one, too; otherwise only while time passes
//!   fail A1 | recover A1           deaf and dumb with its memory, and back
//!   crash A1 | crash A1 keeping its write | restart A1 | restart L1 with lower bits
//!   stall A1 | resume A1 | break A1         nothing gets durable; the next sync fails
//!   damage A1 lost | swapped | rot 2        the disk of a node that is down; 2 counts its writes
//!   damage A1 hole 2 | damage A1 hole 2 4   one bit of each of these writes is another
//!   replace A1 | restart A2 in epoch 1      another disk, in the next epoch; who goes over to it
//!   show | show histories | show sessions | show network
//!   quiet COMMAND                  without output; the watchers look on all the same
//! ```

use std::time::Duration;

use node::Consistency;
use paxos::{Announce, Limits, NodeId, Slot};

use super::selector::Selector;
use super::stage::{Asked, Done, Harm, Stage};
use super::words::Names;
use crate::shape::Shape;

/// One thing that a story does.
#[derive(Debug)]
pub enum Command {
    Campaign(NodeId),
    HandOver { from: NodeId, to: Option<NodeId> },
    Append { asked: Asked, texts: Vec<String> },
    Open { client: u8, to: NodeId, lifetime: Duration },
    Keep { client: u8, to: NodeId },
    Close { client: u8, to: NodeId },
    Read(NodeId, Consistency),
    Deliver { which: Selector, reversed: bool, repeats: bool },
    Drop(Selector),
    Hold(Selector),
    Release,
    Settle,
    Run(Duration),
    Wait(Vec<NodeId>, Duration),
    Link { from: Vec<NodeId>, to: Vec<NodeId>, both_ways: bool, carries: bool },
    Heal,
    Heartbeats(bool),
    Fail(Vec<NodeId>),
    Recover(Vec<NodeId>),
    Crash { node: NodeId, keeps: bool },
    Restart { node: NodeId, lower: bool, epoch: Option<u64> },
    Replace(NodeId),
    Stall(Vec<NodeId>),
    Resume(Vec<NodeId>),
    Break(NodeId),
    Damage(NodeId, Harm),
    Show,
    ShowHistories,
    ShowSessions,
    ShowNetwork,
}

/// More values than this are not made at once.
const VALUES_MAX: usize = 1000;

/// A session lives for so long unused, unless its client asks for another lifetime.
const LIFETIME: Duration = Duration::from_secs(3600);

impl Command {
    /// Reads a command's words.
    pub fn parse(words: &[&str], names: &Names) -> Result<Command, String> {
        let node = |name: &str| names.find(name).ok_or(format!("{name} is no node"));
        let nodes = |list: &[&str]| -> Result<Vec<NodeId>, String> {
            if list.is_empty() {
                return Err("which node?".into());
            }
            list.iter().map(|name| node(name)).collect()
        };
        let which = |list: &[&str]| Selector::parse(list, names);
        Ok(match words {
            ["campaign", name] => {
                let node = node(name)?;
                if name.starts_with(['A', 'F']) {
                    return Err(format!("{name} does not lead"));
                }
                Command::Campaign(node)
            }
            ["hand", "over", from] => Command::HandOver { from: node(from)?, to: None },
            ["hand", "over", from, "to", to] => {
                Command::HandOver { from: node(from)?, to: Some(node(to)?) }
            }
            ["append", rest @ ..] => append(rest, names)?,
            ["open", client, "at", name] => {
                Command::Open { client: number_of(client)?, to: node(name)?, lifetime: LIFETIME }
            }
            ["open", client, "at", name, "for", time] => {
                let lifetime = span(time)?;
                Command::Open { client: number_of(client)?, to: node(name)?, lifetime }
            }
            ["keep", client, "at", name] => {
                Command::Keep { client: number_of(client)?, to: node(name)? }
            }
            ["close", client, "at", name] => {
                Command::Close { client: number_of(client)?, to: node(name)? }
            }
            ["read", "at", name] => Command::Read(node(name)?, Consistency::Linearizable),
            ["read", "at", name, "past", "slot", slot] => {
                let at_least = Slot(number(slot)?).plus(1);
                Command::Read(node(name)?, Consistency::Sequential { at_least })
            }
            ["read", "at", name, "at", "most", age, "old"] => {
                let max_age = span(age)?;
                Command::Read(node(name)?, Consistency::Stale { max_age })
            }
            ["deliver", "reversed", rest @ ..] => {
                Command::Deliver { which: which(rest)?, reversed: true, repeats: false }
            }
            ["deliver", "copies", "of", rest @ ..] => {
                Command::Deliver { which: which(rest)?, reversed: false, repeats: true }
            }
            ["deliver", rest @ ..] => {
                Command::Deliver { which: which(rest)?, reversed: false, repeats: false }
            }
            ["drop", rest @ ..] => Command::Drop(which(rest)?),
            ["hold", rest @ ..] => Command::Hold(which(rest)?),
            ["release"] => Command::Release,
            ["settle"] => Command::Settle,
            ["run", time @ ..] => Command::Run(span(&time.join(" "))?),
            ["wait", list @ .., time] => Command::Wait(nodes(list)?, span(time)?),
            ["heal"] => Command::Heal,
            [verb @ ("cut" | "heal"), rest @ ..] => {
                let arrow = rest.iter().position(|word| ["->", "<->"].contains(word));
                let arrow = arrow.ok_or("between whom? `cut L1 <-> A1` or `cut L1 -> A1`")?;
                Command::Link {
                    from: nodes(&rest[..arrow])?,
                    to: nodes(&rest[arrow + 1..])?,
                    both_ways: rest[arrow] == "<->",
                    carries: *verb == "heal",
                }
            }
            ["heartbeats", "travel"] => Command::Heartbeats(true),
            ["heartbeats", "stay"] => Command::Heartbeats(false),
            ["fail", list @ ..] => Command::Fail(nodes(list)?),
            ["recover", list @ ..] => Command::Recover(nodes(list)?),
            ["crash", name] => Command::Crash { node: node(name)?, keeps: false },
            ["crash", name, "keeping", "its", "write"] => {
                Command::Crash { node: node(name)?, keeps: true }
            }
            ["restart", name, rest @ ..] => restart(node(name)?, rest)?,
            ["replace", name] => Command::Replace(node(name)?),
            ["stall", list @ ..] => Command::Stall(nodes(list)?),
            ["resume", list @ ..] => Command::Resume(nodes(list)?),
            ["break", name] => Command::Break(node(name)?),
            ["damage", name, "lost"] => Command::Damage(node(name)?, Harm::Lost),
            ["damage", name, "swapped"] => Command::Damage(node(name)?, Harm::Swapped),
            ["damage", name, "rot", write] => {
                Command::Damage(node(name)?, Harm::Rot(number(write)?))
            }
            ["damage", name, "hole", first] => {
                Command::Damage(node(name)?, Harm::Hole(number(first)?, number(first)?))
            }
            ["damage", name, "hole", first, last] => {
                Command::Damage(node(name)?, Harm::Hole(number(first)?, number(last)?))
            }
            ["show"] => Command::Show,
            ["show", "histories"] => Command::ShowHistories,
            ["show", "sessions"] => Command::ShowSessions,
            ["show", "network"] => Command::ShowNetwork,
            [verb, ..] => return Err(format!("`{verb}` is no command")),
            [] => return Err("a command is missing".into()),
        })
    }

    /// Does it.
    pub fn perform(self, stage: &mut Stage) -> Done {
        match self {
            Command::Campaign(node) => stage.campaign(node)?,
            Command::HandOver { from, to } => stage.hand_over(from, to)?,
            Command::Append { asked, texts } => stage.append(asked, &texts)?,
            Command::Open { client, to, lifetime } => stage.open(client, to, lifetime)?,
            Command::Keep { client, to } => stage.keep(client, to)?,
            Command::Close { client, to } => stage.close(client, to)?,
            Command::Read(node, consistency) => stage.read(node, consistency)?,
            Command::Deliver { which, reversed, repeats } => {
                stage.deliver(&which, reversed, repeats)?;
            }
            Command::Drop(which) => stage.drop(&which),
            Command::Hold(which) => stage.hold(which),
            Command::Release => stage.release(),
            Command::Settle => stage.settle()?,
            Command::Run(span) => stage.run(span)?,
            Command::Wait(nodes, span) => stage.wait(&nodes, span)?,
            Command::Link { from, to, both_ways, carries } => {
                stage.link(&from, &to, both_ways, carries);
            }
            Command::Heal => stage.heal(),
            Command::Heartbeats(travel) => stage.carry_heartbeats(travel),
            Command::Fail(nodes) => nodes.into_iter().for_each(|node| stage.fail(node)),
            Command::Recover(nodes) => nodes.into_iter().for_each(|node| stage.recover(node)),
            Command::Crash { node, keeps } => stage.crash(node, keeps)?,
            Command::Restart { node, lower, epoch } => stage.restart(node, lower, epoch)?,
            Command::Replace(node) => stage.replace(node)?,
            Command::Stall(nodes) => nodes.into_iter().for_each(|node| stage.stall(node)),
            Command::Resume(nodes) => {
                nodes.into_iter().try_for_each(|node| stage.resume(node))?;
            }
            Command::Break(node) => stage.break_sync(node),
            Command::Damage(node, harm) => stage.damage(node, harm)?,
            Command::Show => stage.show(),
            Command::ShowHistories => stage.show_histories(),
            Command::ShowSessions => stage.show_sessions(),
            Command::ShowNetwork => stage.show_network(),
        }
        Ok(())
    }
}

/// A stage from the words after `cluster`.
pub fn cluster(words: &[&str]) -> Result<Stage, String> {
    let mut shape = Shape::EMPTY;
    let (mut limits, mut announce) = (Limits::default(), Announce::default());
    let mut snapshots = u64::MAX;
    let mut rest = words;
    while !rest.is_empty() {
        rest = match rest {
            ["announce", "leader", rest @ ..] => {
                announce = Announce::LeaderOnly;
                rest
            }
            ["quorums", phase1, phase2, rest @ ..] => {
                shape.quorums = Some((number(phase1)?, number(phase2)?));
                rest
            }
            [count, "leaders", rest @ ..] => {
                shape.leaders = number(count)?;
                rest
            }
            [count, "acceptors", rest @ ..] => {
                shape.acceptors = number(count)?;
                rest
            }
            [count, "learners", rest @ ..] => {
                shape.learners = number(count)?;
                rest
            }
            [count, "keepers", rest @ ..] => {
                shape.keepers = number(count)?;
                rest
            }
            ["snapshots", bytes, rest @ ..] => {
                snapshots = number(bytes)?;
                rest
            }
            [count, "nodes", rest @ ..] => {
                shape.all_in_one = number(count)?;
                rest
            }
            [name, size, rest @ ..] => {
                limit(&mut limits, name, size)?;
                rest
            }
            [word] => return Err(format!("`{word}` says nothing about a cluster")),
            [] => rest,
        };
    }
    let refused = |error| format!("no such cluster: {error:?}");
    let mut stage = Stage::new(shape.configuration().map_err(refused)?, limits, announce);
    stage.snapshot_every(snapshots);
    Ok(stage)
}

fn limit(limits: &mut Limits, name: &str, size: &str) -> Result<(), String> {
    match name {
        "window" => limits.slots_in_flight_max = number(size)?,
        "flight" => limits.bytes_in_flight_max = number(size)?,
        "queue" => limits.queue_values_max = number(size)?,
        "value" => limits.value_bytes_max = number(size)?,
        "page" => limits.run_bytes_max = number(size)?,
        "run" => limits.run_slots_max = number(size)?,
        "ahead" => limits.ahead_slots_max = number(size)?,
        "part" => limits.part_bytes_max = number(size)?,
        "parts" => limits.parts_in_flight_max = number(size)?,
        "votes" => limits.votes_bytes_max = number(size)?,
        "retain" => limits.retained_bytes_max = number(size)?,
        _ => return Err(format!("`{name}` says nothing about a cluster")),
    }
    Ok(())
}

/// `a b to L1`, `a to L1 as c1#3`, `100 values to L1`.
fn append(words: &[&str], names: &Names) -> Result<Command, String> {
    let to = words.iter().position(|word| *word == "to").ok_or("append what to whom?")?;
    let (texts, rest) = words.split_at(to);
    let (name, client) = match rest {
        ["to", name] => (name, "c1"),
        ["to", name, "as", client] => (name, *client),
        _ => return Err("append what to whom?".into()),
    };
    let (client, sequence) = match client.split_once('#') {
        None => (client, None),
        Some((client, sequence)) => (client, Some(number(sequence)?)),
    };
    let client = number_of(client)?;
    let to = names.find(name).ok_or(format!("{name} is no node"))?;
    let texts: Vec<String> = match texts {
        [count, "values"] => {
            let count: usize = number(count)?;
            if count > VALUES_MAX {
                return Err(format!("at most {VALUES_MAX} values"));
            }
            (1..=count).map(|index| format!("v{index}")).collect()
        }
        _ => texts.iter().map(|text| (*text).to_owned()).collect(),
    };
    if let Some(text) = texts.iter().find(|text| ["start", "no-op", "-"].contains(&text.as_str())) {
        return Err(format!("{text} would be taken for the protocol's own"));
    }
    Ok(Command::Append { asked: Asked { client, sequence, to }, texts })
}

/// Nothing, `with lower bits` or `in epoch 1`.
fn restart(node: NodeId, words: &[&str]) -> Result<Command, String> {
    let (lower, epoch) = match words {
        [] => (false, None),
        ["with", "lower", "bits"] => (true, None),
        ["in", "epoch", epoch] => (false, Some(number(epoch)?)),
        _ => return Err("restart it `with lower bits`, or `in epoch 1`?".into()),
    };
    Ok(Command::Restart { node, lower, epoch })
}

fn number_of(client: &str) -> Result<u8, String> {
    let number = client.strip_prefix('c').and_then(|number| number.parse().ok());
    number.ok_or(format!("`{client}` is no client like c1"))
}

fn span(word: &str) -> Result<Duration, String> {
    let milliseconds = word.strip_suffix("ms").and_then(|count| count.parse().ok());
    let milliseconds = milliseconds.ok_or(format!("`{word}` is no span like 300ms"))?;
    Ok(Duration::from_millis(milliseconds))
}

fn number<N: std::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("`{word}` is no number that fits here"))
}
