//! Bytes in, rows out, a chunk at a time; nothing is believed.

use std::io::{Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;

use crate::columns::{self, Context};
use crate::error::ReadError;
use crate::frame::{
    CHUNKS_MAX, END_BYTES, HEAD_BYTES, Head, Place, checksum, footer_bytes, is_footer_length,
    places,
};
use crate::header::{HEADER_BYTES_MAX, Header};
use crate::row::Row;
use crate::varint::Taken;

/// A trace that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    places: Vec<Place>,
    /// Where the last chunk ends.
    end: u64,
    ending: Ending,
}

/// How a trace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its footer.
    Whole,
    /// Without one: whoever wrote it did not come to the end. What follows the last whole chunk
    /// cannot be read.
    Torn {
        /// How many bytes that is.
        bytes: u64,
    },
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the header and finds the chunks: by the footer, or one after another where there is
    /// none.
    pub fn open(mut source: R) -> Result<Reader<R>, ReadError> {
        let length = source.seek(SeekFrom::End(0))?;
        let line = first_line(&mut source)?;
        let header = Header::of_line(&line[..line.len() - 1])?;
        let start = line.len() as u64;
        let mut reader =
            Reader { source, header, places: Vec::new(), end: start, ending: Ending::Whole };
        if !reader.find_footer(start, length, checksum(&line))? {
            reader.find_chunks(length)?;
        }
        Ok(reader)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The chunks that can be read.
    pub fn chunks(&self) -> &[Place] {
        &self.places
    }

    /// How it ends.
    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// How many rows the chunks have.
    pub fn len(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.rows)).sum()
    }

    /// Whether there is no row to read.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The first chunk that has a row at `at_us` or later; none if all is earlier.
    pub fn chunk_at(&self, at_us: u64) -> Option<usize> {
        let index = self.places.partition_point(|place| place.last_us < at_us);
        (index < self.places.len()).then_some(index)
    }

    /// The rows of one chunk, and the number of its first.
    ///
    /// # Panics
    /// If there is no such chunk.
    pub fn chunk(&mut self, index: usize) -> Result<(u64, Vec<Row>), ReadError> {
        let place = self.places[index];
        let end = self.places.get(index + 1).map_or(self.end, |next| next.offset);
        let number = self.places[..index].iter().map(|place| u64::from(place.rows)).sum();
        let damaged = |why| ReadError::Damaged { at: place.offset, why };
        self.source.seek(SeekFrom::Start(place.offset))?;
        let mut head = [0; HEAD_BYTES];
        self.source.read_exact(&mut head)?;
        let head = Head::of_bytes(&head).map_err(damaged)?;
        if head.place(place.offset) != place || place.offset + head.bytes() != end {
            return Err(damaged("a chunk is not what the footer says"));
        }
        let mut gzip = Vec::new();
        self.source.by_ref().take(head.gzip_bytes.into()).read_to_end(&mut gzip)?;
        let bytes = inflated(&gzip, head.inflated_bytes).map_err(damaged)?;
        let context = Context {
            header: &self.header,
            number,
            rows: place.rows,
            first_us: place.first_us,
            last_us: place.last_us,
        };
        let rows = columns::read(&bytes, context).map_err(damaged)?;
        Ok((number, rows))
    }

    /// Every row with its number, in order. Ends after the first error.
    pub fn rows(&mut self) -> Rows<'_, R> {
        Rows { reader: self, next: 0, number: 0, chunk: Vec::new().into_iter() }
    }

    /// Tells whether there is one.
    fn find_footer(&mut self, start: u64, length: u64, line: u32) -> Result<bool, ReadError> {
        if length < start + END_BYTES as u64 {
            return Ok(false);
        }
        self.source.seek(SeekFrom::Start(length - END_BYTES as u64))?;
        let mut end = [0; END_BYTES];
        self.source.read_exact(&mut end)?;
        let Some(bytes) = footer_bytes(end) else { return Ok(false) };
        let at = length.checked_sub(bytes.into()).filter(|at| *at >= start);
        let Some(at) = at.filter(|_| is_footer_length(bytes)) else {
            return Err(ReadError::Damaged { at: length, why: "the footer has no such length" });
        };
        self.source.seek(SeekFrom::Start(at))?;
        let mut footer = Vec::new();
        self.source.by_ref().take(bytes.into()).read_to_end(&mut footer)?;
        let damaged = |why| ReadError::Damaged { at, why };
        if footer.len() as u64 != u64::from(bytes) {
            return Err(damaged("the file shrinks while it is read"));
        }
        self.places = places(&footer, line, start, at).map_err(damaged)?;
        self.end = at;
        Ok(true)
    }

    /// Goes from chunk to chunk up to the last whole one.
    fn find_chunks(&mut self, length: u64) -> Result<(), ReadError> {
        let mut before_us = 0;
        while self.places.len() < CHUNKS_MAX as usize && self.end + HEAD_BYTES as u64 <= length {
            self.source.seek(SeekFrom::Start(self.end))?;
            let mut head = [0; HEAD_BYTES];
            self.source.read_exact(&mut head)?;
            let Ok(head) = Head::of_bytes(&head) else { break };
            let place = head.place(self.end);
            let end = self.end + head.bytes();
            if end > length || place.check(before_us).is_err() {
                break;
            }
            before_us = place.last_us;
            self.places.push(place);
            self.end = end;
        }
        self.ending = Ending::Torn { bytes: length - self.end };
        Ok(())
    }
}

/// Every row of a trace.
#[derive(Debug)]
pub struct Rows<'a, R> {
    reader: &'a mut Reader<R>,
    /// The chunk after the one that is being read.
    next: usize,
    number: u64,
    chunk: std::vec::IntoIter<Row>,
}

impl<R: Read + Seek> Iterator for Rows<'_, R> {
    type Item = Result<(u64, Row), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.len() == 0 && self.next < self.reader.places.len() {
            match self.reader.chunk(self.next) {
                Ok((_, rows)) => self.chunk = rows.into_iter(),
                Err(error) => {
                    self.next = self.reader.places.len();
                    return Some(Err(error));
                }
            }
            self.next += 1;
        }
        let row = self.chunk.next()?;
        let number = self.number;
        self.number += 1;
        Some(Ok((number, row)))
    }
}

/// The first line, with its end.
fn first_line(source: &mut (impl Read + Seek)) -> Result<Vec<u8>, ReadError> {
    source.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    source.take(HEADER_BYTES_MAX as u64).read_to_end(&mut line)?;
    match line.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            line.truncate(end + 1);
            Ok(line)
        }
        None if Header::may_begin_with(&line) => {
            Err(ReadError::Header("the file ends within it, or it is too long".into()))
        }
        None => Err(ReadError::Foreign),
    }
}

/// Unpacks what must come to exactly so many bytes.
fn inflated(gzip: &[u8], bytes: u32) -> Taken<Vec<u8>> {
    let mut decoder = GzDecoder::new(gzip);
    let mut out = Vec::new();
    let read = decoder.by_ref().take(u64::from(bytes) + 1).read_to_end(&mut out);
    if read.is_err() || out.len() as u64 != u64::from(bytes) {
        return Err("a chunk cannot be unpacked to what it says");
    }
    if decoder.into_inner().is_empty() { Ok(out) } else { Err("a chunk goes on after its end") }
}
