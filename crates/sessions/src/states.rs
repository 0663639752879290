//! States of sessions, at their home and as copies: one allocation each for key and value, the rest in a slab.
//!
//! ```text
//!   index: hash of the hid ──▶ place in the slab ──▶ State { …, bytes: vhost │ key │ value }
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use leveret_model::session::Database;
use leveret_model::{NodeId, Seed};

use crate::content::Content;
use crate::draft::NewContent;
use crate::hid::{Bucket, Hid, Place};
use crate::list::Flags;
use crate::stamp::{Epoch, Interner, Stamp, StateId, Version};
use crate::time::{Deadline, Ms};

/// A place in the slab, free again once its session is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateKey(u32);

impl StateKey {
    /// Its place in the slab.
    pub(crate) const fn place(self) -> usize {
        self.0 as usize
    }
}

/// The state of a session: what its id is, its deadline, key and value.
pub(crate) struct State {
    hid: Hid,
    bytes: Box<[u8]>,
    deadline: Deadline,
    counter: u64,
    version: Version,
    epoch: Epoch,
    /// Second of the monotonic clock under which expiry looks for it.
    filed: u32,
    /// Second of its latest use that is known here; of its creation before the first one.
    used_at: u32,
    born_at: u16,
    key_bytes: u16,
    flags: Flags,
    vhost_bytes: u8,
    /// It was asked for after its creation.
    used: bool,
    /// Through which nodes the last commits and touches came, the latest first; 0 is its home.
    users: [u8; USERS],
    /// A copy that its home sent since this node entered the table: loads may be answered out of it (S6).
    fresh: bool,
}

impl State {
    pub(crate) fn hid(&self) -> Hid {
        self.hid
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.bytes[self.value_at()..]
    }

    pub(crate) fn content(&self) -> Content<'_> {
        Content::of(self.flags, self.value())
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[usize::from(self.vhost_bytes)..self.value_at()]
    }

    pub(crate) fn vhost(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.vhost_bytes)]).expect("it came as text")
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { vhost: self.vhost(), database: self.database(), key: self.key() }
    }

    pub(crate) fn database(&self) -> Database {
        self.flags.database()
    }

    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn filed(&self) -> u32 {
        self.filed
    }

    pub(crate) fn used_at(&self) -> u32 {
        self.used_at
    }

    fn note_used(&mut self, now: Ms) {
        (self.used, self.used_at) = (true, second(now));
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    fn value_at(&self) -> usize {
        usize::from(self.vhost_bytes) + usize::from(self.key_bytes)
    }
}

/// Uses that are looked back at, and how many through one other node make it the home (S7).
const USERS: usize = 4;
const USERS_MOVE: usize = 3;

/// A state that is about to be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewState<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) id: StateId,
    pub(crate) flags: Flags,
    pub(crate) deadline: Deadline,
    pub(crate) value: &'a [u8],
}

/// All states of the shard's buckets.
pub(crate) struct States {
    slab: Vec<Option<State>>,
    free: Vec<u32>,
    /// By bucket, as the list.
    indexes: Vec<HashTable<u32>>,
    nodes: Interner<NodeId>,
    state: FixedState,
    /// What keys, values and their places take.
    bytes: u64,
}

/// Beside key and value: a place in the slab, its index, its list row, and what the allocator adds. Measured by
/// `tests/memory.rs`, not guessed.
const OVERHEAD_BYTES: usize = 160;

impl States {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            slab: Vec::new(),
            free: Vec::new(),
            indexes: (0..=u8::MAX).map(|_| HashTable::new()).collect(),
            nodes: Interner::new(),
            state: FixedState::with_seed(seed.0),
            bytes: 0,
        }
    }

    /// hot.
    pub(crate) fn find(&self, hid: Hid) -> Option<StateKey> {
        let index = &self.indexes[usize::from(hid.bucket().0)];
        let found = index.find(self.state.hash_one(hid.bits()), |&at| {
            self.slab[at as usize].as_ref().is_some_and(|state| state.hid == hid)
        });
        found.map(|&at| StateKey(at))
    }

    /// hot.
    pub(crate) fn get(&self, key: StateKey) -> &State {
        self.slab[key.0 as usize].as_ref().expect("a key is of a state that is there")
    }

    /// The state at a place of the slab, if one is there.
    pub(crate) fn at(&self, place: usize) -> Option<(StateKey, &State)> {
        Some((StateKey(place as u32), self.slab.get(place)?.as_ref()?))
    }

    /// Places of the slab, free ones among them.
    pub(crate) fn places(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// What they take, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All of them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = StateKey> {
        (0..self.slab.len()).filter_map(|at| self.at(at)).map(|(key, _)| key)
    }

    /// States of one bucket, in no order.
    pub(crate) fn of_bucket(&self, bucket: Bucket) -> impl Iterator<Item = (StateKey, &State)> {
        let keys = self.indexes[usize::from(bucket.0)].iter().map(|&at| StateKey(at));
        keys.map(|key| (key, self.get(key)))
    }

    /// Which state it is.
    pub(crate) fn id(&self, key: StateKey) -> StateId {
        let state = self.get(key);
        let life = Stamp { counter: state.counter, node: self.nodes.get(state.born_at) };
        StateId { life, epoch: state.epoch, version: state.version }
    }

    /// Keeps a state. One of the same session is replaced whole. `None` if too many nodes have been seen.
    pub(crate) fn insert(&mut self, hid: Hid, new: NewState<'_>, now: Ms) -> Option<StateKey> {
        let born_at = self.nodes.number(new.id.life.node)?;
        let before = self.remove(hid).map(|state| (state.used_at, state.used));
        let mut bytes = Vec::with_capacity(new.place.vhost.len() + new.place.key.len() + new.value.len());
        bytes.extend_from_slice(new.place.vhost.as_bytes());
        bytes.extend_from_slice(new.place.key);
        bytes.extend_from_slice(new.value);
        let (used_at, used) = before.unwrap_or((second(now), false));
        let state = State {
            hid,
            bytes: bytes.into(),
            deadline: new.deadline,
            counter: new.id.life.counter,
            version: new.id.version,
            epoch: new.id.epoch,
            filed: 0,
            used_at,
            born_at,
            key_bytes: new.place.key.len() as u16,
            flags: new.flags,
            vhost_bytes: new.place.vhost.len() as u8,
            used,
            users: [0; USERS],
            fresh: false,
        };
        self.bytes += weight(&state);
        let at = match self.free.pop() {
            Some(at) => {
                self.slab[at as usize] = Some(state);
                at
            }
            None => {
                self.slab.push(Some(state));
                (self.slab.len() - 1) as u32
            }
        };
        let (slab, hasher) = (&self.slab, self.state.clone());
        let hash = |at: &u32| {
            let state = slab[*at as usize].as_ref().expect("only states are indexed");
            hasher.hash_one(state.hid.bits())
        };
        let index = &mut self.indexes[usize::from(hid.bucket().0)];
        index.insert_unique(self.state.hash_one(hid.bits()), at, hash);
        Some(StateKey(at))
    }

    pub(crate) fn remove(&mut self, hid: Hid) -> Option<State> {
        let slab = &self.slab;
        let same = |at: &u32| slab[*at as usize].as_ref().is_some_and(|state| state.hid == hid);
        let index = &mut self.indexes[usize::from(hid.bucket().0)];
        let entry = index.find_entry(self.state.hash_one(hid.bits()), same).ok()?;
        let (at, _) = entry.remove();
        self.free.push(at);
        let state = self.slab[at as usize].take()?;
        self.bytes -= weight(&state);
        Some(state)
    }

    /// A commit: the next version, its value if it changed, its deadline. hot.
    pub(crate) fn commit(
        &mut self,
        key: StateKey,
        version: Version,
        content: Option<&NewContent<'_>>,
        deadline: Deadline,
    ) {
        let state = self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there");
        self.bytes -= weight(state);
        let at = state.value_at();
        if let Some(content) = content {
            let value = content.bytes();
            state.flags = state.flags.with_attributes(matches!(content, NewContent::Attributes(_)));
            if state.bytes.len() == at + value.len() {
                state.bytes[at..].copy_from_slice(value);
            } else {
                let mut bytes = Vec::with_capacity(at + value.len());
                bytes.extend_from_slice(&state.bytes[..at]);
                bytes.extend_from_slice(value);
                state.bytes = bytes.into();
            }
        }
        state.version = version;
        state.deadline = deadline;
        self.bytes += weight(state);
    }

    /// A touch: a deadline that grew. hot.
    pub(crate) fn touch(&mut self, key: StateKey, deadline: Deadline, now: Ms) {
        let state = self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there");
        state.deadline = deadline;
        state.note_used(now);
    }

    /// Another deadline that no client asked for.
    pub(crate) fn set_deadline(&mut self, key: StateKey, deadline: Deadline) {
        self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there").deadline = deadline;
    }

    /// It was asked for; true if that was the first time after its creation. hot.
    pub(crate) fn mark_used(&mut self, key: StateKey, now: Ms) -> bool {
        let state = self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there");
        let first = !state.used;
        state.note_used(now);
        first
    }

    /// A commit or touch came through that node, `None`: a client of ours. Gives the node through which most
    /// of them come. hot.
    pub(crate) fn note_user(&mut self, key: StateKey, node: Option<NodeId>) -> Option<NodeId> {
        let number = node.and_then(|node| self.nodes.number(node));
        // of a node past 254 nothing is remembered: its sessions stay where they are
        let number = number.and_then(|number| u8::try_from(number + 1).ok()).unwrap_or(0);
        let state = self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there");
        state.users.rotate_right(1);
        state.users[0] = number;
        let through = state.users.iter().filter(|&&user| user == number).count();
        node.filter(|_| number > 0 && through >= USERS_MOVE)
    }

    pub(crate) fn set_fresh(&mut self, key: StateKey, fresh: bool) {
        self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there").fresh = fresh;
    }

    /// Whether loads may be answered out of any copy: not after a silence.
    pub(crate) fn all_stale(&mut self) {
        for state in self.slab.iter_mut().flatten() {
            state.fresh = false;
        }
    }

    /// When it was committed to last. A change of home alone leaves it as it is: what one side of a cut only
    /// took over must not beat what the other side wrote (S8).
    pub(crate) fn set_id(&mut self, key: StateKey, epoch: Epoch, version: Version) {
        let state = self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there");
        state.epoch = epoch;
        state.version = version;
    }

    pub(crate) fn file(&mut self, key: StateKey, second: u32) {
        self.slab[key.0 as usize].as_mut().expect("a key is of a state that is there").filed = second;
    }
}

/// What the clock of uses counts in.
fn second(now: Ms) -> u32 {
    (now.0 / 1_000) as u32
}

fn weight(state: &State) -> u64 {
    (state.bytes.len() + OVERHEAD_BYTES) as u64
}
