//! What clients of a shard do wrong, told to people: connections that ended, channels that were closed, and
//! clients that do not read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use leveret_amqp::Ended;
use leveret_model::{ConnectionKey, Instant, limits};
use leveret_shard::HeldBack;
use tracing::field::display;
use tracing::{debug, info, warn};

use crate::client_socket::ClientSocket;
use crate::clock;
use crate::log_limits::{LogLimit, unless_none};
use crate::shard_thread::ShardThread;

/// What is told, and what is watched for it.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    /// Lines about connections that their clients closed, and about those that ended otherwise.
    closed: LogLimit,
    broken: LogLimit,
    /// Lines about channels.
    channels: LogLimit,
    /// Lines about clients that do not read.
    unread: LogLimit,
    /// Sockets that took less than they were given, each once, and when they are looked at.
    full: BinaryHeap<Reverse<(Instant, ConnectionKey)>>,
}

impl ClientLog {
    /// The socket takes no more for now. However little waits for it, more may come, and then nothing is
    /// written.
    pub(crate) fn on_full(&mut self, socket: &mut ClientSocket, now: Instant) {
        socket.full_since = now;
        if !std::mem::replace(&mut socket.watched, true) {
            self.full.push(Reverse((now + limits::UNREAD_AFTER, socket.key)));
        }
    }

    /// When the first of them is looked at.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.full.peek().map_or(Instant::FAR, |Reverse((at, _))| *at)
    }
}

impl ShardThread {
    /// A connection goes, which is a line, unless there were many: those are for who looks closer.
    pub(crate) fn tell_end(&mut self, key: ConnectionKey, error: Option<&io::Error>) {
        let (peer, shard) = (self.shard.name(key), self.own.shard.0);
        let reason = self.shard.reason(key);
        if reason.is_none() && error.is_none() && self.shard.is_half_open(key) {
            // a port scan or a load balancer's check
            return debug!(peer, shard, "connection left half open");
        }
        let lines = match reason {
            Some(Ended::ByClient) => &mut self.client_log.closed,
            _ => &mut self.client_log.broken,
        };
        let said = lines.take(clock::now());
        let (what, why) = match (reason, error) {
            (Some(reason), _) => ("connection ended", Some(reason.to_string())),
            (None, None) => ("connection ended without a close: the client dropped it", None),
            (None, Some(error)) => ("connection lost", Some(error.to_string())),
        };
        let reason = why.map(display);
        match said {
            Some(unsaid) => info!(peer, shard, reason, unsaid = unless_none(unsaid), "{what}"),
            None => debug!(peer, shard, reason, "{what}"),
        }
    }

    /// A line for each channel that was closed in this turn.
    pub(crate) fn tell_refusals(&mut self, now: Instant) {
        let refused = &mut self.effects.refused;
        for refusal in refused.first.drain(..) {
            let Some(unsaid) = self.client_log.channels.take(now) else { continue };
            let (peer, channel, code, text) =
                (refusal.peer, refusal.channel.0, refusal.code.code(), refusal.text);
            let unsaid = unless_none(unsaid);
            info!(peer, shard = self.own.shard.0, channel, code, %text, unsaid, "channel closed");
        }
        self.client_log.channels.pass_over(std::mem::take(&mut refused.more));
        for HeldBack { peer, channel } in self.effects.held_back.drain(..) {
            let Some(unsaid) = self.client_log.channels.take(now) else { continue };
            let (unacked, unsaid) = (limits::UNACKED_PER_CHANNEL_MAX, unless_none(unsaid));
            warn!(
                peer,
                channel = channel.0,
                unacked,
                unsaid,
                "consumers pause: the channel holds as many unacknowledged messages as it may"
            );
        }
    }

    /// A line for each queue that was to be of another type.
    pub(crate) fn tell_substituted(&mut self) {
        for queue in self.effects.substituted.drain(..) {
            let (peer, vhost, name) = (queue.peer, queue.vhost, queue.name);
            let asked = queue.kind;
            warn!(peer, %vhost, queue = %name, asked, "queue taken as classic: its type is not there yet");
        }
    }

    /// A line for each kind of record that a shard elsewhere sent for the first time and this version does not
    /// know.
    pub(crate) fn tell_unknown_records(&mut self) {
        for (from, kind) in self.effects.unknown.drain(..) {
            let (node, shard) = (from.node, from.shard.0);
            warn!(%node, shard, kind, "record of an unknown kind skipped: the node runs a later version");
        }
    }

    /// Sockets that took nothing for long, with output waiting: their clients do not read. Said once of each,
    /// shown until it does.
    pub(crate) fn tell_unread(&mut self, now: Instant) {
        while self.client_log.next_deadline() <= now {
            let Some(Reverse((_, key))) = self.client_log.full.pop() else { return };
            let waiting = self.shard.output(key).map_or(0, |output| output.len());
            let Some(socket) = self.socket_mut(key) else { continue };
            socket.watched = !socket.writable;
            if socket.writable {
                continue;
            }
            let mut due = socket.full_since + limits::UNREAD_AFTER;
            if due <= now && waiting <= limits::OUTPUT_UNREAD_BYTES {
                due = now + limits::UNREAD_AFTER;
            }
            if due > now {
                self.client_log.full.push(Reverse((due, key)));
                continue;
            }
            socket.watched = false;
            let said = std::mem::replace(&mut socket.told_unread, true);
            self.shard.on_unread(key);
            if !said && let Some(unsaid) = self.client_log.unread.take(now) {
                let (peer, shard) = (self.shard.name(key), self.own.shard.0);
                let unsaid = unless_none(unsaid);
                warn!(
                    peer,
                    shard,
                    bytes = waiting,
                    unsaid,
                    "a client does not read: what is sent to it waits"
                );
            }
        }
    }
}
