//! The machine of one shard's buckets: where each session is, and the state of those at home here.
//!
//! The way of a request: [`Sessions::on_request`] finds the row; if the home is here, `home` drafts what the
//! commands make of the state and carries the verdict out.

use alloc::vec::Vec;

use leveret_model::session::{Database, KeptAnswer};
use leveret_model::{NodeId, Seed, ShardId, SplitMix, limits};

use crate::cluster::Cluster;
use crate::effects::{Effects, Event, EventKind, prefix};
use crate::expired::Expired;
use crate::expiry::Expiry;
use crate::gone::GoneSet;
use crate::hid::Hid;
use crate::list::List;
use crate::planted::Bug;
use crate::readers::Readers;
use crate::renames::Renames;
use crate::rules::Rules;
use crate::stamp::Home;
use crate::states::{StateKey, States};
use crate::time::{Clock, Ms};

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
    /// `session_copies`: 1, or 0.
    pub copies: u8,
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
    /// Sessions that this node became home of.
    pub moved: u64,
    /// Sessions of dead homes of which nobody has the state.
    pub lost: u64,
    /// Births that were refused for want of memory.
    pub refused: u64,
    /// Attributes that a commit changed, or would have, though another one had changed them since its base.
    pub conflicts: u64,
}

impl core::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.commits += other.commits;
        self.touches += other.touches;
        self.loads += other.loads;
        self.destroyed += other.destroyed;
        self.expired += other.expired;
        self.evicted += other.evicted;
        self.late_writes += other.late_writes;
        self.moved += other.moved;
        self.lost += other.lost;
        self.refused += other.refused;
        self.conflicts += other.conflicts;
    }
}

/// Sessions in the buckets of one shard.
pub struct Sessions {
    pub(crate) config: Config,
    pub(crate) list: List,
    pub(crate) gone: GoneSet,
    pub(crate) renames: Renames,
    pub(crate) states: States,
    pub(crate) expiry: Expiry,
    pub(crate) readers: Readers,
    pub(crate) counters: Counters,
    /// Lamport counter of lives: at least that of every life that was seen.
    pub(crate) counter: u64,
    /// The next place that eviction looks at.
    pub(crate) eviction_hand: usize,
    pub(crate) wants_events: bool,
    pub(crate) wants_expired: bool,
    pub(crate) cluster: Cluster,
    pub(crate) bug: Bug,
    /// Of the turn at hand.
    pub(crate) now: Ms,
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
            renames: Renames::default(),
            states: States::new(seed.part(3)),
            expiry: Expiry::default(),
            readers: Readers::new(seed.part(4)),
            counters: Counters::default(),
            counter: 0,
            eviction_hand: 0,
            wants_events: false,
            wants_expired: false,
            cluster: Cluster::new(config.own),
            bug: Bug::default(),
            now: Ms(0),
            last: KeptAnswer::Nil,
            due: Vec::new(),
            config,
        }
    }

    /// Sessions and gone entries whose time is over.
    pub(crate) fn expire_due(&mut self, clock: Clock, effects: &mut Effects) {
        let now = clock.ms();
        let mut due = core::mem::take(&mut self.due);
        self.expiry.take_due(&mut self.states, now, limits::SESSION_EXPIRE_PER_TURN, &mut due);
        for key in due.drain(..) {
            // a session may stand in a bin twice, and be gone by the second time
            let Some(hid) = self.states.at(key.place()).map(|(_, state)| state.hid()) else { continue };
            self.expire_if_over(hid, clock, effects);
            // a copy, or no lease: looked at again a little later
            if let Some(key) = self.states.find(hid) {
                self.expiry.file_again(&mut self.states, key, now);
            }
        }
        self.due = due;
        self.gone.expire(now, limits::SESSION_EXPIRE_PER_TURN);
        self.renames.sweep(now, &self.gone);
    }

    /// Plants a bug.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::planted::Planted) {
        self.bug.planted = Some(bug);
        self.cluster.members.plant(self.bug);
    }

    /// Sessions of a database, of the whole cluster, in this shard's buckets.
    #[must_use]
    pub fn count(&self, database: Database) -> u64 {
        self.list.count(database)
    }

    /// Rows that name that node as home.
    #[must_use]
    pub fn count_at(&self, home: Home) -> usize {
        self.list.iter().filter(|(_, row)| row.home == home).count()
    }

    /// Entries of the list, of gone sessions and of states that are held.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            list: self.list.len(),
            gone: self.gone.len(),
            states: self.states.len(),
            bytes: self.states.bytes(),
            waiting: self.cluster.pending.len(),
        }
    }

    /// What is known here of a session: for `leveret session show`, and for tests.
    #[must_use]
    pub fn look(&self, hid: Hid) -> Option<Seen> {
        let row = self.list.get(hid)?;
        let settled = !row.flags.waits();
        let may_answer = row.home == self.config.own && settled && self.has_lease();
        let life = (row.life.counter, row.life.node);
        Some(Seen { home: row.home, life, settled, may_answer, has_state: self.states.find(hid).is_some() })
    }

    /// A digest of the list: equal on two nodes whose lists are equal.
    #[must_use]
    pub fn list_digest(&self) -> u64 {
        let mut digest = 0u64;
        for (hid, row) in self.list.iter() {
            let mut mix = SplitMix::new(Seed(hid.bits() ^ row.life.counter << 32 ^ u64::from(row.epoch.0)));
            digest = digest.wrapping_add(mix.next_u64() ^ row.home.node.0 as u64);
        }
        digest
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

    /// Whether [`Effects::expired`] is filled: only while a connection is attached somewhere.
    pub fn want_expired(&mut self, wanted: bool) {
        self.wants_expired = wanted;
    }

    pub(crate) fn tell_expired(&self, key: StateKey, effects: &mut Effects) {
        if self.wants_expired {
            effects.expired.push(Expired::of(self.states.get(key)));
        }
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

/// What a node knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where its home is.
    pub home: Home,
    /// Counter and node of its birth.
    pub life: (u64, NodeId),
    /// No claim of it is under way.
    pub settled: bool,
    /// This node is its home, and may say something.
    pub may_answer: bool,
    /// This node holds a state of it.
    pub has_state: bool,
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
    /// Requests that wait.
    pub waiting: usize,
}
