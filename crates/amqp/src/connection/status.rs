//! What can be asked of a connection: by its driver, by the shard's flow control, and by people.

use leveret_model::{ConnectionKey, Name};

use super::{Connection, Phase};
use crate::channel::Channel;
use crate::config::Client;
use crate::ending::{Ended, State};

/// Memory that a connection takes for itself, bytes: what is in no queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Messages that are begun, for as long as the client takes to end them.
    pub begun: usize,
    /// Output, for as long as the client does not read it.
    pub unwritten: usize,
    /// Frames and whole messages that wait for the broker: no longer than `limits::OPERATION_WAIT`.
    pub waiting: usize,
}

/// What waits for the broker, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Frames of the channel that keeps most (`limits::DEFERRED_BYTES_MAX`).
    pub deferred_most: usize,
    /// Frames of all channels (`limits::DEFERRED_PER_CONNECTION_BYTES_MAX`).
    pub deferred: usize,
    /// Whole messages (`limits::HELD_PUBLISH_BYTES_MAX`).
    pub held: usize,
}

impl<C> Connection<C> {
    /// Where the connection stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Handshake { .. } => State::Handshake,
            Phase::Open => State::Open,
            Phase::Refused { .. } | Phase::Ending { .. } | Phase::Closing { .. } => State::Closing,
            Phase::Finished { .. } => State::Finished,
        }
    }

    /// True when the socket is to be dropped, once the output is written.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished { .. })
    }

    /// Why it ended or is about to; for the log.
    #[must_use]
    pub fn reason(&self) -> Option<&Ended> {
        self.ended.as_deref()
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> ConnectionKey {
        self.shared.key
    }

    /// User, vhost, and what the client said about itself.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Who is logged in.
    #[must_use]
    pub fn user(&self) -> &Name {
        &self.shared.client.user
    }

    /// Where.
    #[must_use]
    pub fn vhost(&self) -> &Name {
        &self.shared.client.vhost
    }

    /// Open channels.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.channels.iter().count()
    }

    /// True while deliveries are not settled: such a connection is throttled, never stopped.
    #[must_use]
    pub fn holds_unacked(&self) -> bool {
        self.channels.iter().any(Channel::holds_unacked)
    }

    /// True while a publish waits for `resume`.
    #[must_use]
    pub fn holds_publish(&self) -> bool {
        self.shared.held_publishes > 0
    }

    /// What was published here, bytes; more than 0 as soon as a publish began (only then a client is told of
    /// connection.blocked).
    #[must_use]
    pub fn published_bytes(&self) -> u64 {
        self.shared.published_bytes
    }

    /// Bytes of messages that are begun, or whole and held.
    #[must_use]
    pub fn unfinished_bytes(&self) -> usize {
        self.shared.unfinished_bytes + self.shared.held_bytes
    }

    /// Output that is to be written, bytes.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.shared.output.len()
    }

    /// Copies what it keeps out of the receive blocks that it came in: a slice holds its whole block, and what a client does
    /// not end or read would hold the memory of all that came and went with it. About `budget_bytes`; gives what was copied.
    pub fn own_slices(&mut self, budget_bytes: usize) -> usize {
        let mut copied = self.shared.output.own_slices(budget_bytes);
        if self.shared.unfinished_bytes + self.shared.held_bytes > 0 {
            for channel in self.channels.iter_mut() {
                copied += channel.own_slices(budget_bytes.saturating_sub(copied));
            }
        }
        copied
    }

    /// What waits for the broker, against its bounds.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let deferred_most = self.channels.iter().map(Channel::deferred_bytes).max();
        Waiting {
            deferred_most: deferred_most.unwrap_or(0),
            deferred: self.deferred_bytes,
            held: self.shared.held_bytes,
        }
    }

    /// Memory that the connection takes for itself.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            begun: self.shared.unfinished_bytes,
            unwritten: self.shared.output.memory_bytes(),
            waiting: self.shared.held_bytes + self.deferred_bytes,
        }
    }
}
