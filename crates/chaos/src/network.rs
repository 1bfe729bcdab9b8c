//! Namespaces: one for each node, one for the clients (this process), one for strangers, and one
//! that holds the bridge between them. No address of the machine's own is touched.
//!
//! Three ways to cut: frames to a hardware address that nobody has (silent, one way), a blackhole
//! route (sending fails, one way), and a link that is down.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Outcome;
use crate::shell::ip;

/// All names of namespaces begin so; the process's id follows.
pub(crate) const PREFIX: &str = "synod-chaos-";

/// Nobody has it.
const NOWHERE: &str = "02:00:00:00:00:fe";

/// Where the clients live, and where strangers do.
const CLIENTS: &str = "clients";
pub(crate) const STRANGERS: &str = "strangers";
const SWITCH: &str = "switch";

/// The namespaces of one run. Dropped, they are gone.
#[derive(Debug)]
pub(crate) struct Spaces {
    prefix: String,
    made: Vec<String>,
    addresses: BTreeMap<String, Ipv4Addr>,
    /// How many faults cut this way, by sender and receiver.
    cuts: BTreeMap<(String, String), u32>,
}

impl Spaces {
    /// Makes a namespace for each of these, and those that are always there.
    pub(crate) fn make(nodes: &[String]) -> Outcome<Spaces> {
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let (made, addresses, cuts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut spaces = Spaces { prefix, made, addresses, cuts };
        let switch = spaces.add(SWITCH)?;
        ip(&format!("-n {switch} link add name bridge0 type bridge"))?;
        ip(&format!("-n {switch} link set dev bridge0 up"))?;
        let all = nodes.iter().map(String::as_str).chain([CLIENTS, STRANGERS]);
        for (number, name) in (10..).zip(all) {
            let space = spaces.add(name)?;
            let (port, address) = (port(name), Ipv4Addr::new(10, 77, 0, number));
            ip(&format!(
                "link add name eth0 netns {space} type veth peer name {port} netns {switch}"
            ))?;
            ip(&format!("-n {switch} link set dev {port} master bridge0 up"))?;
            ip(&format!("-n {space} addr add {address}/24 dev eth0"))?;
            ip(&format!("-n {space} link set dev lo up"))?;
            ip(&format!("-n {space} link set dev eth0 up"))?;
            spaces.addresses.insert(name.to_owned(), address);
        }
        Ok(spaces)
    }

    fn add(&mut self, name: &str) -> Outcome<String> {
        let space = self.space(name);
        ip(&format!("netns add {space}"))?;
        self.made.push(space.clone());
        Ok(space)
    }

    fn space(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Moves this thread, and all that it starts, to where clients live.
    pub(crate) fn enter(&self) -> Outcome<()> {
        let space = File::open(format!("/run/netns/{}", self.space(CLIENTS)))?;
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Where a node lives.
    pub(crate) fn address(&self, node: &str) -> IpAddr {
        IpAddr::V4(self.addresses[node])
    }

    /// What to write before a program so that it runs there, as the very process that is started.
    pub(crate) fn enter_words(&self, name: &str) -> [String; 2] {
        ["nsenter".into(), format!("--net=/run/netns/{}", self.space(name))]
    }

    /// What one sends to the other vanishes.
    pub(crate) fn cut(&mut self, from: &str, to: &str) -> Outcome<()> {
        let cuts = self.cuts.entry((from.to_owned(), to.to_owned())).or_default();
        *cuts += 1;
        if *cuts > 1 {
            return Ok(());
        }
        let (space, address) = (self.space(from), self.addresses[to]);
        let words = format!("neigh replace {address} lladdr {NOWHERE} nud permanent dev eth0");
        ip(&format!("-n {space} {words}")).map(drop)
    }

    /// Ends one such cut; others may remain.
    pub(crate) fn mend(&mut self, from: &str, to: &str) -> Outcome<()> {
        let cut = (from.to_owned(), to.to_owned());
        let Some(cuts) = self.cuts.get_mut(&cut) else { return Ok(()) };
        *cuts -= 1;
        if *cuts > 0 {
            return Ok(());
        }
        self.cuts.remove(&cut);
        let (space, address) = (self.space(from), self.addresses[to]);
        ip(&format!("-n {space} neigh del {address} dev eth0")).map(drop)
    }

    /// Sending from one to the other fails at once, or works again.
    pub(crate) fn blackhole(&self, from: &str, to: &str, is_there: bool) -> Outcome<()> {
        let (space, address) = (self.space(from), self.addresses[to]);
        let verb = if is_there { "add" } else { "del" };
        ip(&format!("-n {space} route {verb} blackhole {address}/32")).map(drop)
    }

    /// A node's cable.
    pub(crate) fn link(&self, node: &str, is_up: bool) -> Outcome<()> {
        let (switch, port) = (self.space(SWITCH), port(node));
        let state = if is_up { "up" } else { "down" };
        ip(&format!("-n {switch} link set dev {port} {state}")).map(drop)
    }
}

/// The switch's end of a node's cable. Names of interfaces have 15 letters at most.
fn port(name: &str) -> String {
    format!("p-{name}")
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for space in &self.made {
            if let Err(error) = ip(&format!("netns del {space}")) {
                eprintln!("left behind: {error}");
            }
        }
    }
}
