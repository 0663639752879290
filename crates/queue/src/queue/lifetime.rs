//! When a queue ends by itself: after its last consumer (auto-delete), or when nobody has used it for long
//! (`x-expires`). The queue only says so; the shard closes it and has its record deleted.

use core::time::Duration;

use leveret_model::Instant;
use leveret_model::definition::QueueDefinition;

/// What a definition says about the end of its queue, and how near that is.
#[derive(Debug)]
pub(super) struct Lifetime {
    auto_delete: bool,
    /// Without one an auto-delete queue stays: its first consumer is yet to come (RabbitMQ: auto-delete).
    had_consumer: bool,
    expires: Option<Duration>,
    /// [`Instant::FAR`] while a consumer is there, and without `x-expires`.
    unused_until: Instant,
}

impl Lifetime {
    pub(super) fn new(definition: &QueueDefinition) -> Self {
        Self {
            auto_delete: definition.auto_delete,
            had_consumer: false,
            expires: definition.arguments.settings().expires,
            unused_until: Instant::FAR,
        }
    }

    /// Somebody used the queue, or its consumers are others now. Only consumers, gets and declares are use
    /// (RabbitMQ: neither publishes nor bindings).
    pub(super) fn on_use(&mut self, now: Instant, consumers: u32) {
        self.had_consumer |= consumers > 0;
        if let Some(expires) = self.expires {
            self.unused_until = if consumers > 0 { Instant::FAR } else { now + expires };
        }
    }

    /// The queue may be unused for another time from now on.
    pub(super) fn set_expires(&mut self, expires: Option<Duration>, now: Instant, consumers: u32) {
        self.expires = expires;
        let in_use = consumers > 0;
        self.unused_until = expires.filter(|_| !in_use).map_or(Instant::FAR, |expires| now + expires);
    }

    /// hot.
    #[inline(always)]
    pub(super) fn deadline(&self) -> Instant {
        self.unused_until
    }

    /// The queue's time is over.
    pub(super) fn is_over(&self, now: Instant, consumers: u32) -> bool {
        let lost_last = self.auto_delete && self.had_consumer && consumers == 0;
        lost_last || now >= self.unused_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::{Arguments, Name, RoutingKey, Value};
    use std::vec;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn expiring(ms: i64) -> Lifetime {
        let arguments = Arguments(vec![(RoutingKey::new(b"x-expires"), Value::I64(ms))]);
        let plain = QueueDefinition::new(Name::new("/"), Name::new("q"));
        Lifetime::new(&QueueDefinition { arguments: arguments.into(), ..plain })
    }

    #[test]
    fn an_auto_delete_queue_waits_for_its_first_consumer_and_ends_with_the_last() {
        let plain = QueueDefinition::new(Name::new("/"), Name::new("q"));
        let mut lifetime = Lifetime::new(&QueueDefinition { auto_delete: true, ..plain });
        lifetime.on_use(at(0), 0);
        assert!(!lifetime.is_over(at(1), 0));
        lifetime.on_use(at(1), 2);
        lifetime.on_use(at(2), 1);
        assert!(!lifetime.is_over(at(2), 1));
        lifetime.on_use(at(3), 0);
        assert!(lifetime.is_over(at(3), 0));
    }

    #[test]
    fn an_unused_queue_ends_when_its_time_is_over_and_each_use_begins_it_anew() {
        let mut lifetime = expiring(100);
        lifetime.on_use(at(0), 0);
        assert_eq!(lifetime.deadline(), at(100));
        lifetime.on_use(at(60), 0);
        assert!(!lifetime.is_over(at(159), 0));
        assert!(lifetime.is_over(at(160), 0));
    }

    #[test]
    fn a_queue_with_a_consumer_is_in_use_for_as_long_as_it_has_one() {
        let mut lifetime = expiring(100);
        lifetime.on_use(at(0), 1);
        assert_eq!(lifetime.deadline(), Instant::FAR);
        assert!(!lifetime.is_over(at(1_000_000), 1));
        lifetime.on_use(at(2_000), 0);
        assert_eq!(lifetime.deadline(), at(2_100));
    }
}
