//! Where a node's messages arrive: those of its birth, requests that others hand on to it, and the
//! protocol's.
//!
//! ```text
//!   hello      0xB1 | format u8 = 1 | cluster name 16 | from u32 | to u32
//!              | version of the machine u32 | flags u8 (1 asks, 2 pledged) | disk 16
//!              | members u8, then for each: id u32 | disk 16
//!   handed on  0xF1 | format u8 = 1 | cluster 16 | from u32 | to u32
//!              | version of the machine u32 | request
//! ```
//!
//! Both begin with bytes that no version of the protocol begins with. A request that is handed on
//! has no answer: it is applied where it came from as well.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use node::{Kind, Request};
use paxos::{ClusterId, Command, DiskId, NodeId};
use server::inbox::{Inbox, Job, ReplyTo};
use tokio::sync::{Notify, mpsc};

use super::birth::{Birth, Certificate, Hello};
use super::codec::{Output, decode_command};
use super::hosting::Hosting;
use super::identity::take;
use super::machine::StateMachine;
use super::transport::Link;

const HELLO: u8 = 0xB1;
const HANDED_ON: u8 = 0xF1;
const FORMAT: u8 = 1;

/// What messages are for.
pub(crate) struct Door<S: StateMachine> {
    pub me: NodeId,
    /// The cluster's name until it is born, and the transport's for ever.
    pub name: ClusterId,
    pub birth: Mutex<Birth>,
    /// A hello has come.
    pub heard: Notify,
    pub link: OnceLock<Arc<dyn Link>>,
    pub born: OnceLock<Born<S>>,
}

/// Where messages go once there is a node.
pub(crate) struct Born<S: StateMachine> {
    pub cluster: ClusterId,
    pub inbox: Inbox<Hosting<S>>,
    /// Whoever hands a request on hears of it where it is applied.
    nobody: mpsc::UnboundedSender<server::inbox::Replied<Output>>,
}

impl<S: StateMachine> Born<S> {
    pub(crate) fn new(cluster: ClusterId, inbox: Inbox<Hosting<S>>) -> Born<S> {
        let (nobody, _) = mpsc::unbounded_channel();
        Born { cluster, inbox, nobody }
    }
}

impl<S: StateMachine> Door<S> {
    pub(crate) fn birth(&self) -> MutexGuard<'_, Birth> {
        self.birth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message arrives. False if there is no room for it.
    pub(crate) fn deliver(&self, from: NodeId, bytes: Vec<u8>) -> bool {
        match bytes.first() {
            Some(&HELLO) => {
                if let Some(hello) = self.hello(from, &bytes) {
                    self.hear(from, hello);
                }
                true
            }
            Some(&HANDED_ON) => {
                let Some(born) = self.born.get() else { return true };
                let Some(request) = self.handed_on(born, from, &bytes) else { return true };
                let (replies, asked) = (born.nobody.clone(), Instant::now());
                let to = ReplyTo { replies, sequence: 0, asked };
                born.inbox.offer(Job::Append(request, to)).is_ok()
            }
            _ => match self.born.get() {
                Some(born) => born.inbox.offer(Job::Message { from, bytes }).is_ok(),
                None => true,
            },
        }
    }

    fn hear(&self, from: NodeId, hello: Hello) {
        let asks = hello.asks;
        let mut birth = self.birth();
        birth.hear(from, hello);
        let answer = birth.hello(false);
        drop(birth);
        // First: what was heard may end this node, and the other one is to know why.
        if asks && let Some(link) = self.link.get() {
            link.send(from, &[&self.encode_hello(from, &answer)]);
        }
        self.heard.notify_one();
    }

    /// Tells every other member of this node's birth, and asks for theirs.
    pub(crate) fn ask(&self, members: &[NodeId]) {
        let hello = self.birth().hello(true);
        if let Some(link) = self.link.get() {
            for to in members.iter().filter(|to| **to != self.me) {
                link.send(*to, &[&self.encode_hello(*to, &hello)]);
            }
        }
    }

    fn head(&self, tag: u8, cluster: ClusterId, to: NodeId) -> Vec<u8> {
        let mut out = vec![tag, FORMAT];
        out.extend(cluster.0);
        out.extend(self.me.0.to_le_bytes());
        out.extend(to.0.to_le_bytes());
        out
    }

    /// What follows the head, if that is one for us.
    fn behind_head<'a>(
        &self,
        cluster: ClusterId,
        from: NodeId,
        bytes: &'a [u8],
    ) -> Option<&'a [u8]> {
        let mut rest = bytes.get(1..)?;
        let is_ours = take(&mut rest)? == [FORMAT]
            && ClusterId(take(&mut rest)?) == cluster
            && NodeId(u32::from_le_bytes(take(&mut rest)?)) == from
            && NodeId(u32::from_le_bytes(take(&mut rest)?)) == self.me;
        is_ours.then_some(rest)
    }

    fn encode_hello(&self, to: NodeId, hello: &Hello) -> Vec<u8> {
        let mut out = self.head(HELLO, self.name, to);
        out.extend(hello.version.to_le_bytes());
        out.push(u8::from(hello.asks) | u8::from(hello.pledged.is_some()) << 1);
        out.extend(hello.disk.0);
        let certificate = hello.pledged.clone().unwrap_or_default();
        out.push(u8::try_from(certificate.len()).expect("at most 64 members"));
        for (id, disk) in certificate {
            out.extend(id.0.to_le_bytes());
            out.extend(disk.0);
        }
        out
    }

    fn hello(&self, from: NodeId, bytes: &[u8]) -> Option<Hello> {
        let mut rest = self.behind_head(self.name, from, bytes)?;
        let version = u32::from_le_bytes(take(&mut rest)?);
        let [flags] = take(&mut rest)?;
        let disk = DiskId(take(&mut rest)?);
        let [count] = take(&mut rest)?;
        let mut certificate = Certificate::new();
        for _ in 0..count {
            let id = NodeId(u32::from_le_bytes(take(&mut rest)?));
            certificate.insert(id, DiskId(take(&mut rest)?));
        }
        let pledged = (flags & 2 != 0).then_some(certificate);
        rest.is_empty().then_some(Hello { version, disk, pledged, asks: flags & 1 != 0 })
    }

    /// A request as it is handed on to whoever leads.
    pub(crate) fn hand_on(&self, to: NodeId, request: &Request) {
        if let (Some(link), Some(born)) = (self.link.get(), self.born.get()) {
            let mut out = self.head(HANDED_ON, born.cluster, to);
            out.extend(S::VERSION.to_le_bytes());
            out.extend_from_slice(request.command());
            link.send(to, &[&out]);
        }
    }

    /// A request that is proposed for another node, if every node can read it: one that none can
    /// read would stop them all.
    fn handed_on(&self, born: &Born<S>, from: NodeId, bytes: &[u8]) -> Option<Request> {
        let mut rest = self.behind_head(born.cluster, from, bytes)?;
        let version = u32::from_le_bytes(take(&mut rest)?);
        let request = Request::decode(&Command::from(rest)).ok()?;
        let is_append = matches!(request.kind(), Kind::Append { .. });
        let is_readable =
            version == S::VERSION && (!is_append || decode_command::<S>(request.value()).is_ok());
        if !is_readable {
            tracing::warn!(%from, version, "a command that this program cannot read");
        }
        is_readable.then_some(request)
    }
}

#[cfg(test)]
mod tests {
    use paxos::{Rng, Slot};

    use super::super::birth::Kept;
    use super::*;

    struct Sum;

    impl StateMachine for Sum {
        type Command = u64;
        type Output = u64;
        type Snapshot = u64;

        fn apply(&mut self, _slot: Slot, command: u64) -> u64 {
            command
        }

        fn snapshot(&self) -> u64 {
            0
        }

        fn restore(_: u64) -> Self {
            Sum
        }
    }

    const CLUSTER: ClusterId = ClusterId([5; 16]);

    fn door(me: u32) -> (Door<Sum>, server::inbox::Jobs<Hosting<Sum>>) {
        let kept = Kept { disk: DiskId([7; 16]), pledged: None, is_born: false };
        let birth = Birth::new(NodeId(me), [NodeId(1), NodeId(2)], 1, kept);
        let (inbox, jobs) = Inbox::new();
        let door = Door {
            me: NodeId(me),
            name: ClusterId([4; 16]),
            birth: Mutex::new(birth),
            heard: Notify::new(),
            link: OnceLock::new(),
            born: OnceLock::new(),
        };
        assert!(door.born.set(Born::new(CLUSTER, inbox)).is_ok());
        (door, jobs)
    }

    fn handed_on(other: &Door<Sum>, value: &[u8]) -> Vec<u8> {
        let request = Request::append(Slot(3), 1, 1, value).unwrap();
        let mut out = other.head(HANDED_ON, CLUSTER, NodeId(1));
        out.extend(1_u32.to_le_bytes());
        out.extend_from_slice(request.command());
        out
    }

    #[test]
    fn a_hello_survives_its_bytes() {
        let (one, other) = (door(1).0, door(2).0);
        let list: Certificate = [(NodeId(1), DiskId([1; 16])), (NodeId(2), DiskId([2; 16]))].into();
        for pledged in [None, Some(list)] {
            let hello = Hello { version: 9, disk: DiskId([2; 16]), pledged, asks: true };
            let bytes = other.encode_hello(NodeId(1), &hello);
            assert_eq!(one.hello(NodeId(2), &bytes), Some(hello));
            assert_eq!(other.hello(NodeId(2), &bytes), None, "it is for another one");
            assert_eq!(one.hello(NodeId(1), &bytes), None, "it is from another one");
            for length in 0..bytes.len() {
                assert_eq!(one.hello(NodeId(2), &bytes[..length]), None, "{length}");
            }
        }
    }

    #[test]
    fn only_what_every_node_can_read_is_proposed_for_another() {
        let ((door, jobs), (other, _)) = (door(1), door(2));
        let good = encode(300);
        assert!(door.deliver(NodeId(2), handed_on(&other, &good)));
        assert!(matches!(jobs.ready(), Some(Job::Append(..))));
        let mut long = good.clone();
        long.push(0);
        let mut version = good.clone();
        version[0] = 2;
        for bad in [&good[..5], &long, &version, b""] {
            assert!(door.deliver(NodeId(2), handed_on(&other, bad)));
            assert!(jobs.ready().is_none(), "{bad:?}");
        }
        let mut foreign = handed_on(&other, &good);
        foreign[2] ^= 1;
        door.deliver(NodeId(2), foreign);
        assert!(jobs.ready().is_none(), "another cluster's");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let ((door, jobs), (other, _)) = (door(1), door(2));
        let good = encode(300);
        let hello = other.encode_hello(NodeId(1), &other.birth().hello(true));
        let mut rng = Rng::new(3);
        for _ in 0..20_000 {
            let mut bytes =
                if rng.below(2) == 0 { handed_on(&other, &good) } else { hello.clone() };
            for _ in 0..=rng.below(4) {
                let at = rng.index(bytes.len());
                bytes[at] = rng.draw().to_le_bytes()[0];
            }
            bytes.truncate(rng.index(bytes.len() + 1));
            door.deliver(NodeId(2), bytes);
            while jobs.ready().is_some() {}
        }
    }

    fn encode(command: u64) -> Vec<u8> {
        super::super::codec::encode_command::<Sum>(command).unwrap()
    }
}
