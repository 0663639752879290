//! What a shard's clients do wrong without losing their connection, told to people: channels that were closed, and
//! clients that do not read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use leveret_model::{ConnectionKey, Instant, limits};
use tracing::{info, warn};

use crate::allowance::Allowance;
use crate::client_socket::ClientSocket;
use crate::shard_thread::ShardThread;

/// What is told, and what is watched for it.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    /// Lines about channels.
    channels: Allowance,
    /// Lines about clients that do not read.
    unread: Allowance,
    /// Sockets that took less than they were given, each once, and when they are looked at.
    full: BinaryHeap<Reverse<(Instant, ConnectionKey)>>,
}

impl Blame {
    /// The socket takes no more for now, and so many bytes wait for it.
    pub(crate) fn on_full(&mut self, socket: &mut ClientSocket, waiting: usize, now: Instant) {
        socket.full_since = now;
        if waiting > limits::OUTPUT_UNREAD_BYTES && !std::mem::replace(&mut socket.watched, true) {
            self.full.push(Reverse((now + limits::UNREAD_AFTER, socket.key)));
        }
    }

    /// When the first of them is looked at.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.full.peek().map_or(Instant::FAR, |Reverse((at, _))| *at)
    }
}

impl ShardThread {
    /// A line for each channel that was closed in this turn.
    pub(crate) fn tell_refusals(&mut self, now: Instant) {
        let refused = &mut self.effects.refused;
        for refusal in refused.first.drain(..) {
            let Some(unsaid) = self.blame.channels.take(now) else { continue };
            let (peer, channel, code, text) =
                (refusal.peer, refusal.channel.0, refusal.code.code(), refusal.text);
            info!(peer, shard = self.own.shard.0, channel, code, %text, unsaid, "channel closed");
        }
        self.blame.channels.pass_over(std::mem::take(&mut refused.more));
    }

    /// Sockets that took nothing for long: their clients do not read. Said once of each, shown until it does.
    pub(crate) fn tell_unread(&mut self, now: Instant) {
        while self.blame.next_deadline() <= now {
            let Some(Reverse((_, key))) = self.blame.full.pop() else { return };
            let Some(socket) = self.socket_mut(key) else { continue };
            let due = socket.full_since + limits::UNREAD_AFTER;
            socket.watched = !socket.writable && due > now;
            if socket.writable {
                continue;
            }
            if due > now {
                self.blame.full.push(Reverse((due, key)));
                continue;
            }
            let said = std::mem::replace(&mut socket.told_unread, true);
            self.shard.on_unread(key);
            if !said && let Some(unsaid) = self.blame.unread.take(now) {
                let bytes = self.shard.output(key).map_or(0, |output| output.len());
                let (peer, shard) = (self.shard.name(key), self.own.shard.0);
                warn!(peer, shard, bytes, unsaid, "a client does not read: what is sent to it waits");
            }
        }
    }
}
