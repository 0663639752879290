//! Which connections have read a key since it went (rule `reader`, S5).

use alloc::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{ConnectionKey, Seed, ShardId, limits};

use crate::hid::Hid;
use crate::stamp::Stamp;

/// A connection, from any shard of the node.
pub(crate) type Reader = (ShardId, ConnectionKey);

/// What connections were told is not there, and what had ended there then.
pub(crate) struct Readers {
    /// The gone entry that stood there when it was read.
    read: HashMap<(Reader, Hid), Option<Stamp>, FixedState>,
    /// Oldest first; what was forgotten meanwhile may still stand here.
    order: VecDeque<(Reader, Hid)>,
}

impl Readers {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { read: HashMap::with_hasher(FixedState::with_seed(seed.0)), order: VecDeque::new() }
    }

    /// The connection was told that nothing is there.
    pub(crate) fn note(&mut self, reader: Reader, hid: Hid, gone: Option<Stamp>) {
        if self.read.insert((reader, hid), gone).is_none() {
            self.order.push_back((reader, hid));
            if self.order.len() > limits::SESSION_READERS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.read.remove(&oldest);
            }
        }
    }

    /// True if the connection has read the key since `gone` was entered.
    pub(crate) fn has_read(&self, reader: Reader, hid: Hid, gone: Stamp) -> bool {
        self.read.get(&(reader, hid)).is_some_and(|seen| *seen == Some(gone))
    }

    /// The connection is closed: its slot may be another one's soon, with another generation.
    pub(crate) fn forget(&mut self, reader: Reader) {
        self.read.retain(|(other, _), _| *other != reader);
        self.order.retain(|(other, _)| *other != reader);
    }
}
