//! What is to be written to a socket or a link: own bytes, and counted slices of blocks that others hold too.
//!
//! ```text
//!   own     ┌ written ┬───────────────────┬──────────────┐     shared  ┌ at 1 ┬ bytes ┐ ┌ at 2 ┬ bytes ┐ …
//!           └─────────┴───────────────────┴──────────────┘             └──────┴───────┘ └──────┴───────┘
//!                     ▲ front             ▲ at 1         ▲ at 2
//! ```
//! A shared slice stands in the stream at a place of the own bytes. Places count from the beginning of time, so
//! neither writing nor moving the own bytes down touches them. Invariants: places rise; none lies before the
//! front.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};
use leveret_model::limits::OUTPUT_SPENT_BYTES_MAX;

/// A list of chunks to be written, first in, first out.
#[derive(Debug, Default)]
pub struct Output {
    /// Own bytes; those before `front` are written.
    own: Vec<u8>,
    /// Index in `own` of the first byte that is not written.
    front: usize,
    /// Place of `own[0]`.
    base: u64,
    /// Slices and their places.
    shared: VecDeque<Shared>,
    /// Bytes in `shared`.
    shared_bytes: usize,
}

#[derive(Debug)]
struct Shared {
    at: u64,
    bytes: Bytes,
}

impl Output {
    /// An empty one; no memory is taken until bytes come.
    #[must_use]
    pub const fn new() -> Self {
        Self { own: Vec::new(), front: 0, base: 0, shared: VecDeque::new(), shared_bytes: 0 }
    }

    /// hot: the end of the own bytes, to append to (and nothing else).
    ///
    /// An output that never runs empty moves what is left down once more than half of the buffer is spent, so
    /// the buffer stays within twice what is waiting and `limits::OUTPUT_SPENT_BYTES_MAX`.
    #[inline]
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        if self.front > OUTPUT_SPENT_BYTES_MAX && self.front * 2 > self.own.len() {
            self.own.drain(..self.front);
            self.base += self.front as u64;
            self.front = 0;
        }
        &mut self.own
    }

    /// hot: appends a slice without copying it.
    pub fn push_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.shared_bytes += bytes.len();
        self.shared.push_back(Shared { at: self.base + self.own.len() as u64, bytes });
    }

    /// Bytes to be written.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len() - self.front + self.shared_bytes
    }

    /// True when all is written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// hot: fills in the first chunks and answers how many; none of them is empty. For a vectored write.
    pub fn chunks<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        let mut count = 0;
        for (slot, chunk) in out.iter_mut().zip(self.iter()) {
            *slot = chunk;
            count += 1;
        }
        count
    }

    /// All chunks from the front; none of them is empty.
    #[must_use]
    pub fn iter(&self) -> Chunks<'_> {
        Chunks { output: self, front: self.front, next_shared: 0 }
    }

    /// hot: drops so many bytes from the front: they are written. More than there are drop all.
    pub fn advance(&mut self, mut n: usize) {
        while let Some(shared) = self.shared.front_mut() {
            let before = ((shared.at - self.base) as usize) - self.front;
            if n < before {
                break;
            }
            self.front += before;
            n -= before;
            let taken = n.min(shared.bytes.len());
            shared.bytes.advance(taken);
            self.shared_bytes -= taken;
            n -= taken;
            if !shared.bytes.is_empty() {
                return;
            }
            self.shared.pop_front();
        }
        self.front = self.own.len().min(self.front + n);
        if self.front == self.own.len() && self.shared.is_empty() {
            self.base += self.own.len() as u64;
            self.own.clear();
            self.front = 0;
        }
    }

    /// Copies slices of blocks that others hold too, about `budget_bytes` of them; what is in memory of its own
    /// stays. Gives what was copied.
    pub fn own_slices(&mut self, budget_bytes: usize) -> usize {
        own_slices(self.shared.iter_mut().map(|shared| &mut shared.bytes), budget_bytes)
    }

    /// Gives the memory back if all is written: an idle connection holds no buffer.
    pub fn release_memory(&mut self) {
        if self.is_empty() {
            self.clear();
            self.own = Vec::new();
            self.shared = VecDeque::new();
        }
    }

    /// Takes the buffer, empty, if all is written: for another output to [`Output::adopt`].
    #[must_use]
    pub fn recycle(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.own.capacity() == 0 {
            return None;
        }
        self.clear();
        self.shared = VecDeque::new();
        Some(core::mem::take(&mut self.own))
    }

    /// Takes a buffer to write into if it has none; else `buffer` is dropped.
    pub fn adopt(&mut self, mut buffer: Vec<u8>) {
        if self.own.capacity() == 0 {
            buffer.clear();
            self.own = buffer;
        }
    }

    /// Memory that it takes: own bytes, written ones and spare included, and slices, each as if nobody else
    /// held it.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.own.capacity() + self.shared_bytes + self.shared.capacity() * size_of::<Shared>()
    }

    /// Memory held for own bytes, written ones and spare included.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// Drops everything that is not written.
    pub fn clear(&mut self) {
        self.base += self.own.len() as u64;
        self.own.clear();
        self.front = 0;
        self.shared.clear();
        self.shared_bytes = 0;
    }
}

/// Copies slices that others hold too, until about `budget_bytes` were copied. Gives how many were.
pub fn own_slices<'a>(slices: impl IntoIterator<Item = &'a mut Bytes>, budget_bytes: usize) -> usize {
    let mut copied = 0;
    for slice in slices.into_iter().filter(|slice| !slice.is_unique()) {
        if copied >= budget_bytes {
            break;
        }
        copied += slice.len();
        *slice = Bytes::copy_from_slice(slice);
    }
    copied
}

/// The chunks of an [`Output`], from the front.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    output: &'a Output,
    /// Index in the own bytes.
    front: usize,
    next_shared: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let shared = self.output.shared.get(self.next_shared);
        let end = shared.map_or(self.output.own.len(), |shared| (shared.at - self.output.base) as usize);
        if self.front < end {
            let chunk = &self.output.own[self.front..end];
            self.front = end;
            return Some(chunk);
        }
        self.next_shared += 1;
        shared.map(|shared| &shared.bytes[..])
    }
}

impl<'a> IntoIterator for &'a Output {
    type Item = &'a [u8];
    type IntoIter = Chunks<'a>;

    fn into_iter(self) -> Chunks<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
