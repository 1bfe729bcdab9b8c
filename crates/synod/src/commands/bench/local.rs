//! A cluster of its own for a benchmark: real processes on loopback, in a directory that is
//! removed.
//!
//! Made by the commands that anybody would use: `synod init cluster` and `synod serve`.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::error::{CliError, Exit};

/// Ports are counted from one of these bases: below the range from which systems draw.
const BASES: std::ops::Range<u16> = 33..100;
const BASE_STEP: u16 = 300;

/// The highest distance between a base and a node's port, as `synod init cluster` counts them,
/// with a cluster of [`NODES_MAX`].
const PORTS: u16 = 200 + NODES_MAX;

/// Nodes, at most: more processes on one machine measure its scheduler.
pub(super) const NODES_MAX: u16 = 9;

/// Processes that end with this value, and a directory that goes with them.
pub(super) struct Local {
    children: Vec<(PathBuf, Child)>,
    directory: TempDir,
}

impl Local {
    /// A directory below `place`, and nobody in it yet.
    pub(super) fn new(place: &Path) -> Result<Local, CliError> {
        let directory = tempfile::Builder::new().prefix("synod-bench-").tempdir_in(place);
        let directory =
            directory.map_err(|it| CliError::file("make a directory in", place, &it))?;
        Ok(Local { children: Vec::new(), directory })
    }

    /// Starts so many nodes, each of which leads and remembers.
    pub(super) fn start(&mut self, nodes: u32) -> Result<(), CliError> {
        let program = std::env::current_exe().map_err(|error| broken(&error.to_string()))?;
        let made = Command::new(&program)
            .args(["init", "cluster", "--quiet", "--nodes", &nodes.to_string()])
            .args(["--base-port", &free_base()?.to_string()])
            .arg("--dir")
            .arg(self.cluster())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| broken(&error.to_string()))?;
        if !made.status.success() {
            return Err(broken(String::from_utf8_lossy(&made.stderr).trim()));
        }
        for node in 1..=nodes {
            self.serve(&program, node)?;
        }
        Ok(())
    }

    fn serve(&mut self, program: &Path, node: u32) -> Result<(), CliError> {
        let log = self.directory.path().join(format!("n{node}.log"));
        let file = File::create(&log).map_err(|error| CliError::file("create", &log, &error))?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(self.config(node));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        // A terminal's Ctrl-C is for the one who measures: what is under way is still answered.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|error| broken(&error.to_string()))?;
        self.children.push((log, child));
        Ok(())
    }

    fn cluster(&self) -> PathBuf {
        self.directory.path().join("cluster")
    }

    /// A node's configuration file; nodes count from 1.
    pub(super) fn config(&self, node: u32) -> PathBuf {
        self.cluster().join(format!("n{node}")).join("synod.toml")
    }

    /// Who may do everything there.
    pub(super) fn credentials(&self) -> PathBuf {
        self.cluster().join("admin")
    }

    /// Where the nodes keep their data.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What a node said that has ended although nobody asked it to.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        let log =
            self.children.iter_mut().find_map(|(log, child)| has_ended(child).then_some(log))?;
        fs::read_to_string(log).ok().map(|text| text.trim().to_owned())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            // It may have ended by itself. Nothing has to be kept, so nothing is asked of it.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A base above which the ports of every node look free.
fn free_base() -> Result<u16, CliError> {
    let drawn = getrandom::u32().map_err(|error| broken(&error.to_string()))?;
    let count = u32::from(BASES.end - BASES.start);
    let is_free = |port: u16| {
        let address = (Ipv4Addr::LOCALHOST, port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    let mut bases = (0..count).map(|turn| {
        let offset = u16::try_from((drawn % count + turn) % count).expect("below the count");
        (BASES.start + offset) * BASE_STEP
    });
    bases
        .find(|base| (*base..=*base + PORTS).all(is_free))
        .ok_or_else(|| broken("no run of free ports was found on loopback"))
}

fn broken(why: &str) -> CliError {
    CliError::new("local_cluster", Exit::Failed, format!("no cluster could be started: {why}"))
}
