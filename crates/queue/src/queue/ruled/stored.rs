//! What the store, and a new home, are told of messages under rules.

use leveret_model::{Instant, MessageRule, Position, Terms};

use super::Ruled;

impl Ruled {
    /// What a delivered message keeps, if that is anything.
    pub(in crate::queue) fn held_rule(&self, position: Position, now: Instant) -> Option<MessageRule> {
        self.held.get(&position).map(|kept| kept.rule(now))
    }

    /// How often a ready message came back.
    pub(in crate::queue) fn returns_of(&self, position: Position) -> u32 {
        let item = self.levels.iter().find_map(|level| level.returned.get(&position));
        item.map_or(0, |item| item.kept.returns)
    }

    /// When a message of these terms expires that comes now.
    pub(in crate::queue) fn deadline(&self, terms: Terms, now: Instant) -> Instant {
        self.rules.deadline(terms, now)
    }

    /// A returned message of these terms, as it was restored from a disk.
    pub(in crate::queue) fn level_of(&self, terms: Terms) -> u8 {
        self.rules.level(terms)
    }
}
