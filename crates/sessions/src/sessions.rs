//! The machine of one shard's buckets: where each session is, and the state of those at home here.
//!
//! The way of a request: [`Sessions::on_request`] finds the row; if the home is here, `home` drafts what the
//! commands make of the state and carries the verdict out.

use alloc::vec::Vec;

use leveret_model::session::{Answer, Database, KeptAnswer, SessionRefusal};
use leveret_model::{ConnectionKey, Instant, Seed, ShardId, limits};

use crate::effects::{Effects, Event, EventKind, Request, prefix};
use crate::expiry::Expiry;
use crate::gone::GoneSet;
use crate::list::List;
use crate::readers::Readers;
use crate::rules::Rules;
use crate::stamp::Home;
use crate::states::{StateKey, States};
use crate::time::Clock;

/// What a machine is told at its birth.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node and its process.
    pub own: Home,
    /// Shards of this node: this machine keeps the buckets that are `shard` modulo this.
    pub shards: u8,
    /// Which of them this is.
    pub shard: ShardId,
    /// What sessions of this shard may take (`session_memory` divided by the shards), bytes.
    pub memory_max: u64,
    /// `session_bytes_max`
    pub value_bytes_max: usize,
    /// `session_gone_for`, ms
    pub gone_for_ms: u64,
    /// `session_rule`
    pub rules: Rules,
    /// For hash tables.
    pub seed: Seed,
}

/// Counters, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lives that began here.
    pub created: u64,
    /// Commits of sessions at home here.
    pub commits: u64,
    /// Deadlines that grew and nothing else.
    pub touches: u64,
    /// Reads that were answered out of a state here.
    pub loads: u64,
    /// Sessions that were destroyed here.
    pub destroyed: u64,
    /// Sessions that expired here.
    pub expired: u64,
    /// Sessions that were evicted here.
    pub evicted: u64,
    /// Late writes to gone keys, dropped.
    pub late_writes: u64,
    /// Births that were refused for want of memory.
    pub refused: u64,
}

/// Sessions in the buckets of one shard.
pub struct Sessions {
    pub(crate) config: Config,
    pub(crate) list: List,
    pub(crate) gone: GoneSet,
    pub(crate) states: States,
    pub(crate) expiry: Expiry,
    pub(crate) readers: Readers,
    pub(crate) counters: Counters,
    /// Lamport counter of lives: at least that of every life that was seen.
    pub(crate) counter: u64,
    /// The next place that eviction looks at.
    pub(crate) eviction_hand: usize,
    pub(crate) wants_events: bool,
    /// What the last request was answered with, while the caller looks at it.
    pub(crate) last: KeptAnswer,
    due: Vec<StateKey>,
}

impl Sessions {
    /// A machine without sessions.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let seed = config.seed;
        Self {
            list: List::new(seed.part(1)),
            gone: GoneSet::new(seed.part(2)),
            states: States::new(seed.part(3)),
            expiry: Expiry::default(),
            readers: Readers::new(seed.part(4)),
            counters: Counters::default(),
            counter: 0,
            eviction_hand: 0,
            wants_events: false,
            last: KeptAnswer::Nil,
            due: Vec::new(),
            config,
        }
    }

    /// Commands on a key. `None`: the answer comes as an effect. hot.
    pub fn on_request(
        &mut self,
        clock: Clock,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Option<Answer<'_>> {
        let hid = request.place.hid();
        self.expire_if_over(hid, clock, effects);
        let key = self.states.find(hid);
        if key.is_some_and(|key| self.states.get(key).place() != request.place) {
            // two keys with one hid: whoever came second finds nothing, and can do nothing
            return Some(match request.commands {
                [command] if !command.writes() && !request.block => Answer::Nil,
                _ => Answer::Refused(SessionRefusal::TooMuch("another key has the same hash")),
            });
        }
        match request.commands {
            [command] if !request.block && !command.writes() => {
                Some(self.read_here(clock, request, hid, key, command))
            }
            _ => self.write_here(clock, request, hid, key, effects),
        }
    }

    /// A connection of this node is closed.
    pub fn on_closed(&mut self, shard: ShardId, connection: ConnectionKey) {
        self.readers.forget((shard, connection));
    }

    /// What time alone brings: expiry, gone entries that end. Call it when [`Sessions::next_time`] is reached.
    pub fn on_time(&mut self, clock: Clock, effects: &mut Effects) {
        let now = clock.ms();
        let mut due = core::mem::take(&mut self.due);
        self.expiry.take_due(&mut self.states, now, limits::SESSION_EXPIRE_PER_TURN, &mut due);
        for key in due.drain(..) {
            let hid = self.states.get(key).hid();
            self.expire_if_over(hid, clock, effects);
        }
        self.due = due;
        self.gone.expire(now, limits::SESSION_EXPIRE_PER_TURN);
    }

    /// When [`Sessions::on_time`] has something to do; in the past if it had more to do than fits in a turn.
    #[must_use]
    pub fn next_time(&self) -> Instant {
        let gone =
            self.gone.next().map_or(Instant::FAR, |at| Instant::from_nanos(at.0.saturating_mul(1_000_000)));
        self.expiry.next().min(gone)
    }

    /// Sessions of a database, of the whole cluster, in this shard's buckets.
    #[must_use]
    pub fn count(&self, database: Database) -> u64 {
        self.list.count(database)
    }

    /// Entries of the list, of gone sessions and of states that are held.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            list: self.list.len(),
            gone: self.gone.len(),
            states: self.states.len(),
            bytes: self.states.bytes(),
        }
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether [`Effects::events`] is filled: only while something is bound to the exchange.
    pub fn want_events(&mut self, wanted: bool) {
        self.wants_events = wanted;
    }

    pub(crate) fn tell(&self, kind: EventKind, key: StateKey, effects: &mut Effects) {
        if !self.wants_events {
            return;
        }
        let state = self.states.get(key);
        effects.events.push(Event {
            kind,
            hid: state.hid(),
            vhost: state.vhost().into(),
            database: state.database(),
            prefix: prefix(state.key()).into(),
        });
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Entries of the list: sessions of the whole cluster.
    pub list: usize,
    /// Gone entries.
    pub gone: usize,
    /// States that this shard holds, as home or as replicator.
    pub states: usize,
    /// What these take, bytes.
    pub bytes: u64,
}
