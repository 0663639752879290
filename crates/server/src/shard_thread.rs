//! One shard's thread: an event loop over its clients' sockets, its data links and its mail.
//!
//! A turn: wait for readiness; take mail (the control machine's before any socket); read sockets and links; end the
//! turn; write each touched socket, ring and link once. Nothing here decides anything: it carries bytes and envelopes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use leveret_link::Batch;
use leveret_model::directory::{FromShard, ToShard};
use leveret_model::{Boot, ConnectionKey, Instant, NodeId, ReplyCode, ShardAddress, ShardId, limits};
use leveret_shard::{Effects, Peer, ReadInterest, Shard, ShardConfig, ShardReport};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tracing::{debug, info, warn};

use crate::client_socket::{ClientSocket, Flushed, flush};
use crate::clock;
use crate::control_thread::ToControl;
use crate::data_link::DataLinks;
use crate::links::DataLink;
use crate::mailbox::{Address, Mailbox, mailbox};
use crate::memory::NodeMemory;
use crate::passwords::Passwords;
use crate::receive::{ReceiveBlock, Received};

/// Mail to a shard's thread.
#[derive(Debug)]
pub(crate) enum ToShardThread {
    /// From the control machine.
    Control(ToShard),
    /// A client's socket.
    Client { stream: TcpStream, peer: Peer },
    /// The data links to a node are all there; those of this shard.
    LinksUp { node: NodeId, boot: Boot, session: u64, links: Vec<DataLink> },
    /// The data links to a node are gone.
    LinksDown { node: NodeId },
    /// A batch from another shard of this node.
    Ring { from: ShardId, batch: Batch },
    /// A batch that came over another shard's link.
    Relayed { from: ShardAddress, session: u64, batch: Batch },
    /// A password was hashed.
    Password { connection: ConnectionKey, mechanism: String, hashed: leveret_auth::Hashed },
    /// Another shard moved the node's memory over or under its bound.
    MemoryChanged,
    /// Tell of yourself.
    Report,
    /// Close every client with 320, then end.
    Stop,
}

const MAILBOX: Token = Token(usize::MAX);
const LINKS: usize = 1 << 40;
const EVENTS: usize = 1024;
/// Bytes that a trickling socket is read for, and how often.
const TRICKLE_BYTES: usize = 16 * 1024;
const TRICKLE_EVERY: Duration = Duration::from_millis(100);
/// How long a stopping shard waits for its clients to take the close.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// The ways out of a shard's thread.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    pub(crate) shards: Vec<Address<ToShardThread>>,
    pub(crate) control: Address<ToControl>,
    pub(crate) passwords: Passwords,
    pub(crate) memory: Arc<NodeMemory>,
}

/// An event loop that is not running yet, so that its address can be given to the others first.
#[derive(Debug)]
pub(crate) struct Prepared {
    poll: Poll,
    mailbox: Mailbox<ToShardThread>,
}

/// Makes a shard's event loop.
pub(crate) fn prepare() -> io::Result<(Prepared, Address<ToShardThread>)> {
    let poll = Poll::new()?;
    let (mailbox, address) = mailbox(poll.registry(), MAILBOX)?;
    Ok((Prepared { poll, mailbox }, address))
}

/// The thread's state.
#[derive(Debug)]
pub(crate) struct ShardThread {
    own: ShardAddress,
    shard: Shard,
    /// This start of the node.
    boot: Boot,
    poll: Poll,
    mailbox: Mailbox<ToShardThread>,
    ways: Ways,
    sockets: Vec<Option<ClientSocket>>,
    open: usize,
    /// Sockets with bytes to read.
    to_read: VecDeque<ConnectionKey>,
    /// Connections that have not finished their handshake, oldest first.
    half_open: VecDeque<ConnectionKey>,
    trickling: Vec<ConnectionKey>,
    links: DataLinks,
    block: ReceiveBlock,
    effects: Effects,
    memory_alarm: bool,
    stopping: Option<Instant>,
}

impl ShardThread {
    pub(crate) fn new(prepared: Prepared, config: ShardConfig, boot: Boot, ways: Ways) -> Self {
        Self {
            own: config.own,
            boot,
            shard: Shard::new(config),
            poll: prepared.poll,
            mailbox: prepared.mailbox,
            ways,
            sockets: Vec::new(),
            open: 0,
            to_read: VecDeque::new(),
            half_open: VecDeque::new(),
            trickling: Vec::new(),
            links: DataLinks::default(),
            block: ReceiveBlock::default(),
            effects: Effects::default(),
            memory_alarm: false,
            stopping: None,
        }
    }

    /// Runs until told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut more = false;
        loop {
            let timeout = self.timeout(more);
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                warn!(%error, "the event loop of a shard failed");
                return;
            }
            self.mailbox.awake();
            let now = clock::now();
            self.shard.begin_turn(now);
            self.take_mail();
            self.take_events(&events);
            self.read_links();
            self.read_sockets(now);
            if self.shard.next_deadline() <= now {
                self.shard.on_timer();
            }
            self.drop_old_handshakes();
            self.note_memory();
            more = self.shard.end_turn(&mut self.effects);
            more |= self.carry_effects(now);
            if self.stopping.is_some_and(|end| now >= end || self.open == 0) {
                return;
            }
        }
    }

    fn timeout(&self, more: bool) -> Option<Duration> {
        if more || !self.to_read.is_empty() || self.links.has_unread() || !self.mailbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        let mut deadline = self.shard.next_deadline();
        if let Some(end) = self.stopping {
            deadline = deadline.min(end);
        }
        for key in &self.trickling {
            if let Some(socket) = self.socket(*key) {
                deadline = deadline.min(socket.trickle_at);
            }
        }
        (deadline < Instant::FAR).then(|| deadline.since(clock::now()))
    }

    fn socket(&self, key: ConnectionKey) -> Option<&ClientSocket> {
        self.sockets.get(key.slot as usize)?.as_ref().filter(|socket| socket.key == key)
    }

    fn socket_mut(&mut self, key: ConnectionKey) -> Option<&mut ClientSocket> {
        self.sockets.get_mut(key.slot as usize)?.as_mut().filter(|socket| socket.key == key)
    }

    fn take_mail(&mut self) {
        while let Some(mail) = self.mailbox.take() {
            match mail {
                ToShardThread::Control(mail) => self.shard.on_control(mail),
                ToShardThread::Client { stream, peer } => self.take_client(stream, peer),
                ToShardThread::LinksUp { node, boot, session, links } => {
                    self.links.up(self.poll.registry(), LINKS, (node, boot, session), links);
                    self.shard.on_link_up(node);
                }
                ToShardThread::LinksDown { node } => {
                    self.links.down(node);
                    self.shard.on_link_down(node);
                }
                ToShardThread::Ring { from, batch } => {
                    let from = ShardAddress { node: self.own.node, shard: from };
                    if let Err(error) = self.shard.on_batch(from, self.boot, &batch) {
                        warn!(%error, ?from, "a batch of our own cannot be read: this is a bug");
                    }
                }
                ToShardThread::Relayed { from, session, batch } => {
                    if let Some(boot) = self.links.boot_of(from.node, session) {
                        self.take_batch(from, boot, &batch);
                    }
                }
                ToShardThread::Password { connection, mechanism, hashed } => {
                    self.shard.on_password(connection, &mechanism, hashed);
                }
                // looked at in each turn
                ToShardThread::MemoryChanged => {}
                ToShardThread::Report => {
                    let report: ShardReport = self.shard.report();
                    self.ways.control.send(ToControl::Report(self.own.shard, Box::new(report)));
                }
                ToShardThread::Stop => {
                    self.shard.close_all(ReplyCode::ConnectionForced, "broker is shutting down");
                    self.stopping = Some(clock::now() + STOP_GRACE);
                }
            }
        }
    }

    fn take_batch(&mut self, from: ShardAddress, boot: Boot, batch: &Batch) {
        if let Err(error) = self.shard.on_batch(from, boot, batch) {
            warn!(%error, peer = %from.node, "a peer's batch is not believed; its links are closed");
            self.ways.control.send(ToControl::LinkLost { node: from.node });
        }
    }

    fn take_client(&mut self, mut stream: TcpStream, peer: Peer) {
        if self.open >= limits::CONNECTIONS_MAX || self.stopping.is_some() {
            debug!(peer = %peer.name, "no room for another connection");
            return;
        }
        let key = self.shard.accept(peer);
        let token = Token(key.slot as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
            warn!(%error, "a client's socket cannot be watched");
            self.shard.on_lost(key);
            self.ways.control.send(ToControl::ClientGone(self.own.shard));
            return;
        }
        let socket = ClientSocket {
            key,
            stream,
            leftover: Vec::new(),
            readable: true,
            listed: true,
            writable: true,
            trickle_at: Instant::ZERO,
        };
        if self.sockets.len() <= key.slot as usize {
            self.sockets.resize_with(key.slot as usize + 1, || None);
        }
        self.sockets[key.slot as usize] = Some(socket);
        self.open += 1;
        self.to_read.push_back(key);
        self.half_open.push_back(key);
    }

    fn take_events(&mut self, events: &Events) {
        for event in events {
            let Token(token) = event.token();
            if event.token() == MAILBOX {
                continue;
            }
            if token >= LINKS {
                self.links.on_event(token - LINKS, event);
                continue;
            }
            let Some(Some(socket)) = self.sockets.get_mut(token) else { continue };
            let key = socket.key;
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                socket.readable = true;
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
    }

    /// Reads each socket that has bytes, up to a bound; the rest in the next turn.
    fn read_sockets(&mut self, now: Instant) {
        for _ in 0..self.to_read.len() {
            let Some(key) = self.to_read.pop_front() else { break };
            if let Some(socket) = self.socket_mut(key) {
                socket.listed = false;
                self.read_socket(key, now);
            }
        }
        let mut due = Vec::new();
        self.trickling.retain(|key| {
            let at = self.sockets.get(key.slot as usize).and_then(Option::as_ref);
            match at.filter(|socket| socket.key == *key) {
                Some(socket) if socket.trickle_at > now => true,
                Some(_) => {
                    due.push(*key);
                    false
                }
                None => false,
            }
        });
        for key in due {
            self.read_socket(key, now);
        }
    }

    fn read_socket(&mut self, key: ConnectionKey, now: Instant) {
        let interest = self.shard.read_interest(key);
        let Some(socket) = self.sockets.get_mut(key.slot as usize).and_then(Option::as_mut) else { return };
        if !socket.readable {
            return;
        }
        let most = match interest {
            ReadInterest::Read => limits::TURN_READ_BYTES_MAX,
            ReadInterest::Trickle if socket.trickle_at <= now => {
                socket.trickle_at = now + TRICKLE_EVERY;
                self.trickling.push(key);
                TRICKLE_BYTES
            }
            ReadInterest::Trickle => {
                if !self.trickling.contains(&key) {
                    self.trickling.push(key);
                }
                return;
            }
            // read again when its interest is back (see `carry_effects`)
            ReadInterest::Stop => return,
        };
        let received = self.block.read(socket.stream.as_fd(), &socket.leftover, most);
        match received {
            Ok(Received::Bytes { bytes, drained }) => {
                socket.readable = !drained;
                let consumed = self.shard.on_bytes(key, &bytes);
                socket.leftover.clear();
                if consumed < bytes.len() {
                    socket.leftover.extend_from_slice(&bytes[consumed..]);
                } else {
                    socket.leftover = Vec::new();
                }
                if !drained && !socket.listed && interest == ReadInterest::Read {
                    socket.listed = true;
                    self.to_read.push_back(key);
                }
            }
            Ok(Received::Nothing) => socket.readable = false,
            Ok(Received::End) => self.lose(key, None),
            Err(error) => self.lose(key, Some(&error)),
        }
    }

    /// The socket is gone, or to be dropped.
    fn lose(&mut self, key: ConnectionKey, error: Option<&io::Error>) {
        let Some(slot) = self.sockets.get_mut(key.slot as usize) else { return };
        if slot.as_ref().is_none_or(|socket| socket.key != key) {
            return;
        }
        if let Some(reason) = self.shard.reason(key) {
            info!(shard = self.own.shard.0, %reason, "connection ended");
        } else if let Some(error) = error {
            debug!(shard = self.own.shard.0, %error, "connection lost");
        }
        *slot = None;
        self.open -= 1;
        self.shard.on_lost(key);
        self.ways.control.send(ToControl::ClientGone(self.own.shard));
    }

    /// Half-open handshakes beyond their bound: the oldest goes.
    fn drop_old_handshakes(&mut self) {
        while let Some(key) = self.half_open.front().copied() {
            if self.socket(key).is_some() && self.shard.is_half_open(key) {
                break;
            }
            self.half_open.pop_front();
        }
        let bound = limits::HANDSHAKES_MAX / self.ways.shards.len();
        if self.half_open.len() <= bound {
            return;
        }
        let (shard, sockets) = (&self.shard, &self.sockets);
        self.half_open.retain(|key| {
            let there = sockets.get(key.slot as usize).and_then(Option::as_ref);
            there.is_some_and(|socket| socket.key == *key) && shard.is_half_open(*key)
        });
        while self.half_open.len() > bound {
            if let Some(key) = self.half_open.pop_front() {
                self.lose(key, None);
            }
        }
    }

    fn note_memory(&mut self) {
        let alarm = self.ways.memory.note(self.own.shard, self.shard.memory_bytes());
        if alarm != self.memory_alarm {
            self.memory_alarm = alarm;
            self.shard.on_memory_alarm(alarm);
            info!(
                shard = self.own.shard.0,
                alarm,
                "memory bound: publishers {}",
                if alarm { "wait" } else { "go on" }
            );
            for (index, shard) in self.ways.shards.iter().enumerate() {
                if index != usize::from(self.own.shard.0) {
                    shard.send(ToShardThread::MemoryChanged);
                }
            }
            for socket in self.sockets.iter_mut().flatten() {
                if socket.readable && !socket.listed {
                    socket.listed = true;
                    self.to_read.push_back(socket.key);
                }
            }
        }
    }

    fn read_links(&mut self) {
        let own = self.own;
        while let Some(arrived) = self.links.read() {
            match arrived {
                Ok(arrived) if arrived.to == own.shard => {
                    self.take_batch(arrived.from, arrived.boot, &arrived.batch);
                }
                Ok(arrived) => {
                    if let Some(shard) = self.ways.shards.get(usize::from(arrived.to.0)) {
                        let (from, session) = (arrived.from, arrived.session);
                        shard.send(ToShardThread::Relayed { from, session, batch: arrived.batch });
                    }
                }
                Err((node, error)) => {
                    info!(peer = %node, %error, "a data link ended");
                    self.ways.control.send(ToControl::LinkLost { node });
                }
            }
        }
    }

    /// One write for each touched socket, ring and link.
    /// True if that made room which the next turn can use.
    fn carry_effects(&mut self, now: Instant) -> bool {
        let mut more = false;
        let mut touched = std::mem::take(&mut self.effects.touched);
        for key in touched.drain(..) {
            more |= self.write_socket(key, now);
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
        for (node, error) in self.links.flush() {
            info!(peer = %node, %error, "a data link ended");
            self.ways.control.send(ToControl::LinkLost { node });
        }
        for mail in self.effects.control.drain(..) {
            let mail: FromShard = mail;
            self.ways.control.send(ToControl::Shard(self.own.shard, mail));
        }
        for job in self.effects.passwords.drain(..) {
            self.ways.passwords.hash(self.own.shard, job);
        }
        more
    }

    /// True if a long output became short: who waited for that goes on in the next turn.
    fn write_socket(&mut self, key: ConnectionKey, now: Instant) -> bool {
        let Some(socket) = self.sockets.get_mut(key.slot as usize).and_then(Option::as_mut) else {
            return false;
        };
        if socket.key != key {
            return false;
        }
        let mut made_room = false;
        if let Some(output) = self.shard.output(key)
            && !output.is_empty()
            && socket.writable
        {
            let before = output.len();
            match flush(&mut socket.stream, output) {
                Ok(Flushed::All) => {}
                Ok(Flushed::Partly) => socket.writable = false,
                Err(error) => {
                    self.lose(key, Some(&error));
                    return true;
                }
            }
            made_room = before >= limits::OUTPUT_BYTES_HIGH / 2 && output.len() < before;
        }
        if made_room {
            self.shard.on_written(key);
        }
        let written = self.shard.output(key).is_none_or(|output| output.is_empty());
        if written && self.shard.is_finished(key) {
            self.lose(key, None);
            return true;
        }
        if socket.readable && !socket.listed {
            match self.shard.read_interest(key) {
                ReadInterest::Read => {
                    socket.listed = true;
                    self.to_read.push_back(key);
                }
                ReadInterest::Trickle => {
                    if !self.trickling.contains(&key) {
                        socket.trickle_at = socket.trickle_at.max(now);
                        self.trickling.push(key);
                    }
                }
                ReadInterest::Stop => {}
            }
        }
        made_room
    }
}
