//! Inline commands: a line of words, some of them in quotes (Redis 7.0: `sdssplitargs`).

use alloc::vec::Vec;
use core::ops::Range;

/// Writes the words of `line` into `words`, where each begins and ends there into `ranges`.
///
/// # Errors
/// Quotes that are not closed, or that something follows at once.
pub(crate) fn split(line: &[u8], words: &mut Vec<u8>, ranges: &mut Vec<Range<usize>>) -> Result<(), ()> {
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        if at >= line.len() {
            return Ok(());
        }
        let start = words.len();
        while let Some(&byte) = line.get(at) {
            match byte {
                // Redis's strings end for this purpose at a zero byte
                b' ' | b'\n' | b'\r' | b'\t' | 0 => break,
                b'"' => at = double_quoted(line, at + 1, words)?,
                b'\'' => at = single_quoted(line, at + 1, words)?,
                plain => {
                    words.push(plain);
                    at += 1;
                }
            }
        }
        ranges.push(start..words.len());
        if line.get(at) == Some(&0) {
            return Ok(());
        }
    }
}

/// From behind the opening quote to behind the closing one, which a blank or the end must follow.
fn double_quoted(line: &[u8], mut at: usize, words: &mut Vec<u8>) -> Result<usize, ()> {
    loop {
        match line.get(at..).unwrap_or_default() {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                words.push(hex(*high) << 4 | hex(*low));
                at += 4;
            }
            [b'\\', escaped, ..] => {
                words.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                at += 2;
            }
            [b'"', rest @ ..] => return end_of_quotes(rest, at + 1),
            [plain, ..] => {
                words.push(*plain);
                at += 1;
            }
            [] => return Err(()),
        }
    }
}

fn single_quoted(line: &[u8], mut at: usize, words: &mut Vec<u8>) -> Result<usize, ()> {
    loop {
        match line.get(at..).unwrap_or_default() {
            [b'\\', b'\'', ..] => {
                words.push(b'\'');
                at += 2;
            }
            [b'\'', rest @ ..] => return end_of_quotes(rest, at + 1),
            [plain, ..] => {
                words.push(*plain);
                at += 1;
            }
            [] => return Err(()),
        }
    }
}

fn end_of_quotes(rest: &[u8], at: usize) -> Result<usize, ()> {
    match rest.first() {
        Some(&byte) if !is_space(byte) => Err(()),
        _ => Ok(at),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12)
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn words(line: &str) -> Option<Vec<String>> {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut bytes, &mut ranges).ok()?;
        Some(ranges.into_iter().map(|range| String::from_utf8_lossy(&bytes[range]).into_owned()).collect())
    }

    #[test]
    fn words_and_quotes_are_taken_apart() {
        assert_eq!(words("  PING  hello ").expect("words"), ["PING", "hello"]);
        assert_eq!(words(r#"SET "a b\x41\n" 'it\'s'"#).expect("words"), ["SET", "a bA\n", "it's"]);
        assert_eq!(words(r#"SET a"b" "" "#).expect("words"), ["SET", "ab", ""]);
        assert_eq!(words("").expect("nothing"), [] as [&str; 0]);
        assert_eq!(words("\"open"), None);
        assert_eq!(words("'open"), None);
        assert_eq!(words("\"a\"b"), None);
    }
}
