//! A stranger at every port: garbage, connections that say nothing, half requests, datagrams of
//! anything. Bounded: so many connections at a time, so many datagrams a second, so long.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use paxos::Rng;

use crate::Outcome;
use crate::arguments::StrangerArguments;

/// Connections that are held open at a time.
const CONNECTIONS_MAX: usize = 300;

/// Between two knocks: at most a thousand a second.
const PAUSE: Duration = Duration::from_millis(1);

const CONNECT_MAX: Duration = Duration::from_millis(50);

/// Of one datagram, and of one piece of garbage.
const BYTES_MAX: u64 = 1400;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What every TLS connection begins with.
const HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

/// Knocks until the time is over. What the doors do is not looked at.
pub(crate) fn run(arguments: &StrangerArguments) -> Outcome<()> {
    let mut rng = Rng::new(arguments.seed);
    let end = Instant::now() + arguments.lasts;
    let socket = |bind: &str| UdpSocket::bind(bind);
    let datagrams = [socket("0.0.0.0:0")?, socket("[::]:0").or_else(|_| socket("0.0.0.0:0"))?];
    let mut open: Vec<TcpStream> = Vec::new();
    while Instant::now() < end {
        let target = arguments.targets[rng.index(arguments.targets.len())];
        if rng.below(4) > 0 {
            let bytes = garbage(&mut rng);
            drop(datagrams[usize::from(target.is_ipv6())].send_to(&bytes, target));
        } else if let Some(connection) = knock(target, &mut rng) {
            if open.len() >= CONNECTIONS_MAX {
                open.swap_remove(rng.index(open.len()));
            }
            // Some are kept, and say nothing more.
            if rng.below(2) == 0 {
                open.push(connection);
            }
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn knock(target: SocketAddr, rng: &mut Rng) -> Option<TcpStream> {
    let mut connection = TcpStream::connect_timeout(&target, CONNECT_MAX).ok()?;
    connection.set_write_timeout(Some(CONNECT_MAX)).ok()?;
    let garbage = garbage(rng);
    let pieces: &[&[u8]] = match rng.below(5) {
        0 => &[],
        1 => &[&garbage],
        2 => &[PREFACE],
        3 => &[PREFACE, &garbage],
        _ => &[HELLO, &garbage],
    };
    // A door may be closed in the middle of a word.
    pieces.iter().try_for_each(|piece| connection.write_all(piece)).ok()?;
    Some(connection)
}

fn garbage(rng: &mut Rng) -> Vec<u8> {
    let length = 1 + rng.below(BYTES_MAX);
    (0..length).map(|_| rng.draw().to_le_bytes()[0]).collect()
}
