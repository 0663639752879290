//! The control thread: accepts other nodes, keeps the links, and drives the control machine.

mod accept;
mod cluster_port;
mod operators;
mod overview;
mod said;
mod stored;

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use leveret_cluster::{Config, Control, Effects, Event, ForgetRefusal, Left, PeerHello, QueueStatus};
use leveret_link::sessions::SessionNumber;
use leveret_model::directory::{Command, FromShard, Reply};
use leveret_model::policy::Policy;
use leveret_model::{Instant, Name, NodeId, QueueId, Seed, ShardId, limits};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use tracing::{error, warn};

use crate::admin::Overview;
use crate::client_ports::{ClientPort, SessionPort};
use crate::clock;
use crate::disk::{FoundQueue, StoreGate};
use crate::events::Teller;
use crate::join_report::{JoinReport, Peer};
use crate::links::{Identity, LinkEvent, Links};
use crate::mailbox::{MailTo, Mailbox, mailbox};
use crate::registries::{Registries, ToRegistry};
use crate::shard_thread::ToShardThread;
use crate::start_error::StartError;

use self::cluster_port::ClusterPort;
pub(crate) use self::operators::Holding;
use self::operators::Operators;
use self::stored::{UntilStored, restored};

/// Mail to the control thread.
#[derive(Debug)]
pub(crate) enum ToControl {
    /// From a shard's machine.
    Shard(ShardId, FromShard),
    /// A data link of that session broke.
    SessionLost { node: NodeId, session: SessionNumber },
    /// Tell the admin socket what you know, with queues behind this one.
    Overview { after: Option<QueueId>, to: Sender<Overview> },
    /// A node will not come back: somebody says so.
    Forget { node: NodeId, to: Sender<Result<(), ForgetRefusal>> },
    /// The operator wants something of the cluster, and is answered when everyone acts on it.
    Operator { command: Command, to: Sender<Reply> },
    /// The policies of the cluster.
    Policies { to: Sender<Vec<Arc<Policy>>> },
    /// The queue of that name, with what this node is called by.
    QueueNamed { vhost: Name, name: Name, to: Sender<Option<QueueStatus>> },
    /// What the registry found, each time that it was asked.
    Seeds(Vec<String>),
    /// What is known before the registry was asked.
    FirstSeeds(Vec<String>),
    /// Hand all queues over within that time, and say how it went.
    Leave { within: Duration, to: Sender<Left> },
    /// Stay after all. True if that was in time.
    Stay { to: Sender<bool> },
    /// Queues of this node, and whether nobody could take them.
    Holding { to: Sender<Holding> },
    /// Give queues to nodes that have fewer of them.
    Rebalance,
    /// So many turns of control are on the disk.
    Stored(u64),
    /// End.
    Stop,
}

const MAILBOX: Token = Token(0);
const CLUSTER: Token = Token(1);
const LINKS: usize = 1 << 40;

/// What the thread is made of.
#[derive(Debug)]
pub(crate) struct ControlParts {
    pub(crate) identity: Identity,
    pub(crate) client_ports: Vec<ClientPort>,
    /// Queues move to nodes that have fewer of them.
    pub(crate) rebalance: bool,
    /// Where RESP clients come, if sessions are on.
    pub(crate) session_port: Option<SessionPort>,
    pub(crate) cluster_listener: StdTcpListener,
    pub(crate) shards: Vec<MailTo<ToShardThread>>,
    pub(crate) seed: Seed,
    pub(crate) ready: Sender<Result<JoinReport, StartError>>,
    pub(crate) registries: Registries,
    /// What the disk had of the own map: queues, and everything else.
    pub(crate) restored: (Vec<FoundQueue>, Vec<Vec<u8>>),
    pub(crate) store: StoreGate,
}

/// An event loop that is not running yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    poll: Poll,
    mailbox: Mailbox<ToControl>,
}

/// The thread's state.
pub(crate) struct ControlThread {
    poll: Poll,
    mailbox: Mailbox<ToControl>,
    control: Control,
    effects: Effects,
    links: Links,
    shards: Vec<MailTo<ToShardThread>>,
    client_ports: Option<Vec<ClientPort>>,
    session_port: Option<SessionPort>,
    port: ClusterPort,
    ready: Sender<Result<JoinReport, StartError>>,
    registries: Registries,
    operators: Operators,
    stored: UntilStored,
    teller: Teller,
}

impl ControlThread {
    /// Makes the event loop.
    pub(crate) fn prepare() -> io::Result<(Prepared, MailTo<ToControl>)> {
        let poll = Poll::new()?;
        let (mailbox, address) = mailbox(poll.registry(), MAILBOX)?;
        Ok((Prepared { poll, mailbox }, address))
    }

    pub(crate) fn new(prepared: Prepared, parts: ControlParts) -> Self {
        let Prepared { poll, mailbox } = prepared;
        let registry = poll.registry();
        let mut listener = TcpListener::from_std(parts.cluster_listener);
        registry
            .register(&mut listener, CLUSTER, Interest::READABLE)
            .expect("a fresh listener can be watched by a fresh event loop");
        let links_registry =
            registry.try_clone().expect("an event loop's descriptor can be doubled at start");
        let hello = parts.identity.hello.clone();
        let now = clock::now();
        let config = Config {
            node: hello.node,
            incarnation: hello.incarnation,
            boot: hello.boot,
            name: hello.name.clone(),
            shards: hello.shards,
            address: hello.address.to_string(),
            seed: parts.seed,
            rebalance: parts.rebalance,
            unix_ms_at_zero: clock::unix_ms().saturating_sub(now.as_nanos() / 1_000_000),
        };
        let shards = parts.shards;
        let control = restored(Control::new(now, config), now, &parts.restored);
        Self {
            control,
            effects: Effects::default(),
            links: Links::new(parts.identity, links_registry, LINKS),
            shards,
            client_ports: Some(parts.client_ports),
            session_port: parts.session_port,
            port: ClusterPort::new(listener),
            ready: parts.ready,
            registries: parts.registries,
            operators: Operators::default(),
            stored: UntilStored::new(parts.store),
            teller: Teller::default(),
            poll,
            mailbox,
        }
    }

    /// Runs until told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(limits::CONTROL_EVENTS_MAX);
        let mut turn = clock::now();
        self.carry(turn);
        loop {
            let deadline =
                self.control.next_deadline().min(self.links.next_deadline()).min(self.port.accept_at);
            let timeout = if self.port.called || !self.mailbox.may_sleep() {
                Some(Duration::ZERO)
            } else {
                (deadline < Instant::FAR).then(|| deadline.since(clock::now()))
            };
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return error!(%error, "the control thread's event loop failed");
            }
            self.mailbox.awake();
            let now = clock::now();
            tell_stood_still(now, deadline.max(turn));
            turn = now;
            if !self.take_mail(now) {
                return;
            }
            for event in &events {
                self.on_event(event);
            }
            self.accept(now);
            self.links.on_timer(now);
            if self.control.next_deadline() <= now {
                self.control.on_timer(now);
            }
            self.carry(now);
        }
    }

    /// Takes mail up to a bound: links and timers have their turn between, or peers would take this node for
    /// Down. False at the end.
    fn take_mail(&mut self, now: Instant) -> bool {
        for _ in 0..limits::CONTROL_MAIL_PER_TURN_MAX {
            let Some(mail) = self.mailbox.take() else { break };
            match mail {
                ToControl::Shard(shard, mail) => self.control.on_shard(now, shard, mail),
                ToControl::SessionLost { node, session } => {
                    self.links.on_session_lost(now, node, session);
                }
                ToControl::Overview { after, to } => {
                    // nobody listens any more if it took too long
                    let _ = to.try_send(self.overview(after));
                }
                ToControl::Forget { node, to } => {
                    let _ = to.try_send(self.control.forget_node(now, node));
                }
                ToControl::Operator { command, to } => {
                    let request = self.operators.enter(to);
                    self.control.on_operator(now, request, command);
                }
                ToControl::Policies { to } => {
                    let _ = to.try_send(self.control.policies());
                }
                ToControl::QueueNamed { vhost, name, to } => {
                    let _ = to.try_send(self.control.queue_named(&vhost, &name));
                }
                ToControl::Seeds(seeds) => self.control.on_seeds(now, &seeds),
                ToControl::FirstSeeds(seeds) => self.control.on_first_seeds(now, &seeds),
                ToControl::Leave { within, to } => {
                    self.operators.left = Some(to);
                    self.control.on_leave(now, now + within);
                }
                ToControl::Stay { to } => {
                    let _ = to.try_send(self.control.on_stay(now));
                }
                ToControl::Holding { to } => {
                    let (queues, is_last) = (self.control.own_queues(), self.control.is_last());
                    let _ = to.try_send(Holding { queues, is_last });
                }
                ToControl::Rebalance => self.control.on_rebalance(now),
                ToControl::Stored(turns) => self.release_stored(turns),
                ToControl::Stop => return false,
            }
        }
        true
    }

    fn on_event(&mut self, event: &mio::event::Event) {
        match event.token() {
            MAILBOX => {}
            CLUSTER => self.port.called = true,
            Token(token) if token >= LINKS => self.links.on_event(token - LINKS, event),
            Token(_) => {}
        }
    }

    /// Moves envelopes between the control machine, the links and the shards until all is quiet.
    fn carry(&mut self, now: Instant) {
        loop {
            self.carry_links(now);
            self.control.drain(&mut self.effects);
            let mut effects = std::mem::take(&mut self.effects);
            self.carry_effects(now, &mut effects);
            self.effects = effects;
            self.links.carry_deeds(now);
            self.links.flush();
            if self.links.events.is_empty() {
                return;
            }
        }
    }

    fn carry_links(&mut self, now: Instant) {
        self.links.carry_deeds(now);
        for event in std::mem::take(&mut self.links.events) {
            self.on_link_event(now, event);
        }
    }

    fn carry_effects(&mut self, now: Instant, effects: &mut Effects) {
        self.stored.hand_over(&mut effects.store);
        for wish in effects.sessions.drain(..) {
            self.links.on_session_wish(now, &wish);
        }
        // a session ends before the shards hear that its node is Down, so that nothing comes from there
        // afterwards
        self.carry_links(now);
        for (shard, mail) in effects.to_shards.drain(..) {
            if let Some(mail) = self.stored.hold_mail(shard, mail) {
                self.mail(shard, mail);
            }
        }
        for (request, reply) in effects.to_operators.drain(..) {
            if let Some(reply) = self.stored.hold_answer(request, reply) {
                self.operators.answer(request, reply);
            }
        }
        for (link, frame) in effects.frames.drain(..) {
            if let Some(frame) = self.stored.hold_frame(link, frame) {
                self.links.send(link, &frame);
            }
        }
        for address in effects.dials.drain(..) {
            self.links.dial(now, &address);
        }
        for link in effects.hang_ups.drain(..) {
            self.links.hang_up(link);
        }
        for event in effects.events.drain(..) {
            if let Event::Forgotten { node, .. } = event {
                self.registries.tell(&ToRegistry::Forgotten(node));
            }
            self.teller.tell(now, &event);
        }
        if let Some(left) = effects.left.take() {
            self.operators.tell_left(left);
        }
        if effects.ready.take().is_some() {
            let opened = self.open_clients();
            let (peers, own_seeds) = (self.peers(), self.control.own_seeds());
            let found = opened.map(|()| JoinReport { peers, own_seeds, why_alone: self.why_alone() });
            let _ = self.ready.send(found);
        }
    }

    /// The living nodes that count here, by name: one that is Down was joined by nobody.
    fn peers(&self) -> Vec<Peer> {
        let nodes = self.control.nodes().into_iter().filter(|node| node.counted && !node.standing.is_down());
        let mut peers: Vec<Peer> =
            nodes.map(|node| Peer { name: node.name.to_string(), address: node.address }).collect();
        peers.sort_unstable();
        peers
    }

    fn on_link_event(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Up { link, hello, dialled } => {
                let hello = *hello;
                let peer = PeerHello {
                    node: hello.node,
                    incarnation: hello.incarnation,
                    boot: hello.boot,
                    shards: hello.shards,
                    address: hello.address.to_string(),
                    name: hello.name,
                    capabilities: hello.capabilities,
                };
                self.control.on_link_up(now, link, peer, dialled.as_deref());
            }
            LinkEvent::Frame { link, frame } => self.control.on_frame(now, link, &frame),
            LinkEvent::Down { link } => self.control.on_link_down(now, link),
            LinkEvent::DialFailed { address, failure } => self.control.on_dial_failed(now, &address, failure),
            LinkEvent::SessionDown { node } => {
                for shard in &self.shards {
                    shard.send(ToShardThread::SessionDown { node });
                }
            }
            LinkEvent::SessionUp { node, boot, session, links } => {
                let count = self.shards.len();
                let mut of_shard: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
                for (index, link) in links {
                    of_shard[usize::from(index) % count].push((index, link));
                }
                for (shard, links) in self.shards.iter().zip(of_shard) {
                    shard.send(ToShardThread::SessionUp { node, boot, session, links });
                }
            }
        }
    }
}

/// A process that was stopped, or a machine with too much to do: who looks for why a node was taken for down
/// finds it here.
fn tell_stood_still(now: Instant, wanted: Instant) {
    if now > wanted + limits::STOOD_STILL {
        let seconds = now.since(wanted).as_secs_f64();
        warn!(
            "this node stood still for {seconds:.1} s (stopped, or starved of CPU): others may take it for down"
        );
    }
}
