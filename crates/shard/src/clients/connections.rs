//! The connections of a shard, by key; and the one timer that each of them has.
//!
//! Invariants: a slot's generation rises with each use, so a stale key finds nobody. The timers have one entry
//! for each connection whose `timer_at` is not [`Instant::FAR`], at that time, and none for a slot without a
//! connection. It is never later than the connection wants, and may be earlier; but a handshake that is over
//! wakes nobody.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use leveret_amqp::{Connection, State};
use leveret_model::{ChannelKey, ConnectionKey, Held, Instant, limits};

use crate::ingress::ChannelState;

/// A connection of a client.
pub(crate) type ClientConnection = Connection<ChannelState>;

#[derive(Debug)]
struct Slot {
    generation: u32,
    connection: Option<Box<ClientConnection>>,
    /// On the shard's list of this turn.
    touched: bool,
    /// Its timer.
    timer_at: Instant,
    /// That is the one of its handshake.
    shaking: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// When each slot's connection is due.
    timers: BTreeSet<(Instant, u32)>,
    /// Those with output to write, or whose interest or state may have changed, each once.
    touched: Vec<ConnectionKey>,
    /// Where [`Connections::own_slices`] goes on.
    next_to_own: usize,
}

impl Connections {
    /// A new connection, made with its key.
    pub(crate) fn add(&mut self, make: impl FnOnce(ConnectionKey) -> ClientConnection) -> ConnectionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                connection: None,
                touched: false,
                timer_at: Instant::FAR,
                shaking: false,
            });
            self.slots.len() as u32 - 1
        });
        let at = &mut self.slots[slot as usize];
        at.generation = at.generation.wrapping_add(1);
        let key = ConnectionKey { slot, generation: at.generation };
        // nothing of the connection that was here before holds
        (at.touched, at.shaking) = (false, true);
        at.connection = Some(Box::new(make(key)));
        self.arm(slot);
        key
    }

    pub(crate) fn remove(&mut self, key: ConnectionKey) -> Option<Box<ClientConnection>> {
        let slot = self.slots.get_mut(key.slot as usize).filter(|slot| slot.generation == key.generation)?;
        let connection = slot.connection.take()?;
        self.free.push(key.slot);
        self.set_timer(key.slot, Instant::FAR);
        Some(connection)
    }

    /// hot.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut ClientConnection> {
        self.slots
            .get_mut(key.slot as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.connection.as_deref_mut())
    }

    pub(crate) fn get(&self, key: ConnectionKey) -> Option<&ClientConnection> {
        self.slots
            .get(key.slot as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.connection.as_deref())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ClientConnection> {
        self.slots.iter().filter_map(|slot| slot.connection.as_deref())
    }

    pub(crate) fn keys(&self) -> Vec<ConnectionKey> {
        self.within(0..self.slots()).map(|(key, _)| key).collect()
    }

    /// The connections in these slots of the table.
    pub(crate) fn within(
        &self,
        slots: Range<usize>,
    ) -> impl Iterator<Item = (ConnectionKey, &ClientConnection)> {
        let piece = self.slots.iter().enumerate().skip(slots.start).take(slots.len());
        piece.filter_map(|(slot, at)| {
            let key = ConnectionKey { slot: slot as u32, generation: at.generation };
            Some((key, at.connection.as_deref()?))
        })
    }

    /// Slots of the table, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Notes that a connection that is there has something for its socket. hot.
    #[inline]
    pub(crate) fn touch(&mut self, key: ConnectionKey) {
        let slot = &mut self.slots[key.slot as usize];
        if !slot.touched {
            slot.touched = true;
            self.touched.push(key);
        }
    }

    /// Those touched in this turn.
    pub(crate) fn touched(&self) -> &[ConnectionKey] {
        &self.touched
    }

    /// The end of the turn: confirms go out, timers are set, and `into` gets who was touched. hot.
    pub(crate) fn end_turn(&mut self, into: &mut Vec<ConnectionKey>) {
        let mut touched = core::mem::take(&mut self.touched);
        for key in &touched {
            let slot = &mut self.slots[key.slot as usize];
            slot.touched = false;
            if slot.generation == key.generation
                && let Some(connection) = slot.connection.as_deref_mut()
            {
                connection.end_turn();
                self.arm(key.slot);
            }
        }
        into.append(&mut touched);
        self.touched = touched;
    }

    /// Sets the timer of a connection forward if it wants to be called earlier than it will be; and anew once
    /// its handshake is over. hot.
    #[inline]
    fn arm(&mut self, slot: u32) {
        let at = &mut self.slots[slot as usize];
        let Some(connection) = at.connection.as_deref() else { return };
        let deadline = connection.next_deadline().unwrap_or(Instant::FAR);
        let shaken = at.shaking && connection.state() != State::Handshake;
        if deadline < at.timer_at || shaken {
            at.shaking &= !shaken;
            self.set_timer(slot, deadline);
        }
    }

    /// [`Instant::FAR`] is none.
    fn set_timer(&mut self, slot: u32, at: Instant) {
        let before = core::mem::replace(&mut self.slots[slot as usize].timer_at, at);
        if before < Instant::FAR {
            self.timers.remove(&(before, slot));
        }
        if at < Instant::FAR {
            self.timers.insert((at, slot));
        }
    }

    /// When the first timer is due.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.timers.first().map_or(Instant::FAR, |(at, _)| *at)
    }

    /// The next connection whose timer is due, to be touched, which sets the timer anew.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<ConnectionKey> {
        let (_, slot) = *self.timers.first().filter(|(at, _)| *at <= now)?;
        self.set_timer(slot, Instant::FAR);
        Some(ConnectionKey { slot, generation: self.slots[slot as usize].generation })
    }

    /// What some connections hold of receive blocks is copied out of them. True if there are more connections.
    pub(crate) fn own_slices(&mut self) -> bool {
        let mut left = limits::OWN_BYTES_MAX;
        for _ in 0..limits::OWN_CONNECTIONS_MAX {
            let Some(slot) = self.slots.get_mut(self.next_to_own) else {
                self.next_to_own = 0;
                return false;
            };
            if let Some(connection) = &mut slot.connection {
                left = left.saturating_sub(connection.own_slices(left));
            }
            if left == 0 {
                break;
            }
            self.next_to_own += 1;
        }
        true
    }

    /// Every delivery that is held, in a fixed order.
    pub(crate) fn for_each_held(&self, mut each: impl FnMut(ChannelKey, Held)) {
        for connection in self.iter() {
            connection.for_each_held(&mut each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;
    use core::time::Duration;

    fn add(connections: &mut Connections, now: Instant) -> ConnectionKey {
        let config = Arc::new(leveret_amqp::Config::new("0.1.0", "test"));
        connections.add(|key| Connection::new(now, key, config))
    }

    #[test]
    fn a_connection_has_one_timer_however_often_it_is_touched() {
        let mut connections = Connections::default();
        let key = add(&mut connections, Instant::ZERO);
        for _ in 0..100 {
            connections.touch(key);
            connections.end_turn(&mut Vec::new());
        }
        assert_eq!(connections.timers.len(), 1);
        let due = connections.next_deadline();
        assert_eq!(connections.pop_due(due - Duration::from_nanos(1)), None);
        assert_eq!(connections.pop_due(due), Some(key));
        assert_eq!(connections.pop_due(due), None);
        connections.touch(key);
        connections.end_turn(&mut Vec::new());
        assert_eq!(connections.timers.len(), 1);
    }

    #[test]
    fn a_timer_of_a_connection_that_is_gone_calls_nobody() {
        let mut connections = Connections::default();
        let old = add(&mut connections, Instant::ZERO);
        assert!(connections.remove(old).is_some());
        assert_eq!(connections.next_deadline(), Instant::FAR);
        let later = Instant::ZERO + Duration::from_secs(1);
        let new = add(&mut connections, later);
        assert_eq!((new.slot, connections.timers.len()), (old.slot, 1));
        assert!(connections.get(old).is_none());
        let due = connections.next_deadline();
        assert_eq!(connections.pop_due(due), Some(new));
    }
}
