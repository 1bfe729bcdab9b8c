//! What waits for one peer, framed already: one copy of each message, and one write for all of
//! them.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::lock;
use crate::transport::MESSAGE_BYTES_MAX;
use crate::transport::frame::Seal;

/// Bytes that wait for one peer, at most. As many may be on their way at the same time.
pub const QUEUE_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// Messages that wait for one peer, at most.
pub const QUEUE_MESSAGES_MAX: usize = 1 << 16;

/// A buffer that has grown larger than this is given back when it is empty.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// Messages for one peer, end to end.
#[derive(Debug)]
pub(super) struct Queue {
    seal: Seal,
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    messages: usize,
}

impl Queue {
    pub(super) fn new(seal: Seal) -> Queue {
        Queue { seal, waiting: Mutex::default(), some: Notify::new() }
    }

    /// Lets messages wait; says for how many there was no room.
    pub(super) fn push<'a>(&self, messages: impl Iterator<Item = &'a [u8]>) -> usize {
        let mut dropped = 0;
        let mut waiting = lock(&self.waiting);
        for message in messages {
            let bytes = waiting.bytes.len() + self.seal.framed_bytes(message);
            if bytes > QUEUE_BYTES_MAX || waiting.messages >= QUEUE_MESSAGES_MAX {
                dropped += 1;
                continue;
            }
            self.seal.put(message, &mut waiting.bytes);
            waiting.messages += 1;
        }
        let is_some = waiting.messages > 0;
        drop(waiting);
        if is_some {
            self.some.notify_one();
        }
        dropped
    }

    /// Returns once something waits, or may.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }

    /// Puts all that waits into `buffer`, in place of what it held, and says how many messages
    /// those are.
    pub(super) fn take(&self, buffer: &mut Vec<u8>) -> usize {
        buffer.clear();
        if buffer.capacity() > BUFFER_KEPT_MAX {
            *buffer = Vec::new();
        }
        let mut waiting = lock(&self.waiting);
        std::mem::swap(buffer, &mut waiting.bytes);
        std::mem::take(&mut waiting.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_bounded_in_bytes_and_in_messages() {
        let queue = Queue::new(Seal::Records);
        let large = vec![1; MESSAGE_BYTES_MAX];
        assert_eq!(queue.push([&large[..]; 5].into_iter()), 2, "with its length, the fourth, too");
        let mut buffer = Vec::new();
        assert_eq!(queue.take(&mut buffer), 3);
        assert_eq!(buffer.len(), 3 * (MESSAGE_BYTES_MAX + 4));
        assert_eq!(queue.take(&mut buffer), 0);
        assert!(buffer.is_empty() && buffer.capacity() == 0, "large buffers are given back");
        let small: &[u8] = &[1];
        let many = std::iter::repeat_n(small, QUEUE_MESSAGES_MAX + 3);
        assert_eq!(queue.push(many), 3);
        assert_eq!(queue.take(&mut buffer), QUEUE_MESSAGES_MAX);
        assert_eq!(queue.push(std::iter::once(small)), 0, "there is room again");
    }
}
