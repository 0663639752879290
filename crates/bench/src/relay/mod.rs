//! The relay: the floor of the machine. Handshake, then publish frames rewritten as deliver frames; no queue.
//!
//! One thread, one event loop, batch in, batch out. What is published to a queue that nobody consumes is
//! dropped, and every publish is confirmed at once: it shows what receiving, parsing, copying and sending
//! cost, nothing else. Read `session.rs` for the protocol. One consumer per queue and per channel.
//!
//! Invariants. *bounded*: a publisher is not read while any connection has more than [`BACKLOG_BYTES`]
//! unwritten.
//! *lean*: a connection has buffers only while bytes are in them.

mod session;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use session::{Broker, Session};

/// Bytes read at once.
const RECEIVE_BYTES: usize = 256 * 1024;
/// More unwritten bytes than this on any connection stop the reading of publishers.
const BACKLOG_BYTES: usize = 256 * 1024;
const LISTENER: Token = Token(usize::MAX);
/// How often a relay that can be stopped looks whether it is to.
const LOOK: Duration = Duration::from_millis(100);

/// The server.
pub(super) struct Relay {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    broker: Broker,
    block: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    session: Session,
    /// The start of a frame or message whose rest has not come.
    rest: Vec<u8>,
    readable: bool,
}

impl Relay {
    /// Listens; port 0 takes any that is free.
    pub(super) fn bind(address: SocketAddr) -> Result<Self> {
        let mut listener = TcpListener::bind(address)
            .with_context(|| format!("the relay cannot listen on {address}; choose another --listen"))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            broker: Broker::default(),
            block: vec![0; RECEIVE_BYTES],
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `stop`, or for ever.
    pub(super) fn run(mut self, stop: Option<&AtomicBool>) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut ready: Vec<usize> = Vec::new();
        while !stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            let congested = self.broker.outs.iter().any(|out| out.len() > BACKLOG_BYTES);
            let may_read = |index: &usize| !(congested && self.publishes(*index));
            let wait = if ready.iter().any(may_read) { Some(Duration::ZERO) } else { stop.map(|_| LOOK) };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                done => done?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(&mut ready)?,
                    Token(index) => {
                        self.on_event(index, event.is_readable(), event.is_writable(), &mut ready);
                    }
                }
            }
            for index in std::mem::take(&mut ready) {
                let congested = self.broker.outs.iter().any(|out| out.len() > BACKLOG_BYTES);
                if congested && self.publishes(index) {
                    ready.push(index);
                    continue;
                }
                self.read(index);
                self.flush_touched();
                if self.connections[index].as_ref().is_some_and(|connection| connection.readable) {
                    ready.push(index);
                }
            }
        }
        Ok(())
    }

    fn publishes(&self, index: usize) -> bool {
        self.connections[index].as_ref().is_some_and(|connection| connection.session.publishes)
    }

    fn accept(&mut self, ready: &mut Vec<usize>) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) =>
                {
                    continue;
                }
                Err(error) => return Err(error).context("the relay cannot accept"),
            };
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.broker.outs.push(Vec::new());
                self.connections.len() - 1
            });
            self.poll.registry().register(
                &mut stream,
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            let session = Session::new(index);
            self.connections[index] = Some(Connection { stream, session, rest: Vec::new(), readable: true });
            ready.push(index);
        }
    }

    fn on_event(&mut self, index: usize, readable: bool, writable: bool, ready: &mut Vec<usize>) {
        let Some(connection) = &mut self.connections[index] else { return };
        if readable && !connection.readable {
            connection.readable = true;
            ready.push(index);
        }
        if writable {
            self.flush(index);
        }
    }

    /// Reads once and handles what came. hot.
    fn read(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        let kept = connection.rest.len();
        if self.block.len() < kept + RECEIVE_BYTES {
            self.block.resize(kept + RECEIVE_BYTES, 0);
        }
        self.block[..kept].copy_from_slice(&connection.rest);
        connection.rest.clear();
        let read = connection.stream.read(&mut self.block[kept..kept + RECEIVE_BYTES]);
        let filled = match read {
            Ok(0) => return self.drop_connection(index),
            Ok(bytes) => {
                connection.readable = bytes == RECEIVE_BYTES;
                kept + bytes
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                connection.readable = error.kind() == ErrorKind::Interrupted;
                connection.rest.extend_from_slice(&self.block[..kept]);
                return;
            }
            Err(_) => return self.drop_connection(index),
        };
        match connection.session.on_bytes(&self.block[..filled], &mut self.broker) {
            Ok(used) => {
                if used < filled {
                    connection.rest.extend_from_slice(&self.block[used..filled]);
                } else {
                    connection.rest = Vec::new();
                }
            }
            Err(session::Gone) => {
                self.flush(index);
                self.drop_connection(index);
            }
        }
    }

    fn flush_touched(&mut self) {
        while let Some(index) = self.broker.touched.pop() {
            self.flush(index);
        }
    }

    /// Writes as far as the socket takes it. hot.
    fn flush(&mut self, index: usize) {
        let (Some(connection), out) = (&mut self.connections[index], &mut self.broker.outs[index]) else {
            return;
        };
        let mut written = 0;
        while written < out.len() {
            match connection.stream.write(&out[written..]) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // a broken connection shows itself to the next read
                Err(_) => break,
            }
        }
        if written < out.len() || connection.session.consumes {
            out.drain(..written);
        } else {
            *out = Vec::new();
        }
    }

    fn drop_connection(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].take() {
            self.broker.forget(index, &connection.session);
            self.broker.outs[index] = Vec::new();
            self.free.push(index);
        }
    }
}
