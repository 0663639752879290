//! The control machine: its doors.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use leveret_model::directory::{FromShard, ToShard};
use leveret_model::{
    Boot, Incarnation, Instant, Name, NodeId, RequestId, Seed, ShardId, SplitMix, Ulid, limits,
};

use crate::command::{CommandKey, Desk, Origin};
use crate::directory::map::{Record, Version};
use crate::directory::state::Directory;
use crate::directory::visible::Visible;
use crate::effects::{Effects, LinkKey};
use crate::frame::{Decoded, Frame, Versions};
use crate::membership::TurnAway;
use crate::membership::dial::{DialFailure, Dials};
use crate::membership::join::Join;
use crate::membership::member::{Member, PeerHello};
use crate::peers::unknown_frames::UnknownFrames;

/// What the control machine is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// The nonce of this start.
    pub boot: Boot,
    /// Its name for people.
    pub name: Name,
    /// Its shards.
    pub shards: u8,
    /// Where its cluster port is for others, `ADDR:PORT`.
    pub address: String,
    /// For random choices and ids.
    pub seed: Seed,
    /// Wall clock at [`Instant::ZERO`], milliseconds since 1970; only ids show it.
    pub unix_ms_at_zero: u64,
}

/// A control link that is up.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) peer: NodeId,
    /// The dialler: of two links to one peer the one stays that the smaller node id dialled.
    pub(crate) dialler: NodeId,
    /// The address that this node dialled for it.
    pub(crate) dialled: Option<String>,
    /// When its last frame came.
    pub(crate) last_frame: Instant,
}

/// Something that is said to a peer once every shard applied a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterApplied {
    /// The map of that node is routed by.
    Map(NodeId, Version),
    /// A proposal of that node has the vote after all.
    Agreed(NodeId, Ulid),
}

/// A map that was heard of and is not here yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) since: Instant,
    /// When and whom; forgotten with the link.
    pub(crate) asked: Option<(Instant, NodeId)>,
}

/// Pieces of a map that came so far.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    pub(crate) version: Version,
    pub(crate) next: u32,
    pub(crate) records: Vec<Record>,
}

/// The control machine of a node.
pub struct Control {
    pub(crate) config: Config,
    pub(crate) random: SplitMix,
    pub(crate) directory: Directory,
    pub(crate) visible: Visible<CommandKey>,
    pub(crate) desk: Desk,
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Nodes that were forgotten, and until when what peers say of them is let pass.
    pub(crate) forgotten: BTreeMap<NodeId, Instant>,
    pub(crate) forget_not_before: Instant,
    pub(crate) links: BTreeMap<LinkKey, Link>,
    pub(crate) dials: Dials,
    pub(crate) join: Join,
    /// Why this node was turned away, as people were told last.
    pub(crate) said_turned_away: Option<TurnAway>,
    /// Links of peers that were turned away, until they have heard so.
    pub(crate) turned_away: Vec<LinkKey>,
    /// People were told that nobody else has room here; until somebody had.
    pub(crate) said_full: bool,
    /// Another process has this node's identity, or knows more of it than itself: it serves nothing.
    pub(crate) stopped: bool,
    /// Verdicts of silence wait until then: this thread was late.
    pub(crate) patient_until: Instant,
    pub(crate) next_ping: Instant,
    pub(crate) next_digest: Instant,
    pub(crate) said_hears: (Vec<NodeId>, bool),
    pub(crate) lease_told: Option<Instant>,
    /// Peers whose pings this node echoed since it counts them.
    pub(crate) echoed: BTreeSet<NodeId>,
    // ---- changes and shards
    pub(crate) sequence: u64,
    pub(crate) applied: Vec<u64>,
    pub(crate) after_applied: VecDeque<(u64, AfterApplied)>,
    pub(crate) agreed: Vec<(NodeId, Ulid)>,
    pub(crate) stored: BTreeSet<NodeId>,
    /// Maps that every shard routes by.
    pub(crate) routed_versions: BTreeMap<NodeId, Version>,
    /// The same with all that they rest on: what is acked, and what the lease asks for.
    pub(crate) applied_versions: BTreeMap<NodeId, Version>,
    /// Routed by, but not all that they rest on.
    pub(crate) resting: BTreeMap<NodeId, VecDeque<(Version, Versions)>>,
    pub(crate) wanted: BTreeMap<NodeId, Wanted>,
    pub(crate) pieces: BTreeMap<(LinkKey, NodeId), Pieces>,
    /// Requests of peers: under way, or answered and not forgotten yet.
    pub(crate) served: BTreeMap<(NodeId, RequestId), Option<leveret_model::directory::Reply>>,
    pub(crate) unknown_frames: UnknownFrames,
    /// Something changed that a waiting command may wait for.
    pub(crate) stirred: bool,
    pub(crate) effects: Effects,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::planted::Planted>,
}

impl Control {
    /// A node that knows nobody yet. [`Control::on_seeds`] begins the join, with no address if there are none.
    #[must_use]
    pub fn new(now: Instant, config: Config) -> Self {
        let random = SplitMix::new(config.seed.part(0xc0));
        let directory = Directory::new(config.node, config.incarnation);
        let shards = usize::from(config.shards);
        let named =
            |shard| (ShardId(shard), ToShard::NodeNamed { node: config.node, name: config.name.clone() });
        let to_shards = (0..config.shards).map(named).collect();
        Self {
            random,
            directory,
            visible: Visible::new(),
            desk: Desk::default(),
            members: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            forget_not_before: Instant::ZERO,
            links: BTreeMap::new(),
            dials: Dials::new(),
            join: Join::Joining { since: now, quiet_since: now, said: false },
            said_turned_away: None,
            turned_away: Vec::new(),
            said_full: false,
            stopped: false,
            patient_until: Instant::ZERO,
            next_ping: now,
            next_digest: now + limits::DIGEST_EVERY,
            said_hears: (Vec::new(), false),
            lease_told: None,
            echoed: BTreeSet::new(),
            sequence: 0,
            applied: vec![0; shards],
            after_applied: VecDeque::new(),
            agreed: Vec::new(),
            stored: BTreeSet::new(),
            routed_versions: BTreeMap::new(),
            applied_versions: BTreeMap::new(),
            resting: BTreeMap::new(),
            wanted: BTreeMap::new(),
            pieces: BTreeMap::new(),
            served: BTreeMap::new(),
            unknown_frames: UnknownFrames::default(),
            stirred: false,
            effects: Effects { to_shards, ..Effects::default() },
            #[cfg(feature = "planted")]
            planted: None,
            config,
        }
    }

    /// A shard of this node says something.
    pub fn on_shard(&mut self, now: Instant, from: ShardId, mail: FromShard) {
        self.note_time(now);
        match mail {
            FromShard::Command { request, command } => {
                self.on_command(now, Origin::Shard(from, request), command);
            }
            FromShard::Forget { request } => self.forget_command(Origin::Shard(from, request)),
            FromShard::Applied { sequence } => {
                if let Some(applied) = self.applied.get_mut(usize::from(from.0)) {
                    *applied = (*applied).max(sequence);
                }
            }
            FromShard::QueueClosed { request, result } => self.on_queue_closed(request, result),
        }
        self.work_out(now);
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
        if let Join::Joining { quiet_since, .. } = &mut self.join
            && whole
            && !self.dials.was_asked()
        {
            *quiet_since = now;
        }
        self.dials.on_seeds(addresses, whole);
        self.dials.hurry(now);
        self.dial_due(now);
        self.work_out(now);
    }

    /// A control link is up and authenticated. `dialled`: the address, if this node dialled it.
    pub fn on_link_up(&mut self, now: Instant, link: LinkKey, peer: PeerHello, dialled: Option<&str>) {
        self.note_time(now);
        self.link_up(now, link, peer, dialled);
        self.work_out(now);
    }

    /// A control link is down, whatever the reason.
    pub fn on_link_down(&mut self, now: Instant, link: LinkKey) {
        self.note_time(now);
        self.link_down(now, link);
        self.work_out(now);
    }

    /// An address of [`Effects::dials`] gave no link.
    pub fn on_dial_failed(&mut self, now: Instant, address: &str, failure: DialFailure) {
        self.note_time(now);
        self.dial_failed(now, address, failure);
        self.work_out(now);
    }

    /// The payload of a control frame.
    pub fn on_frame(&mut self, now: Instant, link: LinkKey, frame: &[u8]) {
        self.note_time(now);
        let Some(known) = self.links.get_mut(&link) else { return };
        known.last_frame = now;
        let peer = known.peer;
        match Frame::decode(frame) {
            Ok(Decoded::Known(frame)) => self.frame(now, link, peer, frame),
            Ok(Decoded::Unknown(kind)) => self.on_unknown_frame(peer, kind),
            Err(damage) => self.bad_frame(link, peer, damage.to_string()),
        }
        self.work_out(now);
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
        self.work_out(now);
    }

    /// When [`Control::on_timer`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let quiet = self.links.is_empty() && self.turned_away.is_empty() && self.is_idle();
        let pings = if quiet { Instant::FAR } else { self.next_ping };
        let joining = match self.join {
            Join::Joining { since, quiet_since, said } => {
                let slow = if said { Instant::FAR } else { since + limits::JOIN_SLOW_AFTER };
                let waits = self.dials.is_turned_away() || !self.dials.was_asked();
                let alone = if waits { Instant::FAR } else { quiet_since + limits::ALONE_AFTER };
                if self.lease_told.is_none() && self.links.is_empty() {
                    alone.min(slow).max(self.next_ping)
                } else {
                    slow
                }
            }
            Join::Ready => Instant::FAR,
        };
        let dials = self.dial_deadline();
        [
            pings,
            joining,
            dials,
            self.desk.next_deadline(),
            self.visible.next_deadline(),
            self.forget_deadline(),
        ]
        .into_iter()
        .fold(Instant::FAR, Instant::min)
    }

    /// Moves what is to be done to `effects`, behind what is in there.
    pub fn drain(&mut self, effects: &mut Effects) {
        let done = mem::take(&mut self.effects);
        effects.sessions.extend(done.sessions);
        effects.to_shards.extend(done.to_shards);
        effects.frames.extend(done.frames);
        effects.dials.extend(done.dials);
        effects.hang_ups.extend(done.hang_ups);
        effects.events.extend(done.events);
        effects.ready = effects.ready.or(done.ready);
    }

    /// This node.
    pub(crate) fn own(&self) -> NodeId {
        self.config.node
    }

    /// It must not serve.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
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

    /// Verdicts of silence need a thread that was there to hear: after a pause of its own it listens for a
    /// while first.
    pub(crate) fn note_time(&mut self, now: Instant) {
        if !self.links.is_empty() && now > self.next_ping + limits::LATE_BY {
            self.patient_until = now + limits::LISTEN_AFTER_PAUSE;
        }
    }

    /// Nobody is known who should be pinged or judged.
    fn is_idle(&self) -> bool {
        self.members.values().all(|member| member.standing.is_down() && member.link.is_none())
    }
}
