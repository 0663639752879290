//! The data links of one shard's thread: records to and from the shards of other nodes.
//!
//! They come and go as sessions (`link::sessions`); to which one a batch belongs is known there too.

use std::collections::BTreeMap;

use leveret_link::Batch;
use leveret_link::frame::{self, Frame};
use leveret_link::sessions::SessionNumber;
use leveret_model::{NodeId, ShardAddress, ShardId, limits};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use crate::link_stream::{LinkError, LinkStream};
use crate::links::DataLink;

/// A batch that came over a link.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) from: ShardAddress,
    pub(crate) to: ShardId,
    pub(crate) session: SessionNumber,
    pub(crate) batch: Batch,
}

/// A link that ended, and its session with it.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) node: NodeId,
    pub(crate) session: SessionNumber,
    pub(crate) error: LinkError,
}

/// The links to one node that this thread owns.
#[derive(Debug)]
struct Session {
    number: SessionNumber,
    links: BTreeMap<u8, LinkStream>,
}

/// All data links of a thread.
#[derive(Debug, Default)]
pub(crate) struct DataLinks {
    sessions: BTreeMap<NodeId, Session>,
    /// Which link a token means; an entry is never used twice.
    tokens: BTreeMap<usize, (NodeId, u8)>,
    next_token: usize,
    arrived: std::collections::VecDeque<Result<Arrived, Lost>>,
}

impl DataLinks {
    /// The links of a new session.
    pub(crate) fn up(
        &mut self,
        registry: &Registry,
        token_base: usize,
        (node, number): (NodeId, SessionNumber),
        links: Vec<(u8, DataLink)>,
    ) {
        self.down(node);
        let mut session = Session { number, links: BTreeMap::new() };
        let lost = |error: std::io::Error| Err(Lost { node, session: number, error: error.into() });
        for (index, DataLink { mut stream, leftover }) in links {
            let token = self.next_token;
            self.next_token += 1;
            if let Err(error) = end_when_silent(&stream) {
                self.arrived.push_back(lost(error));
                continue;
            }
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = registry.register(&mut stream, Token(token_base + token), interest) {
                self.arrived.push_back(lost(error));
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
            Err(lost) => lost.node != node,
        });
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

    /// What is queued and not written, bytes.
    pub(crate) fn output_bytes(&self) -> u64 {
        let links = self.sessions.values().flat_map(|session| session.links.values());
        links.map(LinkStream::output_bytes).sum()
    }

    /// The next batch that came, or a link that ended.
    pub(crate) fn read(&mut self) -> Option<Result<Arrived, Lost>> {
        if self.arrived.is_empty() {
            self.read_all();
        }
        self.arrived.pop_front()
    }

    fn read_all(&mut self) {
        for (node, session) in &mut self.sessions {
            let number = session.number;
            for link in session.links.values_mut().filter(|link| link.readable) {
                let arrived = &mut self.arrived;
                let result = link.read(|frame| {
                    if let Frame::Records { from, to, batch } = frame {
                        let from = ShardAddress { node: *node, shard: from };
                        arrived.push_back(Ok(Arrived { from, to, session: number, batch }));
                    }
                });
                if let Err(error) = result {
                    link.readable = false;
                    arrived.push_back(Err(Lost { node: *node, session: number, error }));
                }
            }
        }
    }

    /// Queues a batch on this shard's own link to the node. Without a session it is lost: its records are
    /// repeated.
    pub(crate) fn queue(&mut self, from: ShardId, to: ShardAddress, batch: Batch) {
        let Some(session) = self.sessions.get_mut(&to.node) else { return };
        let Some(link) = session.links.get_mut(&from.0) else { return };
        let mut chunks = Vec::new();
        match frame::encode_records(from, to.shard, batch, &mut chunks) {
            Ok(_) => chunks.into_iter().for_each(|chunk| link.push(chunk)),
            Err(error) => {
                let lost = Lost { node: to.node, session: session.number, error: error.into() };
                self.arrived.push_back(Err(lost));
            }
        }
    }

    /// Writes what is queued; gives the links that broke.
    pub(crate) fn flush(&mut self) -> Vec<Lost> {
        let mut failed = Vec::new();
        for (node, session) in &mut self.sessions {
            for link in session.links.values_mut().filter(|link| link.has_output()) {
                if let Err(error) = link.flush() {
                    link.readable = false;
                    failed.push(Lost { node: *node, session: session.number, error });
                }
            }
        }
        failed
    }
}

/// A data link has no pings of its own: the kernel ends one whose other end does not acknowledge, idle or not,
/// so that a flow that is lost on the way while the control link lives is noticed.
fn end_when_silent(stream: &mio::net::TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(limits::LINK_PROBE_EVERY)
        .with_interval(limits::LINK_PROBE_EVERY)
        .with_retries(limits::LINK_PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(limits::LINK_PROBE_EVERY * limits::LINK_PROBES))
}
