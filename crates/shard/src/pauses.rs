//! Consumers that pause because their channel holds as much as it may (`limits::UNACKED_PER_CHANNEL_MAX`).
//!
//! A queue here is told that such a consumer is full, and it sleeps until it is woken. A home elsewhere runs out of window:
//! what it may send is withheld until the pause ends. Both cost no more than one look for each settlement that made room.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{ChannelKey, ConnectionKey, ConsumerNumber, limits};

use crate::broker::{Broker, Credit};
use crate::places::{Entry, Place};
use crate::shard::Shard;

impl Shard {
    /// Channels of the connection pause, or did until now: those with room go on, windows of the others are withheld.
    #[cold]
    pub(crate) fn note_pauses(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut awake = Vec::new();
        connection.end_pauses(|channel, consumer| awake.push((channel, consumer)));
        #[cfg(feature = "planted")]
        if self.broker.planted == Some(crate::planted::Planted::EndlessPause) {
            awake.clear();
        }
        let meta = self.broker.meta_mut(key);
        meta.pauses = connection.has_pauses();
        let mut windows = core::mem::take(&mut meta.credit);
        let withheld = windows.extract_if(.., |window| connection.is_paused(window.channel, window.consumer));
        withheld.for_each(|window| withhold(&mut meta.withheld, window));
        windows.extend(awake.iter().filter_map(|consumer| meta.withheld.remove(consumer)));
        meta.credit = windows;
        self.broker.forget_withheld(key);
        for (channel, consumer) in awake {
            self.broker.wake(channel, consumer);
        }
    }
}

impl Broker {
    /// What is withheld of consumers that have ended means nothing. Looked for when there is more than consumers can have.
    fn forget_withheld(&mut self, key: ConnectionKey) {
        let Self { metas, subscribed, .. } = self;
        let meta = &mut metas[key.slot as usize];
        if !meta.pauses {
            meta.withheld = BTreeMap::new();
        } else if meta.withheld.len() > 2 * limits::CONSUMERS_PER_CONNECTION_MAX {
            meta.withheld.retain(|(channel, consumer), _| subscribed.get(*channel, *consumer).is_some());
        }
    }

    /// A consumer whose channel paused may be given messages again.
    fn wake(&mut self, channel: ChannelKey, consumer: ConsumerNumber) {
        let Some(handle) = self.subscribed.get(channel, consumer) else { return };
        let key = self.consumer_key(channel, consumer);
        if let Some(Entry { place: Place::Home(home), .. }) = self.places.get_mut(handle) {
            home.queue.wake(&key);
            self.mark_dirty(handle);
        }
    }
}

fn withhold(withheld: &mut BTreeMap<(ChannelKey, ConsumerNumber), Credit>, window: Credit) {
    let all = withheld.entry((window.channel, window.consumer)).or_insert(Credit {
        messages: 0,
        bytes: 0,
        ..window
    });
    all.messages = all.messages.saturating_add(window.messages);
    all.bytes = all.bytes.saturating_add(window.bytes);
}
