//! The bounds of what is under way between shards and to clients, as a driver may set them: a simulator, whose
//! traffic is small, so that they are met at all. All shards of a cluster must have the same.

use leveret_link::credit::Cost;
use leveret_model::limits;
use leveret_queue::OutLane;

/// What may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Records between two shards that are not processed (`limits::FORWARD_RECORDS_MAX`,
    /// `limits::FORWARD_BYTES_MAX`).
    pub forward: Cost,
    /// Output of a connection above which it gets no deliveries, bytes (`limits::OUTPUT_BYTES_HIGH`).
    pub output_bytes_high: usize,
    /// The same while connections of the node keep much (`limits::OUTPUT_BYTES_CROWDED`).
    pub output_bytes_crowded: usize,
    /// Deliveries to a consumer elsewhere that its socket has not taken, messages
    /// (`limits::CONSUMER_WINDOW_MESSAGES`).
    pub consumer_messages: u32,
    /// The same in bytes (`limits::CONSUMER_WINDOW_BYTES`).
    pub consumer_bytes: u64,
    /// Publishes of one lane that its home has not answered, messages (`limits::LANE_MESSAGES_MAX`).
    pub lane_messages: usize,
    /// The same in bytes (`limits::LANE_BYTES_MAX`).
    pub lane_bytes: u64,
    /// Messages of a queue that moves that are left to send when it freezes (`limits::FREEZE_MESSAGES_MAX`).
    pub freeze_messages: u64,
    /// Queues and lanes from which publishers wait while memory is tight.
    pub long: Long,
}

/// What makes a queue long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// Body bytes that are ready, or in a lane (`limits::LONG_QUEUE_BYTES`).
    pub bytes: u64,
    /// Body bytes that consumers hold (`limits::LONG_QUEUE_UNACKED_BYTES`).
    pub unacked_bytes: u64,
    /// Messages, those that consumers hold included (`limits::LONG_QUEUE_MESSAGES`).
    pub messages: u64,
}

impl Default for Long {
    fn default() -> Self {
        Self {
            bytes: limits::LONG_QUEUE_BYTES,
            unacked_bytes: limits::LONG_QUEUE_UNACKED_BYTES,
            messages: limits::LONG_QUEUE_MESSAGES,
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            forward: Cost::WINDOW,
            output_bytes_high: limits::OUTPUT_BYTES_HIGH,
            output_bytes_crowded: limits::OUTPUT_BYTES_CROWDED,
            consumer_messages: limits::CONSUMER_WINDOW_MESSAGES,
            consumer_bytes: limits::CONSUMER_WINDOW_BYTES,
            lane_messages: limits::LANE_MESSAGES_MAX,
            lane_bytes: limits::LANE_BYTES_MAX,
            freeze_messages: limits::FREEZE_MESSAGES_MAX,
            long: Long::default(),
        }
    }
}

impl Bounds {
    /// The lane takes no more; who publishes there is not read. hot.
    #[inline]
    pub(crate) fn is_full<T>(&self, lane: &OutLane<T>) -> bool {
        lane.is_full(self.lane_messages, self.lane_bytes)
    }
}
