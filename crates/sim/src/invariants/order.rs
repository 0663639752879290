//! Messages leave a queue in the order in which they stand there: as they were published, and what was given
//! back at its old place in front.
//!
//! First deliveries, judged in [`Order::first`]: the numbers that one consumer sees of one publishing channel
//! rise, and they begin above what anybody had seen of the same life of the queue when the consumer was asked
//! for; a `basic.get` is a consumer of one message. (What two consumers see at the same time says nothing:
//! their ways are of different length.)
//!
//! What comes again, judged in [`Order::again`] at queues with one consumer at a time: first deliveries have
//! shown its places. Of two messages that one channel gave back, the one in front first, the one in front comes
//! first, whether the channel did it by nack or by its end, and whoever the consumer is then: from its
//! settlement on it lies ready in front of the other. Not judged are messages whose place nobody saw, lives of
//! a queue that are in doubt, and what a consumer gave back that ended before it came again: it may be on its
//! way to that one.
//!
//! That nothing new comes before what was given back is judged in `Channel::on_message`, where a lone consumer
//! that held all of its prefetch gave some back. Here is also what can be judged at the end.

use std::collections::BTreeMap;

use leveret_model::{Instant, QueueId};

use crate::message_id::MessageId;
use crate::oracle::Oracle;

/// What consumers saw.
#[derive(Debug, Default)]
pub(crate) struct Order {
    takers: BTreeMap<u32, Taker>,
    lives: BTreeMap<QueueId, Seen>,
    /// Pairs of consumer and publisher, and messages that came again with a place.
    judged: Judged,
}

/// How much was judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) first: u64,
    pub(crate) again: u64,
}

/// A consumer, or a get.
#[derive(Debug, Default)]
struct Taker {
    life: Option<QueueId>,
    /// The last first delivery of each publisher.
    last: BTreeMap<u32, u64>,
    /// It was given again what it still held: the home had judged its node Down, and which of the two it means
    /// is open.
    doubted: bool,
}

/// What clients saw of one life of a queue.
#[derive(Debug, Default)]
struct Seen {
    /// The highest number of each publisher.
    last: BTreeMap<u32, u64>,
    /// Places, as far as first deliveries showed them; only with one consumer at a time.
    places: BTreeMap<MessageId, u64>,
    /// Given back and not come again, by place.
    back: BTreeMap<u64, Back>,
    settlements: u64,
}

/// A message that was given back.
#[derive(Clone, Copy, Debug)]
struct Back {
    /// Which settlement it was.
    settlement: u64,
    by: u32,
}

impl Order {
    /// A consumer is asked for, at the only life of its queue.
    pub(crate) fn begin(&mut self, taker: u32, life: Option<QueueId>) {
        let last = life.and_then(|life| self.lives.get(&life)).map(|seen| seen.last.clone());
        self.takers.insert(taker, Taker { life, last: last.unwrap_or_default(), doubted: false });
    }

    /// It is there. If the name may mean another life by now, what was seen before says nothing.
    pub(crate) fn began(&mut self, taker: u32, life: Option<QueueId>) {
        let at = self.takers.entry(taker).or_default();
        if at.life != life {
            *at = Taker::default();
        }
    }

    /// A first delivery; answers the number before it if that was not smaller. `single`: one consumer at a
    /// time.
    pub(crate) fn first(&mut self, taker: u32, id: MessageId, single: bool) -> Option<u64> {
        let at = self.takers.entry(taker).or_default();
        let last = at.last.insert(id.publisher, id.number);
        self.judged.first += u64::from(last.is_some());
        if let Some(seen) = at.life.map(|life| self.lives.entry(life).or_default()) {
            let highest = seen.last.entry(id.publisher).or_default();
            *highest = id.number.max(*highest);
            if single {
                let place = seen.places.len() as u64;
                seen.places.insert(id, place);
            }
        }
        last.filter(|last| id.number <= *last)
    }

    /// A message is given back by the channel that held it; `alone`: the home knows no other consumer.
    pub(crate) fn gave_back(&mut self, taker: u32, id: MessageId, alone: bool) {
        let Some(at) = self.takers.get(&taker).filter(|at| !at.doubted) else { return };
        let Some(seen) = at.life.and_then(|life| self.lives.get_mut(&life)) else { return };
        if !alone {
            return seen.back.clear();
        }
        if let Some(place) = seen.places.get(&id) {
            seen.settlements += 1;
            seen.back.insert(*place, Back { settlement: seen.settlements, by: taker });
        }
    }

    /// A consumer ends: what it gave back before may have been given to it again, and be on its way there until
    /// the link is new. What it holds is given back after this.
    pub(crate) fn goes(&mut self, taker: u32) {
        let Some(seen) = self.takers.get(&taker).and_then(|at| self.lives.get_mut(&at.life?)) else { return };
        seen.back.retain(|_, back| back.by != taker);
    }

    /// A message comes again; `held`: some client still holds it. Answers the place that should have come
    /// before, and its.
    pub(crate) fn again(&mut self, taker: u32, id: MessageId, held: bool) -> Option<(u64, u64)> {
        let at = self.takers.get_mut(&taker)?;
        let Some(life) = at.life else {
            self.came_to_a_doubt(id);
            return None;
        };
        let seen = self.lives.get_mut(&life)?;
        if held {
            at.doubted = true;
            seen.back.clear();
            return None;
        }
        let place = *seen.places.get(&id)?;
        let Back { settlement, .. } = seen.back.remove(&place)?;
        self.judged.again += 1;
        let before = seen.back.range(..place).find(|(_, before)| before.settlement < settlement);
        before.map(|(before, _)| (*before, place))
    }

    /// A message comes again to a consumer whose life of the queue is in doubt: none expects it any more.
    fn came_to_a_doubt(&mut self, id: MessageId) {
        for seen in self.lives.values_mut() {
            if let Some(place) = seen.places.get(&id) {
                seen.back.remove(place);
            }
        }
    }

    pub(crate) fn judged(&self) -> Judged {
        self.judged
    }
}

/// A run in which nobody consumed twice from anybody judged nothing.
pub(crate) fn check(now: Instant, oracle: &mut Oracle) {
    if oracle.order.judged().first == 0 {
        oracle.violation(now, "order", "no consumer ever saw two messages: nothing was judged".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Ulid;

    const LIFE: Option<QueueId> = Some(QueueId { generation: 0, ulid: Ulid(1) });

    fn message(number: u64) -> MessageId {
        MessageId { publisher: 1, number }
    }

    /// Consumer 1 holds messages 1 and 2 and gives the first back.
    fn the_first_of_two_is_back() -> Order {
        let mut order = Order::default();
        order.begin(1, LIFE);
        for number in [1, 2] {
            assert_eq!(order.first(1, message(number), true), None);
        }
        order.gave_back(1, message(1), true);
        order
    }

    #[test]
    fn what_was_given_back_behind_comes_first_is_a_violation() {
        let mut order = the_first_of_two_is_back();
        order.gave_back(1, message(2), true);
        assert_eq!(order.again(1, message(2), false), Some((0, 1)));
    }

    #[test]
    fn what_came_again_while_the_life_was_in_doubt_is_waited_for_no_more() {
        let mut order = the_first_of_two_is_back();
        order.begin(2, None);
        assert_eq!(order.again(2, message(1), false), None);
        order.begin(3, LIFE);
        order.gave_back(1, message(2), true);
        assert_eq!(order.again(3, message(2), false), None);
    }

    #[test]
    fn what_may_be_on_its_way_to_a_consumer_that_ended_is_not_expected_in_front() {
        let mut order = the_first_of_two_is_back();
        order.goes(1);
        order.begin(2, LIFE);
        order.gave_back(1, message(2), true);
        assert_eq!(order.again(2, message(2), false), None);
    }
}
