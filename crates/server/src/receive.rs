//! Receive blocks: sockets of one thread read into them one behind the other.
//!
//! A small message is copied out of the block, a large body stays in it as a counted slice. A block that nobody
//! counts on is used again from its start.
//!
//! Why `unsafe` (one line): a read must not pay for zeroing what it is about to fill, and `BytesMut` has no
//! safe way to take the length that the kernel filled. The length set is the one that `read` returned for this
//! very memory.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use bytes::{Bytes, BytesMut};
use leveret_model::limits::{RECEIVE_BLOCK_BYTES, RECEIVE_ROOM_BYTES_MIN};
use rustix::io::Errno;

use crate::held_blocks::HeldBlocks;

/// The block of a thread.
#[derive(Debug, Default)]
pub(crate) struct ReceiveBlock {
    block: BytesMut,
    /// Of the block when it was new.
    size: usize,
    /// Those that were full before.
    pub(crate) held: HeldBlocks,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum Received {
    /// Bytes, with what was left over from before in front.
    Bytes {
        /// All of them.
        bytes: Bytes,
        /// The socket gave less than there was room for: it has no more for now.
        drained: bool,
    },
    /// Nothing now.
    Nothing,
    /// The peer is gone.
    End,
}

impl ReceiveBlock {
    /// Reads once, behind what was left over from the last read of this socket; at most `most` bytes. hot.
    pub(crate) fn read(&mut self, socket: impl AsFd, leftover: &[u8], most: usize) -> io::Result<Received> {
        let wanted = leftover.len() + RECEIVE_ROOM_BYTES_MIN.min(most);
        self.block.clear();
        if self.block.capacity() < wanted && !self.block.try_reclaim(wanted) {
            let fresh = BytesMut::with_capacity(RECEIVE_BLOCK_BYTES.max(wanted));
            let size = std::mem::replace(&mut self.size, fresh.capacity());
            self.held.leave(std::mem::replace(&mut self.block, fresh), size);
        }
        self.block.extend_from_slice(leftover);
        Ok(match fill(socket, &mut self.block, most)? {
            Filled::More { drained } => Received::Bytes { bytes: self.block.split().freeze(), drained },
            Filled::Nothing => Received::Nothing,
            Filled::End => Received::End,
        })
    }
}

/// What a read into a buffer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Bytes, behind what was there.
    More {
        /// The socket gave less than there was room for: it has no more for now.
        drained: bool,
    },
    /// Nothing now.
    Nothing,
    /// The peer is gone.
    End,
}

/// Reads once behind what is in `buffer`, into the room that it has, at most `most` bytes. hot.
pub(crate) fn fill(socket: impl AsFd, buffer: &mut BytesMut, most: usize) -> io::Result<Filled> {
    let spare = buffer.spare_capacity_mut();
    let room = spare.len().min(most);
    let count = match rustix::io::read(socket, &mut spare[..room]) {
        Ok((filled, _)) => filled.len(),
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Filled::Nothing),
        Err(error) => return Err(error.into()),
    };
    if count == 0 {
        return Ok(Filled::End);
    }
    let len = buffer.len() + count;
    // SAFETY: `read` has just initialised `count` bytes at the start of the spare capacity, which is at least
    // that long.
    unsafe { buffer.set_len(len) };
    Ok(Filled::More { drained: count < room })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, UnixStream) {
        let (a, b) = UnixStream::pair().unwrap();
        b.set_nonblocking(true).unwrap();
        (a, b)
    }

    #[test]
    fn a_read_comes_behind_what_was_left_over() {
        let (mut from, to) = pair();
        from.write_all(b"world").unwrap();
        let mut block = ReceiveBlock::default();
        let Received::Bytes { bytes, drained } = block.read(&to, b"hello ", 1000).unwrap() else { panic!() };
        assert_eq!(&bytes[..], b"hello world");
        assert!(drained);
        assert!(matches!(block.read(&to, b"", 1000).unwrap(), Received::Nothing));
        drop(from);
        assert!(matches!(block.read(&to, b"", 1000).unwrap(), Received::End));
    }

    #[test]
    fn a_slice_that_is_kept_is_not_written_over() {
        let (mut from, to) = pair();
        let mut block = ReceiveBlock::default();
        let mut kept = Vec::new();
        for round in 0..200u8 {
            from.write_all(&[round; 4096]).unwrap();
            let Received::Bytes { bytes, .. } = block.read(&to, b"", 4096).unwrap() else { panic!() };
            if round % 3 == 0 {
                kept.push((round, bytes.slice(10..4000)));
            }
        }
        assert!(kept.iter().all(|(round, bytes)| bytes.iter().all(|byte| byte == round)));
    }

    #[test]
    fn a_block_that_nobody_counts_on_is_used_again() {
        let (mut from, to) = pair();
        let mut block = ReceiveBlock::default();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..100 {
            from.write_all(&[7; 30_000]).unwrap();
            let Received::Bytes { bytes, .. } = block.read(&to, b"", 30_000).unwrap() else { panic!() };
            places.insert(bytes.as_ptr() as usize);
        }
        assert!(places.len() <= 8, "{} places", places.len());
    }

    #[test]
    fn a_read_is_bounded() {
        let (mut from, to) = pair();
        from.write_all(&[1; 5000]).unwrap();
        let mut block = ReceiveBlock::default();
        let Received::Bytes { bytes, drained } = block.read(&to, b"", 2000).unwrap() else { panic!() };
        assert_eq!(bytes.len(), 2000);
        assert!(!drained);
    }
}
