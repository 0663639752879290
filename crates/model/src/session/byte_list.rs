//! Byte strings of one command, wherever they lie: fields of `HSET`, options of `SESSION.COMMIT`.

use core::fmt;
use core::ops::Range;

/// Some byte strings, borrowed.
#[derive(Clone, Copy)]
pub enum ByteList<'a> {
    /// Where a connection received them.
    Ranges {
        /// What was received.
        block: &'a [u8],
        /// Where each lies in it.
        ranges: &'a [Range<usize>],
    },
    /// As they are kept and forwarded: of each its length, 4 bytes little-endian, and its bytes. Whoever takes
    /// them off a wire looks at them with [`ByteList::is_whole`] first.
    Encoded(&'a [u8]),
    /// One by one.
    Slices(&'a [&'a [u8]]),
}

impl<'a> ByteList<'a> {
    /// All of them, in order. hot.
    #[must_use]
    pub fn iter(self) -> ByteListIter<'a> {
        ByteListIter(self)
    }

    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Ranges { ranges, .. } => ranges.len(),
            Self::Encoded(_) => self.iter().count(),
            Self::Slices(slices) => slices.len(),
        }
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// False if an encoded list ends in the middle of a string.
    #[must_use]
    pub fn is_whole(self) -> bool {
        let Self::Encoded(bytes) = self else { return true };
        self.iter().map(|item| item.len() + 4).sum::<usize>() == bytes.len()
    }
}

/// See [`ByteList::iter`].
#[derive(Clone, Copy)]
pub struct ByteListIter<'a>(ByteList<'a>);

impl<'a> ByteListIter<'a> {
    /// Those that have not been given yet.
    #[must_use]
    pub fn rest(&self) -> ByteList<'a> {
        self.0
    }
}

impl<'a> Iterator for ByteListIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            ByteList::Ranges { block, ranges } => {
                let (first, rest) = ranges.split_first()?;
                *ranges = rest;
                block.get(first.clone())
            }
            ByteList::Encoded(bytes) => {
                let (length, rest) = bytes.split_first_chunk::<4>()?;
                let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                *bytes = rest;
                Some(item)
            }
            ByteList::Slices(slices) => {
                let (first, rest) = slices.split_first()?;
                *slices = rest;
                Some(first)
            }
        }
    }
}

impl PartialEq for ByteList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ByteList<'_> {}

impl fmt::Debug for ByteList<'_> {
    /// Values of sessions are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte strings", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_wherever_it_lies() {
        let ranges = [0..1, 1..1, 1..3];
        let received = ByteList::Ranges { block: b"abc", ranges: &ranges };
        let encoded = ByteList::Encoded(b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc");
        let slices = ByteList::Slices(&[b"a", b"", b"bc"]);
        assert_eq!(received, encoded);
        assert_eq!(encoded, slices);
        assert_eq!((received.len(), encoded.len(), slices.len()), (3, 3, 3));
        assert!(encoded.is_whole());
        assert!(!ByteList::Encoded(b"\x02\0\0\0a").is_whole());
        assert!(!ByteList::Encoded(b"\x02\0").is_whole());
    }
}
