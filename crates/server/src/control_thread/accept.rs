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

impl ControlThread {
    pub(super) fn accept(&mut self, now: Instant) {
        if self.accept_at <= now {
            self.accept_at = Instant::FAR;
            self.accept_more = true;
        }
        if !std::mem::take(&mut self.accept_more) {
            return;
        }
        let mut left = limits::ACCEPTS_PER_TURN_MAX;
        while left > 0 {
            match self.cluster_listener.accept() {
                Ok((stream, from)) => self.links.accept(now, stream, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.cannot_accept(now, &error);
                    break;
                }
            }
            left -= 1;
        }
        let Some(listener) = &self.client_listener else { return };
        while left > 0 {
            match listener.accept() {
                Ok((stream, from)) => hand_out(&mut self.clients, &self.shards, stream, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.cannot_accept(now, &error),
            }
            left -= 1;
        }
        self.accept_more = true;
    }

    /// Mostly for want of descriptors. The listener tells of each socket once, so nobody would ask again.
    fn cannot_accept(&mut self, now: Instant, error: &io::Error) {
        if let Some(unsaid) = self.complaints.take(now) {
            warn!(%error, unsaid, "a connection could not be accepted");
        }
        self.accept_at = now + limits::ACCEPT_AGAIN;
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
        self.accept_more = true;
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
