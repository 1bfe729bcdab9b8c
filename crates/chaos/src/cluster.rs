//! The nodes' processes and disks: started, killed, paused, and watched for ends that nobody asked
//! for.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::arguments::RunArguments;
use crate::configuration::{self, Place, Role};
use crate::disks::Disk;
use crate::network::Spaces;
use crate::shell::run;

/// How long a node may take to stop in order.
const STOP_MAX: Duration = Duration::from_secs(3);

/// What faults do to a node, beside cutting it off.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) disk: Option<Disk>,
    process: Option<Child>,
    /// A fault has it: no other one touches it.
    pub(crate) is_held: bool,
    /// Its disk was tampered with, so it may end, and refuse to start.
    pub(crate) is_damaged: bool,
    /// Its disk is full, frozen or without power, so it may end.
    pub(crate) is_disk_bad: bool,
}

/// All nodes, and where they live.
#[derive(Debug)]
pub(crate) struct Cluster {
    // In this order: processes end before their disks and namespaces go.
    pub(crate) nodes: Vec<Node>,
    pub(crate) spaces: Option<Spaces>,
    pub(crate) synod: PathBuf,
    /// Where those of a client are, who may do everything; none: nobody is asked.
    pub(crate) credentials: Option<PathBuf>,
    directory: PathBuf,
}

impl Cluster {
    /// Makes configurations, disks and journals below `directory`. Nothing runs yet.
    pub(crate) fn make(
        arguments: &RunArguments,
        synod: &Path,
        directory: &Path,
        spaces: Option<Spaces>,
        has_disks: bool,
    ) -> Outcome<Cluster> {
        let home = directory.join("nodes");
        let address = |name: &str| spaces.as_ref().map(|spaces| spaces.address(name));
        let places = configuration::write(synod, &home, arguments.plaintext, address)?;
        let credentials = (!arguments.plaintext).then(|| configuration::credentials(&home));
        let disk_bytes = has_disks.then(|| arguments.disk_bytes());
        fs::create_dir_all(directory.join("logs"))?;
        let (synod, directory) = (synod.to_owned(), directory.to_owned());
        let mut cluster = Cluster { nodes: Vec::new(), spaces, synod, credentials, directory };
        for place in places {
            let disk = cluster.make_disk(&home, &place, disk_bytes)?;
            cluster.nodes.push(Node {
                place,
                disk,
                process: None,
                is_held: false,
                is_damaged: false,
                is_disk_bad: false,
            });
        }
        Ok(cluster)
    }

    fn make_disk(&self, home: &Path, place: &Place, bytes: Option<u64>) -> Outcome<Option<Disk>> {
        let Some(data) = &place.data else { return Ok(None) };
        let node = home.join(&place.name);
        let mount = node.join("disk");
        let disk = if let Some(bytes) = bytes {
            let image = self.directory.join(format!("{}.ext4", place.name));
            Some(Disk::make(image, mount.clone(), bytes)?)
        } else {
            fs::create_dir_all(&mount)?;
            None
        };
        let made = node.join("data");
        if made.is_dir() {
            run("mv", &[made.as_path(), data])?;
            run("sync", &["-f".as_ref(), data.as_os_str()])?;
        }
        Ok(disk)
    }

    pub(crate) fn start_all(&mut self) -> Outcome<()> {
        (0..self.nodes.len()).try_for_each(|node| self.start(node))
    }

    /// Starts a node, perhaps again.
    pub(crate) fn start(&mut self, node: usize) -> Outcome<()> {
        let Node { place, .. } = &self.nodes[node];
        let log = self.directory.join("logs").join(format!("{}.log", place.name));
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        // It must not outlive this process, whatever ends that.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(spaces) = &self.spaces {
            command.args(spaces.enter_words(&place.name));
        }
        command.arg(&self.synod).args(["serve", "--dev", "--config"]).arg(&place.file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // An interrupt in the terminal ends the run, which ends them.
        command.process_group(0);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        self.nodes[node].process = Some(child);
        Ok(())
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub(crate) fn kill(&mut self, node: usize) -> Outcome<()> {
        if let Some(mut process) = self.nodes[node].process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL to who does not go.
    pub(crate) fn stop(&mut self, node: usize) -> Outcome<()> {
        self.signal(node, Signal::TERM)?;
        let until = Instant::now() + STOP_MAX;
        if let Some(process) = &mut self.nodes[node].process {
            while process.try_wait()?.is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.kill(node)
    }

    pub(crate) fn signal(&self, node: usize, signal: Signal) -> Outcome<()> {
        if let Some(process) = &self.nodes[node].process {
            let process = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
            kill_process(process.ok_or("no such process")?, signal)?;
        }
        Ok(())
    }

    pub(crate) fn runs(&self, node: usize) -> bool {
        self.nodes[node].process.is_some()
    }

    /// Who has ended by itself since the last time.
    pub(crate) fn ended(&mut self) -> Outcome<Vec<(usize, ExitStatus)>> {
        let mut ended = Vec::new();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let Some(process) = &mut node.process else { continue };
            if let Some(status) = process.try_wait()? {
                node.process = None;
                ended.push((at, status));
            }
        }
        Ok(ended)
    }

    /// The nodes of a role, as positions.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(move |(_, node)| node.place.role == role).map(|(at, _)| at)
    }

    pub(crate) fn name(&self, node: usize) -> &str {
        &self.nodes[node].place.name
    }

    /// Where it serves clients.
    pub(crate) fn endpoint(&self, node: usize) -> String {
        self.nodes[node].place.clients.to_string()
    }

    /// Those who serve appends and reads.
    pub(crate) fn endpoints(&self, role: Role) -> Vec<String> {
        self.of(role).map(|node| self.endpoint(node)).collect()
    }

    /// Copies a node's data to where evidence is kept, and says where in the run's directory.
    pub(crate) fn keep(&self, node: usize, word: &str) -> Outcome<String> {
        let kept = self.directory.join("kept");
        fs::create_dir_all(&kept)?;
        let name = self.name(node);
        let name = format!("{name}-{word}-{}", fs::read_dir(&kept)?.count());
        let to = kept.join(&name);
        if let Some(data) = &self.nodes[node].place.data {
            run("cp", &["-r".as_ref(), data.as_os_str(), to.as_os_str()])?;
        }
        Ok(format!("kept/{name}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                drop(process.kill());
            }
            // A process that waits for a frozen disk cannot die.
            if let Some(disk) = &mut node.disk {
                drop(disk.thaw());
            }
        }
        for node in &mut self.nodes {
            drop(node.process.as_mut().map(Child::wait));
        }
    }
}
