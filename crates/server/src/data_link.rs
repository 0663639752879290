//! The data links of one shard's thread: records to and from the shards of other nodes.
//!
//! All data links between two nodes are one session: they come up together and go down together, so that what a shard
//! says on a new link (RESUB) and what homes send back are never of two minds about which link is new.

use std::collections::BTreeMap;

use leveret_link::Batch;
use leveret_link::frame::{self, Frame};
use leveret_model::{Boot, NodeId, ShardAddress, ShardId, limits};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use crate::link_stream::{LinkError, LinkStream};
use crate::links::DataLink;

/// A batch that came over a link.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) from: ShardAddress,
    pub(crate) to: ShardId,
    pub(crate) boot: Boot,
    pub(crate) session: u64,
    pub(crate) batch: Batch,
}

/// The links to one node that this thread owns.
#[derive(Debug)]
struct Session {
    boot: Boot,
    /// Which session, counted by this node's control thread.
    number: u64,
    links: BTreeMap<u8, LinkStream>,
}

/// All data links of a thread.
#[derive(Debug, Default)]
pub(crate) struct DataLinks {
    sessions: BTreeMap<NodeId, Session>,
    /// Which link a token means; an entry is never used twice.
    tokens: BTreeMap<usize, (NodeId, u8)>,
    next_token: usize,
    arrived: std::collections::VecDeque<Result<Arrived, (NodeId, LinkError)>>,
}

impl DataLinks {
    /// The links of a new session.
    pub(crate) fn up(
        &mut self,
        registry: &Registry,
        token_base: usize,
        (node, boot, number): (NodeId, Boot, u64),
        links: Vec<DataLink>,
    ) {
        self.down(node);
        let mut session = Session { boot, number, links: BTreeMap::new() };
        for DataLink { index, mut stream, leftover } in links {
            let token = self.next_token;
            self.next_token += 1;
            if let Err(error) = end_when_silent(&stream) {
                self.arrived.push_back(Err((node, error.into())));
                continue;
            }
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = registry.register(&mut stream, Token(token_base + token), interest) {
                self.arrived.push_back(Err((node, error.into())));
                continue;
            }
            self.tokens.insert(token, (node, index));
            session.links.insert(index, LinkStream::new(stream, &leftover));
        }
        self.sessions.insert(node, session);
    }

    /// The session is over.
    pub(crate) fn down(&mut self, node: NodeId) {
        self.sessions.remove(&node);
        self.tokens.retain(|_, (of, _)| *of != node);
        self.arrived.retain(|arrived| match arrived {
            Ok(arrived) => arrived.from.node != node,
            Err((of, _)) => *of != node,
        });
    }

    /// The boot at the other end, if that session is still the current one.
    pub(crate) fn boot_of(&self, node: NodeId, number: u64) -> Option<Boot> {
        self.sessions.get(&node).filter(|session| session.number == number).map(|session| session.boot)
    }

    /// Is that session one that has not begun here yet?
    pub(crate) fn is_ahead(&self, node: NodeId, number: u64) -> bool {
        self.sessions.get(&node).is_none_or(|session| number > session.number)
    }

    pub(crate) fn on_event(&mut self, token: usize, event: &mio::event::Event) {
        let Some((node, index)) = self.tokens.get(&token) else { return };
        if let Some(link) = self.sessions.get_mut(node).and_then(|session| session.links.get_mut(index)) {
            link.on_event(event);
        }
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.arrived.is_empty()
            || self.sessions.values().any(|session| session.links.values().any(|link| link.readable))
    }

    /// Memory that full blocks of the links still hold, bytes.
    pub(crate) fn held_bytes(&mut self) -> u64 {
        self.sessions
            .values_mut()
            .flat_map(|session| session.links.values_mut())
            .map(LinkStream::held_bytes)
            .sum()
    }

    /// The next batch that came, or a link that ended.
    pub(crate) fn read(&mut self) -> Option<Result<Arrived, (NodeId, LinkError)>> {
        if self.arrived.is_empty() {
            self.read_all();
        }
        self.arrived.pop_front()
    }

    fn read_all(&mut self) {
        for (node, session) in &mut self.sessions {
            let (boot, number) = (session.boot, session.number);
            for link in session.links.values_mut().filter(|link| link.readable) {
                let arrived = &mut self.arrived;
                let result = link.read(|frame| {
                    if let Frame::Records { from, to, batch } = frame {
                        let from = ShardAddress { node: *node, shard: from };
                        arrived.push_back(Ok(Arrived { from, to, boot, session: number, batch }));
                    }
                });
                if let Err(error) = result {
                    link.readable = false;
                    arrived.push_back(Err((*node, error)));
                }
            }
        }
    }

    /// Queues a batch on this shard's own link to the node. Without a session it is lost: its records are repeated.
    pub(crate) fn queue(&mut self, from: ShardId, to: ShardAddress, batch: Batch) {
        let Some(session) = self.sessions.get_mut(&to.node) else { return };
        let Some(link) = session.links.get_mut(&from.0) else { return };
        let mut chunks = Vec::new();
        match frame::encode_records(from, to.shard, batch, &mut chunks) {
            Ok(_) => chunks.into_iter().for_each(|chunk| link.push(chunk)),
            Err(error) => self.arrived.push_back(Err((to.node, error.into()))),
        }
    }

    /// Writes what is queued; gives the links that broke.
    pub(crate) fn flush(&mut self) -> Vec<(NodeId, LinkError)> {
        let mut failed = Vec::new();
        for (node, session) in &mut self.sessions {
            for link in session.links.values_mut().filter(|link| link.has_output()) {
                if let Err(error) = link.flush() {
                    link.readable = false;
                    failed.push((*node, error));
                }
            }
        }
        failed
    }
}

/// A data link has no pings of its own: the kernel ends one whose other end does not acknowledge, idle or not, so that a
/// flow that is lost on the way while the control link lives is noticed.
fn end_when_silent(stream: &mio::net::TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(limits::LINK_PROBE_EVERY)
        .with_interval(limits::LINK_PROBE_EVERY)
        .with_retries(LINK_PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(limits::LINK_PROBE_EVERY * LINK_PROBES))
}

/// Probes without an answer that end a link.
const LINK_PROBES: u32 = 3;
