//! Datagrams to messages: forged ones, and true ones that are lost, repeated and overtaken.

use std::time::{Duration, Instant};

use crc::{CRC_32_ISCSI, Crc, Table};
use paxos::NodeId;
use server::transport::MESSAGE_BYTES_MAX;
use server::transport::datagram::{
    Assembler, DATAGRAM_BYTES_MIN, MAGIC, PARTIAL_AGE_MAX, PARTIAL_BYTES_MAX, PARTIAL_MESSAGES_MAX,
    Packer, VERSION,
};

use crate::cursor::Cursor;
use crate::members::CLUSTER;

const ME: NodeId = NodeId(1);
const PEERS: [NodeId; 2] = [NodeId(2), NodeId(3)];
const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Large enough for a few fragments, small enough for many inputs a second.
const TRUE_BYTES_MAX: usize = 8 * DATAGRAM_BYTES_MIN;

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    if cursor.is_odd() { honest(cursor) } else { hostile(cursor) }
}

/// Nothing but bounds is demanded.
fn hostile(mut cursor: Cursor<'_>) {
    let mut assembler = Assembler::new(CLUSTER, ME, PEERS);
    let mut now = Instant::now();
    while !cursor.is_empty() {
        let kind = cursor.below(4);
        if kind == 0 {
            now += Duration::from_millis(u64::from(cursor.u16()));
            assembler.expire(now);
        }
        let datagram = match kind {
            1 => cursor.take(64).to_vec(),
            2 => sealed(&mut cursor),
            _ => fragment(&mut cursor),
        };
        // A refusal delivers nothing.
        let mut delivered = 0;
        let accepted = assembler.accept(now, &datagram, &mut |from, message| {
            assert!(PEERS.contains(&from));
            assert!(!message.is_empty());
            assert!(message.len() <= MESSAGE_BYTES_MAX);
            delivered += 1;
        });
        assert!(accepted.is_ok() || delivered == 0);
        assert!(assembler.bytes_held() <= PEERS.len() * PARTIAL_BYTES_MAX);
    }
    assembler.expire(now + PARTIAL_AGE_MAX * 2);
    assert_eq!(assembler.bytes_held(), 0);
}

/// Everything up to the checksum is right, so that the rest is looked at.
fn sealed(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut covered = CLUSTER.0.to_vec();
    let peer = cursor.pick(&[PEERS[0], PEERS[1], NodeId(9)]);
    covered.extend(peer.0.to_le_bytes());
    covered.extend(cursor.pick(&[ME, NodeId(9)]).0.to_le_bytes());
    let length = cursor.below(64);
    covered.extend(cursor.take(length));
    seal(&covered)
}

/// A fragment whose length suits its place, mostly.
fn fragment(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut covered = CLUSTER.0.to_vec();
    covered.extend(cursor.pick(&PEERS).0.to_le_bytes());
    covered.extend(ME.0.to_le_bytes());
    covered.push(1);
    let message = u64::from(cursor.byte());
    let (index, count) = (cursor.u16(), cursor.u16());
    let total = cursor.u32();
    covered.extend(message.to_le_bytes());
    covered.extend(index.to_le_bytes());
    covered.extend(count.to_le_bytes());
    covered.extend(total.to_le_bytes());
    let piece = total.div_ceil(u32::from(count).max(1));
    let offset = u64::from(piece) * u64::from(index);
    let length = u64::from(piece).min(u64::from(total).saturating_sub(offset));
    let length = usize::try_from(length).unwrap_or(0).min(1 << 16);
    covered.resize(covered.len() + length, cursor.byte());
    seal(&covered)
}

fn seal(covered: &[u8]) -> Vec<u8> {
    let mut datagram = MAGIC.to_vec();
    datagram.push(VERSION);
    datagram.extend(CHECKSUM.checksum(covered).to_le_bytes());
    datagram.extend(covered);
    datagram
}

/// What a peer packs arrives whole or not at all, and whole if no datagram is lost.
fn honest(mut cursor: Cursor<'_>) {
    let from = PEERS[0];
    let datagram_bytes_max = DATAGRAM_BYTES_MIN + cursor.below(256);
    let mut packer = Packer::new(CLUSTER, from, datagram_bytes_max, u64::MAX - 3);
    let count = cursor.below(PARTIAL_MESSAGES_MAX);
    let mut messages = Vec::new();
    for _ in 0..count {
        let length = 1 + usize::from(cursor.u16()) % TRUE_BYTES_MAX;
        messages.push(vec![cursor.byte(); length]);
    }
    let borrowed: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let mut waiting = Vec::new();
    let left_out = packer.pack(ME, &borrowed, &mut |datagram| {
        assert!(datagram.len() <= datagram_bytes_max);
        waiting.push(datagram.to_vec());
    });
    assert_eq!(left_out, 0);
    let mut assembler = Assembler::new(CLUSTER, ME, PEERS);
    let now = Instant::now();
    let mut delivered = Vec::new();
    let (mut is_lossy, mut is_repeated) = (false, false);
    while !waiting.is_empty() {
        let at = cursor.below(waiting.len().min(256));
        match cursor.below(8) {
            6 => {
                is_lossy = true;
                waiting.remove(at);
                continue;
            }
            7 if !cursor.is_empty() => {
                is_repeated = true;
                waiting.push(waiting[at].clone());
            }
            _ => {}
        }
        let datagram = waiting.remove(at);
        let taken = assembler.accept(now, &datagram, &mut |_, message| delivered.push(message));
        assert_eq!(taken, Ok(()));
    }
    assert!(delivered.iter().all(|message| messages.contains(message)));
    if !is_lossy && !is_repeated {
        messages.sort();
        delivered.sort();
        assert!(delivered == messages, "nothing was lost, and something did not arrive");
        assert_eq!(assembler.bytes_held(), 0);
    }
}
