//! One shard's thread: an event loop over its clients' sockets, its data links and its mail.
//!
//! A turn: wait for readiness; take mail (the control machine's before any socket); read sockets and links; end
//! the turn; write each touched socket, ring and link once. Nothing here decides anything: it carries bytes and
//! envelopes.

mod batches;
mod closing;
mod sessions;
mod sleep;
mod stored;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use leveret_link::Batch;
use leveret_link::sessions::{Arrivals, SessionNumber};
use leveret_model::directory::{FromShard, ToShard};
use leveret_model::{
    Boot, ConnectionKey, Instant, NodeId, ReplyCode, ShardAddress, ShardId, StoreMark, limits,
};
use leveret_shard::{Effects, Pressure, ReportFrom, SESSION_SLOTS, Shard};
use leveret_store::ReadAnswer;
use mio::{Events, Poll, Token};
use tracing::warn;

use crate::accept::{ACCEPTOR, Accepted, Acceptor, ClientCounts, LISTENERS, Listening};
use crate::admin::ShardPage;
use crate::busy::{BusyShares, Waits};
use crate::client_log::ClientLog;
use crate::client_socket::ClientSocket;
use crate::clock;
use crate::closing::Stopping;
use crate::control_thread::ToControl;
use crate::data_link::DataLinks;
use crate::disk::StoreGate;
use crate::half_open::{HalfOpen, Handshakes};
use crate::links::DataLink;
use crate::log_limits::LogLimit;
use crate::mailbox::{MailTo, Mailbox, mailbox};
use crate::memory::{ClientPressure, MemoryLog, NodeMemory, SeenPressure};
use crate::passwords::Passwords;
use crate::receive::ReceiveBlock;
use crate::session_sockets::{SESSION_LISTENER, SessionSockets, ToSessions};
use crate::source_network::SourceNetwork;

/// Mail to a shard's thread.
#[derive(Debug)]
pub(crate) enum ToShardThread {
    /// From the control machine.
    Control(ToShard),
    /// The sockets where clients come; for the first shard.
    Listeners(Vec<Listening>),
    /// A client's socket that it has accepted.
    Client(Accepted),
    /// About sessions.
    Sessions(ToSessions),
    /// The data links to a node are all there; those of this shard.
    SessionUp { node: NodeId, boot: Boot, session: SessionNumber, links: Vec<(u8, DataLink)> },
    /// The session with a node is over.
    SessionDown { node: NodeId },
    /// A batch from another shard of this node.
    Ring { from: ShardId, batch: Batch },
    /// A batch that came over another shard's link.
    Relayed { from: ShardAddress, session: SessionNumber, batch: Batch },
    /// So many turns of this shard are on the disk.
    Stored(u64),
    /// Messages that were paged out.
    Read(ReadAnswer),
    /// A password was hashed.
    Password { connection: ConnectionKey, mechanism: String, hashed: leveret_auth::Hashed },
    /// Another shard has a better hash of a user's password.
    HashUpgrade(leveret_auth::HashUpgrade),
    /// Another shard moved the node's memory over or under one of its bounds.
    MemoryChanged,
    /// Clients wait to be accepted, and too many handshakes are under way.
    DropStaleHandshakes,
    /// Handshakes ended since the first shard stopped to accept.
    RoomForHandshakes,
    /// Tell the admin socket of yourself, a page from there on.
    Report { from: ReportFrom, to: Sender<ShardPage> },
    /// Let no new client in; whoever holds the other end hears when the sockets are closed.
    StopAccepting { done: Sender<()> },
    /// Close the clients with 320, spread over that time, and say when they are gone.
    CloseClients { window: Duration, done: Sender<()> },
    /// Close every client with 320, then end.
    Stop,
}

const MAILBOX: Token = Token(usize::MAX);
const LINKS: usize = 1 << 40;

/// The ways out of a shard's thread.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    pub(crate) shards: Vec<MailTo<ToShardThread>>,
    pub(crate) control: MailTo<ToControl>,
    pub(crate) passwords: Passwords,
    pub(crate) memory: Arc<NodeMemory>,
    pub(crate) half_open: Arc<HalfOpen>,
    pub(crate) clients: Arc<ClientCounts>,
    pub(crate) busy: Arc<BusyShares>,
    /// Whose connections begin with a PROXY header.
    pub(crate) proxies: Arc<[SourceNetwork]>,
    pub(crate) store: StoreGate,
}

/// An event loop that is not running yet, so that its address can be given to the others first.
#[derive(Debug)]
pub(crate) struct Prepared {
    poll: Poll,
    mailbox: Mailbox<ToShardThread>,
}

/// Makes a shard's event loop.
pub(crate) fn prepare() -> io::Result<(Prepared, MailTo<ToShardThread>)> {
    let poll = Poll::new()?;
    let (mailbox, address) = mailbox(poll.registry(), MAILBOX)?;
    Ok((Prepared { poll, mailbox }, address))
}

/// The thread's state.
#[derive(Debug)]
pub(crate) struct ShardThread {
    pub(crate) own: ShardAddress,
    pub(crate) shard: Shard,
    /// This start of the node.
    pub(crate) boot: Boot,
    pub(crate) poll: Poll,
    pub(crate) mailbox: Mailbox<ToShardThread>,
    pub(crate) ways: Ways,
    /// Of the first shard, once the node is ready.
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) sockets: Vec<Option<ClientSocket>>,
    pub(crate) open: usize,
    /// Sockets with bytes to read.
    pub(crate) to_read: VecDeque<ConnectionKey>,
    pub(crate) half_open: Handshakes,
    /// Lines about handshakes that were dropped.
    pub(crate) complaints: LogLimit,
    /// Lines about clients that stay.
    pub(crate) client_log: ClientLog,
    /// Sockets that are read a little now and then, the next one first.
    pub(crate) trickling: BinaryHeap<Reverse<(Instant, ConnectionKey)>>,
    pub(crate) links: DataLinks,
    pub(crate) arrivals: Arrivals,
    pub(crate) block: ReceiveBlock,
    pub(crate) effects: Effects,
    pub(crate) seen_pressure: SeenPressure,
    /// Of the first shard: what people were told of the node's memory.
    pub(crate) memory_log: MemoryLog,
    pub(crate) stopping: Stopping,
    sessions: SessionSockets,
}

impl ShardThread {
    pub(crate) fn new(
        prepared: Prepared,
        (shard, own): (Shard, ShardAddress),
        boot: Boot,
        ways: Ways,
        sessions: SessionSockets,
    ) -> Self {
        Self {
            own,
            boot,
            shard,
            poll: prepared.poll,
            mailbox: prepared.mailbox,
            ways,
            acceptor: None,
            sockets: Vec::new(),
            open: 0,
            to_read: VecDeque::new(),
            half_open: Handshakes::default(),
            complaints: LogLimit::default(),
            client_log: ClientLog::default(),
            trickling: BinaryHeap::new(),
            links: DataLinks::default(),
            arrivals: Arrivals::default(),
            block: ReceiveBlock::default(),
            effects: Effects::default(),
            seen_pressure: SeenPressure { messages: Pressure::Calm, clients: ClientPressure::Low },
            memory_log: MemoryLog::default(),
            stopping: Stopping::default(),
            sessions,
        }
    }

    /// Runs until told to stop; gives the messages that are lost with it.
    pub(crate) fn run(mut self) -> u64 {
        let mut events = Events::with_capacity(limits::SHARD_EVENTS_MAX);
        let (mut more, mut waits) = (false, Waits::new(clock::now()));
        loop {
            let waits_from = clock::now();
            let timeout = self.timeout(more, waits_from);
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                warn!(%error, "the event loop of a shard failed");
                return self.shard.messages();
            }
            self.mailbox.awake();
            let now = clock::now();
            waits.add(waits_from, now);
            self.sessions.begin_turn(now);
            self.shard.begin_turn(now);
            // people see it in the headers of dead letters
            self.shard.set_unix_time(clock::unix_ms() / 1_000);
            self.take_mail(now, &waits);
            let alone = self.take_events(&events);
            self.accept_clients(now, alone);
            self.read_links(now, &waits);
            self.read_sockets(now);
            self.read_sessions(now);
            if self.shard.next_deadline() <= now {
                self.shard.on_timer();
            }
            self.close_some(now);
            self.tell_unread(now);
            let pages_more = self.note_memory();
            if self.own.shard == ACCEPTOR {
                self.tell_memory(now);
            }
            more = pages_more | self.leave_blocks();
            more |= self.shard.end_turn(&mut self.effects);
            more |= self.carry_effects(now);
            more |= self.note_clients();
            if self.stopping.at.is_some_and(|end| now >= end || self.open == 0 && self.sessions.is_empty()) {
                return self.end(now);
            }
        }
    }

    fn take_mail(&mut self, now: Instant, waits: &Waits) {
        while let Some(mail) = self.mailbox.take() {
            match mail {
                ToShardThread::Control(mail) => self.shard.on_control(mail),
                ToShardThread::Listeners(listeners) => self.take_listeners(listeners, now),
                ToShardThread::Client(client) => self.take_client(client, now),
                ToShardThread::Sessions(mail) => self.take_for_sessions(mail, now),
                ToShardThread::SessionUp { node, boot, session, links } => {
                    self.links.up(self.poll.registry(), LINKS, (node, session), links);
                    self.shard.on_link_up(node);
                    self.shard.on_session_link_up(node, boot);
                    for (from, batch) in self.arrivals.on_up(node, boot, session) {
                        self.take_batch(from, boot, session, &batch);
                    }
                }
                ToShardThread::SessionDown { node } => {
                    self.links.down(node);
                    self.arrivals.on_down(node);
                    self.shard.on_link_down(node);
                }
                ToShardThread::Ring { from, batch } => {
                    let from = ShardAddress { node: self.own.node, shard: from };
                    if let Err(error) = self.shard.on_batch(from, self.boot, &batch) {
                        warn!(%error, ?from, "a batch of our own cannot be read: this is a bug");
                    }
                }
                ToShardThread::Relayed { from, session, batch } => {
                    if let Some((boot, batch)) = self.arrivals.on_relayed(from, session, batch) {
                        self.take_batch(from, boot, session, &batch);
                    }
                }
                ToShardThread::Password { connection, mechanism, hashed } => {
                    if let Some(check) = self.password_check(connection) {
                        *check = None;
                    }
                    self.shard.on_password(connection, &mechanism, hashed);
                }
                // each turn with something for the store is one request, and they are counted alike
                ToShardThread::Stored(turns) => self.shard.on_stored(StoreMark(turns)),
                ToShardThread::Read(answer) => self.take_read(&answer, now),
                ToShardThread::HashUpgrade(upgrade) => self.shard.on_hash_upgrade(upgrade),
                // looked at in each turn
                ToShardThread::MemoryChanged => {}
                ToShardThread::DropStaleHandshakes => self.drop_stale_handshakes(now),
                ToShardThread::RoomForHandshakes => self.on_room_for_handshakes(now),
                ToShardThread::Report { from, to } => {
                    // nobody listens any more if it took too long
                    self.ways.busy.note(self.own.shard, waits.busy_permille(now));
                    let _ = to.try_send(self.shard.report_page(from, limits::STATUS_PAGE_ENTRIES));
                }
                ToShardThread::StopAccepting { done } => {
                    self.stop_accepting();
                    let _ = done.try_send(());
                }
                ToShardThread::CloseClients { window, done } => self.begin_closing(now, window, done),
                ToShardThread::Stop => {
                    self.shard.close_all(ReplyCode::ConnectionForced, "broker is shutting down");
                    self.stopping.at = Some(clock::now() + limits::STOP_GRACE);
                    self.stop_accepting();
                    self.sessions.stop(self.poll.registry());
                }
            }
        }
    }

    /// True if there is one event and no more.
    fn take_events(&mut self, events: &Events) -> bool {
        let mut count = 0;
        for event in events {
            count += 1;
            let Token(token) = event.token();
            if event.token() == MAILBOX {
                continue;
            }
            if event.token() == SESSION_LISTENER || (SESSION_SLOTS as usize..LINKS).contains(&token) {
                self.sessions.on_event(event);
                continue;
            }
            if token >= LISTENERS {
                self.acceptor.iter_mut().for_each(|acceptor| acceptor.on_called(token - LISTENERS));
                continue;
            }
            if token >= LINKS {
                self.links.on_event(token - LINKS, event);
                continue;
            }
            let Some(Some(socket)) = self.sockets.get_mut(token) else { continue };
            let key = socket.key;
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                // readiness comes by edge: these are new bytes behind others that were not read
                if socket.readable && event.is_readable() {
                    self.shard.on_heard(key);
                }
                socket.readable = true;
                socket.read_closed |= event.is_read_closed() || event.is_error();
                if !socket.listed {
                    socket.listed = true;
                    self.to_read.push_back(key);
                }
            }
            if event.is_writable() && !socket.writable {
                socket.writable = true;
                self.shard.on_written(key);
            }
        }
        count == 1
    }

    /// One write for each touched socket, ring and link.
    /// True if that made room which the next turn can use.
    fn carry_effects(&mut self, now: Instant) -> bool {
        self.tell_refusals(now);
        self.tell_unknown_records();
        self.tell_substituted();
        self.carry_to_store(now);
        let mut more = false;
        let mut touched = std::mem::take(&mut self.effects.touched);
        let each = limits::TURN_WRITE_BYTES_MAX / touched.len().max(1);
        let each = each.max(limits::TURN_WRITE_BYTES_EACH_MIN);
        for key in touched.drain(..) {
            more |= self.write_socket(key, each, now);
        }
        self.effects.touched = touched;
        for (to, batch) in self.effects.batches.drain(..) {
            if to.node == self.own.node {
                if let Some(shard) = self.ways.shards.get(usize::from(to.shard.0)) {
                    shard.send(ToShardThread::Ring { from: self.own.shard, batch });
                }
            } else {
                self.links.queue(self.own.shard, to, batch);
            }
        }
        for lost in self.links.flush() {
            self.lose_session(lost);
        }
        for mail in self.effects.control.drain(..) {
            let mail: FromShard = mail;
            self.ways.control.send(ToControl::Shard(self.own.shard, mail));
        }
        more |= self.carry_sessions(now);
        self.check_passwords();
        self.tell_hash_upgrades();
        more
    }
}
