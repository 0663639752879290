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
use mio::Registry;
use mio::net::{TcpListener, TcpStream};
use rustix::event::epoll;
use tracing::{debug, warn};

use crate::client_ports::ClientPort;
use crate::log_limits::{LogLimit, unless_none};
use crate::shard_thread::{ShardThread, ToShardThread};
use crate::source_network::is_proxy;
use crate::start_error::StartError;

/// The shard whose thread accepts clients.
pub(crate) const ACCEPTOR: ShardId = ShardId(0);
/// What its event loop shows when a client waits to be accepted: this for the first listener, and so on.
pub(crate) const LISTENERS: usize = usize::MAX - limits::LISTENERS_MAX;

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

/// A client's socket that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) caller: Caller,
    /// The proxy that says who the client is, in front of everything else.
    pub(crate) proxied_by: Option<SocketAddr>,
}

/// Both ends of a connection, as people and the login rules see them.
pub(crate) fn caller(from: SocketAddr, own: SocketAddr) -> Caller {
    Caller { name: format!("{from} -> {own}"), loopback: from.ip().to_canonical().is_loopback() }
}

/// A socket that lets clients in.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    /// Where it listens, if that is what every client has dialled.
    address: Option<SocketAddr>,
}

impl Listening {
    /// Opens a bound socket.
    ///
    /// # Errors
    /// Another process listens there.
    pub(crate) fn new(port: ClientPort) -> Result<Self, StartError> {
        let ClientPort { socket, address } = port;
        let listener = listen(socket).map_err(|error| ClientPort::wrong(address, error))?;
        Ok(Self { listener, address: Some(address).filter(|address| !address.ip().is_unspecified()) })
    }
}

/// Makes a bound socket one that lets clients in. What it accepts inherits its options, as always on Linux.
///
/// # Errors
/// Another process listens there.
pub(crate) fn listen(socket: socket2::Socket) -> io::Result<TcpListener> {
    socket.set_tcp_nodelay(true)?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// The listening sockets of the shard that accepts clients.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Vec<Listening>,
    /// Listeners at which a client may wait to be accepted, a bit for each.
    called: u32,
    /// The listener that is asked first next time, so that none starves the others.
    turn: usize,
    /// When the listeners are watched again after a client could not be accepted.
    pub(crate) watch_at: Instant,
    complaints: LogLimit,
    /// When people are told again that clients wait.
    say_full_at: Instant,
}

impl Acceptor {
    /// With sockets that listen, not watched yet.
    fn new(listeners: Vec<Listening>, now: Instant) -> Self {
        let (called, turn) = (0, 0);
        Self { listeners, called, turn, watch_at: now, complaints: LogLimit::default(), say_full_at: now }
    }

    /// A client may wait at that listener.
    pub(crate) fn on_called(&mut self, listener: usize) {
        self.called |= 1 << listener;
    }

    /// By level, which mio does not have: one who waits is let in, and the next wait for events shows whether
    /// there are others, where a second accept would mostly be in vain.
    fn watch(&self, events: &Registry) -> io::Result<()> {
        for (at, listening) in self.listeners.iter().enumerate() {
            let data = epoll::EventData::new_u64((LISTENERS + at) as u64);
            epoll::add(events, &listening.listener, data, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn leave(&self, events: &Registry) {
        for listening in &self.listeners {
            // it fails if it was not watched
            let _ = epoll::delete(events, &listening.listener);
        }
    }

    /// Somebody who waits, with the address that was dialled; nobody if none does at the listeners that called.
    /// Each of these is asked in turn.
    fn accept(
        &mut self,
        called: &mut u32,
    ) -> io::Result<Option<(TcpStream, SocketAddr, Option<SocketAddr>)>> {
        while *called != 0 {
            let at = self.turn % self.listeners.len();
            self.turn = at + 1;
            if *called & (1 << at) == 0 {
                continue;
            }
            match self.listeners[at].listener.accept() {
                Ok((stream, from)) => return Ok(Some((stream, from, self.listeners[at].address))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *called &= !(1 << at),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
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

impl ShardThread {
    /// Clients are let in from now on.
    pub(crate) fn take_listeners(&mut self, listeners: Vec<Listening>, now: Instant) {
        if self.stopping.at.is_none() {
            self.acceptor = Some(Acceptor::new(listeners, now));
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
                // some of them may be watched
                acceptor.leave(self.poll.registry());
                acceptor.pause(now, &error);
            }
        }
        let mut called = std::mem::take(&mut acceptor.called);
        if called == 0 {
            return;
        }
        for accepted in 0..if alone { 1 } else { limits::ACCEPTS_PER_TURN_MAX } {
            if !self.ways.half_open.has_room() {
                return self.wait_for_room(now, accepted == 0);
            }
            let Some(acceptor) = &mut self.acceptor else { return };
            match acceptor.accept(&mut called) {
                Ok(Some((stream, from, dialled))) => self.hand_out(stream, from, dialled, now),
                Ok(None) => return,
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
    fn hand_out(&mut self, stream: TcpStream, from: SocketAddr, dialled: Option<SocketAddr>, now: Instant) {
        let Some(shard) = self.ways.clients.add_to_fewest() else {
            if let Some(unsaid) = self.complaints.take(now) {
                warn!(%from, unsaid = unless_none(unsaid), "no room for another connection: it is closed");
            }
            return;
        };
        let Ok(own) = dialled.map_or_else(|| stream.local_addr(), Ok) else {
            self.ways.clients.gone(shard);
            return debug!(%from, "a client is gone already");
        };
        let mut caller = caller(from, own);
        let proxied_by = is_proxy(&self.ways.proxies, from.ip()).then_some(from);
        // until the proxy has said where the client is
        caller.loopback &= proxied_by.is_none();
        self.ways.half_open.begun();
        let client = Accepted { stream, caller, proxied_by };
        if shard == self.own.shard {
            self.take_client(client, now);
        } else {
            self.ways.shards[usize::from(shard.0)].send(ToShardThread::Client(client));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_ports::bind_client_ports;
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

    fn loopback_acceptor(listeners: usize) -> (Acceptor, Vec<SocketAddr>) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let ports = bind_client_ports(&vec![any; listeners]).unwrap();
        let addresses = ports.iter().map(|port| port.address).collect();
        let listening = ports.into_iter().map(|port| Listening::new(port).unwrap());
        (Acceptor::new(listening.collect(), Instant::ZERO), addresses)
    }

    /// The listeners at which somebody waits.
    fn called(poll: &mut Poll) -> Vec<usize> {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        let mut called: Vec<usize> = events.iter().map(|event| event.token().0 - LISTENERS).collect();
        called.sort_unstable();
        called
    }

    #[test]
    fn who_waits_is_seen_until_let_in_and_does_not_delay_what_it_writes() {
        let (mut acceptor, addresses) = loopback_acceptor(1);
        let mut poll = Poll::new().unwrap();
        acceptor.watch(poll.registry()).unwrap();
        assert!(called(&mut poll).is_empty(), "nobody is there");
        let _clients = [addresses[0]; 2].map(|to| std::net::TcpStream::connect(to).unwrap());
        for left in [2, 1] {
            assert_eq!(called(&mut poll), [0], "{left} wait");
            let (stream, ..) = acceptor.accept(&mut 1).unwrap().unwrap();
            assert!(stream.nodelay().unwrap());
        }
        assert!(called(&mut poll).is_empty(), "all are in");
        acceptor.leave(poll.registry());
        let _client = std::net::TcpStream::connect(addresses[0]).unwrap();
        assert!(called(&mut poll).is_empty(), "nobody looks");
        acceptor.watch(poll.registry()).unwrap();
        assert_eq!(called(&mut poll), [0], "who came before is seen as well");
    }

    #[test]
    fn listeners_are_asked_in_turn_and_only_those_that_called() {
        let (mut acceptor, addresses) = loopback_acceptor(3);
        let mut poll = Poll::new().unwrap();
        acceptor.watch(poll.registry()).unwrap();
        let dial = |at: usize| std::net::TcpStream::connect(addresses[at]).unwrap();
        let _clients = [0, 0, 0, 2].map(dial);
        assert_eq!(called(&mut poll), [0, 2]);
        let mut calls = 0b101;
        let mut dialled = Vec::new();
        while let Some((_, _, own)) = acceptor.accept(&mut calls).unwrap() {
            dialled.push(addresses.iter().position(|address| Some(*address) == own).unwrap());
        }
        assert_eq!(dialled, [0, 2, 0, 0], "a crowd at one does not keep out who waits at another");
        assert_eq!((calls, called(&mut poll)), (0, vec![]));
    }
}
