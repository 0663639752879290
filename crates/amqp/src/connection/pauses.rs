//! Channels whose consumers pause, because they hold as much as a channel may
//! (`limits::UNACKED_PER_CHANNEL_MAX`), or as their clients want.
//!
//! Read first: `channel/pause.rs`.

use leveret_model::{ChannelKey, ChannelNumber, ConsumerNumber, Held};

use super::Connection;

impl<C> Connection<C> {
    /// Consumers of some channel pause.
    #[must_use]
    pub fn has_pauses(&self) -> bool {
        !self.shared.paused.is_empty()
    }

    /// The first channel whose consumers pause because it holds as much as it may; not because its client said
    /// so.
    #[must_use]
    pub fn full_channel(&self) -> Option<ChannelNumber> {
        let pausing = self.channels.iter().filter(|open| open.is_full_pause());
        pausing.map(|open| open.key().number).next()
    }

    /// That consumer pauses, with its channel.
    #[must_use]
    pub fn is_paused(&self, channel: ChannelKey, consumer: ConsumerNumber) -> bool {
        self.channels.look(channel).is_some_and(|open| open.is_paused(consumer))
    }

    /// Ends the pauses of channels that have room again, after what waited in them was sent; `each` gets their
    /// consumers, to whom messages may be offered, and `give_back` what waited for consumers that ended.
    pub fn end_pauses(
        &mut self,
        mut each: impl FnMut(ChannelKey, ConsumerNumber),
        mut give_back: impl FnMut(ChannelKey, Held),
    ) {
        // a channel that opens its gate stays paused, so none enters the list meanwhile
        let mut paused = core::mem::take(&mut self.shared.paused);
        paused.retain(|number| {
            let Some(open) = self.channels.open(*number) else { return false };
            let key = open.key();
            if !open.end_pause(&mut self.shared, &mut |held| give_back(key, held)) {
                return true;
            }
            open.consumer_numbers().for_each(|consumer| each(key, consumer));
            false
        });
        paused.append(&mut self.shared.paused);
        self.shared.paused = paused;
    }
}
