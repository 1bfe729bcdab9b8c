//! A node as a service: what it tells the service manager, and what it does with signals.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(30);

/// One node of one, with a service manager that is this test.
struct Service {
    child: Child,
    manager: UnixDatagram,
    stderr: Receiver<String>,
    config: PathBuf,
    _directory: tempfile::TempDir,
}

impl Service {
    fn start(variables: &[(&str, &str)]) -> Service {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("c");
        let made = synod()
            .args(["init", "cluster", "--nodes", "1", "--base-port", &free_port().to_string()])
            .arg("--dir")
            .arg(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let config = dir.join("n1/synod.toml");
        let socket = directory.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut child = synod()
            .args(["serve", "--log-format", "json", "--config"])
            .arg(&config)
            .envs(variables.iter().copied())
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = lines(child.stderr.take().unwrap());
        Service { child, manager, stderr, config, _directory: directory }
    }

    /// The next word to the service manager that holds `part`.
    fn told(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            let bytes = self.manager.recv(&mut buffer).unwrap_or_else(|_| panic!("no {part}"));
            let text = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
            if text.contains(part) {
                return text;
            }
        }
        panic!("nobody said {part}");
    }

    /// The next line on stderr that holds `part`.
    fn wrote(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("nobody wrote {part}")
                }
            }
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success());
    }

    fn rewrite(&self, change: impl Fn(String) -> String) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, change(text)).unwrap();
    }

    fn ends(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn synod() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SYNOD_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command
}

/// Tests of this file run side by side: none may look where another one is about to listen.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A base whose ports for one node look free, below those that the system draws for others.
fn free_port() -> u16 {
    let start = u16::try_from(std::process::id() % 1000).unwrap() * 10;
    let is_free = |base: &u16| {
        std::net::UdpSocket::bind(("127.0.0.1", base + 1)).is_ok()
            && std::net::TcpListener::bind(("127.0.0.1", base + 101)).is_ok()
    };
    let next = || 20_000 + (start + NEXT.fetch_add(7, Ordering::Relaxed)) % 10_000;
    std::iter::repeat_with(next).take(900).find(is_free).unwrap()
}

fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn the_service_manager_hears_of_a_node_s_life() {
    let service = Service::start(&[("WATCHDOG_USEC", "600000")]);
    service.told("READY=1");
    // Alone it leads, soon.
    let status = service.told("STATUS=leads, ballot ");
    assert!(status.contains("WATCHDOG=1"), "{status}");
    service.told("WATCHDOG=1");
    service.signal("HUP");
    service.told("RELOADING=1");
    service.told("READY=1");
    service.signal("TERM");
    service.told("STOPPING=1");
    assert_eq!(service.ends(), Some(0));
}

#[test]
fn a_hangup_changes_the_level_and_refuses_the_rest() {
    let service = Service::start(&[]);
    service.told("READY=1");
    service.told("STATUS=leads");
    service.rewrite(|text| {
        let text = text.replace("heartbeat = \"50ms\"", "heartbeat = \"60ms\"");
        text.replace("[quorums]", "[log]\nlevel = \"debug\"\n\n[quorums]")
    });
    service.signal("HUP");
    let changed = service.wrote("log.level");
    assert!(changed.contains("\"to\":\"debug\""), "{changed}");
    let refused = service.wrote("timing.heartbeat");
    assert!(refused.contains("restart") && refused.contains("WARN"), "{refused}");

    service.rewrite(|text| text.replace("\"debug\"", "\"server=loud\""));
    service.signal("HUP");
    service.wrote("not reloaded");
    service.rewrite(|text| text.replace("\"server=loud\"", "\"error\""));
    service.signal("HUP");
    service.told("RELOADING=1");
    // At that level nothing is said of it, nor of the end.
    service.signal("QUIT");
    service.wrote("state of node 1");
    service.wrote("  part leading");
    service.wrote("  ballot 1·1");
    service.signal("TERM");
    let rest: Vec<String> = service.stderr.iter().filter(|it| it.starts_with('{')).collect();
    assert_eq!(rest, Vec::<String>::new());
    assert_eq!(service.ends(), Some(0));
}
