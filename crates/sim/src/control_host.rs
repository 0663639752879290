//! The control thread of a process: carries envelopes between the control machine, the links and the shards.
//!
//! The same order as in the real driver: mail, then links and sockets, then time; then effects until all is quiet.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use leveret_cluster::{Control, DialFailure, Effects, Event as ClusterEvent, LinkKey, PeerHello};
use leveret_link::frame::{self, Frame};
use leveret_model::directory::{FromShard, PeerState, ToShard};
use leveret_model::{Instant, NodeId, ShardId};

use crate::dials::Dialled;
use crate::event::{Actor, End, HostId, ProcessId};
use crate::network::{Greeting, Item, Owner, Purpose};
use crate::sessions::{Sessions, Wish};
use crate::shard_host::ShardMail;
use crate::world::Ways;

/// Mail to the control thread.
#[derive(Debug)]
pub(crate) enum ControlMail {
    Shard(ShardId, FromShard),
    ClientGone(u8),
    LinkLost { node: NodeId },
    Dialled(Dialled),
    Seeds(Vec<String>),
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
    effects: Effects,
    events: VecDeque<LinkEvent>,
    links: BTreeMap<LinkKey, End>,
    keys: BTreeMap<End, LinkKey>,
    next_link: u64,
    sessions: Sessions,
    session_count: u64,
    /// Clients of each shard.
    clients: Vec<usize>,
    pub(crate) listening: bool,
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
            effects: Effects::default(),
            events: VecDeque::new(),
            links: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_link: 0,
            sessions: Sessions::new(hello.node, hello.shards),
            session_count: 0,
            clients: vec![0; usize::from(hello.shards)],
            listening: false,
            to_shards: Vec::new(),
            hello,
        }
    }

    /// When the thread wants its next turn, by its own clock.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.control.next_deadline().min(self.sessions.next_deadline())
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
                ControlMail::LinkLost { node } => self.sessions.lost(now, node),
                ControlMail::Dialled(dialled) => self.on_dialled(now, dialled, ways),
                ControlMail::Seeds(seeds) => self.control.on_seeds(now, &seeds),
            }
        }
        while let Some(end) = self.ready.pop_front() {
            self.read(end, ways);
        }
        self.sessions.on_timer(now);
        if self.control.next_deadline() <= now {
            self.control.on_timer(now);
        }
        self.carry(now, ways);
    }

    fn on_dialled(&mut self, now: Instant, dialled: Dialled, ways: &mut Ways<'_>) {
        let (dial, failure) = match dialled {
            Dialled::Accepted { dial, process } => {
                let Some(peer) = ways.hellos.get(&process).cloned() else { return };
                let Some(to) = dial.to else { return };
                let control = Owner::Thread(self.process, Actor::Control);
                let owner = if dial.peer.is_some() { Owner::Unclaimed(self.process) } else { control };
                let greeting = Greeting { hello: Some(self.hello.clone()), purpose: dial.purpose };
                let end = ways.network.open(ways.schedule, (owner, Some(self.host)), (process, to), greeting);
                match (dial.purpose, dial.peer) {
                    (Purpose::Data(index), Some(node)) => self.sessions.dialled(node, &peer, index, end),
                    _ => self.link_up(end, peer, Some(dial.address)),
                }
                return;
            }
            Dialled::Refused(dial) => (dial, DialFailure::Refused),
            Dialled::Unreachable(dial) => (dial, DialFailure::Unreachable),
            Dialled::Myself(dial) => (dial, DialFailure::Myself),
        };
        match dial.peer {
            Some(node) => self.sessions.dial_failed(node),
            None => self.control.on_dial_failed(now, &dial.address, failure),
        }
    }

    fn link_up(&mut self, end: End, hello: PeerHello, dialled: Option<String>) {
        let link = LinkKey(self.next_link);
        self.next_link += 1;
        self.links.insert(link, end);
        self.keys.insert(end, link);
        self.events.push_back(LinkEvent::Up { link, hello, dialled });
    }

    fn read(&mut self, end: End, ways: &mut Ways<'_>) {
        if !ways.network.is_owned_by(end, Owner::Thread(self.process, Actor::Control)) {
            // handed over since it was listed
            return;
        }
        while let Some(item) = ways.network.read(end) {
            match item {
                Item::Open(greeting) => match (greeting.purpose, greeting.hello) {
                    (Purpose::Control, Some(hello)) => self.link_up(end, hello, None),
                    (Purpose::Data(index), Some(hello)) => {
                        ways.network.claim(end, Owner::Unclaimed(self.process));
                        return self.sessions.gather(&hello, index, end);
                    }
                    _ => return self.hand_out(end, ways),
                },
                Item::Bytes(bytes) => {
                    let Some(link) = self.keys.get(&end).copied() else { continue };
                    let decoded = frame::decode(&mut BytesMut::from(&bytes[..]));
                    if let Ok(Some(Frame::Control(frame))) = decoded {
                        self.events.push_back(LinkEvent::Frame { link, frame });
                    }
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
            self.carry_wishes(ways);
            self.control.drain(&mut self.effects);
            let mut effects = std::mem::take(&mut self.effects);
            self.carry_effects(now, &mut effects, ways);
            self.effects = effects;
            self.carry_wishes(ways);
            if self.events.is_empty() {
                return;
            }
        }
    }

    fn tell_shards(&mut self, mail: impl Fn() -> ShardMail) {
        for shard in 0..self.hello.shards {
            self.to_shards.push((shard, mail()));
        }
    }

    fn carry_wishes(&mut self, ways: &mut Ways<'_>) {
        for wish in std::mem::take(&mut self.sessions.wishes) {
            match wish {
                Wish::Dial { node, address, index } => {
                    let from = (self.process, self.host);
                    ways.network.dial(ways.schedule, from, &address, Purpose::Data(index), Some(node));
                }
                Wish::Close(end) => ways.network.close(ways.schedule, end),
                Wish::Down { node } => self.tell_shards(|| ShardMail::LinksDown { node }),
                Wish::Up { node, boot, links } => {
                    self.session_count += 1;
                    let session = self.session_count;
                    let count = usize::from(self.hello.shards);
                    let mut of_shard: Vec<Vec<(u8, End)>> = vec![Vec::new(); count];
                    for (index, end) in links {
                        of_shard[usize::from(index) % count].push((index, end));
                    }
                    for (shard, links) in of_shard.into_iter().enumerate() {
                        let mail = ShardMail::LinksUp { node, boot, session, links };
                        self.to_shards.push((shard as u8, mail));
                    }
                }
            }
        }
    }

    fn carry_effects(&mut self, now: Instant, effects: &mut Effects, ways: &mut Ways<'_>) {
        for (shard, mail) in effects.to_shards.drain(..) {
            if shard == ShardId(0) {
                match &mail {
                    ToShard::Peer { node, state } => self.on_peer(now, *node, state, ways),
                    ToShard::Change { change, .. } => {
                        ways.oracle.on_change(ways.schedule.now, self.hello.node, change);
                    }
                    _ => {}
                }
            }
            self.to_shards.push((shard.0, ShardMail::Control(mail)));
        }
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
            let from = (self.process, self.host);
            ways.network.dial(ways.schedule, from, &address, Purpose::Control, None);
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
            self.listening |= matches!(event, ClusterEvent::Ready { .. });
        }
        self.listening |= std::mem::take(&mut effects.listening);
    }

    fn on_peer(&mut self, now: Instant, node: NodeId, state: &PeerState, ways: &mut Ways<'_>) {
        ways.trace.say(ways.schedule.now, || format!("{} says {node} is {state:?}", self.hello.name));
        match state {
            PeerState::Alive { boot, shards } => {
                if let Some(address) = self.control.address_of(node).map(str::to_owned) {
                    self.sessions.want(now, node, *boot, *shards, &address);
                }
            }
            PeerState::Unreachable => {}
            PeerState::Down => {
                self.sessions.lost(now, node);
                self.sessions.unwant(node);
            }
        }
        self.carry_wishes(ways);
    }
}
