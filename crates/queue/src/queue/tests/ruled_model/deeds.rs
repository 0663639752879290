//! What may happen to a queue with rules, and which rules it may have.

use leveret_model::settings::Overflow;
use proptest::prelude::*;

use super::super::ruled::{Ruled, number, overflow, single_active};
use super::*;

#[derive(Clone, Debug)]
pub(super) enum Deed {
    Append { priority: u8, expiration_ms: Option<u64>, bytes: usize },
    Pass { ms: u64 },
    Subscribe { number: u32, no_ack: bool, prefetch: u16, priority: i32 },
    Unsubscribe { number: u32 },
    Dispatch { budget: usize },
    Settle { which: usize, how: Settlement },
    Get,
    PageOut { bytes: u64, keep: u64, loose: bool },
    Purge,
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let how = prop_oneof![2 => Just(Settlement::Ack), 3 => Just(Settlement::Requeue), 1 => Just(Settlement::Reject)];
    let expiration = prop::option::weighted(0.4, 0..40_u64);
    prop_oneof![
        20 => (0..6_u8, expiration, 8..30_usize)
            .prop_map(|(priority, expiration_ms, bytes)| Deed::Append { priority, expiration_ms, bytes }),
        8 => (0..15_u64).prop_map(|ms| Deed::Pass { ms }),
        6 => (1..5_u32, any::<bool>(), 0..4_u16, -1..2_i32)
            .prop_map(|(number, no_ack, prefetch, priority)| Deed::Subscribe { number, no_ack, prefetch, priority }),
        4 => (1..5_u32).prop_map(|number| Deed::Unsubscribe { number }),
        12 => prop_oneof![1..6_usize, Just(1_000)].prop_map(|budget| Deed::Dispatch { budget }),
        12 => (any::<usize>(), how).prop_map(|(which, how)| Deed::Settle { which, how }),
        4 => Just(Deed::Get),
        6 => (0..200_u64, 0..60_u64, any::<bool>())
            .prop_map(|(bytes, keep, loose)| Deed::PageOut { bytes, keep, loose }),
        1 => Just(Deed::Purge),
    ]
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) ttl_ms: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) overflow: Overflow,
    pub(super) delivery_limit: Option<u64>,
    pub(super) max_priority: Option<u8>,
    pub(super) single: bool,
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let overflow = prop_oneof![
        Just(Overflow::DropHead),
        Just(Overflow::RejectPublish),
        Just(Overflow::RejectPublishDeadLetter)
    ];
    (
        prop::option::of(0..50_u64),
        prop::option::of(0..8_u64),
        prop::option::weighted(0.3, 0..200_u64),
        overflow,
        prop::option::weighted(0.3, 0..4_u64),
        prop::option::of(0..5_u8),
        any::<bool>(),
    )
        .prop_map(|(ttl_ms, max_length, max_bytes, overflow, delivery_limit, max_priority, single)| {
            Settings { ttl_ms, max_length, max_bytes, overflow, delivery_limit, max_priority, single }
        })
}

impl Settings {
    pub(super) fn queue(&self) -> Ruled {
        let mut arguments = vec![overflow(match self.overflow {
            Overflow::DropHead => "drop-head",
            Overflow::RejectPublish => "reject-publish",
            Overflow::RejectPublishDeadLetter => "reject-publish-dlx",
        })];
        let numbers = [
            ("x-message-ttl", self.ttl_ms),
            ("x-max-length", self.max_length),
            ("x-max-length-bytes", self.max_bytes),
            ("x-delivery-limit", self.delivery_limit),
            ("x-max-priority", self.max_priority.map(u64::from)),
        ];
        arguments.extend(numbers.iter().filter_map(|(key, value)| Some(number(key, (*value)? as i64))));
        arguments.extend(self.single.then(single_active));
        Ruled::new(arguments)
    }
}
