//! Which connections wait, and for which queues.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::{ConnectionKey, Instant, Paused, QueueHandle, limits};

use super::Pressure;
use crate::clients::{ClientConnection, ClientMemory, Connections};
use crate::queues::Queues;

/// The reason in connection.blocked (RabbitMQ's words).
fn alarm(pressure: Pressure) -> &'static str {
    if pressure == Pressure::Disk { "low on disk" } else { "low on memory" }
}

/// Of one connection.
#[derive(Debug, Default)]
struct Waits {
    /// Queues that it published to and that throttle.
    queues: Vec<QueueHandle>,
    /// While it waits: what it had published when that began, bytes.
    published_before: Option<u64>,
}

/// Connections that wait for memory.
#[derive(Debug, Default)]
pub(crate) struct Throttled {
    pressure: Pressure,
    /// By the connection's slot.
    waits: Vec<Waits>,
    /// Connections that published to a queue that throttles, in this turn for the first time.
    began: Vec<ConnectionKey>,
}

impl Throttled {
    /// A slot has a new connection, or none any more.
    pub(crate) fn reset(&mut self, connection: ConnectionKey) {
        let slot = connection.slot as usize;
        if self.waits.len() <= slot {
            self.waits.resize_with(slot + 1, Waits::default);
        }
        self.waits[slot] = Waits::default();
    }

    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    /// The connection may have to wait: [`Throttled::note`] is due. hot.
    #[inline]
    pub(crate) fn concerns(&self, connection: ConnectionKey) -> bool {
        self.pressure != Pressure::Calm || !self.waits[connection.slot as usize].queues.is_empty()
    }

    /// A connection published to queues of which one at least throttles.
    #[cold]
    pub(crate) fn outruns(
        &mut self,
        connection: ConnectionKey,
        targets: &[QueueHandle],
        queues: &mut Queues,
    ) {
        let Self { waits, began, .. } = self;
        let waits_for = &mut waits[connection.slot as usize].queues;
        queues.throttle(targets, |handle| {
            if !waits_for.contains(&handle) {
                waits_for.push(handle);
                began.push(connection);
            }
        });
    }

    /// Why the connection waits for memory. A client that only consumes does not (RabbitMQ: blocked
    /// connections).
    pub(crate) fn paused(&self, key: ConnectionKey, connection: &ClientConnection) -> Option<Paused> {
        if self.pressure >= Pressure::Disk && connection.published_bytes() > 0 {
            let is_disk = self.pressure == Pressure::Disk;
            return Some(if is_disk { Paused::DiskLow } else { Paused::MemoryFull });
        }
        (!self.waits[key.slot as usize].queues.is_empty()).then_some(Paused::LongQueue)
    }

    /// It is not read because it waits.
    pub(crate) fn is_told_to_wait(&self, key: ConnectionKey) -> bool {
        self.waits[key.slot as usize].published_before.is_some()
    }

    /// Whether a connection waits may have changed: it is told. Gives the reason to close it if it published
    /// more than it may meanwhile.
    #[cold]
    pub(crate) fn note(
        &mut self,
        key: ConnectionKey,
        connections: &mut Connections,
        memory: &mut ClientMemory,
        now: Instant,
    ) -> Option<String> {
        let connection = connections.get(key)?;
        let (waits, published) = (self.paused(key, connection).is_some(), connection.published_bytes());
        let published_max = match self.pressure {
            Pressure::Over => limits::PUBLISHED_WHILE_OVER_BYTES_MAX,
            _ => limits::PUBLISHED_WHILE_WAITING_BYTES_MAX,
        };
        let connection = connections.get_mut(key)?;
        let before = &mut self.waits[key.slot as usize].published_before;
        match (waits, *before) {
            (true, None) => {
                *before = Some(published);
                connection.block(alarm(self.pressure));
            }
            (true, Some(before)) if published - before > published_max => {
                let alarm = alarm(self.pressure);
                return Some(format!("published {published_max} bytes while the broker was {alarm}"));
            }
            (false, Some(_)) => {
                *before = None;
                connection.unblock();
                memory.forgive(key, now);
            }
            _ => return None,
        }
        connections.touch(key);
        None
    }

    /// Connections that began to wait in this turn.
    pub(crate) fn pop_began(&mut self) -> Option<ConnectionKey> {
        self.began.pop()
    }

    /// Some queue may throttle no more: a connection goes on when none does that it waits for.
    pub(crate) fn release(&mut self, key: ConnectionKey, queues: &Queues) {
        self.waits[key.slot as usize].queues.retain(|handle| queues.throttles(*handle));
    }
}
