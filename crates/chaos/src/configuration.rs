//! The nodes' configuration files: `synod init cluster` writes them, and what differs here is
//! changed in the text. So they stay what that command makes, whatever else it learns to write.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::shell::{finish, run};

/// Leaders without disks, acceptors, and learners, who keep the snapshots.
const LEADERS: usize = 3;
pub(crate) const ACCEPTORS: usize = 5;
const LEARNERS: usize = 2;

/// `synod init cluster` counts ports from here; a node's client port is so much higher.
const BASE_PORT: u16 = 7100;
const CLIENTS_ABOVE_PEERS: u16 = 100;

/// Small, so that journals are cut and snapshots are needed every few seconds.
const STORAGE: [(&str, &str); 2] = [("history_bytes", "8MiB"), ("snapshot_bytes", "256KiB")];

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Leader,
    Acceptor,
    Learner,
}

/// A node as its files say.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) id: usize,
    pub(crate) role: Role,
    pub(crate) file: PathBuf,
    /// Where its journal and its snapshots are. Leaders have none.
    pub(crate) data: Option<PathBuf>,
    pub(crate) peers: SocketAddr,
    pub(crate) clients: SocketAddr,
}

/// The nodes' names, in the order of their ids.
pub(crate) fn names() -> Vec<(String, Role)> {
    let all = [('l', LEADERS, Role::Leader), ('a', ACCEPTORS, Role::Acceptor)];
    let all = all.into_iter().chain([('r', LEARNERS, Role::Learner)]);
    all.flat_map(|(letter, count, role)| {
        (1..=count).map(move |number| (format!("{letter}{number}"), role))
    })
    .collect()
}

/// Makes the files below `home`, each node at its own address; none: all on loopback, on ports that
/// look free. Each node's data then lies in `disk`, below its own directory.
pub(crate) fn write(
    synod: &Path,
    home: &Path,
    is_plaintext: bool,
    address: impl Fn(&str) -> Option<IpAddr>,
) -> Outcome<Vec<Place>> {
    let is_shared = names().iter().any(|(name, _)| address(name).is_none());
    let base = if is_shared { free_ports()? } else { BASE_PORT };
    let words = format!(
        "init cluster --leaders {LEADERS} --acceptors {ACCEPTORS} --learners {LEARNERS} \
         --base-port {base} {}--dir",
        if is_plaintext { "--plaintext " } else { "" }
    );
    let mut words: Vec<_> = words.split(' ').map(std::ffi::OsStr::new).collect();
    words.push(home.as_os_str());
    run(&synod.display().to_string(), &words)?;

    let mut places = Vec::new();
    for (id, (name, role)) in (1..).zip(names()) {
        let host = address(&name).unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let port = base + u16::try_from(id)?;
        let directory = home.join(&name);
        places.push(Place {
            file: directory.join("synod.toml"),
            data: (role != Role::Leader).then(|| directory.join("disk").join("data")),
            peers: SocketAddr::new(host, port),
            clients: SocketAddr::new(host, port + CLIENTS_ABOVE_PEERS),
            name,
            id,
            role,
        });
    }
    for place in &places {
        let mut text = fs::read_to_string(&place.file)?;
        for other in &places {
            for address in [other.peers, other.clients] {
                let made = format!("\"127.0.0.1:{}\"", address.port());
                text = text.replace(&made, &format!("\"{address}\""));
            }
        }
        for (key, value) in STORAGE {
            text = set(&text, key, value)?;
        }
        if place.data.is_some() {
            text = set(&text, "data_dir", "disk/data")?;
        }
        fs::write(&place.file, text)?;
        if !is_plaintext {
            certify(synod, home, &place.file)?;
        }
    }
    Ok(places)
}

/// A certificate for the address that a node has now.
fn certify(synod: &Path, home: &Path, file: &Path) -> Outcome<()> {
    let mut command = Command::new(synod);
    command.args(["init", "certificate", "--authority"]).arg(home.join("authority"));
    finish(command.arg("--config").arg(file)).map(drop)
}

/// Where `synod init cluster` leaves the credentials of who may do everything.
pub(crate) fn credentials(home: &Path) -> PathBuf {
    home.join("admin")
}

/// The line of a key, with another value.
fn set(text: &str, key: &str, value: &str) -> Outcome<String> {
    let begin = format!("{key} = ");
    let line = text.lines().find(|line| line.starts_with(&begin));
    let line = line.ok_or_else(|| format!("synod init cluster writes no line `{key} = `"))?;
    Ok(text.replace(line, &format!("{begin}\"{value}\"")))
}

/// A base whose ports look free on loopback, below the range from which the system draws others.
fn free_ports() -> Outcome<u16> {
    let is_free = |port: u16| {
        std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
            && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    let mut bases = (21_000..31_000).step_by(400);
    let base = bases.find(|base| (*base..*base + 120).all(is_free));
    base.ok_or_else(|| "no free ports on loopback".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_where_it_stands() {
        let text = "a_bytes = \"1\"\nbytes = \"2\"  # why\n";
        assert_eq!(set(text, "bytes", "3").unwrap(), "a_bytes = \"1\"\nbytes = \"3\"\n");
        set(text, "other", "3").unwrap_err();
    }

    #[test]
    fn ids_count_leaders_first() {
        let names: Vec<String> = names().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["l1", "l2", "l3", "a1", "a2", "a3", "a4", "a5", "r1", "r2"]);
    }
}
