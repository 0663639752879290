//! Control links that ended, told to people: whose, and why. Of two dials that crossed one ends at once, which
//! is nothing to tell: the other one is there.

use leveret_cluster::LinkKey;
use leveret_link::handshake::Hello;
use leveret_model::{Instant, Name, NodeId, limits};
use tracing::{debug, info};

use super::{LinkEvent, LinkSocket, Links};
use crate::clock;
use crate::link_stream::{LinkError, LinkStream};

/// A control link that is up.
#[derive(Debug)]
pub(super) struct ControlLink {
    pub(super) stream: LinkStream,
    peer: Peer,
    since: Instant,
}

/// Who is at the other end; authenticated.
#[derive(Clone, Debug)]
struct Peer {
    node: NodeId,
    name: Name,
    address: Name,
}

impl ControlLink {
    pub(super) fn new(stream: LinkStream, hello: &Hello, now: Instant) -> Self {
        let peer = Peer { node: hello.node, name: hello.name.clone(), address: hello.address.clone() };
        Self { stream, peer, since: now }
    }
}

/// Links that ended soon after they began, until it is known whether another one took their place.
#[derive(Debug, Default)]
pub(super) struct Ended(Vec<(Instant, Peer, String)>);

impl Ended {
    pub(super) fn next_deadline(&self) -> Instant {
        self.0.first().map_or(Instant::FAR, |(at, ..)| *at)
    }
}

impl Links {
    /// A control link broke, or its peer closed it.
    pub(super) fn end_control(&mut self, link: LinkKey, error: &LinkError) {
        if let Some(LinkSocket::Control(control)) = self.sockets.remove(&(link.0 as usize)) {
            let (now, ControlLink { peer, since, .. }) = (clock::now(), *control);
            let settles = since + limits::LINK_SETTLES;
            if matches!(error, LinkError::Closed) && now < settles && self.ended.0.len() < ENDED_MAX {
                self.ended.0.push((now + limits::LINK_SETTLES, peer, error.to_string()));
            } else {
                tell(&peer, &error.to_string());
            }
        }
        self.events.push(LinkEvent::Down { link });
    }

    pub(super) fn tell_ended(&mut self, now: Instant) {
        while self.ended.next_deadline() <= now {
            let (_, peer, error) = self.ended.0.remove(0);
            let there = |socket: &LinkSocket| matches!(socket, LinkSocket::Control(link) if link.peer.node == peer.node);
            if self.sockets.values().any(there) {
                debug!(node = %peer.node, name = %peer.name, "one of two control links ended");
            } else {
                tell(&peer, &error);
            }
        }
    }
}

/// So many are remembered; others are told of at once.
const ENDED_MAX: usize = limits::NODES_MAX;

fn tell(Peer { node, name, address }: &Peer, error: &str) {
    info!(%node, %name, %address, %error, "a control link ended");
}
