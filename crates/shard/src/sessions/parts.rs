//! The machines of the parts that this shard keeps.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::{Answer, Database, KeptAnswer};
use leveret_model::{ConnectionKey, Instant, Name, Seed, ShardId, limits};
use leveret_sessions::{
    Asker, Bucket, Clock, Config, Counters, Damage, Effects, Expired, Handover, HeldSession, Hid, Home,
    Image, ImageError, Member, Outgoing, Request, Sessions, Slot, Wanted,
};

use super::config::SessionConfig;

/// A machine's share of the buckets: bucket mod [`limits::SESSION_PARTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part(pub(super) u8);

/// The part that keeps a bucket. hot.
pub(super) fn part_of(bucket: Bucket) -> Part {
    Part(bucket.0 % limits::SESSION_PARTS)
}

/// The machines of a shard: part p is on the shard p mod shards, at p / shards there.
pub(super) struct Parts {
    machines: Vec<Sessions>,
    shard: ShardId,
    shards: u8,
    /// Of all machines, until they are carried.
    effects: Effects,
    unknown_commands: u64,
}

impl core::fmt::Debug for Parts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // keys are secrets, and a machine is full of them
        f.debug_struct("Parts").field("machines", &self.machines.len()).finish_non_exhaustive()
    }
}

impl Parts {
    pub(super) fn new(shard: ShardId, seed: Seed, config: &SessionConfig) -> Self {
        let own = (0..limits::SESSION_PARTS).filter(|part| part % config.shards == shard.0);
        let machine = |part: u8| {
            Sessions::new(Config {
                own: config.home,
                shards: limits::SESSION_PARTS,
                shard: ShardId(part),
                memory_max: config.memory_bytes / u64::from(limits::SESSION_PARTS),
                value_bytes_max: config.value_bytes_max,
                gone_for_ms: config.gone_for_ms,
                rules: config.rules.clone(),
                copies: config.copies,
                seed: seed.part(u64::from(part)),
            })
        };
        Self {
            machines: own.map(machine).collect(),
            shard,
            shards: config.shards,
            effects: Effects::default(),
            unknown_commands: 0,
        }
    }

    pub(super) fn shards(&self) -> u8 {
        self.shards
    }

    /// The shard that keeps a part. hot.
    pub(super) fn shard_of(&self, part: Part) -> ShardId {
        ShardId(part.0 % self.shards)
    }

    /// hot.
    fn machine(&mut self, part: Part) -> Option<(&mut Sessions, &mut Effects)> {
        let here = part.0 % self.shards == self.shard.0;
        let machine = self.machines.get_mut(usize::from(part.0 / self.shards)).filter(|_| here)?;
        Some((machine, &mut self.effects))
    }

    /// Commands on a key of a part that is here. `None`: the answer comes by [`Parts::take_answers`]. hot.
    pub(super) fn on_request(
        &mut self,
        clock: Clock,
        part: Part,
        request: &Request<'_>,
    ) -> Option<Answer<'_>> {
        let (machine, effects) = self.machine(part)?;
        machine.on_request(clock, request, effects)
    }

    /// The same, as another shard of the node sent it.
    pub(super) fn on_request_bytes(
        &mut self,
        clock: Clock,
        part: Part,
        asker: Asker,
        bytes: &[u8],
    ) -> Result<(), Damage> {
        let Some((machine, effects)) = self.machine(part) else { return Ok(()) };
        if let Some(answer) = machine.on_request_bytes(clock, asker, bytes, effects)? {
            effects.answers.push((asker, answer));
        }
        Ok(())
    }

    /// All other nodes that keep sessions.
    pub(super) fn on_members(&mut self, clock: Clock, members: &[Member]) {
        self.machines.iter_mut().for_each(|machine| machine.on_members(clock, members, &mut self.effects));
    }

    /// Membership's lease.
    pub(super) fn on_lease(&mut self, clock: Clock, held: bool) {
        self.machines.iter_mut().for_each(|machine| machine.on_lease(clock, held, &mut self.effects));
    }

    /// The data links to a node are new.
    pub(super) fn on_link(&mut self, clock: Clock, peer: Home) {
        self.machines.iter_mut().for_each(|machine| machine.on_link(clock, peer, &mut self.effects));
    }

    /// Records of a peer's machine of the same part. A part that is not here is a peer's bug.
    pub(super) fn on_records(
        &mut self,
        clock: Clock,
        from: Home,
        part: Part,
        records: &[u8],
    ) -> Result<(), Damage> {
        let (machine, effects) = self.machine(part).ok_or(Damage::Value("part"))?;
        machine.on_records(clock, from, records, effects)
    }

    /// Records for other nodes, in order.
    pub(super) fn take_records(&mut self) -> Vec<Outgoing> {
        core::mem::take(&mut self.effects.records)
    }

    /// This node leaves.
    pub(super) fn leave(&mut self, clock: Clock) {
        self.machines.iter_mut().for_each(|machine| machine.leave(clock, &mut self.effects));
    }

    /// It stays after all.
    pub(super) fn stay(&mut self) {
        self.machines.iter_mut().for_each(Sessions::stay);
    }

    /// How far a leave is, of all machines.
    pub(super) fn handover(&self) -> Handover {
        let none = Handover { over: true, alone: true, ..Handover::default() };
        self.machines.iter().map(Sessions::handover).fold(none, |mut sum, part| {
            sum += part;
            sum
        })
    }

    /// Appends what is here to an image; gives the records.
    pub(super) fn append_image(&self, clock: Clock, out: &mut Vec<u8>) -> u64 {
        self.machines.iter().map(|machine| machine.append_image(clock, out)).sum()
    }

    /// Takes what these machines keep of an image; gives the sessions.
    pub(super) fn take_image(&mut self, clock: Clock, image: &Image<'_>) -> Result<usize, ImageError> {
        self.machines.iter_mut().map(|machine| machine.take_image(clock, image)).sum()
    }

    /// True once all machines may answer: they hold the lease, and every peer has told its map.
    pub(super) fn are_serving(&self) -> bool {
        self.machines.iter().all(Sessions::is_serving)
    }

    pub(super) fn on_closed(&mut self, shard: ShardId, connection: ConnectionKey) {
        self.machines.iter_mut().for_each(|machine| machine.on_closed(shard, connection));
    }

    pub(super) fn on_time(&mut self, clock: Clock) {
        for machine in &mut self.machines {
            if machine.next_time() <= clock.now {
                machine.on_time(clock, &mut self.effects);
            }
        }
    }

    pub(super) fn next_time(&self) -> Instant {
        self.machines.iter().map(Sessions::next_time).min().unwrap_or(Instant::FAR)
    }

    pub(super) fn take_answers(&mut self) -> Vec<(Asker, KeptAnswer)> {
        core::mem::take(&mut self.effects.answers)
    }

    /// Whether anybody is to be told what expires.
    pub(super) fn want_expired(&mut self, wanted: bool) {
        self.machines.iter_mut().for_each(|machine| machine.want_expired(wanted));
    }

    /// What expired here.
    pub(super) fn take_expired(&mut self) -> Vec<Expired> {
        core::mem::take(&mut self.effects.expired)
    }

    /// Keys from a slot on, if its part is here; gives the slot where to go on.
    pub(super) fn walk(
        &mut self,
        clock: Clock,
        from: Slot,
        wanted: &Wanted<'_>,
        keys: &mut Vec<Box<[u8]>>,
    ) -> Option<Slot> {
        match self.machine(part_of(from.bucket())) {
            Some((machine, _)) => machine.walk(clock, from, wanted, keys),
            None => Some(from),
        }
    }

    /// Sessions of a bucket whose state is here.
    pub(super) fn held(&self, clock: Clock, bucket: Bucket, most: usize) -> Vec<HeldSession> {
        let part = part_of(bucket);
        let here = part.0 % self.shards == self.shard.0;
        let machine = self.machines.get(usize::from(part.0 / self.shards)).filter(|_| here);
        machine.map_or_else(Vec::new, |machine| machine.held(clock, bucket).take(most).collect())
    }

    /// Vhost, database and key of a session whose state is here.
    pub(super) fn place_of(&mut self, part: Part, hid: Hid) -> Option<(Box<str>, Database, Box<[u8]>)> {
        let (machine, _) = self.machine(part)?;
        let place = machine.place_of(hid)?;
        Some((place.vhost.into(), place.database, place.key.into()))
    }

    pub(super) fn count(&self, database: Database) -> u64 {
        self.machines.iter().map(|machine| machine.count(database)).sum()
    }

    pub(super) fn flush(&mut self, clock: Clock, vhost: &Name, database: Database) {
        for machine in &mut self.machines {
            machine.flush(clock, vhost, database, &mut self.effects);
        }
    }

    /// The parts that are here.
    pub(super) fn own(&self) -> Vec<Part> {
        (0..limits::SESSION_PARTS).filter(|part| part % self.shards == self.shard.0).map(Part).collect()
    }

    pub(super) fn flush_part(&mut self, clock: Clock, part: Part, vhost: &Name, database: Database) {
        if let Some((machine, effects)) = self.machine(part) {
            machine.flush(clock, vhost, database, effects);
        }
    }

    /// Keys of the slots from one to before another, whose part is here.
    pub(super) fn keys_between(
        &mut self,
        clock: Clock,
        (from, to): (u16, u16),
        (vhost, database, pattern, kind): (&Name, Database, Option<&[u8]>, Option<&[u8]>),
    ) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        let wanted = Wanted { vhost, database, pattern, count: usize::MAX, kind };
        for slot in (from..to).map_while(Slot::new) {
            if let Some((machine, _)) = self.machine(part_of(slot.bucket())) {
                machine.walk_one(clock, slot, &wanted, &mut keys);
            }
        }
        keys
    }

    /// Bytes of states.
    pub(super) fn bytes(&self) -> u64 {
        self.machines.iter().map(|machine| machine.sizes().bytes).sum()
    }

    pub(super) fn note_unknown_command(&mut self) {
        self.unknown_commands += 1;
    }

    pub(super) fn unknown_commands(&self) -> u64 {
        self.unknown_commands
    }

    pub(super) fn machines(&self) -> &[Sessions] {
        &self.machines
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = Counters> {
        self.machines.iter().map(Sessions::counters)
    }
}
