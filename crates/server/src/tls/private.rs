//! Files that only their owner may read.
//!
//! A private key that others can read is no longer one, so it is neither written so nor used.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Makes a file that only its owner may read, and writes it through to the disk.
///
/// What stood there before stays until the new content is complete.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, true)
}

/// The same for what anybody may read.
pub fn write_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, false)
}

fn replace(path: &Path, bytes: &[u8], is_private: bool) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if is_private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = is_private;
    // Left behind by a run that was cut short; its rights are not to be trusted.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Whether the owner's alone it is to read. A group may as well where root owns the file: that is
/// how container platforms hand out secrets.
#[cfg(unix)]
pub(super) fn is_kept(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata()?;
    let allowed = if metadata.uid() == 0 { 0o740 } else { 0o700 };
    Ok(metadata.mode() & 0o777 & !allowed == 0)
}

#[cfg(not(unix))]
pub(super) fn is_kept(_: &File) -> io::Result<bool> {
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_the_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        // What is in the way may be anybody's, and is replaced with its rights.
        std::fs::write(&path, b"old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        std::fs::write(directory.path().join("key.new"), b"half").unwrap();
        write(&path, b"secret").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"secret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(is_kept(&File::open(&path).unwrap()).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_may_read_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, b"secret").unwrap();
        for (mode, kept) in [(0o600, true), (0o400, true), (0o604, false), (0o602, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_kept(&File::open(&path).unwrap()).unwrap(), kept, "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
        assert!(!is_kept(&File::open(&path).unwrap()).unwrap(), "a group that writes");
    }
}
