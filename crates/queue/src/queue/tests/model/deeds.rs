//! What may happen to a queue.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Deed {
    Append {
        padding: usize,
    },
    Subscribe(Subscription),
    Unsubscribe(ConsumerKey),
    Credit(ConsumerKey, u32, u64),
    Room(ConsumerKey, u32),
    Dispatch(usize),
    Settle {
        which: usize,
        how: Settlement,
    },
    SettleWrong(ConsumerKey, u64),
    Get {
        channel: u16,
        no_ack: bool,
    },
    /// So many bytes go, and at the front so many stay.
    PageOut {
        bytes: u64,
        keep: u64,
        loose: bool,
    },
    Purge,
    NodeDown(u128),
    Reconcile(Resubscription),
    Vanish(ConsumerKey),
    DropAll,
}

/// What a shard says on a new link. `keep` says bit by bit which of the held deliveries it names; `void` is a
/// place that it only believes in; `piece` is how much it says at once.
#[derive(Clone, Debug)]
pub(super) struct Resubscription {
    pub(super) at: ShardAddress,
    pub(super) consumers: Vec<(Subscription, Unread)>,
    pub(super) keep: u64,
    pub(super) void: u64,
    pub(super) piece: usize,
}

fn resubscription() -> impl Strategy<Value = Resubscription> {
    (some_key(), prop::collection::vec((terms(), unread()), 0..4), any::<u64>(), 0..60_u64, 1..6_usize)
        .prop_map(|(key, consumers, keep, void, piece)| Resubscription {
            at: key.at,
            consumers,
            keep,
            void,
            piece,
        })
}

fn unread() -> impl Strategy<Value = Unread> {
    (0..6_u32, 0..70_u64).prop_map(|(messages, bytes)| Unread { messages, bytes })
}

fn some_key() -> impl Strategy<Value = ConsumerKey> {
    (1..3_u128, 0..2_u8, 1..3_u16, 1..4_u32)
        .prop_map(|(node, shard, channel, number)| key(node, shard, channel, number))
}

fn terms() -> impl Strategy<Value = Subscription> {
    let window = (1..5_u32, 8..60_u64);
    (some_key(), any::<bool>(), prop::bool::weighted(0.05), 0..5_u16, -1..2_i32, window).prop_map(
        |(key, no_ack, exclusive, prefetch, priority, (messages, bytes))| {
            let window = if key.at == OWN { Window::Output } else { Window::Credit { messages, bytes } };
            let terms = ConsumerTerms { no_ack, exclusive, prefetch, priority };
            Subscription { key, terms, window }
        },
    )
}

fn how() -> impl Strategy<Value = Settlement> {
    prop_oneof![3 => Just(Settlement::Ack), 3 => Just(Settlement::Requeue), 1 => Just(Settlement::Reject)]
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        24 => (0..20_usize).prop_map(|padding| Deed::Append { padding }),
        8 => terms().prop_map(Deed::Subscribe),
        3 => some_key().prop_map(Deed::Unsubscribe),
        6 => (some_key(), 0..4_u32, 0..60_u64).prop_map(|(key, messages, bytes)| Deed::Credit(key, messages, bytes)),
        5 => (some_key(), 0..6_u32).prop_map(|(key, room)| Deed::Room(key, room)),
        16 => prop_oneof![1..8_usize, Just(usize::MAX)].prop_map(Deed::Dispatch),
        16 => (any::<usize>(), how()).prop_map(|(which, how)| Deed::Settle { which, how }),
        2 => (some_key(), 0..60_u64).prop_map(|(key, position)| Deed::SettleWrong(key, position)),
        5 => (1..3_u16, any::<bool>()).prop_map(|(channel, no_ack)| Deed::Get { channel, no_ack }),
        8 => (0..200_u64, 0..60_u64, any::<bool>())
            .prop_map(|(bytes, keep, loose)| Deed::PageOut { bytes, keep, loose }),
        1 => Just(Deed::Purge),
        1 => (1..3_u128).prop_map(Deed::NodeDown),
        2 => resubscription().prop_map(Deed::Reconcile),
        1 => some_key().prop_map(Deed::Vanish),
        1 => prop::bool::weighted(0.3).prop_map(|all| if all { Deed::DropAll } else { Deed::Purge }),
    ]
}
