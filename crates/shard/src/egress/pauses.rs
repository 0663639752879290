//! Consumers that pause because their channel holds as much as it may (`limits::UNACKED_PER_CHANNEL_MAX`), or
//! as its client wants.
//!
//! A queue here is told that such a consumer is full, and it sleeps until it is woken. A home elsewhere runs
//! out of window: what it may send is withheld until the pause ends. Both cost no more than one look for each
//! settlement that made room.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{ChannelKey, ConsumerKey, ConsumerNumber, Settlement, ShardAddress};

use super::windows::Egress;
use crate::clients::ClientConnection;
use crate::queues::{Credit, Queues};

impl Egress {
    /// Channels of the connection pause, or did until now: those with room go on, windows of the others are
    /// withheld.
    #[cold]
    pub(crate) fn note_pauses(
        &mut self,
        connection: &mut ClientConnection,
        own: ShardAddress,
        queues: &mut Queues,
    ) {
        let mut awake = Vec::new();
        let mut unwanted = Vec::new();
        connection.end_pauses(
            |channel, consumer| awake.push((channel, consumer)),
            |channel, held| unwanted.push((channel, held)),
        );
        for (channel, held) in unwanted {
            queues.settle(channel, held, Settlement::Requeue);
        }
        #[cfg(feature = "planted")]
        queues.endless_pause(&mut awake);
        let key = connection.key();
        let windows = &mut self.windows[key.slot as usize];
        windows.pauses = connection.has_pauses();
        let mut credits = core::mem::take(&mut windows.credit);
        let withheld = credits.extract_if(.., |credit| connection.is_paused(credit.channel, credit.consumer));
        withheld.for_each(|credit| withhold(&mut windows.withheld, credit));
        credits.extend(awake.iter().filter_map(|consumer| windows.withheld.remove(consumer)));
        windows.credit = credits;
        self.forget_withheld(key);
        for (channel, number) in awake {
            if let Some(handle) = self.subscribed.get(channel, number) {
                queues.wake(handle, &ConsumerKey { at: own, channel, number });
            }
        }
    }
}

fn withhold(withheld: &mut BTreeMap<(ChannelKey, ConsumerNumber), Credit>, credit: Credit) {
    let all = withheld.entry((credit.channel, credit.consumer)).or_insert(Credit {
        messages: 0,
        bytes: 0,
        ..credit
    });
    all.messages = all.messages.saturating_add(credit.messages);
    all.bytes = all.bytes.saturating_add(credit.bytes);
}
