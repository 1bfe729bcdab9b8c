//! What the system says of this process and of its disk.
//!
//! Of the process: what `/proc` says, where there is one. Of the disk: asked for on a thread of its
//! own, and not waited for longer than a moment, for a disk that hangs is when somebody looks.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So long the disk's answer is waited for. Then an older one must do.
const DISK_PATIENCE: Duration = Duration::from_millis(200);

/// One look at this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// CPU time, in seconds.
    pub cpu: Option<f64>,
    /// Resident memory, in bytes.
    pub resident: Option<u64>,
    /// Open files and sockets.
    pub fds: Option<u64>,
    /// How many may be open.
    pub fds_max: Option<u64>,
}

impl Process {
    /// As far as the system tells.
    pub fn look() -> Process {
        Process {
            cpu: cpu(),
            resident: resident(),
            fds: fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as u64),
            fds_max: fds_max(),
        }
    }
}

#[cfg(target_os = "linux")]
#[expect(clippy::cast_precision_loss, reason = "a hundredth of a second more or less")]
fn cpu() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it may hold blanks; utime and stime are the 12th and 13th word after it.
    let mut words = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system) = (words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?);
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(not(target_os = "linux"))]
fn cpu() -> Option<f64> {
    None
}

fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn fds_max() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The file system of a node's directory, and what it said last.
#[derive(Clone, Debug)]
pub struct Disk {
    directory: PathBuf,
    /// One question at a time: where it hangs, no second thread hangs with it.
    is_asked: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Space>>>,
}

/// How large a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In bytes.
    pub size: u64,
    /// What is free for this process, in bytes.
    pub available: u64,
}

impl Disk {
    /// The file system of a directory.
    pub fn new(directory: PathBuf) -> Disk {
        Disk { directory, is_asked: Arc::default(), last: Arc::default() }
    }

    /// What it says, now or the last time that it did.
    pub async fn look(&self) -> Option<Space> {
        if !self.is_asked.swap(true, Ordering::Relaxed) {
            let disk = self.clone();
            let asked = tokio::task::spawn_blocking(move || {
                let space = space(&disk.directory);
                *disk.last.lock().unwrap_or_else(PoisonError::into_inner) = space;
                disk.is_asked.store(false, Ordering::Relaxed);
            });
            let late = tokio::time::timeout(DISK_PATIENCE, asked).await;
            drop(late);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn space(directory: &std::path::Path) -> Option<Space> {
    let seen = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(seen.f_frsize);
    Some(Space { size: bytes(seen.f_blocks), available: bytes(seen.f_bavail) })
}

#[cfg(not(unix))]
fn space(_: &std::path::Path) -> Option<Space> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_knows_this_process() {
        let Process { cpu, resident, fds, fds_max } = Process::look();
        assert!(cpu.is_some());
        assert!(resident.unwrap() > 1 << 20);
        assert!(fds.unwrap() >= 3 && fds_max.unwrap() >= fds.unwrap());
    }

    #[tokio::test]
    async fn a_disk_has_a_size() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned());
        let space = disk.look().await.expect("it answers");
        assert!(space.size >= space.available && space.size > 0);
        let gone = Disk::new(directory.path().join("gone"));
        assert_eq!(gone.look().await, None);
    }
}
