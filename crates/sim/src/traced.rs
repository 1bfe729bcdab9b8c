//! A recorded walk as a trace: what happened becomes rows, and each message meets its fate.

use std::collections::BTreeMap;
use std::io::Write;

use node::{Kind, Reply, Request};
use paxos::{Ballot, Event, Instant, Message, NodeId, Page, Phase1, Phase2, Record, Roles, Slot};
use trace::{
    Clock, EventKind, Fate, Header, MessageKind, Node, Quorums, Role, Row, Slots, Value, Values,
    WriteError, Writer,
};

use crate::recording::{Happened, What};
use crate::walk::{Options, Violation};
use crate::workload::Question;

/// Who makes a trace, and how it is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The version of this Synod.
    pub synod: &'a str,
    /// Its commit, if known.
    pub commit: Option<&'a str>,
    /// The command.
    pub command: &'a str,
}

/// The header of a walk's trace.
///
/// # Panics
/// If the shape of the options is no valid configuration.
pub fn trace_header(seed: u64, options: &Options, origin: Origin<'_>, values: Values) -> Header {
    let configuration = options.shape.configuration().expect("the shape is a valid cluster");
    let size = |size: usize| u32::try_from(size).expect("at most 64 acceptors");
    let mut named = BTreeMap::new();
    let mut node = |id: NodeId, roles: Roles| {
        let letter = letter(roles);
        let count = named.entry(letter).or_insert(0);
        *count += 1;
        Node { id: id.0, name: format!("{letter}{count}"), roles: names(roles) }
    };
    let members = configuration.members().iter();
    Header {
        synod: origin.synod.to_owned(),
        commit: origin.commit.map(str::to_owned),
        seed: Some(seed),
        command: origin.command.to_owned(),
        clock: Clock::Virtual,
        values,
        quorums: Quorums {
            phase1: size(configuration.quorum_size::<Phase1>()),
            phase2: size(configuration.quorum_size::<Phase2>()),
        },
        nodes: members.map(|(id, member)| node(*id, member.roles)).collect(),
    }
}

/// Writes a whole trace. A violation is its last row.
pub fn write_trace<W: Write>(
    out: W,
    header: &Header,
    happened: &[Happened],
    violation: Option<&Violation>,
) -> Result<W, WriteError> {
    let mut script = Script {
        writer: Writer::new(out, header)?,
        heard: heard(happened),
        ends: happened.last().map_or(Instant(0), |last| last.at),
        rows: BTreeMap::new(),
    };
    for one in happened {
        script.write(one)?;
    }
    if let Some(violation) = violation {
        let text = format!("{}: {}", violation.promise, violation.what);
        script.event(violation.at, 0, EventKind::Violation, Said { text, ..Said::default() })?;
    }
    script.writer.finish()
}

/// When each message was heard, by its number and who seems to have sent it: twice at most.
fn heard(happened: &[Happened]) -> BTreeMap<(u64, NodeId), Vec<Instant>> {
    let mut heard: BTreeMap<_, Vec<Instant>> = BTreeMap::new();
    for one in happened {
        if let What::Arrived { number, from, .. } = one.what {
            heard.entry((number, from)).or_default().push(one.at);
        }
    }
    heard
}

struct Script<W> {
    writer: Writer<W>,
    heard: BTreeMap<(u64, NodeId), Vec<Instant>>,
    /// The time of the last happening.
    ends: Instant,
    /// The rows of messages, by their numbers in the recording.
    rows: BTreeMap<u64, u64>,
}

/// What a row says beside what it is, when and where.
#[derive(Default)]
struct Said {
    cause: Option<u64>,
    ballot: Option<Ballot>,
    promised: Option<Ballot>,
    slots: Option<Slots>,
    chosen: Option<Slot>,
    value: Option<Value>,
    peer: u32,
    numbers: [u64; 2],
    text: String,
}

impl<W: Write> Script<W> {
    fn write(&mut self, one: &Happened) -> Result<(), WriteError> {
        let at = one.at;
        match &one.what {
            What::Sent { number, cause, from, envelope, arrives } => {
                let fate = self.fate(at, (*number, *from), arrives);
                let said = Said { cause: *cause, ..of_message(&envelope.message) };
                let kind = kind(&envelope.message);
                let what = trace::What::Message { kind, to: envelope.to.0, fate };
                let row = self.row(at, from.0, &said, what);
                let place = self.writer.row(&row)?;
                self.rows.entry(*number).or_insert(place);
                Ok(())
            }
            // Told by the fate of what was sent.
            What::Arrived { .. } => Ok(()),
            What::Durable { node, records } => records.iter().try_for_each(|record| {
                let (kind, said) = of_record(record);
                self.event(at, node.0, kind, said)
            }),
            What::Learned { node, first, values, cause } => {
                let slots = slots(*first, values.len());
                let said = Said {
                    cause: *cause,
                    slots,
                    value: values.first().map(value),
                    ..Said::default()
                };
                self.event(at, node.0, EventKind::SlotsLearned, said)
            }
            What::Event { node, cause, event } => {
                let (kind, said) = of_event(event);
                self.event(at, node.0, kind, Said { cause: *cause, ..said })
            }
            What::Started { node, life } => {
                self.event(at, node.0, EventKind::Started, counted([u64::from(*life), 0]))
            }
            What::Ended { node } => self.event(at, node.0, EventKind::Ended, Said::default()),
            What::Asked { node, client, question } => {
                let said = counted([u64::from(*client), number(*question)]);
                self.event(at, node.0, EventKind::Called, said)
            }
            What::Answered { client, question, reply } => {
                let said =
                    Said { numbers: [u64::from(*client), number(*question)], ..of_reply(reply) };
                self.event(at, 0, EventKind::Returned, said)
            }
            What::World(text) => {
                let said = Said { text: text.clone(), ..Said::default() };
                self.event(at, 0, EventKind::Misfortune, said)
            }
        }
    }

    fn event(
        &mut self,
        at: Instant,
        node: u32,
        kind: EventKind,
        mut said: Said,
    ) -> Result<(), WriteError> {
        let text = std::mem::take(&mut said.text);
        let (peer, numbers) = (said.peer, said.numbers);
        let row = self.row(at, node, &said, trace::What::Event { kind, peer, numbers, text });
        self.writer.row(&row).map(drop)
    }

    fn row(&self, at: Instant, node: u32, said: &Said, what: trace::What) -> Row {
        Row {
            at_us: at.0,
            node,
            cause: said.cause.and_then(|number| self.rows.get(&number).copied()),
            ballot: said.ballot.and_then(ballot),
            promised: said.promised.and_then(ballot),
            slots: said.slots,
            chosen: said.chosen.map(|slot| slot.0),
            value: said.value.clone(),
            what,
        }
    }

    fn fate(&self, sent: Instant, message: (u64, NodeId), arrives: &[Instant]) -> Fate {
        let after = |at: &Instant| at.0 - sent.0;
        match self.heard.get(&message).map_or(&[][..], Vec::as_slice) {
            [] => match arrives.iter().min() {
                None => Fate::Lost,
                Some(at) if *at > self.ends => Fate::Open,
                Some(at) => Fate::Unheard(after(at)),
            },
            [once] => Fate::Once(after(once)),
            [first, second, ..] => Fate::Twice(after(first), after(second)),
        }
    }
}

fn of_message(message: &Message) -> Said {
    let said = Said::default();
    match message {
        Message::Prepare { ballot, from } => {
            Said { ballot: Some(*ballot), slots: onward(*from), ..said }
        }
        Message::Promise { ballot, page } => Said { ballot: Some(*ballot), ..of_page(page) },
        Message::Reject { ballot, promised, .. } => {
            Said { ballot: Some(*ballot), promised: Some(*promised), ..said }
        }
        Message::Accept { run, chosen } => Said {
            ballot: Some(run.ballot),
            slots: slots(run.first, run.values.len()),
            chosen: Some(*chosen),
            value: run.values.first().map(value),
            ..said
        },
        Message::Accepted { ballot, first, end } => {
            let slots = Slots { first: first.0, count: end.since(*first) };
            Said { ballot: Some(*ballot), slots: Some(slots), ..said }
        }
        Message::Chosen { ballot, chosen } | Message::Heartbeat { ballot, chosen, .. } => {
            Said { ballot: Some(*ballot), chosen: Some(*chosen), ..said }
        }
        Message::HeartbeatReply { ballot, .. } => Said { ballot: Some(*ballot), ..said },
        Message::Probe { .. } => said,
        Message::ProbeReply { promised, .. } => Said { promised: Some(*promised), ..said },
        Message::Fetch { from } => Said { slots: onward(*from), ..said },
        Message::Learned { first, values, chosen, .. } => Said {
            slots: slots(*first, values.len()),
            chosen: Some(*chosen),
            value: values.first().map(value),
            ..said
        },
        Message::Votes { page } => of_page(page),
        Message::Confirm { ballot, .. } | Message::Confirmed { ballot, .. } => {
            Said { ballot: Some(*ballot), ..said }
        }
        Message::ReadIndex { .. } => said,
        Message::ReadIndexReply { index, .. } => Said { chosen: *index, ..said },
        Message::Kept { below } => Said { slots: onward(*below), ..said },
        Message::FetchPart { snapshot, .. } => {
            Said { slots: snapshot.and_then(|snapshot| onward(snapshot.below)), ..said }
        }
        Message::Part { snapshot, .. } => Said { slots: onward(snapshot.below), ..said },
        Message::Offer { ballot, .. } | Message::HandOver { ballot, .. } => {
            Said { ballot: Some(*ballot), ..said }
        }
        Message::Willing { ballot, chosen, .. } => {
            Said { ballot: Some(*ballot), chosen: Some(*chosen), ..said }
        }
    }
}

/// The first slot with a vote, and how many have one.
fn of_page(page: &Page) -> Said {
    let first = page.votes.first();
    let count = page.votes.iter().map(|run| run.values.len()).sum();
    Said {
        slots: first.and_then(|run| slots(run.first, count)),
        value: first.and_then(|run| run.values.first()).map(value),
        ..Said::default()
    }
}

fn of_record(record: &Record) -> (EventKind, Said) {
    let said = Said::default();
    match record {
        Record::Promised(ballot) => {
            (EventKind::PromisePersisted, Said { ballot: Some(*ballot), ..said })
        }
        Record::Accepted(run) => {
            let (slots, value) =
                (slots(run.first, run.values.len()), run.values.first().map(value));
            let said = Said { ballot: Some(run.ballot), slots, value, ..said };
            (EventKind::AcceptedPersisted, said)
        }
        Record::Truncated(slot) => {
            (EventKind::TruncatedPersisted, Said { slots: onward(*slot), ..said })
        }
        Record::Suspect => (EventKind::SuspectPersisted, said),
        Record::Settled(slot) => {
            (EventKind::SettledPersisted, Said { slots: onward(*slot), ..said })
        }
    }
}

fn of_event(event: &Event) -> (EventKind, Said) {
    let at = |ballot: &Ballot| Said { ballot: Some(*ballot), ..Said::default() };
    let by = |ballot: &Ballot| Said { promised: Some(*ballot), ..Said::default() };
    let from = |slot: &Slot| Said { slots: onward(*slot), ..Said::default() };
    match event {
        Event::Probed => (EventKind::Probed, Said::default()),
        Event::CampaignSpared { leader } => {
            (EventKind::CampaignSpared, Said { peer: leader.0, ..Said::default() })
        }
        Event::Prepared { ballot } => (EventKind::Prepared, at(ballot)),
        Event::Promised { ballot } => (EventKind::Promised, at(ballot)),
        Event::Elected { ballot, adopted, noops } => {
            (EventKind::Elected, Said { numbers: [*adopted, *noops], ..at(ballot) })
        }
        Event::Contested { by: ballot } => (EventKind::Contested, by(ballot)),
        Event::Deposed { by: ballot } => (EventKind::Deposed, by(ballot)),
        Event::GaveUp { ballot } => (EventKind::GaveUp, at(ballot)),
        Event::Forsaken { ballot } => (EventKind::Forsaken, at(ballot)),
        Event::Overtaken { slot } => (EventKind::Overtaken, from(slot)),
        Event::Rejected { ballot, promised } => {
            (EventKind::Rejected, Said { promised: Some(*promised), ..at(ballot) })
        }
        Event::SentAgain { messages } => (EventKind::SentAgain, counted([*messages, 0])),
        Event::Fetched { from: slot } => (EventKind::Fetched, from(slot)),
        Event::Following { ballot } => (EventKind::Following, at(ballot)),
        Event::Behind { truncated } => (EventKind::Behind, from(truncated)),
        Event::Declined { from, why } => {
            let said = Said { peer: from.0, text: format!("{why:?}"), ..Said::default() };
            (EventKind::Declined, said)
        }
        Event::Conflict { slot } => (EventKind::Conflict, from(slot)),
        Event::Diverged { from: peer, below, ours, theirs } => {
            let text = format!("{ours} here, {theirs} there");
            (EventKind::Diverged, Said { peer: peer.0, text, ..from(below) })
        }
        Event::NoRoom { ballot } => (EventKind::NoRoom, at(ballot)),
        Event::Suspect { below } => (EventKind::Suspect, from(below)),
        Event::Restored { below } => (EventKind::Restored, from(below)),
        Event::HandsOver { to } => (EventKind::HandsOver, Said { peer: to.0, ..Said::default() }),
        Event::KeepsLeading { ballot } => (EventKind::KeepsLeading, at(ballot)),
        Event::TakesOver { from: ballot } => (EventKind::TakesOver, at(ballot)),
    }
}

fn of_reply(reply: &Reply<()>) -> Said {
    let known = |leader: &Option<NodeId>| leader.map_or(0, |leader| leader.0);
    let (text, peer) = match reply {
        Reply::Done { slot, .. } => {
            let text = "done".to_owned();
            return Said { slots: slots(*slot, 1), text, ..Said::default() };
        }
        Reply::Opened { session } => (format!("opened session {session}"), 0),
        Reply::Kept { .. } => ("session kept alive".to_owned(), 0),
        Reply::Closed { .. } => ("session closed".to_owned(), 0),
        Reply::NotLeading { leader } => ("not leading".to_owned(), known(leader)),
        Reply::Busy => ("busy".to_owned(), 0),
        Reply::Unknown { leader } => ("unknown".to_owned(), known(leader)),
        Reply::Refused(why) => (format!("refused: {why:?}"), 0),
        Reply::TooLarge { bytes_max } => (format!("larger than {bytes_max} bytes"), 0),
    };
    Said { peer, text, ..Said::default() }
}

fn counted(numbers: [u64; 2]) -> Said {
    Said { numbers, ..Said::default() }
}

/// So many slots; none if there are none.
fn slots(first: Slot, count: usize) -> Option<Slots> {
    let count = u64::try_from(count).expect("a length in memory fits in 64 bits");
    (count > 0).then_some(Slots { first: first.0, count })
}

/// All slots from there on.
#[expect(clippy::unnecessary_wraps, reason = "it fills a field that may be empty")]
fn onward(first: Slot) -> Option<Slots> {
    Some(Slots { first: first.0, count: 0 })
}

/// None for the ballot below all others: nothing is promised.
fn ballot(ballot: Ballot) -> Option<trace::Ballot> {
    (ballot != Ballot::NONE).then_some(trace::Ballot {
        round: ballot.round,
        leader: ballot.leader.0,
        incarnation: ballot.incarnation.0,
    })
}

/// Which of a client's values it is about; zero where it is about its session.
fn number(question: Question) -> u64 {
    match question {
        Question::Value(value) => value,
        Question::Open(_) | Question::KeepAlive(_) | Question::Close(_) => 0,
    }
}

/// The value of a request is a number and padding, so the words are whose it is and which.
fn value(value: &paxos::Value) -> Value {
    match value {
        paxos::Value::Noop => Value::Noop,
        paxos::Value::LeaderStart => Value::LeaderStart,
        paxos::Value::Command(bytes) => {
            let words = Request::decode(bytes).map(|request| match request.kind() {
                Kind::Open { .. } => "opens a session".to_owned(),
                Kind::Append { session, sequence, .. } => {
                    format!("session {session} value {sequence}")
                }
                Kind::KeepAlive { session } => format!("session {session} kept alive"),
                Kind::Close { session } => format!("session {session} closed"),
            });
            Value::command(bytes, words.unwrap_or_default())
        }
    }
}

fn kind(message: &Message) -> MessageKind {
    match message.kind() {
        paxos::Kind::Prepare => MessageKind::Prepare,
        paxos::Kind::Promise => MessageKind::Promise,
        paxos::Kind::Reject => MessageKind::Reject,
        paxos::Kind::Accept => MessageKind::Accept,
        paxos::Kind::Accepted => MessageKind::Accepted,
        paxos::Kind::Chosen => MessageKind::Chosen,
        paxos::Kind::Heartbeat => MessageKind::Heartbeat,
        paxos::Kind::HeartbeatReply => MessageKind::HeartbeatReply,
        paxos::Kind::Probe => MessageKind::Probe,
        paxos::Kind::ProbeReply => MessageKind::ProbeReply,
        paxos::Kind::Fetch => MessageKind::Fetch,
        paxos::Kind::Learned => MessageKind::Learned,
        paxos::Kind::Votes => MessageKind::Votes,
        paxos::Kind::Confirm => MessageKind::Confirm,
        paxos::Kind::Confirmed => MessageKind::Confirmed,
        paxos::Kind::ReadIndex => MessageKind::ReadIndex,
        paxos::Kind::ReadIndexReply => MessageKind::ReadIndexReply,
        paxos::Kind::Kept => MessageKind::Kept,
        paxos::Kind::FetchPart => MessageKind::FetchPart,
        paxos::Kind::Part => MessageKind::Part,
        paxos::Kind::Offer => MessageKind::Offer,
        paxos::Kind::Willing => MessageKind::Willing,
        paxos::Kind::HandOver => MessageKind::HandOver,
    }
}

/// As in the demo and in the files of a new cluster; F follows only.
fn letter(roles: Roles) -> char {
    match (roles.leader, roles.acceptor) {
        (true, true) => 'N',
        (true, false) => 'L',
        (false, true) => 'A',
        (false, false) => 'F',
    }
}

fn names(roles: Roles) -> Vec<Role> {
    let all = [
        (roles.leader, Role::Leader),
        (roles.acceptor, Role::Acceptor),
        (roles.learner, Role::Learner),
    ];
    all.into_iter().filter_map(|(has, role)| has.then_some(role)).collect()
}
