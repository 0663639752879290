//! Sockets that come: other nodes at the cluster port, clients once the node is ready.

use std::io;
use std::net::SocketAddr;

use leveret_model::{Instant, limits};
use leveret_shard::Caller;
use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{CLIENTS, ControlThread};
use crate::mailbox::MailTo;
use crate::node::StartError;
use crate::shard_thread::ToShardThread;

/// Listeners that may have somebody waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Callers {
    pub(super) nodes: bool,
    pub(super) clients: bool,
}

impl Callers {
    const ALL: Self = Self { nodes: true, clients: true };
}

impl ControlThread {
    pub(super) fn accept(&mut self, now: Instant) {
        if self.accept_at <= now {
            self.accept_at = Instant::FAR;
            self.callers = Callers::ALL;
        }
        let mut left = limits::ACCEPTS_PER_TURN_MAX;
        let callers = std::mem::take(&mut self.callers);
        self.callers.nodes = callers.nodes && self.accept_nodes(now, &mut left);
        self.callers.clients = callers.clients && self.accept_clients(now, &mut left);
    }

    /// True if there may be more.
    fn accept_nodes(&mut self, now: Instant, left: &mut usize) -> bool {
        while *left > 0 {
            match self.cluster_listener.accept() {
                Ok((stream, from)) => self.links.accept(now, stream, from),
                Err(error) => return self.cannot_accept(now, &error),
            }
            *left -= 1;
        }
        true
    }

    /// True if there may be more.
    fn accept_clients(&mut self, now: Instant, left: &mut usize) -> bool {
        let Some(listener) = &self.client_listener else { return false };
        while *left > 0 {
            match listener.accept() {
                Ok((stream, from)) => hand_out(&mut self.clients, &self.shards, stream, from),
                Err(error) => return self.cannot_accept(now, &error),
            }
            *left -= 1;
        }
        true
    }

    /// Nobody is there, or none can be taken, mostly for want of descriptors: the listener tells of each socket once, so
    /// nobody would ask again. Never more.
    fn cannot_accept(&mut self, now: Instant, error: &io::Error) -> bool {
        if error.kind() == io::ErrorKind::WouldBlock {
            return false;
        }
        if let Some(unsaid) = self.complaints.take(now) {
            warn!(%error, unsaid, "a connection could not be accepted");
        }
        self.accept_at = now + limits::ACCEPT_AGAIN;
        false
    }

    /// The node is ready: clients are let in. Another process that bound the port beside us may have opened it first.
    pub(super) fn open_clients(&mut self) -> Result<(), StartError> {
        let Some(socket) = self.client_socket.take() else { return Ok(()) };
        let (what, flag, address) = ("AMQP", "--listen", self.listen);
        let wrong = |error| StartError::Listen { what, address, flag, error };
        socket.listen(limits::LISTEN_BACKLOG).map_err(wrong)?;
        let mut listener = TcpListener::from_std(socket.into());
        self.poll.registry().register(&mut listener, CLIENTS, Interest::READABLE).map_err(wrong)?;
        self.client_listener = Some(listener);
        self.callers.clients = true;
        Ok(())
    }
}

/// A client goes to the shard with the fewest.
fn hand_out(clients: &mut [usize], shards: &[MailTo<ToShardThread>], stream: TcpStream, from: SocketAddr) {
    let Some(index) = (0..clients.len()).min_by_key(|index| clients[*index]) else { return };
    if clients[index] >= limits::CONNECTIONS_MAX {
        return warn!(%from, "no room for another connection: it is closed");
    }
    if let Err(error) = stream.set_nodelay(true) {
        // the peer is gone already
        return debug!(%error, "a client's socket cannot be set up");
    }
    clients[index] += 1;
    let own = stream.local_addr().map(|own| own.to_string()).unwrap_or_default();
    let caller =
        Caller { name: format!("{from} -> {own}"), loopback: from.ip().to_canonical().is_loopback() };
    shards[index].send(ToShardThread::Client { stream, caller });
}
