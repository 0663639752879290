//! A shard's clients: their sockets read, offered to the machine, written and lost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;
use leveret_model::{ConnectionKey, Instant, limits};
use leveret_shard::ReadInterest;
use mio::{Interest, Token};
use tracing::{debug, warn};

use crate::accept::Accepted;
use crate::client_socket::{ClientSocket, Flushed, flush};
use crate::receive::Received;
use crate::shard_thread::ShardThread;

impl ShardThread {
    pub(crate) fn socket(&self, key: ConnectionKey) -> Option<&ClientSocket> {
        self.sockets.get(key.slot as usize)?.as_ref().filter(|socket| socket.key == key)
    }

    pub(crate) fn socket_mut(&mut self, key: ConnectionKey) -> Option<&mut ClientSocket> {
        self.sockets.get_mut(key.slot as usize)?.as_mut().filter(|socket| socket.key == key)
    }

    pub(crate) fn take_client(&mut self, client: Accepted, now: Instant) {
        let Accepted { mut stream, caller, proxied_by } = client;
        if self.open >= limits::CONNECTIONS_MAX || self.stopping.at.is_some() {
            self.ways.clients.gone(self.own.shard);
            self.end_handshake();
            debug!(peer = %caller.name, "no room for another connection");
            return;
        }
        let key = self.shard.accept(caller);
        let token = Token(key.slot as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
            warn!(%error, "a client's socket cannot be watched");
            self.shard.on_lost(key);
            self.ways.clients.gone(self.own.shard);
            self.end_handshake();
            return;
        }
        let socket = ClientSocket {
            key,
            stream,
            leftover: Vec::new(),
            stalled: false,
            readable: true,
            read_closed: false,
            listed: true,
            writable: true,
            trickle_at: Instant::ZERO,
            trickles: false,
            half_open: true,
            password_check: None,
            proxied_by,
            full_since: now,
            watched: false,
            told_unread: false,
        };
        if self.sockets.len() <= key.slot as usize {
            self.sockets.resize_with(key.slot as usize + 1, || None);
        }
        self.sockets[key.slot as usize] = Some(socket);
        self.open += 1;
        self.to_read.push_back(key);
        self.half_open.list.push_back((key, now));
        self.forget_finished_handshakes();
    }

    /// Reads each socket that has bytes, up to a bound; the rest in the next turn.
    pub(crate) fn read_sockets(&mut self, now: Instant) {
        let mut left = limits::SHARD_TURN_READ_BYTES_MAX;
        for _ in 0..self.to_read.len() {
            if left == 0 {
                break;
            }
            let Some(key) = self.to_read.pop_front() else { break };
            if let Some(socket) = self.socket_mut(key) {
                socket.listed = false;
                left = left.saturating_sub(self.read_socket(key, now));
            }
        }
        while let Some(Reverse((at, key))) = self.trickling.peek().copied()
            && at <= now
        {
            self.trickling.pop();
            if let Some(socket) = self.socket_mut(key) {
                socket.trickles = false;
                // it comes back with a later time, if at all
                self.read_socket(key, now);
            }
        }
    }

    /// Gives the bytes that the connection was offered.
    fn read_socket(&mut self, key: ConnectionKey, now: Instant) -> usize {
        let interest = self.shard.read_interest(key);
        let Some(socket) = self.sockets.get_mut(key.slot as usize).and_then(Option::as_mut) else { return 0 };
        if !socket.readable && !socket.stalled {
            return 0;
        }
        let most = match interest {
            ReadInterest::Read => limits::TURN_READ_BYTES_MAX,
            ReadInterest::Trickle if socket.trickle_at <= now => {
                socket.trickle_at = now + limits::TRICKLE_EVERY;
                trickle(&mut self.trickling, socket);
                limits::TRICKLE_BYTES
            }
            ReadInterest::Trickle => {
                trickle(&mut self.trickling, socket);
                return 0;
            }
            // It waits for memory, and has given up: its slot is worth more than what it did not get to say.
            ReadInterest::Stop if socket.read_closed && self.shard.is_throttled(key) => {
                self.lose(key, None);
                return 0;
            }
            // read again when its interest is back (see `write_socket`)
            ReadInterest::Stop => return 0,
        };
        if std::mem::take(&mut socket.stalled) {
            let bytes = Bytes::from(std::mem::take(&mut socket.leftover));
            self.offer(key, &bytes);
            self.list_again(key);
            return bytes.len();
        }
        let received = self.block.read(socket.stream.as_fd(), &socket.leftover, most);
        match received {
            Ok(Received::Bytes { bytes, drained }) => {
                socket.readable = !drained || socket.read_closed;
                socket.leftover = Vec::new();
                if socket.proxied_by.is_some() {
                    self.offer_proxied(key, &bytes, now);
                } else {
                    self.offer(key, &bytes);
                }
                self.list_again(key);
                return bytes.len();
            }
            Ok(Received::Nothing) => socket.readable = false,
            Ok(Received::End) => self.lose(key, None),
            Err(error) => self.lose(key, Some(&error)),
        }
        0
    }

    /// Gives bytes to the connection and keeps what it does not take. hot.
    pub(crate) fn offer(&mut self, key: ConnectionKey, bytes: &Bytes) {
        let consumed = self.shard.on_bytes(key, bytes);
        if let Some(socket) = self.sockets.get_mut(key.slot as usize).and_then(Option::as_mut)
            && socket.half_open
            && !self.shard.is_half_open(key)
        {
            socket.half_open = false;
            self.end_handshake();
        }
        if consumed == bytes.len() {
            return;
        }
        let stalled = self.shard.read_interest(key) == ReadInterest::Stop;
        if let Some(socket) = self.socket_mut(key) {
            socket.leftover = bytes[consumed..].to_vec();
            socket.stalled = stalled;
        }
    }

    /// A socket with more to read gets its next turn.
    fn list_again(&mut self, key: ConnectionKey) {
        if self.shard.read_interest(key) != ReadInterest::Read {
            return;
        }
        if let Some(socket) = self.socket_mut(key)
            && (socket.readable || socket.stalled)
            && !socket.listed
        {
            socket.listed = true;
            self.to_read.push_back(key);
        }
    }

    /// The socket is gone, or to be dropped.
    pub(crate) fn lose(&mut self, key: ConnectionKey, error: Option<&io::Error>) {
        let Some(slot) = self.sockets.get_mut(key.slot as usize) else { return };
        if slot.as_ref().is_none_or(|socket| socket.key != key) {
            return;
        }
        let socket = slot.take();
        self.tell_end(key, error);
        if socket.is_some_and(|socket| socket.half_open) {
            self.end_handshake();
        }
        self.open -= 1;
        self.shard.on_lost(key);
        self.ways.clients.gone(self.own.shard);
    }

    /// Writes at most so many bytes. True if the next turn goes on with it: there is more to write, or somebody
    /// waited for room in its output.
    pub(crate) fn write_socket(&mut self, key: ConnectionKey, most: usize, now: Instant) -> bool {
        let Some(socket) = self.sockets.get_mut(key.slot as usize).and_then(Option::as_mut) else {
            return false;
        };
        if socket.key != key {
            return false;
        }
        let mut more = false;
        if let Some(output) = self.shard.output(key)
            && !output.is_empty()
            && socket.writable
        {
            match flush(&mut socket.stream, output, most) {
                Ok(Flushed::All) => {}
                Ok(Flushed::Enough) => more = true,
                Ok(Flushed::Partly) => {
                    socket.writable = false;
                    self.client_log.on_full(socket, now);
                }
                Err(error) => {
                    self.lose(key, Some(&error));
                    return true;
                }
            }
        }
        if more {
            self.shard.on_written(key);
        }
        more |= self.shard.on_carried(key, socket.leftover.len());
        let written = self.shard.output(key).is_none_or(|output| output.is_empty());
        if written && self.shard.is_finished(key) {
            self.lose(key, None);
            return true;
        }
        if (socket.readable || socket.stalled) && !socket.listed {
            match self.shard.read_interest(key) {
                ReadInterest::Read => {
                    socket.listed = true;
                    self.to_read.push_back(key);
                }
                ReadInterest::Trickle => {
                    socket.trickle_at = socket.trickle_at.max(now);
                    trickle(&mut self.trickling, socket);
                }
                ReadInterest::Stop => {}
            }
        }
        more
    }
}

/// Notes when a trickling socket is to be read, once.
fn trickle(trickling: &mut BinaryHeap<Reverse<(Instant, ConnectionKey)>>, socket: &mut ClientSocket) {
    if !std::mem::replace(&mut socket.trickles, true) {
        trickling.push(Reverse((socket.trickle_at, socket.key)));
    }
}
