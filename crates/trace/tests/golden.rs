//! The bytes of the format, as `docs/formats.md` draws them.

mod run;

use std::io::Read as _;

use flate2::read::GzDecoder;
use run::{open, read, rows, written};
use trace::{Ending, Place, Values};

const LINE: &str = concat!(
    r#"{"format":"synodtrace","version":1,"synod":"0.1.0","commit":null,"#,
    r#""seed":"18446744073709551615","command":"synod sim replay --seed 18446744073709551615","#,
    r#""clock":"virtual","values":"preview","quorums":{"phase1":1,"phase2":1},"#,
    r#""nodes":[{"id":1,"name":"L1","roles":["leader"]},"#,
    r#"{"id":9,"name":"A1","roles":["acceptor"]}]}"#,
    "\n",
);

/// The parts of the run's chunk, in order.
const PARTS: [&[u8]; 18] = [
    // Ballots: 1·1, 2·1, 3·1, each with the bits of its life.
    b"\x03\
      \x01\x01\x08\x07\x06\x05\x04\x03\x02\x01\
      \x02\x01\x07\x00\x00\x00\x00\x00\x00\x00\
      \x03\x01\x07\x00\x00\x00\x00\x00\x00\x00",
    // Values: "abc" with its hash and preview, a no-op.
    b"\x02\x04\x03\xea\xcf\x01\x8f\xbf\x16\x78\xba\x03abc\x00",
    // Texts.
    b"\x01\x0ea storm begins",
    // Kinds.
    b"\x40\x01\x03\x04\x43\x0c\x48\x08",
    // Times: 0, then 1000, 300, 700, 800, 0, 100, 0 later.
    b"\x00\xe8\x07\xac\x02\xbc\x05\xa0\x06\x00\x64\x00",
    // Nodes, and the other nodes.
    b"\x01\x01\x02\x01\x02\x01\x00\x02",
    b"\x00\x02\x01\x02\x00\x02\x00\x01",
    // Causes: so many rows back.
    b"\x00\x00\x01\x00\x01\x00\x00\x00",
    // Ballots, and promised ballots.
    b"\x00\x01\x01\x03\x03\x00\x00\x00",
    b"\x00\x00\x02\x00\x00\x00\x00\x00",
    // First slots: 0, then 4539, 0, 2 further, folded.
    b"\x00\xf6\x46\x00\x04",
    // Counts of slots, from 1.
    b"\x00\x01\x00\x03\x03\x02\x00\x00",
    // Chosen: 4539 further, folded, from 1.
    b"\x00\x00\x00\xf7\x46\x00\x00\x00\x00",
    // Values.
    b"\x00\x00\x00\x01\x01\x02\x00\x00",
    // Fates, and latencies: 300 and 500, 700, 90.
    b"\x02\x00\x01\x03\x04",
    b"\xac\x02\xf4\x03\xbc\x05\x5a",
    // Numbers of events, two each, and their texts.
    b"\x02\x00\x00\x00\x00\x00",
    b"\x00\x00\x01",
];

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[test]
fn a_trace_is_these_bytes() {
    let bytes = written(Values::Preview, &rows());
    assert!(bytes.starts_with(LINE.as_bytes()));
    let (line, rest) = bytes.split_at(LINE.len());

    let (head, rest) = rest.split_at(32);
    assert_eq!(&head[..4], b"SYTC");
    let (gzip, footer) = rest.split_at(u32_at(head, 4) as usize);
    let mut chunk = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut chunk).unwrap();
    assert_eq!(u32_at(head, 8) as usize, chunk.len());
    // Eight rows, from 0 to 2900 us.
    assert_eq!(&head[12..], b"\x08\0\0\0\0\0\0\0\0\0\0\0\x54\x0b\0\0\0\0\0\0");
    let mut expected: Vec<u8> = Vec::new();
    for part in PARTS {
        expected.push(part.len().try_into().unwrap());
        expected.extend(part);
    }
    assert_eq!(chunk, expected);

    let mut expected = b"SYTF\x01\0\0\0".to_vec();
    expected.extend((line.len() as u64).to_le_bytes());
    expected.extend(&head[12..]);
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    expected.extend(crc(line));
    expected.extend(crc(&expected));
    expected.extend(b"\x34\0\0\0SYTE");
    assert_eq!(footer, expected);
}

/// A whole file of the first version that wrote one: every later reader must read it. (Another
/// compressor may pack the same rows into other bytes.)
const FILE: &[u8] = include_bytes!("run/version-1.bin");

#[test]
fn a_file_of_the_first_version_is_read_for_ever() {
    assert_eq!(read(FILE).unwrap(), rows());
    let reader = open(FILE).unwrap();
    assert_eq!(reader.ending(), Ending::Whole);
    assert_eq!(reader.header(), &run::header(Values::Preview));
    let place = Place { offset: LINE.len() as u64, rows: 8, first_us: 0, last_us: 2_900 };
    assert_eq!(reader.chunks(), [place]);
}
