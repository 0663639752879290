//! Messages of a durable queue whose bytes are on the disk alone: which go, and which are wanted back.
//!
//! Read first: [`Queue::page_out`] and [`Queue::wanted`]. Entries stay as they are, whatever lies behind their
//! references; so every verb of a queue works on what is paged out, but for those that give a message away:
//! [`Queue::dispatch`] ends before it, and [`Queue::get_here`] says that it has to wait.
//!
//! Invariants: a queue with a message that is paged out is `paged`. What is next in line goes last, and what is
//! given away keeps the order, whether it waited or not.

use alloc::vec::Vec;

use leveret_model::limits::{PAGED_GAP_MAX, READ_AHEAD_BYTES, READ_AHEAD_MESSAGES};
use leveret_model::{ConsumerKey, Instant, Position};

use super::entry::Entry;
use super::room::{Room, WaitsForDisk};
use super::{Queue, Taken};
use crate::{Arena, MessageRef};

impl Queue {
    /// Some of its messages may be on the disk alone.
    #[inline]
    #[must_use]
    pub fn is_paged(&self) -> bool {
        self.paged
    }

    /// It was given messages that are on the disk alone.
    pub fn set_paged(&mut self) {
        self.paged = true;
    }

    /// The bytes of stored messages go until so many are free; at the front of the queue bodies of about
    /// `keep` bytes stay. Only for a durable queue whose store is asked for them later. Gives what is free.
    pub fn page_out(&mut self, wanted: u64, keep: u64, arena: &mut Arena) -> u64 {
        let mut room = Room::new(wanted, keep);
        self.ready.page_out_fresh(&mut room, arena);
        self.paged |= room.has_paged();
        room.freed()
    }

    /// The same of messages that came back, and of those that consumers hold.
    pub fn page_out_loose(&mut self, wanted: u64, arena: &mut Arena) -> u64 {
        let mut room = Room::new(wanted, 0);
        self.ready.page_out_returned(&mut room, arena);
        // the table's order shows in nothing but who is read again
        for held in self.unacked.values_mut() {
            if room.is_enough() {
                break;
            }
            room.page_out(&mut held.entry, arena);
        }
        self.paged |= room.has_paged();
        room.freed()
    }

    /// What is to be read of the disk so that what is next in line is here: rising places, or nothing if enough
    /// is here.
    #[must_use]
    pub fn wanted(&self, arena: &Arena) -> Vec<(Position, MessageRef)> {
        let mut wanted: Vec<(Position, MessageRef)> = Vec::new();
        if !self.paged {
            return wanted;
        }
        let (mut bytes, mut here) = (0, 0);
        for (position, entry) in self.line().take(READ_AHEAD_MESSAGES) {
            bytes += u64::from(entry.body_bytes);
            if arena.is_paged_out(entry.message) && !arena.is_lost(entry.message) {
                let far = |(last, _): &(Position, MessageRef)| {
                    position <= *last || position.0 - last.0 > PAGED_GAP_MAX
                };
                if wanted.last().is_some_and(far) {
                    break;
                }
                wanted.push((position, entry.message));
            } else if wanted.is_empty() {
                here = bytes;
            }
            if bytes >= READ_AHEAD_BYTES {
                break;
            }
        }
        if here >= READ_AHEAD_BYTES / 2 {
            wanted.clear();
        }
        wanted
    }

    /// What was wanted is here again up to a place.
    pub fn note_read(&mut self, through: Position) {
        self.ready.note_read(through);
    }

    /// `basic.get` as [`Queue::get`], of a queue that may be paged.
    ///
    /// # Errors
    /// [`WaitsForDisk`]: nothing was taken.
    pub fn get_here(
        &mut self,
        holder: &ConsumerKey,
        no_ack: bool,
        now: Instant,
        arena: &mut Arena,
    ) -> Result<Option<Taken>, WaitsForDisk> {
        self.enforce(now);
        if self.paged {
            self.drop_lost(arena);
            if self.front_waits(arena) {
                return Err(WaitsForDisk);
            }
        }
        Ok(self.take_for(holder, no_ack, now))
    }

    /// Ready messages in the order in which they go.
    fn line(&self) -> impl Iterator<Item = (Position, Entry)> + '_ {
        self.ready.plain().chain(self.ready.ruled().into_iter().flat_map(super::ruled::Ruled::line))
    }

    fn first(&self) -> Option<Entry> {
        self.line().next().map(|(_, entry)| entry)
    }

    /// The first message in line is to be read.
    pub(super) fn front_waits(&self, arena: &Arena) -> bool {
        let waits = |entry: Entry| arena.is_paged_out(entry.message) && !arena.is_lost(entry.message);
        self.first().is_some_and(waits)
    }

    /// How many messages of the plain row, up to `most`, can be given away.
    pub(super) fn plain_here(&mut self, most: usize, arena: &mut Arena) -> usize {
        self.drop_lost(arena);
        if arena.paged_out() == 0 || self.ready.len() == 0 && self.unacked.is_empty() {
            self.paged = false;
            return most;
        }
        self.ready.plain().take(most).take_while(|(_, entry)| !arena.is_paged_out(entry.message)).count()
    }

    /// What the disk could not give back leaves when it is first in line; the store has reported it.
    fn drop_lost(&mut self, arena: &mut Arena) {
        while self.first().is_some_and(|entry| arena.is_lost(entry.message)) {
            let taken = match self.ready.ruled_in_front() {
                None => self.ready.take_first().map(|(_, entry, _)| entry),
                Some(ruled) => ruled.take_first(false).map(|item| item.entry),
            };
            taken.into_iter().for_each(|entry| arena.release(entry.message));
        }
    }
}
