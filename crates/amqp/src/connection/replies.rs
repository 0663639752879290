//! Replies by direct reply-to, from the host to a channel. Read first: `channel/replies.rs`.

use leveret_model::limits::REPLIES_UNREAD_BYTES_MAX;
use leveret_model::{ChannelKey, ConsumerNumber, Held, Message, Position, QueueHandle};

use super::{Connection, NotTaken};
use crate::host::Delivery;

impl<C> Connection<C> {
    /// Writes a reply for the channel's consumer of replies. It has no queue to stay in: what is not taken is
    /// lost.
    ///
    /// # Errors
    /// [`NotTaken::Vanished`] if the channel or the consumer is gone, [`NotTaken::Paused`] if the client reads
    /// too little of what it gets (`limits::REPLIES_UNREAD_BYTES_MAX`).
    pub fn deliver_reply(
        &mut self,
        channel: ChannelKey,
        consumer: ConsumerNumber,
        message: Message<'_>,
    ) -> Result<(), NotTaken> {
        let open = self.channels.opening(channel).ok_or(NotTaken::Vanished)?;
        if self.shared.output.len() + open.stopped_bytes() >= REPLIES_UNREAD_BYTES_MAX {
            return Err(NotTaken::Paused);
        }
        let held = Held { queue: QueueHandle::default(), position: Position(0), consumer };
        open.deliver::<false>(&mut self.shared, &Delivery { held, redelivered: false, message })
    }
}
