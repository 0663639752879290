//! Channels whose consumers pause, because they hold as much as a channel may (`limits::UNACKED_PER_CHANNEL_MAX`).
//!
//! Read first: `channel/pause.rs`.

use leveret_model::{ChannelKey, ChannelNumber, ConsumerNumber};

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

    /// Ends the pauses of channels that have room again; `each` gets their consumers, to whom messages may be offered.
    pub fn end_pauses(&mut self, mut each: impl FnMut(ChannelKey, ConsumerNumber)) {
        let (channels, max) = (&mut self.channels, self.shared.config.unacked_per_channel_max);
        self.shared.paused.retain(|number| {
            let Some(open) = channels.open(*number) else { return false };
            if !open.end_pause(max) {
                return true;
            }
            let key = open.key();
            open.consumer_numbers().for_each(|consumer| each(key, consumer));
            false
        });
    }
}
