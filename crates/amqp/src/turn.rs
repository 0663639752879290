//! What the channels of a connection share, and what they are given for one step.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::{ChannelNumber, ConnectionKey, Instant};
use leveret_wire::{EncodeMethod, Output};

use crate::channel::Assembly;
use crate::config::{Client, Config};
use crate::gets::Gets;

/// What the channels of a connection share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) key: ConnectionKey,
    pub(crate) config: Arc<Config>,
    pub(crate) output: Output,
    /// As negotiated, bytes.
    pub(crate) frame_max: u32,
    /// As negotiated.
    pub(crate) channel_max: u16,
    /// Who is logged in, and what the client said about itself. A box, so that a connection stays small.
    pub(crate) client: Box<Client>,
    /// Bytes of messages that are begun, over all channels.
    pub(crate) unfinished_bytes: usize,
    /// Bytes of messages that are whole and held until `resume`.
    pub(crate) held_bytes: usize,
    /// Channels with confirms for the end of the turn; each at most once (`Channel::confirms_due`).
    pub(crate) confirms_due: Vec<ChannelNumber>,
    /// An empty assembly for the next message of this turn.
    pub(crate) spare: Option<Box<Assembly>>,
    /// Of publishes: method, header and body, as they came.
    pub(crate) published_bytes: u64,
    /// Channels that hold a publish until `resume`.
    pub(crate) held_publishes: usize,
    /// Channels whose consumers pause; each once (`Channel::paused`).
    pub(crate) paused: Vec<ChannelNumber>,
    /// Channels that ask for a message, or wait to.
    pub(crate) gets: Gets,
}

impl Shared {
    /// Writes a method frame.
    pub(crate) fn send(&mut self, channel: ChannelNumber, method: &impl EncodeMethod) {
        method.encode_frame(channel.0, self.output.bytes());
    }
}

/// What a channel is given for one step.
pub(crate) struct Turn<'a, H> {
    pub(crate) shared: &'a mut Shared,
    pub(crate) host: &'a mut H,
    /// When the bytes at hand came; in the past if they were deferred.
    pub(crate) arrived: Instant,
}
