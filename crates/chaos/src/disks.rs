//! Small file systems in files: one for each node with a disk, so that it can be full, frozen or
//! lose its power alone.
//!
//! ext4 with its defaults. Its shutdown drops exactly what was not synced; it is seen again when
//! the file system is mounted the next time.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::Outcome;
use crate::shell::run;

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
    /// A new one of so many bytes, mounted at `mount`.
    pub(crate) fn make(image: PathBuf, mount: PathBuf, bytes: u64) -> Outcome<Disk> {
        File::create(&image)?.set_len(bytes)?;
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
        self.mount()?;
        // Mounted elsewhere as well, it would come back as it was: without power.
        fs::read_dir(&self.mount)?.try_for_each(|entry| {
            let metadata = entry.and_then(|entry| entry.metadata());
            metadata.map(drop).map_err(|error| format!("no power: {error}").into())
        })
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
        let filler = File::create(self.mount.join(FILLER))?;
        let mut filled = 0;
        let mut size = 1 << 30;
        // Ever smaller, until not even a sector fits.
        while size >= 512 {
            match fallocate(&filler, FallocateFlags::empty(), filled, size) {
                Ok(()) => filled += size,
                Err(Errno::NOSPC) => size /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
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
