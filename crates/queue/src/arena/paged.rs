//! Messages whose bytes are on the disk alone: of each the slot stays, so whoever refers to it need not know.
//!
//! ```text
//!   here ──page_out──▶ paged out ──page_in──▶ here
//!                          └──────lose──────▶ lost: the disk could not give it back
//! ```
//! A message may go when no store has yet to read or sync it ([`Arena::hold`]). One that several queues have
//! is split: the queue that pages it out gets a slot of its own, and the bytes go with the last of them.
//!
//! Invariants: the slot of a message that is paged out points into no block; nobody looks at it with
//! [`Arena::get`].

use bytes::Bytes;
use leveret_model::{Body, Message, Terms};

use super::slots::{FREE, HOLD, NO_CHUNKS, OWNER, Slot};
use super::{Arena, MessageRef, RECORD_HEAD_BYTES, fill};

/// [`Slot::chunks`] of a message whose bytes are on the disk alone.
const PAGED: u32 = NO_CHUNKS - 1;
/// [`Slot::chunks`] of one that the disk could not give back. All that is not here is from this value on.
const LOST: u32 = NO_CHUNKS - 2;
/// [`Slot::block`] of both: no block has this number.
const NO_BLOCK: u32 = u32::MAX;

/// What became of a message that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PageOut {
    /// Its owner has this one from now on; so many bytes of memory are free.
    Done(MessageRef, u64),
    /// A store has it not yet.
    Unstored,
    /// It is transient, or was paged out before.
    Stays,
}

impl Slot {
    /// Of a message that is paged out: what is asked of it meanwhile lies where its place would be.
    fn paged(&self, message: &Message<'_>) -> Self {
        let terms = u64::from_le_bytes(message.terms.to_bytes());
        Self {
            block: NO_BLOCK,
            offset: message.body.len() as u32,
            record_bytes: terms as u32,
            header_bytes: (terms >> 32) as u32,
            address_bytes: (message.address.len() + message.header.len()) as u32,
            chunks: PAGED,
            refs: OWNER,
            came: self.came,
        }
    }

    fn is_apart(&self) -> bool {
        self.chunks != NO_CHUNKS && self.chunks >= LOST
    }
}

impl Arena {
    /// A store is about to read the message, for one of its queues. hot.
    #[inline]
    pub fn hold(&mut self, message: MessageRef) {
        self.slots.at_mut(message.0).refs += HOLD;
    }

    /// The store has it for that queue.
    pub fn unhold(&mut self, message: MessageRef) {
        self.release_one::<HOLD>(message);
    }

    /// The bytes of a message go, for one of its owners, whose queue has it on the disk if no store holds it.
    pub fn page_out(&mut self, message: MessageRef) -> PageOut {
        let slot = *self.slots.at(message.0);
        if slot.is_apart() || !self.terms(message).persistent() {
            return PageOut::Stays;
        }
        if slot.refs >= HOLD {
            return PageOut::Unstored;
        }
        let paged = slot.paged(&self.get(message));
        self.paged += 1;
        if slot.refs > OWNER {
            self.slots.at_mut(message.0).refs -= OWNER;
            return PageOut::Done(MessageRef(self.slots.take(paged)), 0);
        }
        let mut bytes = u64::from(slot.record_bytes);
        if slot.chunks != NO_CHUNKS {
            bytes += u64::from(paged.offset);
            self.chunks.drop_set(slot.chunks);
        }
        *self.slots.at_mut(message.0) = paged;
        self.drop_record(slot.block, slot.record_bytes);
        PageOut::Done(message, bytes)
    }

    /// The bytes of a message that came from the disk for one look go again, if they are its only owner's.
    pub fn page_back_out(&mut self, message: MessageRef) {
        if self.slots.at(message.0).refs == OWNER {
            let _ = self.page_out(message);
        }
    }

    /// Keeps a message of the disk without its bytes, for one owner.
    pub fn insert_paged(&mut self, message: &Message<'_>) -> MessageRef {
        self.paged += 1;
        let slot = Slot { came: self.now, ..FREE }.paged(message);
        MessageRef(self.slots.take(slot))
    }

    /// The bytes of a message came from the disk, if it wants them still.
    pub fn page_in(&mut self, message: MessageRef, from_disk: &Message<'_>) {
        let slot = *self.slots.at(message.0);
        if slot.chunks != PAGED {
            return;
        }
        let terms = self.terms(message);
        let Message { address, header, body, .. } = *from_disk;
        let (flat, chunks) = match body {
            Body::Flat(bytes) => (bytes, NO_CHUNKS),
            // memory of its own: what it came in holds others too
            Body::Chunks(list) => (&[][..], self.chunks.keep_owned(Bytes::from(list.concat()))),
        };
        let record_bytes = RECORD_HEAD_BYTES + address.len() + header.len() + flat.len();
        let block = self.open_with_room(record_bytes);
        let open = &mut self.blocks[block as usize];
        let offset = open.used as u32;
        fill(&mut open.bytes[open.used..][..record_bytes], (message.0, terms), [address, header, flat]);
        open.used += record_bytes;
        open.live += record_bytes;
        *self.slots.at_mut(message.0) = Slot {
            block,
            offset,
            record_bytes: record_bytes as u32,
            header_bytes: header.len() as u32,
            address_bytes: address.len() as u32,
            chunks,
            ..slot
        };
        self.paged -= 1;
    }

    /// The disk could not give the message back.
    pub fn lose(&mut self, message: MessageRef) {
        let slot = self.slots.at_mut(message.0);
        if slot.chunks == PAGED {
            slot.chunks = LOST;
        }
    }

    /// Its bytes are not here.
    #[must_use]
    pub fn is_paged_out(&self, message: MessageRef) -> bool {
        self.slots.at(message.0).is_apart()
    }

    /// Nor will they ever be.
    #[must_use]
    pub fn is_lost(&self, message: MessageRef) -> bool {
        self.slots.at(message.0).chunks == LOST
    }

    /// What its publisher asked for, wherever its bytes are. hot.
    #[inline]
    #[must_use]
    pub fn terms(&self, message: MessageRef) -> Terms {
        let slot = self.slots.at(message.0);
        if slot.is_apart() {
            let terms = u64::from(slot.header_bytes) << 32 | u64::from(slot.record_bytes);
            return Terms::trusted(terms.to_le_bytes());
        }
        let at = slot.offset as usize + RECORD_HEAD_BYTES - Terms::BYTES;
        let terms = self.blocks[slot.block as usize].bytes[at..].first_chunk();
        Terms::trusted(*terms.expect("written by insert"))
    }

    /// Bytes of address, header and body, wherever they are.
    #[must_use]
    pub fn weight_bytes(&self, message: MessageRef) -> usize {
        let slot = self.slots.at(message.0);
        if slot.is_apart() {
            return slot.address_bytes as usize + slot.offset as usize;
        }
        self.get(message).weight_bytes()
    }

    /// Messages whose bytes are on the disk alone.
    #[must_use]
    pub fn paged_out(&self) -> u64 {
        self.paged
    }

    /// The last owner of a message left, whose body is apart from its record; false if there is no record.
    #[inline(never)]
    pub(super) fn drop_apart(&mut self, chunks: u32) -> bool {
        if chunks >= LOST {
            self.paged -= 1;
            return false;
        }
        self.chunks.drop_set(chunks);
        true
    }
}
