//! The control machine: its inputs, its outputs and its parts.
//!
//! Every input ends with `settle_inputs`, which works out what follows from it. Each part is a machine of its
//! own that does not know this one; the files that add methods to [`Control`] connect them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::mem;

use leveret_model::directory::{Command, FromShard, ToShard};
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId, RequestId, Seed, ShardId, SplitMix, Ulid};

use crate::desk::{Desk, Origin};
use crate::directory::state::Directory;
use crate::effects::{Effects, LinkKey};
use crate::frame::{Decoded, Frame};
use crate::membership::dial::DialFailure;
use crate::membership::forgotten::Forgotten;
use crate::membership::member::{Member, PeerHello};
use crate::membership::own_lease::OwnLease;
use crate::moves::Moves;
use crate::peers::applied_maps::AppliedMaps;
use crate::peers::control_links::ControlLinks;
use crate::peers::map_transfers::MapTransfers;
use crate::peers::reports::Reports;
use crate::peers::schedule::Schedule;
use crate::planted::Bug;
use crate::shard_changes::ShardChanges;

/// What the control machine is told at its start.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Config {
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// The nonce of this start.
    pub boot: Boot,
    /// Its name for people.
    pub name: Name,
    pub shards: u8,
    /// Where its cluster port is for others, `ADDR:PORT`.
    pub address: String,
    /// For random choices and ids.
    pub seed: Seed,
    /// Queues move to nodes that have fewer of them.
    pub rebalance: bool,
    /// Wall clock at [`Instant::ZERO`], milliseconds since 1970; only ids show it.
    pub unix_ms_at_zero: u64,
}

/// The control machine of a node.
pub struct Control {
    pub(crate) config: Config,
    pub(crate) random: SplitMix,
    pub(crate) directory: Directory,
    pub(crate) desk: Desk,
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) forgotten: Forgotten,
    pub(crate) links: ControlLinks,
    pub(crate) lease: OwnLease,
    pub(crate) schedule: Schedule,
    pub(crate) reports: Reports,
    pub(crate) shards: ShardChanges,
    pub(crate) transfers: MapTransfers,
    pub(crate) applied: AppliedMaps,
    pub(crate) moves: Moves,
    pub(crate) effects: Effects,
    pub(crate) bug: Bug,
}

impl Control {
    /// A node that knows nobody yet. [`Control::on_seeds`] begins the join, with no address if there are none.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        let named = |shard| {
            let (node, name, reply_shards) = (config.node, config.name.clone(), config.shards);
            (ShardId(shard), ToShard::NodeNamed { node, name, reply_shards })
        };
        let to_shards = (0..config.shards).map(named).collect();
        Self {
            random: SplitMix::new(config.seed.part(0xc0)),
            directory: Directory::new(config.node, config.incarnation),
            desk: Desk::default(),
            members: BTreeMap::new(),
            forgotten: Forgotten::default(),
            links: ControlLinks::new(),
            lease: OwnLease::new(now),
            schedule: Schedule::new(now),
            reports: Reports::default(),
            shards: ShardChanges::new(config.shards),
            transfers: MapTransfers::default(),
            applied: AppliedMaps::default(),
            moves: Moves::default(),
            effects: Effects { to_shards, ..Effects::default() },
            bug: Bug::default(),
            config,
        }
    }

    /// Plants a bug; to be called before anything else.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::planted::Planted) {
        self.bug.planted = Some(bug);
    }

    /// A shard of this node says something.
    pub fn on_shard(&mut self, now: Instant, from: ShardId, mail: FromShard) {
        self.note_time(now);
        match mail {
            FromShard::Command { request, command } => {
                self.on_command(now, Origin::Shard(from, request), command);
            }
            FromShard::Forget { request } => self.forget_command(Origin::Shard(from, request)),
            FromShard::Applied { sequence } => self.shards.on_applied(from, sequence),
            FromShard::Move { id, attempt, report } => self.on_move_report(now, id, attempt, report),
            FromShard::QueueClosed { request, result } => self.on_queue_closed(request, result),
            FromShard::QueueOver { request, id } => self.on_queue_over(Origin::Shard(from, request), id),
        }
        self.settle_inputs(now);
    }

    /// The operator of this node wants something; [`Effects::to_operators`] has the answer, as soon as everyone
    /// acts on it.
    pub fn on_operator(&mut self, now: Instant, request: RequestId, command: Command) {
        self.note_time(now);
        self.on_command(now, Origin::Operator(request), command);
        self.settle_inputs(now);
    }

    /// What the registry says now: all addresses, each time that it is asked; none if it cannot say.
    pub fn on_seeds(&mut self, now: Instant, addresses: &[String]) {
        self.take_seeds(now, addresses, true);
    }

    /// Addresses that are known before the registry's first answer: they are tried at once.
    pub fn on_first_seeds(&mut self, now: Instant, addresses: &[String]) {
        self.take_seeds(now, addresses, false);
    }

    fn take_seeds(&mut self, now: Instant, addresses: &[String], whole: bool) {
        self.note_time(now);
        // silence means something once everyone could be called
        if whole && !self.links.dials.was_asked() {
            self.lease.quiet_from(now);
        }
        self.links.dials.on_seeds(addresses, whole);
        self.links.dials.hurry(now);
        self.dial_due(now);
        self.settle_inputs(now);
    }

    /// A control link is up and authenticated. `dialled`: the address, if this node dialled it.
    pub fn on_link_up(&mut self, now: Instant, link: LinkKey, peer: PeerHello, dialled: Option<&str>) {
        self.note_time(now);
        self.link_up(now, link, peer, dialled);
        self.settle_inputs(now);
    }

    /// A control link is down, whatever the reason.
    pub fn on_link_down(&mut self, now: Instant, link: LinkKey) {
        self.note_time(now);
        self.link_down(now, link);
        self.settle_inputs(now);
    }

    /// An address of [`Effects::dials`] gave no link.
    pub fn on_dial_failed(&mut self, now: Instant, address: &str, failure: DialFailure) {
        self.note_time(now);
        self.dial_failed(now, address, failure);
        self.settle_inputs(now);
    }

    /// The payload of a control frame.
    pub fn on_frame(&mut self, now: Instant, link: LinkKey, frame: &[u8]) {
        self.note_time(now);
        let Some(peer) = self.links.on_frame(now, link) else { return };
        match Frame::decode(frame) {
            Ok(Decoded::Known(frame)) => self.frame(now, link, peer, frame),
            Ok(Decoded::Unknown(kind)) => self.on_unknown_frame(peer, kind),
            Err(damage) => self.bad_frame(link, peer, damage.to_string()),
        }
        self.settle_inputs(now);
    }

    /// A deadline passed. Harmless when none did.
    pub fn on_timer(&mut self, now: Instant) {
        self.note_time(now);
        self.ping_due(now);
        self.dial_due(now);
        self.digest_due(now);
        self.join_slow(now);
        if self.forget_deadline() <= now {
            self.forget_due(now);
        }
        self.on_command_deadlines(now);
        self.judge_peers(now);
        self.settle_inputs(now);
    }

    /// When [`Control::on_timer`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let quiet = self.links.is_empty() && !self.links.takes_leave() && self.is_idle();
        let pings = if quiet { Instant::FAR } else { self.schedule.next_ping() };
        let answers = self.links.dials.is_turned_away() || !self.links.dials.was_asked();
        let joining = self.lease.deadline(answers, !self.links.is_empty(), self.schedule.next_ping());
        let moves = self.moves.next_deadline();
        [pings, joining, self.dial_deadline(), self.desk.next_deadline(), self.forget_deadline(), moves]
            .into_iter()
            .fold(Instant::FAR, Instant::min)
    }

    /// Moves what is to be done to `effects`, behind what is in there.
    pub fn drain(&mut self, effects: &mut Effects) {
        let done = mem::take(&mut self.effects);
        effects.store.extend(done.store);
        effects.sessions.extend(done.sessions);
        effects.to_shards.extend(done.to_shards);
        effects.to_operators.extend(done.to_operators);
        effects.frames.extend(done.frames);
        effects.dials.extend(done.dials);
        effects.hang_ups.extend(done.hang_ups);
        effects.events.extend(done.events);
        effects.ready = effects.ready.or(done.ready);
        effects.left = effects.left.or(done.left);
    }

    /// This node.
    pub(crate) fn own(&self) -> NodeId {
        self.config.node
    }

    /// An id for a queue or a proposal, ordered by age as far as clocks go.
    pub(crate) fn draw_ulid(&mut self, now: Instant) -> Ulid {
        let since = now.since(Instant::ZERO).as_millis() as u64;
        Ulid::new(self.config.unix_ms_at_zero + since, self.random.next_u128())
    }

    /// A node's name for people; its id if the name is not known.
    pub(crate) fn name_of(&self, node: NodeId) -> Name {
        match self.members.get(&node) {
            Some(member) => member.hello.name.clone(),
            None if node == self.own() => self.config.name.clone(),
            None => Name::new(&node.to_string()),
        }
    }

    /// This input came now. A thread that was late has heard nobody meanwhile.
    pub(crate) fn note_time(&mut self, now: Instant) {
        if !self.links.is_empty() {
            self.schedule.note_time(now);
        }
    }

    /// There is no member to ping or to judge.
    fn is_idle(&self) -> bool {
        self.members.values().all(|member| member.standing.is_down() && member.link.is_none())
    }
}
