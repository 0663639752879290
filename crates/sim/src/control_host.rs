//! The control thread of a process: carries envelopes between the control machine, the links and the shards.
//!
//! The same order as in the real driver: mail, then links and sockets, then time; then effects until all is
//! quiet.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use leveret_cluster::{
    Control, DialFailure, Effects, Event as ClusterEvent, Left, LinkKey, PeerHello, SessionWish,
};
use leveret_link::frame::{self, Frame};
use leveret_link::handshake::{Hello, Purpose as LinkPurpose};
use leveret_link::sessions::{Deed, SessionNumber, Sessions};
use leveret_model::directory::{FromShard, ToShard};
use leveret_model::{Instant, NodeId, ShardId};

use crate::dials::Dialled;
use crate::event::{Actor, End, Event, HostId, ProcessId};
use crate::handshakes::{Errand, Handshakes, Shaken};
use crate::invariants::authentication;
use crate::later_version::LaterVersion;
use crate::network::{Item, Owner, Port, Purpose};
use crate::policies::PolicyOperator;
use crate::shard_host::ShardMail;
use crate::world::Ways;

/// Time that a node has to leave; short, so that some leaves end late.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);

/// Mail to the control thread.
#[derive(Debug)]
pub(crate) enum ControlMail {
    Shard(ShardId, FromShard),
    ClientGone(u8),
    SessionLost {
        node: NodeId,
        session: SessionNumber,
    },
    Dialled(Dialled),
    Seeds(Vec<String>),
    /// The operator wants the node to leave.
    Leave,
}

#[derive(Debug)]
enum LinkEvent {
    Up { link: LinkKey, hello: PeerHello, dialled: Option<String> },
    Frame { link: LinkKey, frame: Bytes },
    Down { link: LinkKey },
}

/// A control thread.
pub(crate) struct ControlHost {
    pub(crate) control: Control,
    pub(crate) mail: VecDeque<ControlMail>,
    /// Ends that something came to.
    pub(crate) ready: VecDeque<End>,
    process: ProcessId,
    host: HostId,
    hello: PeerHello,
    pub(crate) later_version: Option<LaterVersion>,
    pub(crate) operator: Option<PolicyOperator>,
    effects: Effects,
    events: VecDeque<LinkEvent>,
    links: BTreeMap<LinkKey, End>,
    keys: BTreeMap<End, LinkKey>,
    next_link: u64,
    handshakes: Handshakes,
    sessions: Sessions<End>,
    /// Clients of each shard.
    clients: Vec<usize>,
    pub(crate) listening: bool,
    /// How the leave ended, if there was one.
    pub(crate) left: Option<Left>,
    /// To the shards' mailboxes, in order.
    pub(crate) to_shards: Vec<(u8, ShardMail)>,
}

impl std::fmt::Debug for ControlHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlHost").field("hello", &self.hello).finish_non_exhaustive()
    }
}

impl ControlHost {
    pub(crate) fn new(control: Control, process: ProcessId, host: HostId, hello: PeerHello) -> Self {
        Self {
            control,
            mail: VecDeque::new(),
            ready: VecDeque::new(),
            process,
            host,
            later_version: None,
            operator: None,
            effects: Effects::default(),
            events: VecDeque::new(),
            links: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_link: 0,
            sessions: Sessions::new(hello.node, hello.shards),
            handshakes: Handshakes::new(&hello),
            clients: vec![0; usize::from(hello.shards)],
            listening: false,
            left: None,
            to_shards: Vec::new(),
            hello,
        }
    }

    /// When the thread wants its next turn, by its own clock.
    pub(crate) fn next_deadline(&self) -> Instant {
        let later = self.later_version.as_ref().map_or(Instant::FAR, LaterVersion::next_deadline);
        let links = self.sessions.next_deadline().min(self.handshakes.next_deadline());
        let operator = self.operator.as_ref().map_or(Instant::FAR, PolicyOperator::next_deadline);
        self.control.next_deadline().min(links).min(later).min(operator)
    }

    /// A turn.
    pub(crate) fn turn(&mut self, now: Instant, ways: &mut Ways<'_>) {
        while let Some(mail) = self.mail.pop_front() {
            match mail {
                ControlMail::Shard(shard, mail) => self.control.on_shard(now, shard, mail),
                ControlMail::ClientGone(shard) => {
                    let count = &mut self.clients[usize::from(shard)];
                    *count = count.saturating_sub(1);
                }
                ControlMail::SessionLost { node, session } => self.sessions.on_lost(now, node, session),
                ControlMail::Dialled(dialled) => self.on_dialled(now, dialled, ways),
                ControlMail::Seeds(seeds) => self.control.on_seeds(now, &seeds),
                ControlMail::Leave => self.control.on_leave(now, now + LEAVE_WITHIN),
            }
        }
        while let Some(end) = self.ready.pop_front() {
            self.read(now, end, ways);
        }
        for end in self.handshakes.late(now) {
            let shaken = self.handshakes.on_close(end);
            self.shaken(now, end, shaken, ways);
        }
        self.sessions.on_timer(now);
        if self.control.next_deadline() <= now {
            self.control.on_timer(now);
        }
        if let Some(later) = &mut self.later_version {
            later.act(now, &mut self.control);
        }
        if let Some(operator) = &mut self.operator {
            operator.act(now, &mut self.control);
        }
        self.carry(now, ways);
    }

    fn on_dialled(&mut self, now: Instant, dialled: Dialled, ways: &mut Ways<'_>) {
        match dialled {
            Dialled::Accepted { dial, process } => {
                let Some(to) = dial.to else { return };
                let owner = Owner::Thread(self.process, Actor::Control);
                let purpose =
                    if matches!(dial.errand, Errand::Data(..)) { Purpose::Data } else { Purpose::Control };
                let dialler = (owner, Some(self.host));
                let end = ways.network.open(ways.schedule, dialler, (process, to), purpose);
                self.handshakes.dialled(dial.began, end, dial.errand, ways);
            }
            Dialled::Refused(dial) => self.dial_failed(now, &dial.errand, DialFailure::Refused),
            Dialled::Unreachable(dial) => self.dial_failed(now, &dial.errand, DialFailure::Unreachable),
        }
    }

    fn dial_failed(&mut self, now: Instant, errand: &Errand, failure: DialFailure) {
        match errand {
            Errand::Accepted => {}
            Errand::Control(address) => self.control.on_dial_failed(now, address, failure),
            Errand::Data(node, key) => self.sessions.on_dial_failed(*node, *key),
        }
    }

    /// What came of a link that was not authenticated yet.
    fn shaken(&mut self, now: Instant, end: End, shaken: Shaken, ways: &mut Ways<'_>) {
        match shaken {
            Shaken::More => {}
            Shaken::Failed { errand, failure } => {
                ways.network.close(ways.schedule, end);
                self.dial_failed(now, &errand, failure);
            }
            Shaken::Open { hello, errand } => self.opened(end, *hello, errand, ways),
        }
    }

    fn opened(&mut self, end: End, hello: Hello, errand: Errand, ways: &mut Ways<'_>) {
        authentication::check(end, &hello, ways);
        match hello.purpose {
            LinkPurpose::Control => {
                let link = LinkKey(self.next_link);
                self.next_link += 1;
                self.links.insert(link, end);
                self.keys.insert(end, link);
                let dialled = if let Errand::Control(address) = errand { Some(address) } else { None };
                let hello = PeerHello {
                    node: hello.node,
                    incarnation: hello.incarnation,
                    boot: hello.boot,
                    shards: hello.shards,
                    address: hello.address.to_string(),
                    name: hello.name,
                    capabilities: hello.capabilities,
                };
                self.events.push_back(LinkEvent::Up { link, hello, dialled });
            }
            LinkPurpose::Data(key) => {
                ways.network.claim(end, Owner::Unclaimed(self.process));
                match errand {
                    Errand::Data(node, key) => {
                        self.sessions.on_dialled(node, (hello.node, hello.boot), key, end);
                    }
                    Errand::Accepted | Errand::Control(_) => {
                        self.sessions.on_accepted(hello.node, hello.boot, key, end);
                    }
                }
            }
        }
    }

    fn read(&mut self, now: Instant, end: End, ways: &mut Ways<'_>) {
        // while it is ours: a data link is handed over once it is authenticated
        while ways.network.is_owned_by(end, Owner::Thread(self.process, Actor::Control)) {
            let Some(item) = ways.network.read(end) else { return };
            match item {
                Item::Open(Port::Amqp) => return self.hand_out(end, ways),
                Item::Open(Port::Cluster) => {
                    if let Some(oldest) = self.handshakes.accepted(now, end, ways) {
                        ways.network.close(ways.schedule, oldest);
                    }
                }
                Item::Bytes(bytes) if self.handshakes.is_open(end) => {
                    let shaken = self.handshakes.on_bytes(end, &bytes, ways);
                    self.shaken(now, end, shaken, ways);
                }
                Item::Bytes(bytes) => {
                    let Some(link) = self.keys.get(&end).copied() else { continue };
                    let decoded = frame::decode(&mut BytesMut::from(&bytes[..]));
                    if let Ok(Some(Frame::Control(frame))) = decoded {
                        self.events.push_back(LinkEvent::Frame { link, frame });
                    }
                }
                Item::Close if self.handshakes.is_open(end) => {
                    let shaken = self.handshakes.on_close(end);
                    self.shaken(now, end, shaken, ways);
                }
                Item::Close => {
                    if let Some(link) = self.keys.get(&end).copied() {
                        self.hang_up(link, ways);
                        self.events.push_back(LinkEvent::Down { link });
                    }
                }
            }
        }
    }

    fn hang_up(&mut self, link: LinkKey, ways: &mut Ways<'_>) {
        if let Some(end) = self.links.remove(&link) {
            self.keys.remove(&end);
            ways.network.close(ways.schedule, end);
        }
    }

    /// A client goes to the shard with the fewest.
    fn hand_out(&mut self, end: End, ways: &mut Ways<'_>) {
        let fewest = (0..self.clients.len()).min_by_key(|index| self.clients[*index]);
        let Some(shard) = fewest.filter(|_| self.listening) else {
            return ways.network.close(ways.schedule, end);
        };
        ways.network.claim(end, Owner::Unclaimed(self.process));
        self.clients[shard] += 1;
        self.to_shards.push((shard as u8, ShardMail::Client(end)));
    }

    fn carry(&mut self, now: Instant, ways: &mut Ways<'_>) {
        loop {
            while let Some(event) = self.events.pop_front() {
                match event {
                    LinkEvent::Up { link, hello, dialled } => {
                        self.control.on_link_up(now, link, hello, dialled.as_deref());
                    }
                    LinkEvent::Frame { link, frame } => self.control.on_frame(now, link, &frame),
                    LinkEvent::Down { link } => self.control.on_link_down(now, link),
                }
            }
            self.carry_deeds(now, ways);
            self.control.drain(&mut self.effects);
            let mut effects = std::mem::take(&mut self.effects);
            self.carry_effects(now, &mut effects, ways);
            self.effects = effects;
            self.carry_deeds(now, ways);
            if self.events.is_empty() {
                return;
            }
        }
    }

    fn carry_deeds(&mut self, now: Instant, ways: &mut Ways<'_>) {
        for deed in self.sessions.take_deeds() {
            match deed {
                Deed::Dial { node, address, key } => {
                    self.dial(now, &address, Errand::Data(node, key), ways);
                }
                Deed::Close(end) => ways.network.close(ways.schedule, end),
                Deed::Down { node } => {
                    for shard in 0..self.hello.shards {
                        self.to_shards.push((shard, ShardMail::SessionDown { node }));
                    }
                }
                Deed::Up { node, boot, session, links } => {
                    let count = usize::from(self.hello.shards);
                    let mut of_shard: Vec<Vec<(u8, End)>> = vec![Vec::new(); count];
                    for (index, end) in links {
                        of_shard[usize::from(index) % count].push((index, end));
                    }
                    for (shard, links) in of_shard.into_iter().enumerate() {
                        let mail = ShardMail::SessionUp { node, boot, session, links };
                        self.to_shards.push((shard as u8, mail));
                    }
                }
            }
        }
    }

    fn dial(&mut self, now: Instant, address: &str, errand: Errand, ways: &mut Ways<'_>) {
        let from = (self.process, self.host);
        ways.network.dial(ways.schedule, from, address, errand, now);
    }

    fn on_session_wish(&mut self, now: Instant, wish: SessionWish, ways: &mut Ways<'_>) {
        ways.trace.say(ways.schedule.now, || format!("{}: {wish:?}", self.hello.name));
        match wish {
            SessionWish::Wanted { node, boot, shards, address } => {
                self.sessions.want(now, node, boot, shards, &address);
            }
            SessionWish::Unwanted(node) => self.sessions.unwant(node),
        }
    }

    fn carry_effects(&mut self, now: Instant, effects: &mut Effects, ways: &mut Ways<'_>) {
        ways.oracle.stores.disks.steps(self.host, effects.store.drain(..));
        for wish in effects.sessions.drain(..) {
            self.on_session_wish(now, wish, ways);
        }
        // a session ends before the shards hear that its node is Down, so that nothing comes from there
        // afterwards
        self.carry_deeds(now, ways);
        for (shard, mail) in effects.to_shards.drain(..) {
            if let (ShardId(0), ToShard::Change { change, .. }) = (shard, &mail) {
                ways.oracle.on_change(ways.schedule.now, self.hello.node, change);
            }
            self.to_shards.push((shard.0, ShardMail::Control(mail)));
        }
        // a policy takes effect whether its operator waits or not
        effects.to_operators.clear();
        for (link, frame) in effects.frames.drain(..) {
            let Some(end) = self.links.get(&link).copied() else { continue };
            match frame::encode_control(&frame) {
                Ok(bytes) => {
                    ways.trace.bytes(&bytes);
                    ways.network.send(ways.schedule, end, Item::Bytes(bytes));
                }
                Err(error) => {
                    ways.oracle.violation(ways.schedule.now, "buffers", format!("a control frame: {error}"));
                }
            }
        }
        for address in effects.dials.drain(..) {
            self.dial(now, &address, Errand::Control(address.clone()), ways);
        }
        for link in effects.hang_ups.drain(..) {
            self.hang_up(link, ways);
        }
        for event in effects.events.drain(..) {
            ways.trace.say(ways.schedule.now, || format!("{} {event:?}", self.hello.name));
            if let ClusterEvent::BadFrame { reason, .. } = &event {
                let text = format!("{} found a bad frame: {reason}", self.hello.name);
                ways.oracle.violation(ways.schedule.now, "liveness", text);
            }
        }
        self.listening |= effects.ready.take().is_some();
        if let Some(left) = effects.left.take() {
            ways.trace.say(ways.schedule.now, || format!("{} left: {left:?}", self.hello.name));
            self.left = Some(left);
            ways.schedule.after(Duration::ZERO, Event::Left(self.process));
        }
    }
}
