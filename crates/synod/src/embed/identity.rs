//! What a node keeps of its birth, as bytes on its identity disk.
//!
//! ```text
//!   "SYNODI" | format u16 = 1 | state u8 (1 fresh, 2 pledged, 3 born) | node u32 | disk 16
//!   members u32, then for each: id u32 | disk 16
//!   digest of all before 16
//! ```
//!
//! File 1 is written when the disk is drawn, 2 with the pledge, 3 when the journal is made; the one
//! before is removed after the next is durable. So a file 1 that cannot be read was never told of
//! to anybody, or at least nothing rests on it, and any other one that cannot be read is damage.

use journal::{Disk, DiskError, DiskErrorKind, SECTOR_BYTES, SegmentNumber};
use paxos::{Digest, DiskId, NodeId};

use super::birth::{Certificate, Kept};
use super::storage::AnyDisk;

const MAGIC: &[u8; 6] = b"SYNODI";
const FORMAT: u16 = 1;

/// Why an identity disk is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IdentityError {
    Disk(DiskError),
    /// It cannot be read.
    Damaged,
    /// It is of another node.
    Foreign(NodeId),
}

/// What is kept, if anything is.
pub(crate) fn load(disk: &mut AnyDisk, me: NodeId) -> Result<Option<Kept>, IdentityError> {
    let mut files = disk.list()?;
    files.sort_by_key(|file| std::cmp::Reverse(file.number));
    for file in &files {
        let mut bytes = vec![0; file.bytes.min(SECTOR_BYTES)];
        disk.read_at(file.number, 0, &mut bytes)?;
        match decode(&bytes) {
            Some((node, _)) if node != me => return Err(IdentityError::Foreign(node)),
            Some((_, kept)) => return Ok(Some(kept)),
            // It was being written when the node stopped: the one before is still there.
            None if files.len() > 1 => {}
            None if file.number == SegmentNumber(1) => {
                disk.remove(file.number)?;
            }
            None => return Err(IdentityError::Damaged),
        }
    }
    if files.len() > 1 { Err(IdentityError::Damaged) } else { Ok(None) }
}

/// Keeps it, durably.
pub(crate) fn keep(disk: &mut AnyDisk, me: NodeId, kept: &Kept) -> Result<(), DiskError> {
    let mut bytes = encode(me, kept);
    bytes.resize(SECTOR_BYTES, 0);
    let number = SegmentNumber(state(kept).into());
    // What a crash left of an earlier try.
    match disk.remove(number) {
        Err(error) if error.kind != DiskErrorKind::Missing => return Err(error),
        _ => {}
    }
    disk.create(number, SECTOR_BYTES)?;
    disk.write_at(number, 0, &bytes)?;
    disk.sync(number)?;
    for file in disk.list()? {
        if file.number != number {
            disk.remove(file.number)?;
        }
    }
    Ok(())
}

fn state(kept: &Kept) -> u8 {
    match (&kept.pledged, kept.is_born) {
        (None, _) => 1,
        (Some(_), false) => 2,
        (Some(_), true) => 3,
    }
}

fn encode(me: NodeId, kept: &Kept) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(FORMAT.to_le_bytes());
    out.push(state(kept));
    out.extend(me.0.to_le_bytes());
    out.extend(kept.disk.0);
    let certificate = kept.pledged.clone().unwrap_or_default();
    let count = u32::try_from(certificate.len()).expect("at most 64 members");
    out.extend(count.to_le_bytes());
    for (id, disk) in certificate {
        out.extend(id.0.to_le_bytes());
        out.extend(disk.0);
    }
    out.extend(Digest::of(&out).0);
    out
}

fn decode(bytes: &[u8]) -> Option<(NodeId, Kept)> {
    let mut rest = bytes;
    let [state] = head(&mut rest)?;
    let me = NodeId(u32::from_le_bytes(take(&mut rest)?));
    let disk = DiskId(take(&mut rest)?);
    let count = u32::from_le_bytes(take(&mut rest)?);
    let mut certificate = Certificate::new();
    for _ in 0..count {
        let id = NodeId(u32::from_le_bytes(take(&mut rest)?));
        certificate.insert(id, DiskId(take(&mut rest)?));
    }
    let length = bytes.len() - rest.len();
    let digest: [u8; 16] = take(&mut rest)?;
    if digest != Digest::of(&bytes[..length]).0 {
        return None;
    }
    let pledged = (state > 1).then_some(certificate);
    Some((me, Kept { disk, pledged, is_born: state == 3 }))
}

fn head(rest: &mut &[u8]) -> Option<[u8; 1]> {
    let magic: [u8; 6] = take(rest)?;
    let format = u16::from_le_bytes(take(rest)?);
    let state = take(rest)?;
    (magic == *MAGIC && format == FORMAT && (1..=3).contains(&state[0])).then_some(state)
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

impl From<DiskError> for IdentityError {
    fn from(error: DiskError) -> IdentityError {
        IdentityError::Disk(error)
    }
}

#[cfg(test)]
mod tests {
    use journal::FaultyDisk;

    use super::*;

    const ME: NodeId = NodeId(2);

    fn kept() -> [Kept; 3] {
        let fresh = Kept { disk: DiskId([7; 16]), pledged: None, is_born: false };
        let list = [(NodeId(1), DiskId([1; 16])), (ME, DiskId([7; 16]))].into();
        let pledged = Kept { pledged: Some(list), ..fresh.clone() };
        let born = Kept { is_born: true, ..pledged.clone() };
        [fresh, pledged, born]
    }

    #[test]
    fn what_is_kept_comes_back() {
        let mut disk: AnyDisk = Box::new(FaultyDisk::new(1));
        assert_eq!(load(&mut disk, ME), Ok(None));
        for kept in kept() {
            keep(&mut disk, ME, &kept).unwrap();
            assert_eq!(load(&mut disk, ME), Ok(Some(kept)));
            assert_eq!(load(&mut disk, NodeId(3)), Err(IdentityError::Foreign(ME)));
            assert_eq!(disk.list().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_crash_at_any_operation_leaves_what_was_there_or_what_is_kept() {
        let [fresh, pledged, born] = kept();
        for (before, after) in [(None, &fresh), (Some(&fresh), &pledged), (Some(&pledged), &born)] {
            for operation in 0..8 {
                for seed in 0..8 {
                    let mut disk = FaultyDisk::new(seed);
                    if let Some(before) = before {
                        let mut any: AnyDisk =
                            Box::new(std::mem::replace(&mut disk, FaultyDisk::new(0)));
                        keep(&mut any, ME, before).unwrap();
                        // The same files on a disk that will fail.
                        disk = copied(&mut any, seed);
                    }
                    let at = disk.operations() + operation;
                    disk.schedule(at, journal::Fault::PowerCut);
                    let shared = crate::storage::Memory::new();
                    let mut any = shared.with_identity(disk);
                    let done = keep(&mut any, ME, after);
                    let mut any = shared.crashed();
                    let found = load(&mut any, ME).expect("nothing is damaged");
                    if done.is_ok() {
                        assert_eq!(found.as_ref(), Some(after));
                    } else {
                        assert!(found.as_ref() == before || found.as_ref() == Some(after));
                    }
                }
            }
        }
    }

    #[test]
    fn damage_is_noticed() {
        let [_, pledged, born] = kept();
        for kept in [pledged, born] {
            let length = encode(ME, &kept).len();
            for at in 0..length {
                let mut disk: AnyDisk = Box::new(FaultyDisk::new(1));
                keep(&mut disk, ME, &kept).unwrap();
                let number = disk.list().unwrap()[0].number;
                let mut byte = [0];
                disk.read_at(number, at, &mut byte).unwrap();
                disk.write_at(number, at, &[byte[0] ^ 4]).unwrap();
                assert_eq!(load(&mut disk, ME), Err(IdentityError::Damaged), "byte {at}");
            }
        }
    }

    fn copied(from: &mut AnyDisk, seed: u64) -> FaultyDisk {
        let mut to = FaultyDisk::new(seed);
        for file in from.list().unwrap() {
            let mut bytes = vec![0; file.bytes];
            from.read_at(file.number, 0, &mut bytes).unwrap();
            to.create(file.number, file.bytes).unwrap();
            to.write_at(file.number, 0, &bytes).unwrap();
            to.sync(file.number).unwrap();
        }
        to
    }
}
