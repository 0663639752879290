//! Bytes to arguments: arrays of bulk strings, or inline lines.
//!
//! The decoder remembers how far it has come in a command that is not complete, so a long one is looked at
//! once however many pieces it comes in. It keeps no bytes: arguments are places in the receive block, up to
//! the end of the command. Redis 7.0 (`processMultibulkBuffer`) does not look at the byte behind a carriage
//! return, nor do we.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use leveret_model::limits;
use leveret_model::session::ByteList;

use crate::arguments::parse_integer;
use crate::inline;

/// What the front of the receive block holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Not yet a whole command.
    More,
    /// A whole command of so many bytes: see [`Decoder::arguments`], then [`Decoder::next`].
    Command(usize),
    /// So many bytes that mean nothing (an empty line, an array without elements).
    Nothing(usize),
    /// No RESP: this is said and the connection ends.
    Garbage(Vec<u8>),
}

/// How far the command at the front has been read.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Where each argument lies: in the receive block, or in `words` for an inline command.
    ranges: Vec<Range<usize>>,
    /// Arguments that are still to come; `None` before the count has been read.
    missing: Option<usize>,
    /// The next byte to look at.
    at: usize,
    /// Length of the argument that is being read, once known.
    length: Option<usize>,
    /// Bytes of all arguments so far.
    bytes: usize,
    /// Words of an inline command, quotes resolved.
    words: Vec<u8>,
    inline: bool,
}

/// What is allowed now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// After the login, or without one where none is needed.
    pub(crate) logged_in: bool,
}

impl Decoder {
    /// Reads on in `block`, which begins with the command at hand. hot.
    pub(crate) fn on_bytes(&mut self, block: &[u8], allowed: Allowed) -> Decoded {
        let mut missing = match self.missing {
            Some(missing) => missing,
            None => match block.first() {
                None => return Decoded::More,
                Some(b'*') => match self.count(block, allowed) {
                    Ok(missing) => missing,
                    Err(decoded) => return decoded,
                },
                Some(_) => return self.line(block),
            },
        };
        while missing > 0 {
            if let Err(decoded) = self.argument(block, allowed) {
                self.missing = Some(missing);
                return decoded;
            }
            missing -= 1;
        }
        Decoded::Command(self.at)
    }

    /// Begins with the next command: the bytes of the last one have been taken off the block.
    pub(crate) fn next(&mut self) {
        self.ranges.clear();
        self.words.clear();
        self.missing = None;
        self.length = None;
        self.at = 0;
        self.bytes = 0;
        self.inline = false;
    }

    /// The arguments of a whole command. hot.
    pub(crate) fn arguments<'a>(&'a self, block: &'a [u8]) -> Arguments<'a> {
        Arguments { block: if self.inline { &self.words } else { block }, ranges: &self.ranges }
    }

    /// Bytes that are needed before it is worth looking again: a large argument comes in many pieces.
    pub(crate) fn wanted(&self) -> usize {
        self.at + self.length.map_or(0, |length| length + 2)
    }

    fn count(&mut self, block: &[u8], allowed: Allowed) -> Result<usize, Decoded> {
        let digits = number_line(block, 1, "too big mbulk count string")?;
        let behind = digits.end + 2;
        let count = parse_integer(&block[digits])
            .filter(|&count| count <= limits::RESP_ARGUMENTS_MAX as i64)
            .ok_or_else(|| garbage("invalid multibulk length"))?;
        if count > limits::RESP_ARGUMENTS_MAX_BEFORE_LOGIN as i64 && !allowed.logged_in {
            return Err(garbage("unauthenticated multibulk length"));
        }
        if count <= 0 {
            return Err(Decoded::Nothing(behind));
        }
        self.at = behind;
        self.missing = Some(count as usize);
        Ok(count as usize)
    }

    /// One more argument. hot.
    fn argument(&mut self, block: &[u8], allowed: Allowed) -> Result<(), Decoded> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(&kind) = block.get(self.at) else { return Err(Decoded::More) };
                let digits = number_line(block, self.at + 1, "too big bulk count string")?;
                if kind != b'$' {
                    let mut text = b"Protocol error: expected '$', got '".to_vec();
                    text.extend([kind, b'\'']);
                    return Err(Decoded::Garbage(text));
                }
                let behind = digits.end + 2;
                let length = parse_integer(&block[digits])
                    .and_then(|length| usize::try_from(length).ok())
                    .filter(|&length| length <= limits::SESSION_BYTES_CEILING)
                    .filter(|&length| self.bytes + length <= limits::RESP_COMMAND_BYTES_MAX)
                    .ok_or_else(|| garbage("invalid bulk length"))?;
                if length > limits::RESP_ARGUMENT_BYTES_MAX_BEFORE_LOGIN && !allowed.logged_in {
                    return Err(garbage("unauthenticated bulk length"));
                }
                self.at = behind;
                self.length = Some(length);
                length
            }
        };
        if block.len() < self.at + length + 2 {
            return Err(Decoded::More);
        }
        self.ranges.push(self.at..self.at + length);
        self.at += length + 2;
        self.bytes += length;
        self.length = None;
        Ok(())
    }

    fn line(&mut self, block: &[u8]) -> Decoded {
        let window = &block[..block.len().min(limits::RESP_LINE_BYTES_MAX + 1)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            return if block.len() > limits::RESP_LINE_BYTES_MAX {
                garbage("too big inline request")
            } else {
                Decoded::More
            };
        };
        let line = block[..end].strip_suffix(b"\r").unwrap_or(&block[..end]);
        if inline::split(line, &mut self.words, &mut self.ranges).is_err() {
            return garbage("unbalanced quotes in request");
        }
        if self.ranges.is_empty() {
            return Decoded::Nothing(end + 1);
        }
        if self.ranges.len() > limits::RESP_ARGUMENTS_MAX {
            return garbage("too big inline request");
        }
        self.inline = true;
        Decoded::Command(end + 1)
    }
}

/// The digits from `from` to the carriage return, once one more byte is there. hot.
fn number_line(block: &[u8], from: usize, too_long: &str) -> Result<Range<usize>, Decoded> {
    let rest = block.get(from..).unwrap_or_default();
    let window = &rest[..rest.len().min(limits::RESP_LINE_BYTES_MAX + 1)];
    match memchr::memchr(b'\r', window) {
        Some(end) if rest.len() >= end + 2 => Ok(from..from + end),
        Some(_) => Err(Decoded::More),
        None if rest.len() > limits::RESP_LINE_BYTES_MAX => Err(garbage(too_long)),
        None => Err(Decoded::More),
    }
}

fn garbage(what: &str) -> Decoded {
    Decoded::Garbage(format!("Protocol error: {what}").into_bytes())
}

/// The arguments of one command, its name first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    block: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Arguments<'a> {
    /// From where they lie in `block`.
    pub(crate) fn new(block: &'a [u8], ranges: &'a [Range<usize>]) -> Self {
        Self { block, ranges }
    }

    /// How many, the name among them; never 0.
    pub(crate) fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Argument `at`; empty past the last one.
    pub(crate) fn get(&self, at: usize) -> &'a [u8] {
        self.ranges.get(at).map_or(&[], |range| &self.block[range.clone()])
    }

    /// Those from `from` on, for a command on a key.
    pub(crate) fn list_from(&self, from: usize) -> ByteList<'a> {
        ByteList::Ranges { block: self.block, ranges: self.ranges.get(from..).unwrap_or_default() }
    }

    /// Those from `from` on.
    pub(crate) fn from(&self, from: usize) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let block = self.block;
        self.ranges.get(from..).unwrap_or_default().iter().map(move |range| &block[range.clone()])
    }
}

#[cfg(test)]
mod tests;
