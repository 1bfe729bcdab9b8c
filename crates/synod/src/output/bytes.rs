//! A client's bytes, made fit for each format. They are never trusted to be text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// For JSON: the text itself, or base64, and which of the two.
pub(super) fn encoded(bytes: &[u8]) -> (String, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(_) => (STANDARD.encode(bytes), "base64"),
    }
}

/// For a line of text: nothing that could end the line, move the cursor or forge a column.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => line.push_str("\\\\"),
                letter if letter.is_control() => line.extend(letter.escape_default()),
                letter => line.push(letter),
            }
        }
        for byte in chunk.invalid() {
            write!(line, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_the_rest_becomes_base64() {
        assert_eq!(encoded("né\n".as_bytes()), ("né\n".to_owned(), "utf-8"));
        assert_eq!(encoded(&[0xff, 0x00]), ("/wA=".to_owned(), "base64"));
    }

    #[test]
    fn nothing_escapes_its_line() {
        assert_eq!(escaped(b"a\tb\nc\\d"), "a\\tb\\nc\\\\d");
        assert_eq!(escaped(b"\x1b[2J\xff"), "\\u{1b}[2J\\xff");
        assert_eq!(escaped("né".as_bytes()), "né");
    }
}
