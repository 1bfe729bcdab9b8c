//! Small file systems in files: one for each node with a disk, so that it can be full, frozen or
//! lose its power alone.
//!
//! ext4 with its defaults. Its shutdown drops exactly what was not synced; it is seen again when
//! the file system is mounted the next time.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::shell::run;

/// Some times what the journal and the snapshots need.
const BYTES: u64 = 160 << 20;

/// What fills a disk.
const FILLER: &str = "filler";

/// One mounted file system. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    is_frozen: bool,
}

impl Disk {
    /// A new one, mounted at `mount`.
    pub(crate) fn make(image: PathBuf, mount: PathBuf) -> Outcome<Disk> {
        File::create(&image)?.set_len(BYTES)?;
        fs::create_dir_all(&mount)?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_os_str()])?;
        let disk = Disk { image, mount, is_frozen: false };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Outcome<()> {
        let (image, mount) = (self.image.as_os_str(), self.mount.as_os_str());
        run("mount", &["-o".as_ref(), "loop".as_ref(), image, mount]).map(drop)
    }

    /// Whose node still runs must be killed before the power comes back.
    pub(crate) fn lose_power(&self) -> Outcome<()> {
        let mount = self.mount.as_os_str();
        run("xfs_io", &["-x".as_ref(), "-c".as_ref(), "shutdown".as_ref(), mount]).map(drop)
    }

    /// Mounted again: the file system recovers as it would after a power failure.
    pub(crate) fn regain_power(&self) -> Outcome<()> {
        run("umount", &[&self.mount])?;
        self.mount()
    }

    /// Every write and sync waits until it is thawed.
    pub(crate) fn freeze(&mut self) -> Outcome<()> {
        if !self.is_frozen {
            run("fsfreeze", &["-f".as_ref(), self.mount.as_os_str()])?;
            self.is_frozen = true;
        }
        Ok(())
    }

    /// Ends that.
    pub(crate) fn thaw(&mut self) -> Outcome<()> {
        if self.is_frozen {
            run("fsfreeze", &["-u".as_ref(), self.mount.as_os_str()])?;
            self.is_frozen = false;
        }
        Ok(())
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> Outcome<u64> {
        let mut filler = File::create(self.mount.join(FILLER))?;
        let piece = vec![0x5a; 64 << 10];
        let mut filled = 0;
        let mut size = piece.len();
        // Ever smaller, until not even a byte fits.
        while size > 0 {
            match filler.write(&piece[..size]) {
                Ok(written) => filled += written as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        // The blocks must be taken now, not when the system gets round to it.
        match filler.sync_all() {
            Err(error) if error.kind() != ErrorKind::StorageFull => Err(error.into()),
            _ => Ok(filled),
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self) -> Outcome<()> {
        match fs::remove_file(self.mount.join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let thawed = self.thaw();
        if let Err(error) = thawed.and_then(|()| unmount(&self.mount)) {
            eprintln!("left behind: {error}");
        }
        drop(fs::remove_file(&self.image));
    }
}

/// Also where a file is still open there: whoever holds it is gone soon.
pub(crate) fn unmount(mount: &Path) -> Outcome<()> {
    run("umount", &["-l".as_ref(), mount.as_os_str()]).map(drop)
}
