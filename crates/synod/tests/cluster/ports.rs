//! Where nodes of a test listen.

use std::net::{TcpListener, UdpSocket};

/// A base port whose next 250 ports look free.
pub fn free_ports() -> u16 {
    let offset = u16::try_from(std::process::id() % 100).expect("below 100");
    let is_free = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    // Below the range from which the system draws ports for others.
    let bases = (0..60).map(|n| 10_000 + (offset + n) % 70 * 300);
    let mut free = bases.filter(|base| (*base..*base + 250).all(is_free));
    free.next().expect("free ports")
}
