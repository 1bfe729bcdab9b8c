//! Bytes that are damaged, cut off or foreign: an error, or rows; never a panic.

mod run;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use run::{event, header, message, open, read, row, rows, written};
use trace::{
    CHUNK_INFLATED_MAX, CHUNK_ROWS_MAX, Ending, EventKind, Fate, LIMIT, MessageKind, ReadError,
    Refusal, Row, Shown, Slots, TEXT_BYTES_MAX, Value, Values, What, WriteError, Writer,
};

/// Enough rows for three chunks, the last of them small.
fn many() -> Vec<Row> {
    let one = |number: u32| {
        let what = message(MessageKind::Accepted, 1, Fate::Once(u64::from(number % 900)));
        Row {
            cause: number.checked_sub(3).map(u64::from),
            slots: Some(Slots { first: u64::from(number / 4), count: 1 }),
            ..row(u64::from(number) * 10, 9, what)
        }
    };
    (0..2 * CHUNK_ROWS_MAX + 5).map(one).collect()
}

#[test]
fn a_flipped_bit_changes_no_row_unseen() {
    let whole = rows();
    let bytes = written(Values::Preview, &whole);
    let mut seen = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            match read(&flipped) {
                // Some bits say nothing of the rows: those of gzip's own header, and those that
                // say where the end is.
                Ok(rows) => assert_eq!(rows, whole, "byte {at}, bit {bit}"),
                Err(_) => seen += 1,
            }
        }
    }
    assert!(seen > bytes.len() * 7, "{seen} of {} flips are seen", bytes.len() * 8);
}

#[test]
fn a_flipped_bit_of_a_torn_trace_is_an_error_or_another_trace() {
    let mut bytes = written(Values::Preview, &rows());
    bytes.truncate(bytes.len() - 1);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let (Ok(reader), Ok(rows)) = (open(&flipped), read(&flipped)) else { continue };
            let mut writer = Writer::new(Vec::new(), reader.header()).unwrap();
            for row in &rows {
                writer.row(row).unwrap();
            }
            assert_eq!(read(&writer.finish().unwrap()).unwrap(), rows);
        }
    }
}

#[test]
fn a_trace_that_is_cut_off_gives_what_is_whole() {
    let whole = many();
    let bytes = written(Values::None, &whole);
    let places = open(&bytes).unwrap().chunks().to_vec();
    assert_eq!(places.len(), 3);
    for (index, place) in places.iter().enumerate() {
        let chunks = |bytes: &[u8]| open(bytes).unwrap().chunks().len();
        let begin = usize::try_from(place.offset).unwrap();
        for cut in [begin, begin + 1, begin + 31, begin + 32, begin + 40] {
            assert_eq!(chunks(&bytes[..cut]), index, "cut at {cut}");
            let torn = Ending::Torn { bytes: (cut - begin) as u64 };
            assert_eq!(open(&bytes[..cut]).unwrap().ending(), torn);
        }
    }
    let third = usize::try_from(places[2].offset).unwrap();
    assert_eq!(read(&bytes[..third + 3]).unwrap(), whole[..2 * CHUNK_ROWS_MAX as usize]);
    // Without its footer alone, nothing is lost.
    assert_eq!(read(&bytes[..bytes.len() - 1]).unwrap(), whole);
}

#[test]
fn a_trace_that_is_cut_off_anywhere_is_no_panic() {
    let bytes = written(Values::Preview, &rows());
    for length in 0..bytes.len() {
        match open(&bytes[..length]) {
            Ok(reader) => assert_ne!(reader.ending(), Ending::Whole),
            Err(error) => assert!(matches!(error, ReadError::Header(_)), "{length}: {error}"),
        }
    }
}

#[test]
fn another_file_is_told_apart_from_a_damaged_one() {
    let error = |bytes: &[u8]| open(bytes).unwrap_err();
    for foreign in [&b"PK\x03\x04"[..], b"hello\nworld", b"{}\n", &[0xff; 1_000]] {
        assert!(matches!(error(foreign), ReadError::Foreign));
    }
    let later = br#"{"format":"synodtrace","version":2,"new":true}"#;
    assert!(matches!(error(&[later, &b"\n"[..]].concat()), ReadError::Version(2)));
    for header in [
        &br#"{"format":"synodtrace","version":1}"#[..],
        br#"{"format":"synodtrace","version":-1}"#,
        br#"{"format":"synodtrace","version":1,"synod":}"#,
        &[&br#"{"format":"synodtrace","version":1,"x":"#[..], &[b'['; 10_000]].concat(),
    ] {
        let error = error(&[header, &b"\n"[..]].concat());
        assert!(matches!(error, ReadError::Header(_)), "{error}");
    }
    let mut endless = br#"{"format":"synodtrace","version":1,"synod":""#.to_vec();
    endless.resize(1_000_000, b'x');
    assert!(matches!(error(&endless), ReadError::Header(_)));
}

#[test]
fn two_nodes_of_one_number_are_refused() {
    let mut twice = header(Values::None);
    twice.nodes[1].id = 1;
    let refused = Writer::new(Vec::new(), &twice).unwrap_err();
    assert!(matches!(refused, WriteError::Refused(Refusal::Header)));
    let bytes = written(Values::None, &[]);
    let bytes = String::from_utf8_lossy(&bytes).replace(r#""id":9"#, r#""id":1"#);
    assert!(matches!(open(bytes.as_bytes()).unwrap_err(), ReadError::Header(_)));
}

/// A torn trace of one chunk that claims and holds what a writer never would.
fn forged(inflated_bytes: u32, rows: u32, chunk: &[u8]) -> Vec<u8> {
    let empty = written(Values::None, &[]);
    let mut bytes = empty[..empty.len() - 24].to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(chunk).expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it");
    bytes.extend(b"SYTC");
    bytes.extend(u32::try_from(gzip.len()).expect("a small chunk").to_le_bytes());
    bytes.extend(inflated_bytes.to_le_bytes());
    bytes.extend(rows.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend(gzip);
    bytes
}

#[test]
fn a_chunk_unpacks_to_what_it_says_and_no_more() {
    let bomb = vec![0; 3 * CHUNK_INFLATED_MAX as usize];
    for (inflated_bytes, rows) in [(100, 1), (CHUNK_INFLATED_MAX, 1)] {
        let error = read(&forged(inflated_bytes, rows, &bomb)).unwrap_err();
        assert!(error.to_string().contains("cannot be unpacked"), "{error}");
    }
    // What claims more than there may be is no chunk at all.
    let larger = [(CHUNK_INFLATED_MAX + 1, 1), (100, CHUNK_ROWS_MAX + 1), (100, 0)];
    for (inflated_bytes, rows) in larger {
        let bytes = forged(inflated_bytes, rows, &[0; 100]);
        assert!(open(&bytes).unwrap().is_empty());
    }
}

#[test]
fn a_chunk_that_claims_rows_without_bytes_is_refused() {
    // Eighteen parts, all of them empty but the tables, which have no entry.
    let chunk = [&b"\x01\0\x01\0\x01\0"[..], &[0; 15]].concat();
    let error = read(&forged(21, CHUNK_ROWS_MAX, &chunk)).unwrap_err();
    assert!(error.to_string().contains("not as many rows"), "{error}");
    let one = [&b"\x01\0\x01\0\x01\0\x01\x40"[..], &[0; 14]].concat();
    let error = read(&forged(22, 1, &one)).unwrap_err();
    assert!(error.to_string().contains("ends too early"), "{error}");
    let endless = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert!(read(&forged(10, 1, endless)).is_err());
}

#[test]
fn a_writer_refuses_what_a_reader_would() {
    let noted = |at_us, node| row(at_us, node, event(EventKind::Note, "x"));
    let slots = |first, count| Some(Slots { first, count });
    let sent = |to, fate| row(5, 1, message(MessageKind::Probe, to, fate));
    let refused = |bad: Row| {
        let mut writer = Writer::new(Vec::new(), &header(Values::None)).unwrap();
        writer.row(&noted(5, 0)).unwrap();
        match writer.row(&bad) {
            Err(WriteError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(noted(4, 0)), Refusal::Time(4));
    assert_eq!(refused(noted(LIMIT + 1, 0)), Refusal::Time(LIMIT + 1));
    assert_eq!(refused(noted(5, 2)), Refusal::Node(2));
    assert_eq!(refused(sent(2, Fate::Lost)), Refusal::Node(2));
    assert_eq!(refused(sent(9, Fate::Twice(0, LIMIT + 1))), Refusal::Limit(LIMIT + 1));
    assert_eq!(refused(Row { cause: Some(1), ..noted(5, 0) }), Refusal::Cause(1));
    assert_eq!(refused(Row { slots: slots(LIMIT, 1), ..noted(5, 0) }), Refusal::Limit(LIMIT + 1));
    assert_eq!(refused(Row { slots: slots(1, u64::MAX), ..noted(5, 0) }), Refusal::Limit(u64::MAX));
    assert_eq!(refused(Row { chosen: Some(u64::MAX), ..noted(5, 0) }), Refusal::Limit(u64::MAX));
}

#[test]
fn a_long_text_is_cut_between_letters() {
    let long = "é".repeat(TEXT_BYTES_MAX);
    let bytes = written(Values::None, &[row(0, 0, event(EventKind::Note, &long))]);
    let What::Event { text, .. } = &read(&bytes).unwrap()[0].what else { panic!("a note") };
    assert_eq!(text.chars().count(), (TEXT_BYTES_MAX - 3) / 2 + 1);
    assert!(text.ends_with("é…"));
}

#[test]
fn a_trace_shows_no_more_of_values_than_its_header_says() {
    let secret = Value::command(b"a secret", "a secret, and a long one, as it happens");
    let of = |shown| Some(Value::Command { bytes: 8, shown });
    let value = |values| {
        let row = Row { value: Some(secret.clone()), ..row(0, 0, event(EventKind::Note, "")) };
        let bytes = written(values, &[row]);
        (read(&bytes).unwrap()[0].value.clone(), bytes)
    };
    assert_eq!(value(Values::None).0, of(Shown::Length));
    let (hashed, bytes) = value(Values::Hash);
    let Some(Value::Command { shown: Shown::Hash(hash), .. }) = hashed else { panic!("a hash") };
    let words = "a secret, and a long one, as …".to_owned();
    assert_eq!(value(Values::Preview).0, of(Shown::Preview(hash, words)));

    // Whoever changes the header alone is found out.
    let text = br#""values":"hash""#;
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut forged = bytes[..bytes.len() - 52].to_vec();
    forged.splice(at..at + text.len(), *br#""values":"none""#);
    let error = read(&forged).unwrap_err();
    assert!(error.to_string().contains("more than the header allows"), "{error}");
}

#[test]
fn a_large_trace_opens_at_a_time() {
    let bytes = written(Values::None, &many());
    let mut reader = open(&bytes).unwrap();
    assert_eq!(reader.len(), 2 * u64::from(CHUNK_ROWS_MAX) + 5);
    let last_us = 10 * (u64::from(CHUNK_ROWS_MAX) - 1);
    assert_eq!(reader.chunk_at(0), Some(0));
    assert_eq!(reader.chunk_at(last_us), Some(0));
    assert_eq!(reader.chunk_at(last_us + 1), Some(1));
    assert_eq!(reader.chunk_at(u64::MAX), None);
    let (number, rows) = reader.chunk(2).unwrap();
    assert_eq!((number, rows.len()), (2 * u64::from(CHUNK_ROWS_MAX), 5));
    assert_eq!(rows[0].cause, Some(number - 3));
}
