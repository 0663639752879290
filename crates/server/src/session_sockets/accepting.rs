//! RESP clients are let in by the first shard, as those of AMQP are (`accept.rs`), and handed to the shard with
//! the fewest.

use std::io;
use std::net::SocketAddr;

use leveret_model::{Instant, limits};
use leveret_shard::Caller;
use mio::net::TcpStream;
use rustix::event::epoll;
use tracing::warn;

use super::ways::{Carrier, ToSessions};
use super::{SESSION_LISTENER, SessionSockets};
use crate::log_limits::unless_none;

impl SessionSockets {
    /// Lets clients in, up to a bound.
    pub(crate) fn accept(&mut self, carrier: &mut Carrier<'_>) {
        let Some(listener) = &mut self.listener else { return };
        // until the list is whole clients wait in the kernel's queue; the record that completes it wakes this
        // thread
        if listener.watch_at <= carrier.now && carrier.shard.are_sessions_serving() {
            (listener.watch_at, listener.opened) = (Instant::FAR, true);
            let data = epoll::EventData::new_u64(SESSION_LISTENER.0 as u64);
            // by level, as the other listener: whoever was not let in shows again
            if let Err(error) = epoll::add(carrier.registry, &listener.socket, data, epoll::EventFlags::IN) {
                return self.pause(carrier, &error.into());
            }
        }
        if !self.listener.as_mut().is_some_and(|listener| std::mem::take(&mut listener.called)) {
            return;
        }
        for _ in 0..limits::ACCEPTS_PER_TURN_MAX {
            let Some(listener) = &self.listener else { return };
            if !carrier.ways.has_room() {
                return self.leave_listener(carrier);
            }
            match listener.socket.accept() {
                Ok((stream, from)) => self.hand_out(carrier, stream, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.pause(carrier, &error),
            }
        }
    }

    fn pause(&mut self, carrier: &Carrier<'_>, error: &io::Error) {
        carrier.ways.warn_not_accepted(&mut self.complaints, carrier.now, error);
        self.leave_listener(carrier);
    }

    /// Whoever waits would wake this thread all the time: not for a while.
    fn leave_listener(&mut self, carrier: &Carrier<'_>) {
        if let Some(listener) = &mut self.listener {
            // it fails if it was not watched
            let _ = epoll::delete(carrier.registry, &listener.socket);
            listener.watch_at = carrier.now + limits::ACCEPT_AGAIN;
        }
    }

    /// A client goes to the shard with the fewest.
    fn hand_out(&mut self, carrier: &mut Carrier<'_>, stream: TcpStream, from: SocketAddr) {
        let Some(shard) = carrier.ways.place_client() else {
            if let Some(unsaid) = self.complaints.take(carrier.now) {
                warn!(%from, unsaid = unless_none(unsaid), "no room for another connection: it is closed");
            }
            return;
        };
        let own = self.listener.as_ref().map(|listener| listener.address);
        let name = own.map_or_else(|| from.to_string(), |own| format!("{from} -> {own}"));
        let caller = Caller { name, loopback: from.ip().to_canonical().is_loopback() };
        // counted until its shard knows whether it needs a login
        carrier.ways.handshake_begun();
        if shard == carrier.own {
            self.take_client(carrier, stream, caller);
        } else {
            carrier.ways.send(shard, ToSessions::Client { stream, caller });
        }
    }
}
