//! Messages that come in pieces: a method, a content header, body frames (AMQP 0-9-1 §2.3.5).

use leveret_wire::ContentHeader;

/// A message from a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// What acknowledges it, on this channel.
    pub(crate) tag: u64,
    /// Somebody may have had it before.
    pub(crate) redelivered: bool,
    /// What was published.
    pub(crate) body: Vec<u8>,
}

/// What a message's method said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// `basic.deliver`; the body is still empty.
    Delivered(Delivery),
    /// `basic.get-ok`; the body is still empty.
    Got(Delivery),
    /// `basic.return`, with the body.
    Returned(Vec<u8>),
}

impl Content {
    fn body(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Delivered(delivery) | Self::Got(delivery) => &mut delivery.body,
            Self::Returned(body) => body,
        }
    }
}

/// The message that a channel is in the middle of.
#[derive(Debug, Default)]
pub(super) enum Assembly {
    /// None.
    #[default]
    Idle,
    /// Its header must come.
    Header(Content),
    /// Bytes of its body must come.
    Body(Content, u64),
}

impl Assembly {
    /// A method that announces a message. What is wrong if another one is unfinished.
    pub(super) fn on_method(&mut self, content: Content) -> Result<(), &'static str> {
        match self {
            Self::Idle => {
                *self = Self::Header(content);
                Ok(())
            }
            _ => Err("a message in the middle of another"),
        }
    }

    /// The payload of a header frame; the message if it has no body.
    pub(super) fn on_header(&mut self, payload: &[u8]) -> Result<Option<Content>, &'static str> {
        let Self::Header(content) = std::mem::take(self) else {
            return Err("a content header that nothing announced");
        };
        let size = ContentHeader::body_size(payload).ok_or("a malformed content header")?;
        *self = Self::Body(content, size);
        Ok(self.finished())
    }

    /// The payload of a body frame; the message if it was the last.
    pub(super) fn on_body(&mut self, payload: &[u8]) -> Result<Option<Content>, &'static str> {
        let Self::Body(content, left) = self else { return Err("a body without a header") };
        *left = left.checked_sub(payload.len() as u64).ok_or("more body than was announced")?;
        content.body().extend_from_slice(payload);
        Ok(self.finished())
    }

    fn finished(&mut self) -> Option<Content> {
        match std::mem::take(self) {
            Self::Body(content, 0) => Some(content),
            unfinished => {
                *self = unfinished;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_wire::BasicProperties;

    fn header(body_size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        BasicProperties::default().encode_payload(body_size, &mut out);
        out
    }

    #[test]
    fn a_body_in_two_frames_is_one_message() {
        let mut assembly = Assembly::default();
        assembly.on_method(Content::Returned(Vec::new())).unwrap();
        assert_eq!(assembly.on_header(&header(5)), Ok(None));
        assert_eq!(assembly.on_body(b"har"), Ok(None));
        assert_eq!(assembly.on_body(b"es"), Ok(Some(Content::Returned(b"hares".to_vec()))));
        assert!(matches!(assembly, Assembly::Idle));
    }

    #[test]
    fn an_empty_body_needs_no_frame() {
        let mut assembly = Assembly::default();
        assembly.on_method(Content::Returned(Vec::new())).unwrap();
        assert_eq!(assembly.on_header(&header(0)), Ok(Some(Content::Returned(Vec::new()))));
    }

    #[test]
    fn pieces_in_a_wrong_order_are_refused() {
        assert!(Assembly::default().on_header(&header(1)).is_err());
        assert!(Assembly::default().on_body(b"x").is_err());
        let mut assembly = Assembly::default();
        assembly.on_method(Content::Returned(Vec::new())).unwrap();
        assert!(assembly.on_method(Content::Returned(Vec::new())).is_err());
        assert_eq!(assembly.on_header(&header(1)), Ok(None));
        assert!(assembly.on_body(b"xy").is_err(), "one byte too many");
    }
}
