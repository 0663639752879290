//! The broker's bytes, put together: frames to methods, methods with their content to messages.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_wire::{FrameKind, Method, PROTOCOL_HEADER, decode_frame};

use crate::Violation;
use crate::assembly::{Assembly, Message};

/// Something that came whole.
#[derive(Debug, PartialEq)]
pub enum Incoming<'a> {
    /// The broker's protocol header: it does not speak what it was asked for and will close (AMQP 0-9-1
    /// §4.2.2).
    ProtocolHeader,
    /// A sign of life.
    Heartbeat,
    /// A method without content, and its channel.
    Method(u16, Method<'a>),
    /// A method with content, and its channel.
    Message(u16, Message),
}

/// What came and was not given out yet.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Bytes at the front that were given out.
    read: usize,
    /// Largest frame that is taken; 0 is no limit.
    frame_max: u32,
    /// Channels in the middle of a message. A channel that is in none has no entry.
    unfinished: BTreeMap<u16, Assembly>,
}

impl Inbox {
    /// Sets the largest frame that the broker may send from now on: the client's own word in
    /// `connection.tune-ok`. 0 is no limit, as before that.
    pub fn set_frame_max(&mut self, bytes: u32) {
        self.frame_max = bytes;
    }

    /// Takes bytes as they come, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives out the next thing that is there whole.
    ///
    /// # Errors
    /// Bytes that are no frame, a method that AMQP 0-9-1 does not know, pieces of a message in a wrong order.
    pub fn pull(&mut self) -> Result<Option<Incoming<'_>>, Violation> {
        loop {
            let start = self.read;
            // No frame begins with the letter of a protocol header; its version may be any.
            let (name, here) = (&PROTOCOL_HEADER[..4], &self.bytes[start..]);
            if !here.is_empty() && here.iter().zip(name).all(|(came, name)| came == name) {
                let is_whole = here.len() >= PROTOCOL_HEADER.len();
                self.read += if is_whole { PROTOCOL_HEADER.len() } else { 0 };
                return Ok(is_whole.then_some(Incoming::ProtocolHeader));
            }
            let frame = decode_frame(&self.bytes[start..], self.frame_max).map_err(Violation::new)?;
            let Some(frame) = frame else { return Ok(None) };
            let (channel, kind) = (frame.head.channel, frame.head.kind);
            self.read += frame.wire_len();
            // By range: the borrow of a frame would last into the next turn of the loop.
            let payload = start + leveret_wire::frame::FRAME_HEAD_BYTES..self.read - 1;
            match kind {
                FrameKind::Heartbeat => return Ok(Some(Incoming::Heartbeat)),
                FrameKind::Method => {
                    if !self.announces(channel, payload.clone())? {
                        let method = Method::decode(&self.bytes[payload]).map_err(Violation::new)?;
                        return Ok(Some(Incoming::Method(channel, method)));
                    }
                }
                FrameKind::Header | FrameKind::Body => {
                    if let Some(message) = self.on_content(channel, kind, payload)? {
                        return Ok(Some(Incoming::Message(channel, message)));
                    }
                }
            }
        }
    }

    /// Forgets the unfinished message of a channel that is closed.
    pub fn forget_channel(&mut self, channel: u16) {
        self.unfinished.remove(&channel);
    }

    /// Whether the method announces a message, which is begun then.
    fn announces(&mut self, channel: u16, payload: core::ops::Range<usize>) -> Result<bool, Violation> {
        let method = Method::decode(&self.bytes[payload]).map_err(Violation::new)?;
        // A close may come at any time: the rest of the message does not.
        if matches!(method, Method::ChannelClose(_) | Method::ConnectionClose(_)) {
            return Ok(false);
        }
        let mut assembly = self.unfinished.remove(&channel).unwrap_or_default();
        let announces = assembly.on_method(&method)?;
        if announces {
            self.unfinished.insert(channel, assembly);
        }
        Ok(announces)
    }

    fn on_content(
        &mut self,
        channel: u16,
        kind: FrameKind,
        payload: core::ops::Range<usize>,
    ) -> Result<Option<Message>, Violation> {
        let mut assembly = self.unfinished.remove(&channel).unwrap_or_default();
        let payload = &self.bytes[payload];
        let message = match kind {
            FrameKind::Header => assembly.on_header(payload)?,
            _ => assembly.on_body(payload)?,
        };
        if message.is_none() {
            self.unfinished.insert(channel, assembly);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use leveret_wire::frame::write_header_frame;
    use leveret_wire::method::{BasicDeliver, BasicGetEmpty, ChannelClose};
    use leveret_wire::{BasicProperties, EncodeMethod as _, HEARTBEAT, write_body_frames};

    use super::*;

    fn deliver(out: &mut Vec<u8>, channel: u16, body_bytes: u64) {
        let method = BasicDeliver {
            consumer_tag: b"c",
            delivery_tag: 1,
            redelivered: false,
            exchange: b"",
            routing_key: b"q",
        };
        method.encode_frame(channel, out);
        let mut header = Vec::new();
        BasicProperties::default().encode_payload(body_bytes, &mut header);
        write_header_frame(out, channel, &header);
    }

    /// What comes out of these bytes, offered in pieces of that size.
    fn pulled(bytes: &[u8], piece: usize) -> Vec<(u16, usize)> {
        let (mut inbox, mut found) = (Inbox::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            inbox.push(piece);
            while let Some(incoming) = inbox.pull().expect("a broker that keeps to the protocol") {
                found.push(match incoming {
                    Incoming::ProtocolHeader => (0, 8),
                    Incoming::Heartbeat => (0, 0),
                    Incoming::Method(channel, _) => (channel, usize::MAX),
                    Incoming::Message(channel, message) => (channel, message.body.len()),
                });
            }
        }
        found
    }

    #[test]
    fn messages_of_two_channels_come_whole_however_their_bytes_are_cut() {
        let mut bytes = HEARTBEAT.to_vec();
        deliver(&mut bytes, 1, 10);
        deliver(&mut bytes, 2, 3);
        write_body_frames(&mut bytes, 2, &[7; 3], 4_096);
        BasicGetEmpty.encode_frame(3, &mut bytes);
        write_body_frames(&mut bytes, 1, &[7; 10], 12);
        bytes.extend(PROTOCOL_HEADER);
        let expected = vec![(0, 0), (2, 3), (3, usize::MAX), (1, 10), (0, 8)];
        for piece in [1, 7, bytes.len()] {
            assert_eq!(pulled(&bytes, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_close_ends_a_message_that_is_not_whole() {
        let mut bytes = Vec::new();
        deliver(&mut bytes, 1, 10);
        ChannelClose { reply_code: 404, reply_text: b"", class_id: 0, method_id: 0 }
            .encode_frame(1, &mut bytes);
        assert_eq!(pulled(&bytes, bytes.len()), [(1, usize::MAX)]);
    }

    #[test]
    fn what_no_broker_may_send_is_a_violation() {
        let mut body_alone = Vec::new();
        write_body_frames(&mut body_alone, 1, b"x", 4_096);
        let mut announced_twice = Vec::new();
        deliver(&mut announced_twice, 1, 1);
        deliver(&mut announced_twice, 1, 1);
        for bytes in [b"HTTP/1.1 400".to_vec(), b"ANSWER".to_vec(), body_alone, announced_twice] {
            let mut inbox = Inbox::default();
            inbox.push(&bytes);
            assert!(inbox.pull().is_err(), "{bytes:?}");
        }
        let mut too_long = Vec::new();
        write_body_frames(&mut too_long, 1, &[0; 5_000], 0);
        let mut inbox = Inbox::default();
        inbox.set_frame_max(4_096);
        inbox.push(&too_long);
        assert!(inbox.pull().is_err(), "longer than agreed");
    }
}
