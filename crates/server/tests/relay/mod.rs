//! A network between a node and its peer that can fall silent: nothing comes through, and nobody
//! is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Relay {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Relay {
    /// Passes on to `target`, until it is dropped.
    pub async fn start(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (is_open, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connect(near, target, seen.clone()));
            }
        });
        Relay { address, is_open }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}

async fn connect(near: TcpStream, target: SocketAddr, seen: watch::Receiver<bool>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::join!(pass(near_read, far_write, seen.clone()), pass(far_read, near_write, seen));
}

/// While it is shut, what comes stays unread, ends included.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut seen: watch::Receiver<bool>) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        if seen.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = seen.changed() => continue,
        };
        let Ok(count @ 1..) = read else { return };
        // What was read before it was shut is under way.
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
