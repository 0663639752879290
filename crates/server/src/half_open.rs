//! Connections that have not finished their handshake, of the whole node: while they are at their bound nobody
//! is accepted, and those that come wait in the kernel's queue.
//!
//! A handshake under way is worth more than one that just came: if newcomers drove out the others, clients that
//! all come at once, as they do when their node has died, would keep each other out for ever. A handshake that
//! takes long is worth less: so that a client_pressure that says nothing locks nobody out, it is dropped while
//! others wait ([`is_stale`]).
//!
//! Invariant: the count is that of the sockets with `ClientSocket::half_open` and of the clients on their way
//! to their shard.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use leveret_model::{ConnectionKey, Instant, limits};
use tracing::warn;

use crate::accept::ACCEPTOR;
use crate::log_limits::unless_none;
use crate::shard_thread::{ShardThread, ToShardThread};

/// The half-open handshakes of a node.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    count: AtomicUsize,
    /// The first shard has stopped to accept and is to be told when there is room.
    full: AtomicBool,
}

impl HalfOpen {
    /// One more was accepted.
    pub(crate) fn begun(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// One less: it is through, or gone. True if the first shard is to be told that there is room again.
    pub(crate) fn ended(&self) -> bool {
        let left = self.count.fetch_sub(1, Ordering::SeqCst) - 1;
        left <= limits::HANDSHAKES_RESUME && self.full.swap(false, Ordering::SeqCst)
    }

    /// Another one may be accepted. If not, [`HalfOpen::ended`] says when.
    pub(crate) fn has_room(&self) -> bool {
        if self.count.load(Ordering::SeqCst) < limits::HANDSHAKES_MAX {
            return true;
        }
        self.full.store(true, Ordering::SeqCst);
        false
    }
}

/// A handshake that may be dropped while others wait: it had its time.
fn is_stale(came: Instant, now: Instant) -> bool {
    now >= came + limits::HANDSHAKE_UNDISTURBED
}

/// Handshakes of one shard thread.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// Connections that had not finished their handshake when they came, oldest first, with when that was.
    pub(crate) list: VecDeque<(ConnectionKey, Instant)>,
    /// With more of them, those that have finished are taken out.
    kept: usize,
}

impl ShardThread {
    /// A handshake that was counted is through, or gone.
    pub(crate) fn end_handshake(&self) {
        if self.ways.half_open.ended() {
            self.ways.shards[usize::from(ACCEPTOR.0)].send(ToShardThread::RoomForHandshakes);
        }
    }

    /// Clients wait to be accepted: stale handshakes go, oldest first, up to a bound.
    pub(crate) fn drop_stale_handshakes(&mut self, now: Instant) {
        self.forget_finished_handshakes();
        let most = limits::ACCEPTS_PER_TURN_MAX.div_ceil(self.ways.shards.len());
        // a client whose password is checked waits for this node
        let its_turn = |key: &ConnectionKey| {
            self.socket(*key).is_some_and(|socket| socket.half_open && socket.password_check.is_none())
        };
        let old =
            self.half_open.list.iter().take_while(|(_, came)| is_stale(*came, now)).map(|(key, _)| *key);
        let stale: Vec<ConnectionKey> = old.filter(its_turn).take(most).collect();
        for key in stale {
            if let Some(unsaid) = self.complaints.take(now) {
                let (peer, shard) = (self.shard.name(key), self.own.shard.0);
                let unsaid = unless_none(unsaid);
                warn!(peer, shard, unsaid, "half-open connection dropped: it took long and others wait");
            }
            self.lose(key, None);
        }
    }

    /// Those that are through leave the list when they are most of it.
    pub(crate) fn forget_finished_handshakes(&mut self) {
        if self.half_open.list.len() <= self.half_open.kept {
            return;
        }
        let mut list = std::mem::take(&mut self.half_open.list);
        list.retain(|(key, _)| self.socket(*key).is_some_and(|socket| socket.half_open));
        self.half_open.kept = 2 * list.len() + LIST_MIN;
        self.half_open.list = list;
    }
}

/// So many entries are no matter.
const LIST_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_nobody_is_accepted_until_some_are_through() {
        let half_open = HalfOpen::default();
        for _ in 0..limits::HANDSHAKES_MAX {
            assert!(half_open.has_room());
            half_open.begun();
        }
        assert!(!half_open.has_room());
        let told: Vec<usize> = (0..limits::HANDSHAKES_MAX).filter(|_| half_open.ended()).collect();
        assert_eq!(told.len(), 1, "once for each time that it was asked in vain");
        assert_eq!(
            told[0],
            limits::HANDSHAKES_MAX - limits::HANDSHAKES_RESUME - 1,
            "when there is some room"
        );
        assert!(half_open.has_room());
    }

    #[test]
    fn a_handshake_has_its_time_and_the_kernels_queue_is_reached_before_they_end() {
        let came = Instant::from_nanos(7);
        let late = came + limits::HANDSHAKE_UNDISTURBED;
        assert!(!is_stale(came, came) && is_stale(came, late));
        // at worst all handshakes stall, and so do those that wait before somebody
        let rounds = 1 + (limits::LISTEN_BACKLOG as usize).div_ceil(limits::HANDSHAKES_MAX) as u32;
        let looks = (limits::HANDSHAKES_MAX / limits::ACCEPTS_PER_TURN_MAX) as u32;
        let last = rounds * limits::HANDSHAKE_UNDISTURBED + looks * limits::ACCEPT_AGAIN;
        assert!(last < limits::HANDSHAKE_TIMEOUT, "{last:?}");
    }
}
