//! Clients are accepted by the first shard, between its other work; it hands each to the shard with the fewest.
//! A thread of its own for that would be one more to wake for each. Read first:
//! [`ShardThread::accept_clients`].
//!
//! Invariants: a shard's count is that of its clients and of those on their way to it; only the acceptor raises
//! counts.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use leveret_model::{Instant, ShardId, limits};
use leveret_shard::Caller;
use mio::net::{TcpListener, TcpStream};
use mio::{Registry, Token};
use rustix::event::epoll;
use tracing::{debug, warn};

use crate::log_limits::{LogLimit, unless_none};
use crate::shard_thread::{ShardThread, ToShardThread};

/// The shard whose thread accepts clients.
pub(crate) const ACCEPTOR: ShardId = ShardId(0);
/// What its event loop shows when a client waits to be accepted.
pub(crate) const LISTENER: Token = Token(usize::MAX - 1);

/// Clients of each shard of a node.
#[derive(Debug)]
pub(crate) struct ClientCounts(Vec<AtomicUsize>);

impl ClientCounts {
    /// For so many shards.
    pub(crate) fn new(shards: u8) -> Self {
        Self((0..shards).map(|_| AtomicUsize::new(0)).collect())
    }

    /// The shard with the fewest, and of several the first: it gets one more. Nobody if all are full.
    pub(crate) fn add_to_fewest(&self) -> Option<ShardId> {
        let count = |(_, clients): &(usize, &AtomicUsize)| clients.load(Ordering::Relaxed);
        let fewest = self.0.iter().enumerate().min_by_key(count)?;
        if count(&fewest) >= limits::CONNECTIONS_MAX {
            return None;
        }
        fewest.1.fetch_add(1, Ordering::Relaxed);
        Some(ShardId(fewest.0 as u8))
    }

    /// A client of that shard is gone.
    pub(crate) fn gone(&self, shard: ShardId) {
        self.0[usize::from(shard.0)].fetch_sub(1, Ordering::Relaxed);
    }
}

/// The listening socket of the shard that accepts clients.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    /// Where it listens, if that is what every client has dialled.
    address: Option<SocketAddr>,
    /// A client may wait to be accepted.
    pub(crate) called: bool,
    /// When the listener is watched again after a client could not be accepted.
    pub(crate) watch_at: Instant,
    complaints: LogLimit,
    /// When people are told again that clients wait.
    say_full_at: Instant,
}

impl Acceptor {
    /// With a socket that listens, not watched yet.
    fn new(listener: TcpListener, now: Instant) -> Self {
        let address = listener.local_addr().ok().filter(|address| !address.ip().is_unspecified());
        Self {
            listener,
            address,
            called: false,
            watch_at: now,
            complaints: LogLimit::default(),
            say_full_at: now,
        }
    }

    /// By level, which mio does not have: one who waits is let in, and the next wait for events shows whether
    /// there are others, where a second accept would mostly be in vain.
    fn watch(&self, events: &Registry) -> io::Result<()> {
        let data = epoll::EventData::new_u64(LISTENER.0 as u64);
        Ok(epoll::add(events, &self.listener, data, epoll::EventFlags::IN)?)
    }

    fn leave(&self, events: &Registry) {
        // it fails if it was not watched
        let _ = epoll::delete(events, &self.listener);
    }

    /// Nobody can be let in, mostly for want of descriptors. Who waits would wake this thread all the time: not
    /// for a while.
    fn pause(&mut self, now: Instant, error: &io::Error) {
        warn_not_accepted(&mut self.complaints, now, error);
        self.watch_at = now + limits::ACCEPT_AGAIN;
    }
}

/// A line now and then, with what to do.
pub(crate) fn warn_not_accepted(complaints: &mut LogLimit, now: Instant, error: &io::Error) {
    let Some(unsaid) = complaints.take(now) else { return };
    let unsaid = unless_none(unsaid);
    // ENFILE and EMFILE: the system is short of descriptors, or the process
    if let Some(23 | 24) = error.raw_os_error() {
        warn!(%error, unsaid, "a connection could not be accepted: raise the limit of open files (ulimit -n, LimitNOFILE)");
    } else {
        warn!(%error, unsaid, "a connection could not be accepted");
    }
}

/// Makes a socket one that lets clients in. What it accepts inherits its options, as always on Linux.
///
/// # Errors
/// Another process listens there.
pub(crate) fn listen(socket: socket2::Socket) -> io::Result<TcpListener> {
    socket.set_tcp_nodelay(true)?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl ShardThread {
    /// Clients are let in from now on.
    pub(crate) fn take_listener(&mut self, listener: TcpListener, now: Instant) {
        if self.stopping.is_none() {
            self.acceptor = Some(Acceptor::new(listener, now));
        }
    }

    /// The node stops: nobody is let in any more.
    pub(crate) fn stop_accepting(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.leave(self.poll.registry());
        }
    }

    /// Lets clients in: one if the turn has nothing else to do, else up to a bound.
    pub(crate) fn accept_clients(&mut self, now: Instant, alone: bool) {
        let Some(acceptor) = &mut self.acceptor else { return };
        if acceptor.watch_at <= now {
            acceptor.watch_at = Instant::FAR;
            if let Err(error) = acceptor.watch(self.poll.registry()) {
                acceptor.pause(now, &error);
            }
        }
        if !std::mem::take(&mut acceptor.called) {
            return;
        }
        for accepted in 0..if alone { 1 } else { limits::ACCEPTS_PER_TURN_MAX } {
            if !self.ways.half_open.has_room() {
                return self.wait_for_room(now, accepted == 0);
            }
            let Some(acceptor) = &mut self.acceptor else { return };
            match acceptor.listener.accept() {
                Ok((stream, from)) => self.hand_out(stream, from, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    acceptor.leave(self.poll.registry());
                    return acceptor.pause(now, &error);
                }
            }
        }
    }

    /// As many handshakes are under way as may be. Whoever waits stays in the kernel's queue, at the latest
    /// until the next look: none is accepted to be dropped, and none that is under way is dropped for one that
    /// just came.
    fn wait_for_room(&mut self, now: Instant, somebody_waits: bool) {
        let Some(acceptor) = &mut self.acceptor else { return };
        acceptor.leave(self.poll.registry());
        acceptor.watch_at = now + limits::ACCEPT_AGAIN;
        if somebody_waits {
            if acceptor.say_full_at <= now {
                acceptor.say_full_at = now + limits::FULL_SAID_EVERY;
                let handshakes = limits::HANDSHAKES_MAX;
                warn!(handshakes, "clients wait to be accepted: as many as may be are logging in");
            }
            self.ways.shards.iter().for_each(|shard| shard.send(ToShardThread::DropStaleHandshakes));
        }
    }

    /// Some handshakes ended: clients that wait are looked for at once.
    pub(crate) fn on_room_for_handshakes(&mut self, now: Instant) {
        if let Some(acceptor) = &mut self.acceptor
            && acceptor.watch_at < Instant::FAR
        {
            acceptor.watch_at = now;
        }
    }

    /// A client goes to the shard with the fewest.
    fn hand_out(&mut self, stream: TcpStream, from: SocketAddr, now: Instant) {
        let Some(shard) = self.ways.clients.add_to_fewest() else {
            if let Some(unsaid) = self.complaints.take(now) {
                warn!(%from, unsaid = unless_none(unsaid), "no room for another connection: it is closed");
            }
            return;
        };
        let address = self.acceptor.as_ref().and_then(|acceptor| acceptor.address);
        let Ok(own) = address.map_or_else(|| stream.local_addr(), Ok) else {
            self.ways.clients.gone(shard);
            return debug!(%from, "a client is gone already");
        };
        let caller =
            Caller { name: format!("{from} -> {own}"), loopback: from.ip().to_canonical().is_loopback() };
        self.ways.half_open.begun();
        if shard == self.own.shard {
            self.take_client(stream, caller, now);
        } else {
            self.ways.shards[usize::from(shard.0)].send(ToShardThread::Client { stream, caller });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::time::Duration;

    #[test]
    fn a_client_goes_to_the_shard_with_the_fewest_and_the_first_of_them() {
        let clients = ClientCounts::new(3);
        let went: Vec<_> = (0..5).filter_map(|_| clients.add_to_fewest()).map(|shard| shard.0).collect();
        assert_eq!(went, [0, 1, 2, 0, 1]);
        clients.gone(ShardId(1));
        clients.gone(ShardId(1));
        assert_eq!(clients.add_to_fewest(), Some(ShardId(1)));
    }

    #[test]
    fn nobody_is_sent_to_shards_that_are_full() {
        let clients = ClientCounts::new(2);
        for _ in 0..2 * limits::CONNECTIONS_MAX {
            assert!(clients.add_to_fewest().is_some());
        }
        assert_eq!(clients.add_to_fewest(), None);
        clients.gone(ShardId(1));
        assert_eq!(clients.add_to_fewest(), Some(ShardId(1)));
    }

    #[test]
    fn who_waits_is_seen_until_let_in_and_does_not_delay_what_it_writes() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let acceptor = Acceptor::new(listen(socket).unwrap(), Instant::ZERO);
        let address = acceptor.address.unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut called = |poll: &mut Poll| {
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            events.iter().any(|event| event.token() == LISTENER)
        };
        acceptor.watch(poll.registry()).unwrap();
        assert!(!called(&mut poll), "nobody is there");
        let _clients = [address, address].map(|to| std::net::TcpStream::connect(to).unwrap());
        for left in [2, 1] {
            assert!(called(&mut poll), "{left} wait");
            assert!(acceptor.listener.accept().unwrap().0.nodelay().unwrap());
        }
        assert!(!called(&mut poll), "all are in");
        acceptor.leave(poll.registry());
        let _client = std::net::TcpStream::connect(address).unwrap();
        assert!(!called(&mut poll), "nobody looks");
        acceptor.watch(poll.registry()).unwrap();
        assert!(called(&mut poll), "who came before is seen as well");
    }
}
