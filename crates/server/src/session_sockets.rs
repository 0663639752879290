//! RESP clients of a shard's thread: their listener, and their sockets read, offered to the machine, written
//! and lost. Read first: [`SessionSockets`].
//!
//! It carries bytes and decides nothing; what it needs of the thread it is given with each call ([`Carrier`]).
//!
//! Invariant (*kept*): `kept` is the sum over all sockets of bytes that wait for the rest of their command, and
//! of answers that the socket has not taken.

mod accepting;
mod operators;
mod waiting;
mod ways;

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use bytes::BytesMut;
use crossbeam_channel::Sender;
use leveret_model::{ConnectionKey, Instant, limits};
use leveret_sessions::Handover;
use leveret_shard::{Caller, Effects, SESSION_SLOTS, SessionInterest, SessionShared};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::event::epoll;
use tracing::{debug, warn};

use crate::clock;
use crate::log_limits::LogLimit;
use crate::receive::{Filled, fill};

use self::operators::Operators;
pub(crate) use self::ways::{Carrier, SessionWays, ToSessions};

/// What the event loop shows when a RESP client waits to be accepted: below what it shows for AMQP's listeners.
pub(crate) const SESSION_LISTENER: Token = Token(usize::MAX - limits::LISTENERS_MAX - 1);

/// A RESP client's socket.
#[derive(Debug)]
struct SessionSocket {
    key: ConnectionKey,
    stream: TcpStream,
    /// What is not taken yet: the begin of a command, or commands behind an answer that is awaited.
    received: BytesMut,
    /// The connection may take more of `received` without new bytes behind it.
    stopped: bool,
    readable: bool,
    /// The peer will send no more; it shows once, perhaps before the last bytes were read.
    read_closed: bool,
    writable: bool,
    /// In the list of sockets to read.
    listed: bool,
    /// It counts among the node's half-open handshakes.
    half_open: bool,
    password_check: Option<Arc<()>>,
    /// Its part of [`SessionSockets::kept`].
    kept: usize,
}

/// The listener of the shard that accepts clients.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    called: bool,
    /// When it is watched again after a client could not be accepted.
    watch_at: Instant,
    /// It has been watched.
    opened: bool,
}

/// The RESP clients of one shard. Empty, and never woken, while sessions are off.
#[derive(Debug, Default)]
pub(crate) struct SessionSockets {
    shared: Option<Arc<SessionShared>>,
    listener: Option<Listener>,
    /// By slot, from [`SESSION_SLOTS`] on.
    sockets: Vec<Option<SessionSocket>>,
    open: usize,
    to_read: VecDeque<ConnectionKey>,
    /// Sockets that take output again, or that a stop looks at.
    to_write: Vec<ConnectionKey>,
    /// Reads go here; what is left of one is copied out.
    block: BytesMut,
    kept: usize,
    wall_clock_at: Instant,
    stopping: bool,
    /// `waiting.rs`
    leave: Option<Sender<Handover>>,
    complaints: LogLimit,
    operators: Operators,
}

impl SessionSockets {
    /// Sessions are on if there is something to share.
    pub(crate) fn new(shared: Option<Arc<SessionShared>>) -> Self {
        Self { shared, ..Self::default() }
    }

    /// True while no client is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// True if there are sockets to read in the next turn.
    pub(crate) fn has_more(&self) -> bool {
        !self.to_read.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        // one that was never watched waits for the machine, not for time
        let paused = self.listener.as_ref().filter(|listener| listener.opened);
        paused.map_or(Instant::FAR, |listener| listener.watch_at)
    }

    /// Reads the wall clock now and then; to be called before the machine's turn begins.
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        if let Some(shared) = &self.shared
            && self.wall_clock_at <= now
        {
            self.wall_clock_at = now + limits::SESSION_WALL_CLOCK_EVERY;
            shared.set_wall_clock(now, clock::unix_ms());
        }
    }

    /// Clients are let in from now on.
    pub(crate) fn take_listener(&mut self, socket: TcpListener, now: Instant) {
        match socket.local_addr() {
            Ok(address) if !self.stopping => {
                self.listener =
                    Some(Listener { socket, address, called: false, watch_at: now, opened: false });
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "the session listener is closed: it has no address"),
        }
    }

    /// Nobody is let in any more; who is there is ended between two commands.
    pub(crate) fn stop(&mut self, registry: &Registry) {
        self.stopping = true;
        if let Some(listener) = self.listener.take() {
            // it fails if it was not watched
            let _ = epoll::delete(registry, &listener.socket);
        }
        self.to_write.extend(self.sockets.iter().flatten().map(|socket| socket.key));
    }

    /// Where the check of a client's password is noted.
    pub(crate) fn password_check(&mut self, key: ConnectionKey) -> Option<&mut Option<Arc<()>>> {
        self.socket_mut(key).map(|socket| &mut socket.password_check)
    }

    pub(crate) fn on_event(&mut self, event: &Event) {
        let Token(token) = event.token();
        if event.token() == SESSION_LISTENER {
            self.listener.iter_mut().for_each(|listener| listener.called = true);
            return;
        }
        let slot = token - SESSION_SLOTS as usize;
        let Some(Some(socket)) = self.sockets.get_mut(slot) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            socket.readable = true;
            socket.read_closed |= event.is_read_closed() || event.is_error();
            if !std::mem::replace(&mut socket.listed, true) {
                self.to_read.push_back(socket.key);
            }
        }
        if event.is_writable() && !std::mem::replace(&mut socket.writable, true) {
            self.to_write.push(socket.key);
        }
    }

    pub(crate) fn take_client(&mut self, carrier: &mut Carrier<'_>, mut stream: TcpStream, caller: Caller) {
        let key = match carrier.shard.accept_session(caller) {
            Some(key) if !self.stopping && self.open < limits::CONNECTIONS_MAX => key,
            refused => {
                refused.into_iter().for_each(|key| carrier.shard.on_session_lost(key));
                carrier.ways.client_gone(carrier.own);
                return carrier.ways.handshake_ended();
            }
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = carrier.registry.register(&mut stream, Token(key.slot as usize), interest) {
            warn!(%error, "a client's socket cannot be watched");
            carrier.shard.on_session_lost(key);
            carrier.ways.client_gone(carrier.own);
            return carrier.ways.handshake_ended();
        }
        let half_open = carrier.shard.is_session_half_open(key);
        if !half_open {
            carrier.ways.handshake_ended();
        }
        let slot = (key.slot - SESSION_SLOTS) as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
        }
        self.sockets[slot] = Some(SessionSocket {
            key,
            stream,
            received: BytesMut::new(),
            stopped: false,
            readable: true,
            read_closed: false,
            writable: true,
            listed: true,
            half_open,
            password_check: None,
            kept: 0,
        });
        self.open += 1;
        self.to_read.push_back(key);
    }

    /// Reads each socket that has bytes, up to a bound; the rest in the next turn.
    pub(crate) fn read(&mut self, carrier: &mut Carrier<'_>) {
        let mut left = limits::SHARD_TURN_READ_BYTES_MAX;
        for _ in 0..self.to_read.len() {
            if left == 0 {
                break;
            }
            let Some(key) = self.to_read.pop_front() else { break };
            left = left.saturating_sub(self.read_socket(carrier, key));
        }
    }

    /// Gives the bytes that were read. hot.
    fn read_socket(&mut self, carrier: &mut Carrier<'_>, key: ConnectionKey) -> usize {
        let interest = carrier.shard.session_interest(key);
        let mut block = std::mem::take(&mut self.block);
        let Some(socket) = self.socket_mut(key) else {
            self.block = block;
            return 0;
        };
        socket.listed = false;
        // one that is not read is listed again when it was answered or written (`write_socket`)
        let SessionInterest::Read(wanted) = interest else {
            self.block = block;
            return 0;
        };
        let mut buffer = std::mem::take(&mut socket.received);
        let in_block = buffer.is_empty();
        let room = if in_block {
            std::mem::swap(&mut buffer, &mut block);
            limits::RECEIVE_ROOM_BYTES_MIN
        } else {
            // a length that a client names is not believed at once: room grows with what came
            wanted.clamp(limits::GATHER_BYTES, limits::GATHER_BYTES.max(buffer.len()))
        };
        let before = buffer.len();
        let mut filled = Ok(Filled::Nothing);
        if !std::mem::take(&mut socket.stopped) && socket.readable {
            buffer.reserve(room);
            filled = fill(socket.stream.as_fd(), &mut buffer, limits::TURN_READ_BYTES_MAX);
            socket.readable = match filled {
                Ok(Filled::More { drained }) => !drained || socket.read_closed,
                _ => false,
            };
        }
        let read = buffer.len() - before;
        match filled {
            Ok(Filled::End) => self.lose(carrier, key, None),
            Err(error) => self.lose(carrier, key, Some(&error)),
            Ok(_) if buffer.is_empty() => {}
            Ok(_) => self.offer(carrier, key, &mut buffer, in_block),
        }
        if in_block {
            buffer.clear();
            std::mem::swap(&mut buffer, &mut block);
        }
        self.block = block;
        read
    }

    /// Gives bytes to the connection and keeps what it does not take. hot.
    fn offer(
        &mut self,
        carrier: &mut Carrier<'_>,
        key: ConnectionKey,
        buffer: &mut BytesMut,
        in_block: bool,
    ) {
        let interest = carrier.shard.on_session_bytes(key, buffer);
        let Some(socket) = self.socket_mut(key) else { return };
        socket.stopped = interest == SessionInterest::Stop && !buffer.is_empty();
        if !buffer.is_empty() {
            socket.received = if in_block { BytesMut::from(&buffer[..]) } else { std::mem::take(buffer) };
        }
        // what follows, a next read too, is decided when it is written: it was touched
    }

    /// Writes what the turn brought. True if there is more to do that no event will tell of. hot.
    pub(crate) fn carry(&mut self, carrier: &mut Carrier<'_>, effects: &mut Effects) -> bool {
        for (shard, mail) in effects.session_mail.drain(..) {
            carrier.ways.send(shard, ToSessions::Mail(mail));
        }
        self.operators.answer(effects);
        for key in effects.session_touched.drain(..) {
            self.write_socket(carrier, key);
        }
        for key in std::mem::take(&mut self.to_write) {
            self.write_socket(carrier, key);
        }
        while self.kept > limits::SESSION_CLIENTS_BYTES_MAX {
            let greediest = self.sockets.iter().flatten().max_by_key(|socket| socket.kept);
            let Some((key, kept)) = greediest.map(|socket| (socket.key, socket.kept)) else { break };
            let peer = carrier.shard.session_peer(key);
            warn!(peer, kept, "RESP connection closed: connections keep too much, and it most");
            self.lose(carrier, key, None);
        }
        self.tell_of_leave(carrier);
        self.has_more()
    }

    fn write_socket(&mut self, carrier: &mut Carrier<'_>, key: ConnectionKey) {
        let slot = (key.slot - SESSION_SLOTS) as usize;
        let Some(socket) = self.sockets.get_mut(slot).and_then(Option::as_mut) else { return };
        if socket.key != key {
            return;
        }
        let Some(out) = carrier.shard.session_output(key) else { return };
        if let Err(error) = flush(socket, out) {
            return self.lose(carrier, key, Some(&error));
        }
        let (unwritten, unread) = (out.len(), socket.received.len());
        self.kept = self.kept - socket.kept + unwritten + unread;
        socket.kept = unwritten + unread;
        if socket.half_open && !carrier.shard.is_session_half_open(key) {
            socket.half_open = false;
            carrier.ways.handshake_ended();
        }
        let ends = match carrier.shard.session_interest(key) {
            SessionInterest::Ended => true,
            _ => self.stopping && carrier.shard.is_session_idle(key),
        };
        if ends && unwritten == 0 {
            return self.lose(carrier, key, None);
        }
        let reads = matches!(carrier.shard.session_interest(key), SessionInterest::Read(_));
        if reads && (socket.readable || socket.stopped) && !std::mem::replace(&mut socket.listed, true) {
            self.to_read.push_back(key);
        }
    }

    fn socket_mut(&mut self, key: ConnectionKey) -> Option<&mut SessionSocket> {
        let slot = key.slot.checked_sub(SESSION_SLOTS)?;
        self.sockets.get_mut(slot as usize)?.as_mut().filter(|socket| socket.key == key)
    }

    /// The socket is gone, or to be dropped.
    fn lose(&mut self, carrier: &mut Carrier<'_>, key: ConnectionKey, error: Option<&io::Error>) {
        let slot = (key.slot - SESSION_SLOTS) as usize;
        let Some(socket) = self.sockets.get_mut(slot).and_then(|at| at.take_if(|at| at.key == key)) else {
            return;
        };
        if let Some(error) = error {
            debug!(peer = carrier.shard.session_peer(key), %error, "a RESP connection ended");
        }
        self.open -= 1;
        self.kept -= socket.kept;
        if socket.half_open {
            carrier.ways.handshake_ended();
        }
        carrier.shard.on_session_lost(key);
        carrier.ways.client_gone(carrier.own);
    }
}

/// Writes as much as the socket takes. hot.
fn flush(socket: &mut SessionSocket, out: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    while written < out.len() && socket.writable {
        match socket.stream.write(&out[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if written == out.len() && out.capacity() > limits::OUTPUT_SPENT_BYTES_MAX {
        // one long answer is not paid for as long as its client is idle
        *out = Vec::new();
    } else {
        out.drain(..written);
    }
    Ok(())
}
