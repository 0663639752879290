//! Reading and writing the elementary types of AMQP 0-9-1 §4.2.5, all big-endian.

use alloc::vec::Vec;

use leveret_model::SHORT_STRING_BYTES_MAX;

use crate::field::Table;

/// Takes values from the front of some bytes; `None` when they end too early.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(front)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*front)
    }

    pub(crate) fn octet(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn longlong(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn shortstr(&mut self) -> Option<&'a [u8]> {
        let len = self.octet()?;
        self.slice(usize::from(len))
    }

    pub(crate) fn longstr(&mut self) -> Option<&'a [u8]> {
        let len = self.long()?;
        self.slice(usize::try_from(len).ok()?)
    }

    /// Its length is checked, its content is not: see [`Table::validate`].
    pub(crate) fn table(&mut self) -> Option<Table<'a>> {
        self.longstr().map(Table)
    }
}

pub(crate) fn put_octet(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

pub(crate) fn put_short(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_long(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_longlong(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Bytes past 255 are cut, at a UTF-8 boundary: a long reply text must not become a broken frame.
pub(crate) fn put_shortstr(out: &mut Vec<u8>, value: &[u8]) {
    let mut len = value.len();
    if len > SHORT_STRING_BYTES_MAX {
        len = SHORT_STRING_BYTES_MAX;
        // a continuation byte is 10xxxxxx, and a character has at most three of them
        let continues = |at: usize| value[at] & 0xC0 == 0x80;
        let boundary = (len - 3..=len).rev().find(|&at| !continues(at));
        len = boundary.unwrap_or(len);
    }
    out.push(len as u8);
    out.extend_from_slice(&value[..len]);
}

/// Bytes past 2^32 - 1 are cut: the wire cannot carry them.
pub(crate) fn put_longstr(out: &mut Vec<u8>, value: &[u8]) {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    put_long(out, len);
    out.extend_from_slice(&value[..len as usize]);
}

pub(crate) fn put_table(out: &mut Vec<u8>, value: Table<'_>) {
    put_longstr(out, value.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec;

    #[test]
    fn a_short_string_that_is_too_long_is_cut_between_characters() {
        for pad in 0..4 {
            let mut text: String = "x".repeat(250 + pad);
            text.push_str("€€€€");
            let mut out = vec![];
            put_shortstr(&mut out, text.as_bytes());
            assert_eq!(usize::from(out[0]), out.len() - 1);
            assert!(core::str::from_utf8(&out[1..]).is_ok());
            assert!(out.len() > 252);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_at_the_limit() {
        let mut out = vec![];
        put_shortstr(&mut out, &[0x80; 300]);
        assert_eq!((out[0], out.len()), (255, 256));
    }

    #[test]
    fn a_string_that_runs_past_its_bytes_is_none() {
        assert_eq!(Reader::new(&[3, b'a', b'b']).shortstr(), None);
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).longstr(), None);
    }
}
