//! How a story names things: nodes by role, ballots without their random bits, values by their
//! text, messages by what a reader of a paper would call them.
//!
//! Incarnations are never printed. A leader's later lives are told apart by primes: `1·L1` and
//! `1·L1'` are two ballots.

use std::collections::BTreeMap;
use std::time::Duration;

use node::{Kind, Request};
use paxos::{Ballot, Configuration, Event, Incarnation, Message, NodeId, Page, Record, Run, Slot};
use paxos::{Roles, Value};

/// Longer lists of values are shortened.
const VALUES_MAX: usize = 8;

/// The names of one cluster.
#[derive(Debug)]
pub struct Names {
    by_id: BTreeMap<NodeId, String>,
    lives: BTreeMap<(NodeId, Incarnation), u32>,
}

impl Names {
    /// L1, L2.. lead, A1.. remember, F1.. follow, N1.. lead and remember.
    pub fn new(configuration: &Configuration) -> Names {
        let mut counts: BTreeMap<char, u32> = BTreeMap::new();
        let mut name = |roles: Roles| {
            let letter = match (roles.leader, roles.acceptor) {
                (true, true) => 'N',
                (true, false) => 'L',
                (false, true) => 'A',
                (false, false) => 'F',
            };
            let count = counts.entry(letter).or_insert(0);
            *count += 1;
            format!("{letter}{count}")
        };
        let members = configuration.members().iter();
        let by_id = members.map(|(id, member)| (*id, name(member.roles))).collect();
        Names { by_id, lives: BTreeMap::new() }
    }

    /// A node begins a life under these bits.
    pub fn lives(&mut self, node: NodeId, incarnation: Incarnation, life: u32) {
        self.lives.insert((node, incarnation), life);
    }

    /// The node of that name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.by_id.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }

    /// A node's name.
    pub fn node(&self, node: NodeId) -> &str {
        self.by_id.get(&node).map_or("a stranger", String::as_str)
    }

    /// Names, one after another.
    pub fn nodes(&self, nodes: &[NodeId]) -> String {
        nodes.iter().map(|id| self.node(*id)).collect::<Vec<_>>().join(" ")
    }

    /// `round·leader`, primed for a later life.
    pub fn ballot(&self, ballot: Ballot) -> String {
        if ballot == Ballot::NONE {
            return "-".into();
        }
        let life = self.lives.get(&(ballot.leader, ballot.incarnation)).copied().unwrap_or(1);
        let primes = "'".repeat(life.saturating_sub(1) as usize);
        format!("{}·{}{primes}", ballot.round, self.node(ballot.leader))
    }

    /// `1·L1 slots 3..5 = a b c`
    pub fn run(&self, run: &Run) -> String {
        let slots = slots(run.first, run.end());
        format!("{} {slots} = {}", self.ballot(run.ballot), values(&run.values))
    }

    /// What goes to a disk.
    pub fn record(&self, record: &Record) -> String {
        match record {
            Record::Promised(ballot) => format!("promised {}", self.ballot(*ballot)),
            Record::Accepted(run) => format!("accepted {}", self.run(run)),
            Record::Truncated(slot) => format!("cut below slot {slot}"),
            Record::Suspect => "has lost votes, nobody knows which".into(),
            Record::Settled(slot) => format!("whole from slot {slot}"),
        }
    }

    /// What one node says to another.
    pub fn message(&self, message: &Message) -> String {
        let kind = format!("{:?}", message.kind());
        let ballot = |ballot: &Ballot| self.ballot(*ballot);
        match message {
            Message::Prepare { ballot: b, from } => {
                format!("{kind} {} from slot {from}", ballot(b))
            }
            Message::Promise { ballot: b, page } => {
                format!("{kind} {}, {}", ballot(b), self.page(page))
            }
            Message::Reject { ballot: b, promised, .. } => {
                format!("{kind} {}, promised {}", ballot(b), ballot(promised))
            }
            Message::Accept { run, chosen } => {
                format!("{kind} {}{}", self.run(run), below(*chosen))
            }
            Message::Accepted { ballot: b, first, end } => {
                format!("{kind} {} {}", ballot(b), slots(*first, *end))
            }
            Message::Chosen { ballot: b, chosen } => {
                format!("{kind} {} below slot {chosen}", ballot(b))
            }
            Message::Heartbeat { ballot: b, proof_age, chosen, .. } => {
                let proof = proof_age.map_or("no proof of a quorum".into(), |age| {
                    format!("proof of a quorum {} old", milliseconds(age))
                });
                format!("{kind} {}, {proof}{}", ballot(b), below(*chosen))
            }
            Message::HeartbeatReply { ballot: b, .. } => format!("{kind} {}", ballot(b)),
            Message::Probe { .. } => kind,
            Message::ProbeReply { promised, progress_age, .. } => {
                let progress = progress_age.map_or("no progress seen".into(), |age| {
                    format!("progress {} ago", milliseconds(age))
                });
                format!("{kind}, promised {}, {progress}", ballot(promised))
            }
            Message::Fetch { from } => format!("{kind} from slot {from}"),
            Message::Learned { first, values: learned, .. } if learned.is_empty() => {
                format!("{kind} nothing from slot {first}")
            }
            Message::Learned { first, values: learned, .. } => {
                let end = first.plus(learned.count());
                format!("{kind} {} = {}", slots(*first, end), values(learned))
            }
            Message::Votes { page } => {
                format!("{kind} from slot {}: {}", page.from, self.page(page))
            }
            Message::Confirm { ballot: b, .. } | Message::Confirmed { ballot: b, .. } => {
                format!("{kind} {}", ballot(b))
            }
            Message::ReadIndex { .. } => kind,
            Message::ReadIndexReply { index: Some(index), .. } => {
                format!("{kind}, apply all below slot {index}")
            }
            Message::ReadIndexReply { index: None, .. } => format!("{kind}, not leading"),
            Message::Kept { below } => format!("{kind} below slot {below}"),
            Message::FetchPart { snapshot: None, .. } => format!("{kind} of the newest snapshot"),
            Message::FetchPart { snapshot: Some(snapshot), offset } => {
                format!("{kind} of the snapshot below slot {}, byte {offset}", snapshot.below)
            }
            Message::Part { snapshot, offset, bytes } => {
                let (below, end) = (snapshot.below, offset + bytes.len() as u64);
                let total = snapshot.bytes;
                format!(
                    "{kind} of the snapshot below slot {below}, bytes {offset} to {end} of {total}"
                )
            }
            Message::Offer { ballot: b, number } | Message::HandOver { ballot: b, number } => {
                format!("{kind} {} #{number}", ballot(b))
            }
            Message::Willing { ballot: b, number, chosen } => {
                format!("{kind} {} #{number}{}", ballot(b), below(*chosen))
            }
        }
    }

    /// What a node noticed. None for what other lines tell already.
    pub fn event(&self, event: Event) -> Option<String> {
        let ballot = |ballot: Ballot| self.ballot(ballot);
        let said = match event {
            Event::Promised { .. } | Event::Probed | Event::CampaignSpared { .. } => return None,
            // These end a story.
            Event::Declined { .. } | Event::Conflict { .. } | Event::Diverged { .. } => {
                return None;
            }
            Event::Prepared { ballot: b } => format!("prepares {}", ballot(b)),
            Event::Elected { ballot: b, adopted: 0, noops: 0 } => format!("leads at {}", ballot(b)),
            Event::Elected { ballot: b, adopted, noops } => {
                format!("leads at {}, adopts {adopted}, closes {noops} by no-ops", ballot(b))
            }
            Event::Contested { by } => format!("is contested by {}", ballot(by)),
            Event::Deposed { by } => format!("is deposed by {}", ballot(by)),
            Event::GaveUp { ballot: b } => format!("gives up {}", ballot(b)),
            Event::Forsaken { ballot: b } => {
                format!("has no quorum any more and gives up {}", ballot(b))
            }
            Event::Overtaken { slot } => {
                format!("finds another value chosen in slot {slot} and leads no more")
            }
            Event::Rejected { ballot: b, promised } => {
                format!("refuses {}, for it has promised {}", ballot(b), ballot(promised))
            }
            Event::SentAgain { messages: 1 } => "says 1 message again".into(),
            Event::SentAgain { messages } => format!("says {messages} messages again"),
            Event::Fetched { from } => format!("fetches from slot {from}"),
            Event::Following { ballot: b } => format!("follows {}", ballot(b)),
            Event::Behind { truncated } => format!("lacks what was cut below slot {truncated}"),
            Event::NoRoom { ballot: b } => format!("has no room for a vote at {}", ballot(b)),
            Event::Suspect { below: Slot::FIRST } => "has mended what it had lost".into(),
            Event::Suspect { below: Slot::LIMIT } => "has lost votes, in any slot".into(),
            Event::Suspect { below } => format!("has lost votes, below slot {below} alone"),
            Event::Restored { below } => format!("goes on from a snapshot below slot {below}"),
            Event::HandsOver { to } => {
                format!("lets {} lead, and holds back values", self.node(to))
            }
            Event::KeepsLeading { ballot: b } => format!("goes on to lead at {}", ballot(b)),
            Event::TakesOver { from } => format!("is to take over from {}", ballot(from)),
        };
        Some(said)
    }

    fn page(&self, page: &Page) -> String {
        let votes: Vec<String> = page.votes.iter().map(|run| self.run(run)).collect();
        let votes = if votes.is_empty() { "no votes".into() } else { votes.join(", ") };
        let votes = match page.suspect {
            Slot::FIRST => votes,
            Slot::LIMIT => format!("{votes}, others lost"),
            suspect => format!("{votes}, others below slot {suspect} lost"),
        };
        match page.next {
            None => votes,
            Some(next) => format!("{votes}, more from slot {next}"),
        }
    }
}

/// `slot 3` or `slots 3..5`, both ends included.
pub fn slots(first: Slot, end: Slot) -> String {
    if end.since(first) == 1 {
        format!("slot {first}")
    } else {
        format!("slots {first}..{}", end.0.saturating_sub(1))
    }
}

/// Values by their text, long lists shortened.
pub fn values(all: &[Value]) -> String {
    let texts = |some: &[Value]| some.iter().map(value).collect::<Vec<_>>().join(" ");
    if all.len() <= VALUES_MAX {
        return texts(all);
    }
    format!("{} .. {}", texts(&all[..2]), texts(&all[all.len() - 1..]))
}

/// A value by its text.
pub fn value(value: &Value) -> String {
    match value {
        Value::Noop => "no-op".into(),
        Value::LeaderStart => "start".into(),
        Value::Command(command) => match Request::decode(command) {
            Ok(request) => text(&request),
            Err(error) => error.to_string(),
        },
    }
}

/// A client's value, or what is done about a session: the story's client opens it, and then it has
/// a name.
pub fn text(request: &Request) -> String {
    match request.kind() {
        Kind::Append { .. } => String::from_utf8_lossy(request.value()).into_owned(),
        Kind::Open { nonce, .. } => format!("open(c{})", nonce.0[0]),
        Kind::KeepAlive { session } => format!("keep(s{session})"),
        Kind::Close { session } => format!("close(s{session})"),
    }
}

fn below(chosen: Slot) -> String {
    if chosen == Slot::FIRST { String::new() } else { format!(", chosen below {chosen}") }
}

fn milliseconds(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}
