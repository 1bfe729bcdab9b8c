//! Whole, cut, damaged, forged and endless datagrams.

use super::*;

const CLUSTER: ClusterId = ClusterId([7; 16]);
const ME: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

fn assembler() -> Assembler {
    Assembler::new(CLUSTER, ME, [PEER])
}

fn packer(datagram_bytes_max: usize) -> Packer {
    Packer::new(CLUSTER, PEER, datagram_bytes_max, 100)
}

fn pack(packer: &mut Packer, messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    packer.pack(ME, messages, &mut |datagram| datagrams.push(datagram.to_vec()));
    datagrams
}

fn accept(
    assembler: &mut Assembler,
    now: Instant,
    datagram: &[u8],
) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut delivered = Vec::new();
    assembler.accept(now, datagram, &mut |from, message| {
        assert_eq!(from, PEER);
        delivered.push(message);
    })?;
    Ok(delivered)
}

/// Changes a datagram and makes its checksum right again.
fn forged(datagram: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    change(&mut datagram);
    let checksum = CHECKSUM.checksum(&datagram[COVERED_FROM..]);
    datagram[CHECKSUM_AT..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
    datagram
}

fn numbered(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251).to_le_bytes()[0]).collect()
}

#[test]
fn the_layout_is_as_documented() {
    let datagrams = pack(&mut packer(1_200), &[b"ab", b"c"]);
    let mut golden = b"SYND\x01".to_vec();
    golden.extend([0xf9, 0x38, 0x83, 0xa0]);
    golden.extend([7; 16]);
    golden.extend([2, 0, 0, 0, 1, 0, 0, 0, 0]);
    golden.extend(b"\x02\0\0\0ab\x01\0\0\0c");
    assert_eq!(datagrams, [golden]);
}

#[test]
fn messages_of_every_size_come_back_in_order() {
    for datagram_bytes_max in [1_200, 1_201, 60_000, DATAGRAM_BYTES_MAX] {
        let room = datagram_bytes_max - HEADER_BYTES - LENGTH_BYTES;
        let sizes = [1, 2, room - 1, room, room + 1, 3 * room, 1_000_000, MESSAGE_BYTES_MAX, 5];
        let messages: Vec<Vec<u8>> = sizes.into_iter().map(numbered).collect();
        let borrowed: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let (mut assembler, now) = (assembler(), Instant::now());
        let mut delivered = Vec::new();
        for datagram in pack(&mut packer(datagram_bytes_max), &borrowed) {
            assert!(datagram.len() <= datagram_bytes_max);
            delivered.extend(accept(&mut assembler, now, &datagram).unwrap());
        }
        assert!(delivered == messages, "at {datagram_bytes_max}");
        assert_eq!(assembler.bytes_held(), 0);
    }
}

#[test]
fn small_messages_share_a_datagram() {
    let message = numbered(100);
    let datagrams = pack(&mut packer(1_200), &[&message[..]; 22]);
    assert_eq!(datagrams.len(), 2);
}

#[test]
fn a_message_that_is_too_large_or_empty_is_left_out() {
    let large = vec![0; MESSAGE_BYTES_MAX + 1];
    let mut count = 0;
    let left_out = packer(60_000).pack(ME, &[&large, b"", b"x"], &mut |_| count += 1);
    assert_eq!((left_out, count), (2, 1));
}

#[test]
fn fragments_may_come_in_any_order_and_more_than_once() {
    let message = numbered(10_000);
    let mut datagrams = pack(&mut packer(1_200), &[&message]);
    datagrams.reverse();
    let (mut assembler, now) = (assembler(), Instant::now());
    let mut delivered = Vec::new();
    for datagram in &datagrams {
        for _ in 0..2 {
            delivered.extend(accept(&mut assembler, now, datagram).unwrap());
        }
    }
    assert!(delivered == [message]);
    assert_eq!(assembler.bytes_held(), 0, "the last repeat must not start anew");
}

#[test]
fn each_defect_has_its_name() {
    let whole = pack(&mut packer(1_200), &[b"abc"]).remove(0);
    let part = pack(&mut packer(1_200), &[&numbered(3_000)]).remove(0);
    let (kind, body) = (HEADER_BYTES - 1, HEADER_BYTES);
    let cases: Vec<(Refusal, Vec<u8>)> = vec![
        (Refusal::TooShort, vec![]),
        (Refusal::TooShort, whole[..CHECKSUM_AT + 3].to_vec()),
        (Refusal::TooShort, forged(&whole, |d| d.truncate(kind))),
        (Refusal::BadMagic, forged(&whole, |d| d[0] ^= 1)),
        (Refusal::BadVersion, forged(&whole, |d| d[4] += 1)),
        (Refusal::BadChecksum, [&whole[..body], b"\x03\0\0\0abd"].concat()),
        (Refusal::OtherCluster, forged(&whole, |d| d[COVERED_FROM] ^= 1)),
        (Refusal::UnknownSender, forged(&whole, |d| d[COVERED_FROM + 16] = 3)),
        (Refusal::NotForMe, forged(&whole, |d| d[COVERED_FROM + 20] = 3)),
        (Refusal::BadKind, forged(&whole, |d| d[kind] = 2)),
        (Refusal::BadLength, forged(&whole, |d| d.truncate(body))),
        (Refusal::BadLength, forged(&whole, |d| d[body] = 4)),
        (Refusal::BadLength, forged(&whole, |d| d[body] = 2)),
        (Refusal::BadLength, forged(&whole, |d| d.extend([0; 4]))),
        (Refusal::TooShort, forged(&part, |d| d.truncate(body + 15))),
        (Refusal::BadLength, forged(&part, |d| d[body + 15] = 1)),
        (Refusal::BadLength, forged(&part, |d| d.truncate(d.len() - 1))),
        (Refusal::FragmentOutOfBounds, forged(&part, |d| d[body + 8] = 3)),
        (Refusal::FragmentOutOfBounds, forged(&part, |d| d[body + 10] = 1)),
        (Refusal::FragmentOutOfBounds, forged(&part, |d| d[body + 11] = 0xff)),
    ];
    for (refusal, datagram) in cases {
        let mut assembler = assembler();
        assert_eq!(accept(&mut assembler, Instant::now(), &datagram), Err(refusal));
        assert_eq!(assembler.bytes_held(), 0);
    }
}

#[test]
fn a_fragment_that_contradicts_its_message_is_refused() {
    let (mut assembler, now) = (assembler(), Instant::now());
    let first = pack(&mut packer(1_200), &[&numbered(3_000)]);
    let other = pack(&mut packer(1_200), &[&numbered(3_003)]);
    accept(&mut assembler, now, &first[0]).unwrap();
    let refused = accept(&mut assembler, now, &other[1]);
    assert_eq!(refused, Err(Refusal::FragmentMismatch));
}

#[test]
fn what_waits_for_fragments_is_bounded_and_the_oldest_goes_first() {
    let (mut assembler, now) = (assembler(), Instant::now());
    let mut packer = packer(60_000);
    let message = numbered(MESSAGE_BYTES_MAX);
    let all: Vec<_> = (0..5).map(|_| pack(&mut packer, &[&message])).collect();
    for datagrams in &all {
        accept(&mut assembler, now, &datagrams[0]).unwrap();
        assert!(assembler.bytes_held() <= PARTIAL_BYTES_MAX);
    }
    assert_eq!(assembler.given_up(), 1);
    let rest = |assembler: &mut Assembler, datagrams: &[Vec<u8>]| {
        let rest = datagrams[1..].iter();
        rest.flat_map(|d| accept(assembler, now, d).unwrap()).count()
    };
    assert_eq!(rest(&mut assembler, &all[4]), 1, "the newest is whole");
    assert_eq!(rest(&mut assembler, &all[0]), 0, "the oldest lost its start");
}

#[test]
fn an_incomplete_message_does_not_outlive_its_age() {
    let (mut assembler, now) = (assembler(), Instant::now());
    let datagrams = pack(&mut packer(1_200), &[&numbered(3_000)]);
    accept(&mut assembler, now, &datagrams[0]).unwrap();
    assembler.expire(now + PARTIAL_AGE_MAX);
    assert_eq!(assembler.bytes_held(), 3_000);
    assembler.expire(now + PARTIAL_AGE_MAX + Duration::from_millis(1));
    assert_eq!((assembler.bytes_held(), assembler.given_up()), (0, 1));
}

/// A million datagrams: noise, flipped bits, and flipped bits under a right checksum.
#[test]
fn no_bytes_make_it_panic_or_grow() {
    let mut state = 1_u64;
    let mut draw = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let seeds = [
        pack(&mut packer(1_200), &[b"abc", b"defg"]).remove(0),
        pack(&mut packer(1_200), &[&numbered(3_003)]).remove(1),
    ];
    let (mut assembler, now) = (assembler(), Instant::now());
    let mut outcomes = BTreeSet::new();
    for n in 0..1_000_000 {
        let mut datagram = seeds[n % 2].clone();
        for _ in 0..draw(4) {
            let at = draw(datagram.len());
            datagram[at] ^= 1 << draw(8);
        }
        if draw(4) == 0 {
            let length = draw(datagram.len());
            datagram.truncate(length);
        }
        if draw(2) == 0 && datagram.len() > COVERED_FROM {
            datagram = forged(&datagram, |_| {});
        }
        outcomes.insert(accept(&mut assembler, now, &datagram).err());
        assert!(assembler.bytes_held() <= PARTIAL_BYTES_MAX);
    }
    assert_eq!(outcomes.len(), 1 + Refusal::ALL.len(), "{outcomes:?}");
}
