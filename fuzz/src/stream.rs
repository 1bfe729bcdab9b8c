//! A stream's hello and its messages: forged ones, and true ones that come in any pieces.

use server::transport::MESSAGE_BYTES_MAX;
use server::transport::frame::{Frames, HELLO_BYTES, Hello, Refusal, Seal};

use crate::cursor::Cursor;

/// What a stream holds at first.
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let seal = cursor.pick(&[Seal::Checksum, Seal::Records]);
    match cursor.below(3) {
        0 => hello(&mut cursor),
        1 => hostile(seal, cursor),
        _ => honest(seal, cursor),
    }
}

/// A hello has one form.
fn hello(cursor: &mut Cursor<'_>) {
    let taken = cursor.take(HELLO_BYTES);
    let mut bytes = [0; HELLO_BYTES];
    bytes[..taken.len()].copy_from_slice(taken);
    if let Ok(hello) = Hello::decode(&bytes) {
        assert_eq!(hello.encode(), bytes);
    }
}

/// Nothing but bounds is demanded.
fn hostile(seal: Seal, mut cursor: Cursor<'_>) {
    let mut frames = Frames::new(seal);
    let mut fed = 0;
    while !cursor.is_empty() {
        let length = cursor.below(256);
        let bytes = cursor.take(length).to_vec();
        fed += bytes.len();
        match feed(&mut frames, &bytes) {
            Ok(messages) => assert!(messages.iter().all(|it| it.len() <= MESSAGE_BYTES_MAX)),
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::TooLarge | Refusal::BadChecksum));
                return;
            }
        }
        assert!(frames.bytes_held() <= BUFFER_BYTES + 2 * fed, "a length alone costs memory");
    }
}

/// What is put comes back, whole and in order, however it is cut.
fn honest(seal: Seal, mut cursor: Cursor<'_>) {
    let mut messages = Vec::new();
    for _ in 0..cursor.below(32) {
        // Now and then one that is larger than the buffer.
        let length = if cursor.is_odd() { cursor.below(64) } else { usize::from(cursor.u16()) * 4 };
        messages.push(vec![cursor.byte(); length]);
    }
    let mut stream = Vec::new();
    for message in &messages {
        seal.put(message, &mut stream);
    }
    let framed: usize = messages.iter().map(|message| seal.framed_bytes(message)).sum();
    assert_eq!(stream.len(), framed);
    let mut frames = Frames::new(seal);
    let mut delivered = Vec::new();
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let length = (1 + usize::from(cursor.u16())).min(rest.len());
        let (piece, later) = rest.split_at(length);
        delivered.extend(feed(&mut frames, piece).expect("it is as it was put"));
        rest = later;
    }
    assert!(delivered == messages, "something is missing, or else");
}

fn feed(frames: &mut Frames, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut taken = Vec::new();
    loop {
        while let Some(message) = frames.take()? {
            taken.push(message.to_vec());
        }
        if bytes.is_empty() {
            return Ok(taken);
        }
        let room = frames.room();
        let count = room.len().min(bytes.len());
        assert!(count > 0, "there is always room");
        room[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        frames.filled(count);
    }
}
