//! Messages under rules whose bytes are on the disk alone.

use leveret_model::Position;

use super::{Item, Ruled};
use crate::Arena;
use crate::queue::entry::Entry;
use crate::queue::room::Room;

impl Ruled {
    /// Ready messages in the order in which they go, with their places.
    pub(in crate::queue) fn line(&self) -> impl Iterator<Item = (Position, Entry)> + '_ {
        let levels = self.levels.iter().rev().flat_map(|level| level.returned.values().chain(&level.fresh));
        levels.map(|item| (item.position, item.entry))
    }

    /// The bytes of messages that were never delivered go, the lowest level first, each from its back.
    pub(in crate::queue) fn page_out_fresh(&mut self, room: &mut Room, arena: &mut Arena) {
        for level in &mut self.levels {
            let position = |_: usize, item: &Item| item.position.0;
            level.looked_at.page_out(&mut level.fresh, (position, |item| &mut item.entry), room, arena);
        }
    }

    /// The bytes of those that came back go.
    pub(in crate::queue) fn page_out_returned(&mut self, room: &mut Room, arena: &mut Arena) {
        for item in self.levels.iter_mut().flat_map(|level| level.returned.values_mut().rev()) {
            if room.is_enough() {
                return;
            }
            room.page_out(&mut item.entry, arena);
        }
    }

    /// What was paged out is here again up to a place.
    pub(in crate::queue) fn note_read(&mut self, through: Position) {
        self.levels.iter_mut().for_each(|level| level.looked_at.forget(through));
    }
}
