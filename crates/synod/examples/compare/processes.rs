//! Processes that end with a value, what they cost, and where they listen.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Outcome;

/// The members of one cluster.
#[derive(Default)]
pub struct Processes(Vec<Child>);

impl Processes {
    /// Starts one more, silently.
    pub fn start(&mut self, command: &mut Command) -> Outcome<()> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.push(quiet.spawn()?);
        Ok(())
    }

    /// The processor time of all so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        self.0.iter().map(|child| cpu(&child.id().to_string())).sum()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub fn cpu_of_this_process() -> Outcome<Duration> {
    cpu("self")
}

/// User and system time, which Linux counts in hundredths of a second.
fn cpu(process: &str) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces; the fields after it do not.
    let (_, fields) = stat.rsplit_once(") ").ok_or("an odd stat file")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// How many processes want to run, over the last minute: who else was there.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// So many ports that nobody listened to a moment ago, no two alike.
pub fn free_ports(count: usize) -> Outcome<Vec<u16>> {
    // All are held until the last is drawn.
    let held: Vec<_> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    Ok(held
        .iter()
        .map(TcpListener::local_addr)
        .map(|it| it.map(|it| it.port()))
        .collect::<Result<_, _>>()?)
}
