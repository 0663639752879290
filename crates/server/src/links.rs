//! Links to other nodes: dialling, accepting, authenticating, and the control links themselves.
//!
//! A data link that is authenticated belongs to `link::sessions` until all of its session are there; then each
//! goes to its shard. Nothing of a socket is parsed before its handshake is done (`link::handshake`).

mod data;
mod ended;
mod handshakes;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::SocketAddr;

use bytes::Bytes;
use leveret_cluster::{DialFailure, LinkKey};
use leveret_link::frame::{self, Frame};
use leveret_link::handshake::{Handshake, Hello, Outcome, Purpose, Secret};
use leveret_link::sessions::{DataLinkKey, SessionNumber, Sessions};
use leveret_model::{Boot, Instant, NodeId, limits};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tracing::warn;

use self::ended::{ControlLink, Ended};
use self::handshakes::{Answered, OwnDials, failure_of, nonce, with_address, write_some};
use crate::clock;
use crate::link_stream::LinkStream;
use crate::log_limits::{PeerLogLimit, unless_none};

/// What happened on the links, for the control thread.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A control link is authenticated; `dialled` is the address that led to it.
    Up { link: LinkKey, hello: Box<Hello>, dialled: Option<String> },
    /// A frame of a control link.
    Frame { link: LinkKey, frame: Bytes },
    /// A control link ended.
    Down { link: LinkKey },
    /// An address could not be reached.
    DialFailed { address: String, failure: DialFailure },
    /// All data links of a session are there.
    SessionUp { node: NodeId, boot: Boot, session: SessionNumber, links: Vec<(u8, DataLink)> },
    /// A session is over.
    SessionDown { node: NodeId },
}

/// An authenticated data link on its way to its shard.
#[derive(Debug)]
pub(crate) struct DataLink {
    pub(crate) stream: TcpStream,
    /// What came behind the handshake.
    pub(crate) leftover: Vec<u8>,
}

#[derive(Debug)]
struct Handshaking {
    stream: TcpStream,
    handshake: Handshake,
    output: Vec<u8>,
    /// The address at the other end.
    address: String,
    origin: Origin,
    connected: bool,
}

/// What a link that is not authenticated yet is for.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// The other end says so.
    Accepted,
    /// We dialled an address, whoever is there.
    Control,
    /// We dialled a member.
    Data(NodeId, DataLinkKey),
}

#[derive(Debug)]
enum LinkSocket {
    Handshaking(Box<Handshaking>),
    Control(Box<ControlLink>),
}

impl Handshaking {
    fn is_dialled(&self) -> bool {
        !matches!(self.origin, Origin::Accepted)
    }
}

/// Who this node is, for handshakes.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) hello: Hello,
    pub(crate) secret: Secret,
}

/// All links of the control thread.
#[derive(Debug)]
pub(crate) struct Links {
    identity: Identity,
    registry: Registry,
    token_base: usize,
    next: usize,
    sockets: BTreeMap<usize, LinkSocket>,
    sessions: Sessions<DataLink>,
    /// Lines about peers that were not believed.
    peer_lines: PeerLogLimit,
    /// Control links that ended soon after they began.
    ended: Ended,
    /// Addresses of which it was said that they are not dialled.
    undialled: BTreeSet<String>,
    own_dials: OwnDials,
    answered: Answered,
    pub(crate) events: Vec<LinkEvent>,
}

impl Links {
    pub(crate) fn new(identity: Identity, registry: Registry, token_base: usize) -> Self {
        Self {
            sessions: Sessions::new(identity.hello.node, identity.hello.shards),
            identity,
            registry,
            token_base,
            next: 0,
            sockets: BTreeMap::new(),
            peer_lines: PeerLogLimit::default(),
            ended: Ended::default(),
            undialled: BTreeSet::new(),
            own_dials: OwnDials::default(),
            answered: Answered::default(),
            events: Vec::new(),
        }
    }

    fn hello(&self, purpose: Purpose) -> Hello {
        Hello { purpose, ..self.identity.hello.clone() }
    }

    /// Without a secret only this machine's own addresses are linked with.
    fn may_link(&self, address: SocketAddr) -> bool {
        !self.identity.secret.is_none() || address.ip().to_canonical().is_loopback()
    }

    /// Dials a member or a seed for a control link.
    pub(crate) fn dial(&mut self, now: Instant, address: &str) {
        self.dial_for(now, address, Origin::Control);
    }

    fn dial_for(&mut self, now: Instant, address: &str, origin: Origin) {
        let Ok(to) = address.parse::<SocketAddr>() else {
            self.say_undialled(address, "it is not of the form ADDR:PORT");
            return self.end_dial(address, origin, DialFailure::Unreachable);
        };
        if !self.may_link(to) {
            self.say_undialled(address, "without a secret (--secret-file) links run over loopback only");
            return self.end_dial(address, origin, DialFailure::Unreachable);
        }
        match TcpStream::connect(to) {
            Ok(stream) => {
                let purpose = match origin {
                    Origin::Data(_, key) => Purpose::Data(key),
                    Origin::Control | Origin::Accepted => Purpose::Control,
                };
                let (hello, secret) = (self.hello(purpose), self.identity.secret.clone());
                let handshake = Handshake::dialer(secret, hello, nonce(), &[], now);
                self.shake(stream, handshake, address.to_owned(), origin);
            }
            Err(error) => self.end_dial(address, origin, failure_of(&error)),
        }
    }

    /// Once for each address: it comes up again with each redial.
    fn say_undialled(&mut self, address: &str, why: &str) {
        if self.undialled.len() == limits::UNDIALLED_MAX {
            self.undialled.clear();
        }
        if self.undialled.insert(address.to_owned()) {
            warn!(address, "an address is not dialled: {why}");
        }
    }

    /// Somebody dialled the cluster port.
    pub(crate) fn accept(&mut self, now: Instant, stream: TcpStream, from: SocketAddr) {
        if !self.may_link(from) {
            let (peer, why) = (from.ip(), "without a secret (--secret-file) links run over loopback only");
            if let Some(unsaid) = self.peer_lines.take(now, &peer.to_string(), why) {
                warn!(%peer, unsaid = unless_none(unsaid), "dropped: {why}");
            }
            return;
        }
        let hello = self.hello(Purpose::Control);
        let handshake = Handshake::acceptor(self.identity.secret.clone(), hello, nonce(), &[], now);
        self.shake(stream, handshake, from.to_string(), Origin::Accepted);
    }

    fn shake(&mut self, mut stream: TcpStream, handshake: Handshake, address: String, origin: Origin) {
        let token = self.next;
        self.next += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut stream, Token(self.token_base + token), interest) {
            warn!(%error, "a link's socket cannot be watched");
            return self.end_dial(&address, origin, DialFailure::Unreachable);
        }
        let connected = matches!(origin, Origin::Accepted);
        let handshaking = Handshaking { stream, handshake, output: Vec::new(), address, origin, connected };
        self.sockets.insert(token, LinkSocket::Handshaking(Box::new(handshaking)));
        if connected {
            self.go_on_shaking(token);
        }
    }

    /// The kernel has something to say about a link's socket.
    pub(crate) fn on_event(&mut self, token: usize, event: &mio::event::Event) {
        match self.sockets.get_mut(&token) {
            Some(LinkSocket::Control(link)) => {
                link.stream.on_event(event);
                self.read_control(token);
            }
            Some(LinkSocket::Handshaking(handshaking)) => {
                if !handshaking.connected {
                    match handshaking.stream.take_error() {
                        Ok(None) if handshaking.stream.peer_addr().is_ok() => handshaking.connected = true,
                        Ok(None) => return,
                        Ok(Some(error)) | Err(error) => return self.dial_failed(token, &error),
                    }
                    let _ = handshaking.stream.set_nodelay(true);
                }
                self.go_on_shaking(token);
            }
            None => {}
        }
    }

    fn dial_failed(&mut self, token: usize, error: &io::Error) {
        let Some(LinkSocket::Handshaking(handshaking)) = self.sockets.remove(&token) else { return };
        self.end_dial(&handshaking.address, handshaking.origin, failure_of(error));
    }

    fn end_dial(&mut self, address: &str, origin: Origin, failure: DialFailure) {
        match origin {
            Origin::Accepted => {}
            Origin::Control => {
                self.events.push(LinkEvent::DialFailed { address: address.to_owned(), failure });
            }
            Origin::Data(node, key) => self.sessions.on_dial_failed(node, key),
        }
    }

    /// Moves handshake bytes both ways as far as they go.
    fn go_on_shaking(&mut self, token: usize) {
        let Some(LinkSocket::Handshaking(handshaking)) = self.sockets.get_mut(&token) else { return };
        let mut buffer = [0; limits::LINK_HANDSHAKE_BYTES_MAX];
        loop {
            handshaking.output.extend(handshaking.handshake.take_output());
            if let Err(error) = write_some(&mut handshaking.stream, &mut handshaking.output) {
                return self.shaking_failed(token, &error);
            }
            let count = match handshaking.stream.read(&mut buffer) {
                Ok(0) => return self.shaking_failed(token, &io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.shaking_failed(token, &error),
            };
            let (consumed, outcome) = handshaking.handshake.on_bytes(&buffer[..count]);
            match outcome {
                Outcome::More => {}
                Outcome::Open(hello) => {
                    let leftover = buffer[consumed..count].to_vec();
                    handshaking.output.extend(handshaking.handshake.take_output());
                    // A handshake's last bytes are few: a fresh socket takes them whole, or it is not worth
                    // having.
                    let written = write_some(&mut handshaking.stream, &mut handshaking.output);
                    if written.is_err() || !handshaking.output.is_empty() {
                        return self.shaking_failed(token, &io::ErrorKind::WriteZero.into());
                    }
                    return self.opened(token, hello, leftover);
                }
                Outcome::Refused(refused) => return self.refused(token, &refused),
            }
        }
    }

    fn opened(&mut self, token: usize, hello: Box<Hello>, leftover: Vec<u8>) {
        let Some(LinkSocket::Handshaking(handshaking)) = self.sockets.remove(&token) else { return };
        let Handshaking { mut stream, address, origin, .. } = *handshaking;
        let _ = stream.set_nodelay(true);
        let hello = with_address(hello, &stream);
        match hello.purpose {
            Purpose::Control => {
                let link = ControlLink::new(LinkStream::new(stream, &leftover), &hello, clock::now());
                self.sockets.insert(token, LinkSocket::Control(Box::new(link)));
                let dialled = matches!(origin, Origin::Control).then_some(address);
                dialled.iter().for_each(|address| self.answered.opened(address));
                self.events.push(LinkEvent::Up { link: LinkKey(token as u64), hello, dialled });
                self.read_control(token);
            }
            Purpose::Data(key) => {
                let _ = self.registry.deregister(&mut stream);
                let link = DataLink { stream, leftover };
                match origin {
                    Origin::Data(node, key) => {
                        self.sessions.on_dialled(node, (hello.node, hello.boot), key, link);
                    }
                    Origin::Accepted | Origin::Control => {
                        self.sessions.on_accepted(hello.node, hello.boot, key, link);
                    }
                }
            }
        }
    }

    fn read_control(&mut self, token: usize) {
        let Some(LinkSocket::Control(link)) = self.sockets.get_mut(&token) else { return };
        let key = LinkKey(token as u64);
        let events = &mut self.events;
        let mut result = Ok(());
        while link.stream.readable && result.is_ok() {
            result = link.stream.read(|frame| {
                if let Frame::Control(frame) = frame {
                    events.push(LinkEvent::Frame { link: key, frame });
                }
            });
        }
        let result = result.and_then(|()| link.stream.flush());
        if let Err(error) = result {
            self.end_control(key, &error);
        }
    }

    /// Queues a control frame; [`Links::flush`] writes.
    pub(crate) fn send(&mut self, link: LinkKey, frame: &[u8]) {
        let Some(LinkSocket::Control(control)) = self.sockets.get_mut(&(link.0 as usize)) else { return };
        match frame::encode_control(frame) {
            Ok(bytes) => control.stream.push(bytes),
            Err(error) => {
                warn!(%error, "a control frame of our own does not fit: this is a bug; the link is closed");
                self.hang_up(link);
                self.events.push(LinkEvent::Down { link });
            }
        }
    }

    /// Writes what is queued, once for each link.
    pub(crate) fn flush(&mut self) {
        let mut failed = Vec::new();
        for (token, socket) in &mut self.sockets {
            if let LinkSocket::Control(link) = socket
                && link.stream.has_output()
                && let Err(error) = link.stream.flush()
            {
                failed.push((LinkKey(*token as u64), error));
            }
        }
        for (link, error) in failed {
            self.end_control(link, &error);
        }
    }

    /// Closes a control link.
    pub(crate) fn hang_up(&mut self, link: LinkKey) {
        self.sockets.remove(&(link.0 as usize));
    }

    /// Dials sessions that are not up, and drops handshakes that take too long.
    pub(crate) fn on_timer(&mut self, now: Instant) {
        let late: Vec<usize> = self
            .sockets
            .iter()
            .filter(
                |(_, socket)| matches!(socket, LinkSocket::Handshaking(s) if s.handshake.deadline() <= now),
            )
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            self.shaking_failed(token, &io::ErrorKind::TimedOut.into());
        }
        self.sessions.on_timer(now);
        self.tell_ended(now);
    }

    /// When [`Links::on_timer`] has something to do.
    pub(crate) fn next_deadline(&self) -> Instant {
        let handshaking = self.sockets.values().filter_map(|socket| match socket {
            LinkSocket::Handshaking(handshaking) => Some(handshaking.handshake.deadline()),
            LinkSocket::Control(_) => None,
        });
        let ends = self.sessions.next_deadline().min(self.ended.next_deadline());
        handshaking.min().unwrap_or(Instant::FAR).min(ends)
    }
}
