//! The message arena of one shard: every message is a record in a block, reached through a slot.
//!
//! ```text
//!   MessageRef ─▶ slot {block, offset, lengths, refs, chunks} ─▶ block │slot│bytes│terms│address│header│body│…
//!                                                     └────────▶ chunks: counted slices of receive blocks
//! ```
//! Read first: [`Arena::insert`] and [`Arena::release`]. Blocks are filled from front to back and never edited;
//! a sealed block is given back when its last message leaves, or when [`Arena::compact`] has moved the few
//! survivors (only the slot changes, so nobody notices).
//!
//! Invariants: `live` of a block is the sum of the records whose slot points into it; a slot with `refs` 0 is
//! free; the head of a record names the slot that it was written for, which is how compaction finds survivors.

mod chunks;
mod coarse_time;
mod paged;
mod slots;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::limits::{ARENA_BLOCK_BYTES, ARENA_SPARE_BLOCKS};
use leveret_model::{Body, Instant, Message, Terms};

use self::chunks::Chunks;
use self::coarse_time::CoarseTime;
pub use self::paged::PageOut;
use self::slots::{NO_CHUNKS, OWNER, Slot, Slots};

/// Bytes in front of each record: its slot and its length, head included, little endian; the message's terms.
const RECORD_HEAD_BYTES: usize = 8 + Terms::BYTES;
/// A sealed block with less than this share alive is emptied by compaction.
const SPARSE_PERCENT: usize = 25;

/// A message in the arena. Valid while it is retained; the arena does not guard against later use of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageRef(u32);

/// Where a block is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No bytes; the index may be used again.
    Vacant,
    /// Being filled; there is exactly one.
    Open,
    /// Full.
    Sealed,
    /// Sealed, with few survivors: listed for compaction.
    Sparse,
}

#[derive(Debug)]
struct Block {
    /// Filled up to `used`; what lies behind is of no meaning.
    bytes: Vec<u8>,
    used: usize,
    /// Bytes of records that somebody refers to.
    live: usize,
    /// With fewer live bytes there is something to do ([`Arena::on_thin`]).
    thin_below: usize,
    phase: Phase,
}

impl Block {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.thin_below = match phase {
            Phase::Vacant => 0,
            Phase::Open | Phase::Sparse => 1,
            Phase::Sealed => self.bytes.len() * SPARSE_PERCENT / 100,
        };
    }

    fn opened(bytes: Vec<u8>) -> Self {
        Self { bytes, used: 0, live: 0, thin_below: 1, phase: Phase::Open }
    }
}

/// The messages of one shard.
#[derive(Debug)]
pub struct Arena {
    slots: Slots,
    blocks: Vec<Block>,
    open: u32,
    /// Indices of vacant blocks.
    vacant: Vec<u32>,
    /// Empty blocks kept for reuse, so that a steady flow neither maps nor faults.
    spare: Vec<Vec<u8>>,
    /// Blocks that were sparse when they were listed, oldest first.
    sparse: VecDeque<u32>,
    chunks: Chunks,
    /// Capacity of all blocks and spares.
    block_bytes: u64,
    /// Messages whose bytes are on the disk alone.
    paged: u64,
    now: CoarseTime,
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Arena {
    /// An empty arena; the first block comes with the first message.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: Slots::new(),
            blocks: vec![Block::opened(Vec::new())],
            open: 0,
            vacant: Vec::new(),
            spare: Vec::new(),
            sparse: VecDeque::new(),
            chunks: Chunks::default(),
            block_bytes: 0,
            paged: 0,
            now: CoarseTime::default(),
        }
    }

    /// Messages come at this time from now on. hot: once a turn.
    #[inline]
    pub fn begin_turn(&mut self, now: Instant) {
        self.now = CoarseTime::of(now);
    }

    /// For how long a message has been here, to 17 ms.
    #[must_use]
    pub fn age(&self, message: MessageRef) -> Duration {
        self.now.since(self.slots.at(message.0).came)
    }

    /// Keeps a message for `refs` owners (at least one). hot: copies the three pieces one behind the other.
    pub fn insert(&mut self, message: &Message<'_>, refs: u32) -> MessageRef {
        assert!(refs > 0, "a message without an owner would never leave");
        let Message { address, header, body, terms } = *message;
        let (flat, chunks) = match body {
            Body::Flat(bytes) => (bytes, NO_CHUNKS),
            Body::Chunks(list) => (&[][..], self.chunks.keep(list)),
        };
        let record_bytes = RECORD_HEAD_BYTES + address.len() + header.len() + flat.len();
        let block = self.open_with_room(record_bytes);
        let open = &mut self.blocks[block as usize];
        let index = self.slots.take(Slot {
            block,
            offset: open.used as u32,
            record_bytes: record_bytes as u32,
            header_bytes: header.len() as u32,
            address_bytes: address.len() as u32,
            chunks,
            refs,
            came: self.now,
        });
        let record = &mut open.bytes[open.used..][..record_bytes];
        open.used += record_bytes;
        open.live += record_bytes;
        fill(record, (index, terms), [address, header, flat]);
        MessageRef(index)
    }

    /// The message. hot.
    ///
    /// # Panics
    /// Its bytes are on the disk alone ([`Arena::is_paged_out`]).
    #[must_use]
    #[inline(always)]
    pub fn get(&self, message: MessageRef) -> Message<'_> {
        let slot = self.slots.at(message.0);
        let bytes = &self.blocks[slot.block as usize].bytes;
        let (start, end) = (slot.offset as usize, slot.offset as usize + slot.record_bytes as usize);
        let (head, rest) =
            bytes[start..end].split_first_chunk::<RECORD_HEAD_BYTES>().expect("written by insert");
        let terms = Terms::trusted(*head.last_chunk().expect("a head has its terms"));
        let (address, rest) = rest.split_at(slot.address_bytes as usize);
        let (header, flat) = rest.split_at(slot.header_bytes as usize);
        let body = if slot.chunks == NO_CHUNKS {
            Body::Flat(flat)
        } else {
            Body::Chunks(self.chunks.list(slot.chunks))
        };
        Message { address, header, body, terms }
    }

    /// More owners for a message.
    pub fn retain(&mut self, message: MessageRef, more: u32) {
        self.slots.at_mut(message.0).refs += more;
    }

    /// An owner less; without any the message leaves. hot.
    #[inline(always)]
    pub fn release(&mut self, message: MessageRef) {
        self.release_one::<OWNER>(message);
    }

    /// hot.
    #[inline(always)]
    fn release_one<const ONE: u32>(&mut self, message: MessageRef) {
        let Some((index, record_bytes, chunks)) = self.slots.release::<ONE>(message.0) else { return };
        if chunks != NO_CHUNKS && !self.drop_apart(chunks) {
            return;
        }
        self.drop_record(index, record_bytes);
    }

    /// hot.
    #[inline(always)]
    fn drop_record(&mut self, index: u32, record_bytes: u32) {
        let block = &mut self.blocks[index as usize];
        block.live -= record_bytes as usize;
        if block.live < block.thin_below {
            self.on_thin(index);
        }
    }

    /// Bytes that the arena takes: blocks with their unused room, slots, and chunks. What the memory bound
    /// counts.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        self.block_bytes + self.slots.bytes_held() + self.chunks.bytes()
    }

    /// Of that, bodies that may lie in blocks with others.
    #[must_use]
    pub fn bytes_in_blocks(&self) -> u64 {
        self.chunks.bytes_in_blocks()
    }

    /// Copies bodies out of the blocks that they came in, about `budget_bytes` of them: a slice of 4 KiB holds
    /// a whole block, so messages that stay would hold the memory of all that came and went with them. True if
    /// there are more.
    pub fn own_chunks(&mut self, budget_bytes: usize) -> bool {
        self.chunks.own(budget_bytes)
    }

    /// Messages in the arena.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.slots.taken()
    }

    /// Empties sparse blocks by moving their survivors until about `budget_bytes` were looked at, so that one
    /// old message pins no block for ever; gives spare blocks back to the allocator that a smaller arena does
    /// not need.
    pub fn compact(&mut self, budget_bytes: usize) {
        let mut looked_at = 0;
        while looked_at < budget_bytes {
            let Some(index) = self.sparse.pop_front() else { break };
            // an entry is stale when the block was vacated after it was listed
            if self.blocks[index as usize].phase == Phase::Sparse {
                looked_at += self.blocks[index as usize].used;
                self.move_survivors(index);
            }
        }
        while self.spare.len() > self.spares_wanted()
            && let Some(bytes) = self.spare.pop()
        {
            self.block_bytes -= bytes.len() as u64;
        }
        self.slots.trim();
    }

    /// The open block, which has room for `bytes` more.
    #[inline]
    fn open_with_room(&mut self, bytes: usize) -> u32 {
        let open = &self.blocks[self.open as usize];
        if open.bytes.len() - open.used < bytes {
            self.open_another(bytes);
        }
        self.open
    }

    #[cold]
    fn open_another(&mut self, bytes_min: usize) {
        let sealed = self.open;
        let block = &mut self.blocks[sealed as usize];
        block.enter(Phase::Sealed);
        if block.live == 0 || block.live < block.thin_below {
            self.on_thin(sealed);
        }
        let bytes = match self.spare.pop() {
            Some(spare) if bytes_min <= ARENA_BLOCK_BYTES => spare,
            unused => {
                self.spare.extend(unused);
                // a record larger than a block gets one of its own
                let fresh = vec![0; bytes_min.max(ARENA_BLOCK_BYTES)];
                self.block_bytes += fresh.len() as u64;
                fresh
            }
        };
        self.open = if let Some(index) = self.vacant.pop() {
            self.blocks[index as usize] = Block::opened(bytes);
            index
        } else {
            self.blocks.push(Block::opened(bytes));
            (self.blocks.len() - 1) as u32
        };
    }

    /// A block has fewer live bytes than its phase asks for.
    #[inline(never)]
    fn on_thin(&mut self, index: u32) {
        let block = &mut self.blocks[index as usize];
        match block.phase {
            // the same, warm bytes are filled again
            Phase::Open => block.used = 0,
            Phase::Sealed | Phase::Sparse if block.live == 0 => self.vacate(index),
            Phase::Sealed => {
                block.enter(Phase::Sparse);
                self.sparse.push_back(index);
            }
            Phase::Sparse | Phase::Vacant => {}
        }
    }

    /// Takes the bytes of a block without live records.
    fn vacate(&mut self, index: u32) {
        let block = &mut self.blocks[index as usize];
        debug_assert_eq!(block.live, 0);
        block.enter(Phase::Vacant);
        let bytes = core::mem::take(&mut block.bytes);
        self.vacant.push(index);
        self.keep_spare(bytes);
    }

    fn keep_spare(&mut self, bytes: Vec<u8>) {
        if bytes.len() == ARENA_BLOCK_BYTES && self.spare.len() < self.spares_wanted() {
            self.spare.push(bytes);
        } else {
            self.block_bytes -= bytes.len() as u64;
        }
    }

    /// A few, and more where many are in use: a backlog that breathes must not map and unmap with each breath.
    fn spares_wanted(&self) -> usize {
        ARENA_SPARE_BLOCKS + (self.blocks.len() - self.vacant.len()) / 8
    }

    #[cold]
    fn move_survivors(&mut self, index: u32) {
        let block = &mut self.blocks[index as usize];
        let (from, used) = (core::mem::take(&mut block.bytes), block.used);
        let mut offset = 0;
        while let Some((slot_index, record_bytes)) = record_head(&from[offset..used]) {
            let slot = self.slots.if_taken(slot_index);
            // a dead record may name a slot that serves another message by now
            if slot.is_some_and(|slot| slot.block == index && slot.offset as usize == offset) {
                let to = self.open_with_room(record_bytes);
                let open = &mut self.blocks[to as usize];
                let slot = self.slots.at_mut(slot_index);
                slot.block = to;
                slot.offset = open.used as u32;
                open.bytes[open.used..][..record_bytes].copy_from_slice(&from[offset..][..record_bytes]);
                open.used += record_bytes;
                open.live += record_bytes;
            }
            offset += record_bytes;
        }
        // only now may the index be used again: the check above relies on it
        let block = &mut self.blocks[index as usize];
        block.live = 0;
        block.bytes = from;
        self.vacate(index);
    }
}

/// Writes the record of a slot. hot.
#[inline(always)]
fn fill(record: &mut [u8], (index, terms): (u32, Terms), [address, header, flat]: [&[u8]; 3]) {
    let record_bytes = record.len() as u64;
    let (head, record) = record.split_first_chunk_mut::<RECORD_HEAD_BYTES>().expect("room for the head");
    head[..8].copy_from_slice(&(u64::from(index) | record_bytes << 32).to_le_bytes());
    head[8..].copy_from_slice(&terms.to_bytes());
    let (place, record) = record.split_at_mut(address.len());
    place.copy_from_slice(address);
    let (place, record) = record.split_at_mut(header.len());
    place.copy_from_slice(header);
    record.copy_from_slice(flat);
}

/// Slot and length of the record at the front, if there is one.
fn record_head(bytes: &[u8]) -> Option<(u32, usize)> {
    let head = u64::from_le_bytes(*bytes.first_chunk()?);
    Some((head as u32, (head >> 32) as usize))
}
