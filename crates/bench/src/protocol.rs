//! The few AMQP 0-9-1 bytes that the benchmark speaks (AMQP 0-9-1 §2.3.5, §4.2).
//!
//! On purpose not the broker's own codec: an instrument must not share the faults of what it measures.
//!
//! ```text
//!   ├ kind u8 ┼ channel u16 ┼ size u32 ┼ payload, size bytes … ┼ 0xCE ┤
//!   method payload: class u16, method u16, fields
//! ```

use std::fmt;

/// What a client sends first.
pub(super) const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// Frame kinds.
pub(super) const METHOD: u8 = 1;
pub(super) const CONTENT_HEADER: u8 = 2;
pub(super) const CONTENT_BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;
/// Bytes of a frame around its payload.
pub(super) const FRAME_OVERHEAD: usize = 8;
const FRAME_END: u8 = 0xCE;
/// Frames above this size are nobody's: the stream is out of step.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Class and method id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Method(pub(super) u16, pub(super) u16);

macro_rules! methods {
    ($($name:ident = $class:literal, $method:literal, $text:literal;)*) => {
        impl Method {
            $(#[doc = $text] pub(super) const $name: Self = Self($class, $method);)*

            fn name(self) -> Option<&'static str> {
                match self { $(Self::$name => Some($text),)* _ => None }
            }
        }
    };
}

methods! {
    CONNECTION_START = 10, 10, "connection.start";
    CONNECTION_START_OK = 10, 11, "connection.start-ok";
    CONNECTION_TUNE = 10, 30, "connection.tune";
    CONNECTION_TUNE_OK = 10, 31, "connection.tune-ok";
    CONNECTION_OPEN = 10, 40, "connection.open";
    CONNECTION_OPEN_OK = 10, 41, "connection.open-ok";
    CONNECTION_CLOSE = 10, 50, "connection.close";
    CONNECTION_CLOSE_OK = 10, 51, "connection.close-ok";
    CONNECTION_BLOCKED = 10, 60, "connection.blocked";
    CONNECTION_UNBLOCKED = 10, 61, "connection.unblocked";
    CHANNEL_OPEN = 20, 10, "channel.open";
    CHANNEL_OPEN_OK = 20, 11, "channel.open-ok";
    CHANNEL_CLOSE = 20, 40, "channel.close";
    CHANNEL_CLOSE_OK = 20, 41, "channel.close-ok";
    EXCHANGE_DECLARE = 40, 10, "exchange.declare";
    EXCHANGE_DECLARE_OK = 40, 11, "exchange.declare-ok";
    EXCHANGE_DELETE = 40, 20, "exchange.delete";
    EXCHANGE_DELETE_OK = 40, 21, "exchange.delete-ok";
    QUEUE_DECLARE = 50, 10, "queue.declare";
    QUEUE_DECLARE_OK = 50, 11, "queue.declare-ok";
    QUEUE_BIND = 50, 20, "queue.bind";
    QUEUE_BIND_OK = 50, 21, "queue.bind-ok";
    QUEUE_DELETE = 50, 40, "queue.delete";
    QUEUE_DELETE_OK = 50, 41, "queue.delete-ok";
    BASIC_QOS = 60, 10, "basic.qos";
    BASIC_QOS_OK = 60, 11, "basic.qos-ok";
    BASIC_CONSUME = 60, 20, "basic.consume";
    BASIC_CONSUME_OK = 60, 21, "basic.consume-ok";
    BASIC_CANCEL = 60, 30, "basic.cancel";
    BASIC_CANCEL_OK = 60, 31, "basic.cancel-ok";
    BASIC_PUBLISH = 60, 40, "basic.publish";
    BASIC_DELIVER = 60, 60, "basic.deliver";
    BASIC_ACK = 60, 80, "basic.ack";
    BASIC_NACK = 60, 120, "basic.nack";
    CONFIRM_SELECT = 85, 10, "confirm.select";
    CONFIRM_SELECT_OK = 85, 11, "confirm.select-ok";
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "method {}.{}", self.0, self.1),
        }
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A frame, in the buffer where it was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) channel: u16,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Bytes that the frame takes.
    pub(super) fn len(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD
    }

    /// The method of a method frame, and its fields.
    pub(super) fn method(&self) -> Option<(Method, Fields<'a>)> {
        if self.kind != METHOD {
            return None;
        }
        let mut fields = Fields(self.payload);
        Some((Method(fields.u16()?, fields.u16()?), fields))
    }
}

/// The stream does not consist of frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutOfStep;

impl fmt::Display for OutOfStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the broker sent is not a sequence of AMQP 0-9-1 frames")
    }
}

impl std::error::Error for OutOfStep {}

/// The frame at the start of `bytes`, if it is complete. hot.
pub(super) fn first_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, OutOfStep> {
    let Some(head) = bytes.first_chunk::<7>() else { return Ok(None) };
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if size > FRAME_BYTES_MAX {
        return Err(OutOfStep);
    }
    let Some(frame) = bytes.get(..size + FRAME_OVERHEAD) else { return Ok(None) };
    if frame[size + 7] != FRAME_END {
        return Err(OutOfStep);
    }
    let channel = u16::from_be_bytes([head[1], head[2]]);
    Ok(Some(Frame { kind: head[0], channel, payload: &frame[7..size + 7] }))
}

/// Reads fields one after the other; `None` when they end early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some((u64::from(self.u32()?) << 32) | u64::from(self.u32()?))
    }

    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(length.into())
    }

    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    /// The string under `name` in a table of strings, booleans and tables; what lies behind another type is
    /// not found.
    pub(super) fn string_in_table(table: &'a [u8], name: &str) -> Option<String> {
        let mut fields = Fields(table);
        loop {
            let key = fields.short()?;
            match fields.u8()? {
                b't' => _ = fields.u8()?,
                b'F' => _ = fields.long()?,
                b'S' => {
                    let value = fields.long()?;
                    if key == name.as_bytes() {
                        return Some(String::from_utf8_lossy(value).into_owned());
                    }
                }
                _ => return None,
            }
        }
    }
}

/// Writes a frame behind what is in a buffer. Ends with [`FrameWriter::end`].
pub(super) struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    /// A frame of any kind.
    pub(super) fn new(out: &'a mut Vec<u8>, kind: u8, channel: u16) -> Self {
        let start = out.len();
        out.push(kind);
        out.extend_from_slice(&channel.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        Self { out, start }
    }

    /// A method frame.
    pub(super) fn method(out: &'a mut Vec<u8>, channel: u16, method: Method) -> Self {
        Self::new(out, METHOD, channel).u16(method.0).u16(method.1)
    }

    pub(super) fn raw(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A short string: names of the benchmark are shorter than 256 bytes.
    pub(super) fn short(self, text: &[u8]) -> Self {
        self.u8(text.len() as u8).raw(text)
    }

    pub(super) fn long(self, text: &[u8]) -> Self {
        self.u32(text.len() as u32).raw(text)
    }

    /// Closes the frame.
    pub(super) fn end(self) {
        let size = (self.out.len() - self.start - 7) as u32;
        self.out[self.start + 3..self.start + 7].copy_from_slice(&size.to_be_bytes());
        self.out.push(FRAME_END);
    }
}

/// The text of a `connection.close` or `channel.close`: "404 NOT_FOUND - …".
pub(super) fn close_text(mut fields: Fields<'_>) -> String {
    let code = fields.u16().unwrap_or(0);
    let text = fields.short().unwrap_or_default();
    format!("{code} {}", String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written_and_only_when_complete() {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, 3, Method::BASIC_CANCEL).short(b"tag").u8(0).end();
        for cut in 0..out.len() {
            assert!(first_frame(&out[..cut]).unwrap().is_none());
        }
        let frame = first_frame(&out).unwrap().unwrap();
        assert_eq!((frame.channel, frame.len()), (3, out.len()));
        let (method, mut fields) = frame.method().unwrap();
        assert_eq!(method, Method::BASIC_CANCEL);
        assert_eq!((fields.short(), fields.u8(), fields.u8()), (Some(&b"tag"[..]), Some(0), None));
    }

    #[test]
    fn bytes_that_are_no_frames_are_refused() {
        let mut out = Vec::new();
        FrameWriter::new(&mut out, HEARTBEAT, 0).end();
        out[7] = 0;
        assert!(first_frame(&out).is_err());
        assert!(first_frame(b"AMQP\xff\0\x09\x01").is_err());
    }
}
