//! Bodies that are kept as counted slices of the receive blocks that they came in.
//!
//! Invariant: `bytes` is the sum of all sets, contents and handles; `in_blocks` of those that are not owned.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

/// The chunks of one message.
#[derive(Debug)]
struct ChunkSet {
    list: Vec<Bytes>,
    /// Contents and handles.
    bytes: u64,
    /// In memory of its own, not in a block that others lie in too.
    owned: bool,
}

#[derive(Debug, Default)]
pub(super) struct Chunks {
    sets: Vec<ChunkSet>,
    free: Vec<u32>,
    bytes: u64,
    in_blocks: u64,
    /// Where [`Chunks::own`] goes on.
    next_to_own: usize,
}

impl Chunks {
    #[inline(never)]
    pub(super) fn keep(&mut self, list: &[Bytes]) -> u32 {
        let list = list.to_vec();
        let handles = list.capacity() * size_of::<Bytes>();
        let bytes = list.iter().map(|chunk| chunk.len() as u64).sum::<u64>() + handles as u64;
        self.bytes += bytes;
        self.in_blocks += bytes;
        self.put(ChunkSet { list, bytes, owned: false })
    }

    /// Keeps one piece of memory that is this body's alone.
    pub(super) fn keep_owned(&mut self, body: Bytes) -> u32 {
        let bytes = (body.len() + size_of::<Bytes>()) as u64;
        self.bytes += bytes;
        self.put(ChunkSet { list: vec![body], bytes, owned: true })
    }

    fn put(&mut self, set: ChunkSet) -> u32 {
        if let Some(index) = self.free.pop() {
            self.sets[index as usize] = set;
            index
        } else {
            self.sets.push(set);
            (self.sets.len() - 1) as u32
        }
    }

    /// hot.
    #[inline(always)]
    pub(super) fn list(&self, index: u32) -> &[Bytes] {
        &self.sets[index as usize].list
    }

    #[inline(never)]
    pub(super) fn drop_set(&mut self, index: u32) {
        let set = &mut self.sets[index as usize];
        self.bytes -= set.bytes;
        if !set.owned {
            self.in_blocks -= set.bytes;
        }
        *set = ChunkSet { list: Vec::new(), bytes: 0, owned: true };
        self.free.push(index);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Of those that may lie in blocks with others.
    pub(super) fn bytes_in_blocks(&self) -> u64 {
        self.in_blocks
    }

    /// Copies about so many bytes out of the blocks that they came in; true if there are more.
    pub(super) fn own(&mut self, budget_bytes: usize) -> bool {
        let mut copied = 0;
        while let Some(set) = self.sets.get_mut(self.next_to_own) {
            if copied >= budget_bytes {
                return true;
            }
            self.next_to_own += 1;
            if set.owned {
                continue;
            }
            let whole = set.list.concat();
            copied += whole.len();
            self.bytes -= set.bytes;
            self.in_blocks -= set.bytes;
            set.bytes = (whole.len() + size_of::<Bytes>()) as u64;
            self.bytes += set.bytes;
            set.list = vec![Bytes::from(whole)];
            set.owned = true;
        }
        self.next_to_own = 0;
        false
    }
}
