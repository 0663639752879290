//! Messages that come in pieces: a method, a content header, body frames (AMQP 0-9-1 §2.3.5).

use alloc::string::String;
use alloc::vec::Vec;

use leveret_wire::{ContentHeader, Method};

use crate::Violation;

/// What announced a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `basic.deliver`
    Delivered {
        /// Which consumer of the channel it is for.
        consumer_tag: String,
        /// What acknowledges it, on its channel.
        delivery_tag: u64,
        /// Another consumer may have had it before.
        redelivered: bool,
    },
    /// `basic.get-ok`
    Got {
        /// What acknowledges it, on its channel.
        delivery_tag: u64,
        /// Another consumer may have had it before.
        redelivered: bool,
        /// Messages ready behind it in its queue.
        remaining: u32,
    },
    /// `basic.return`: a publish that no queue took.
    Returned {
        /// Why, as a reply code: 312 for "no route".
        code: u16,
        /// Why, for people.
        text: String,
    },
}

impl Origin {
    /// What acknowledges the message; `None` for one that comes back.
    #[must_use]
    pub fn delivery_tag(&self) -> Option<u64> {
        match self {
            Self::Delivered { delivery_tag, .. } | Self::Got { delivery_tag, .. } => Some(*delivery_tag),
            Self::Returned { .. } => None,
        }
    }

    /// Whether another consumer may have had the message before.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        match self {
            Self::Delivered { redelivered, .. } | Self::Got { redelivered, .. } => *redelivered,
            Self::Returned { .. } => false,
        }
    }
}

/// A message that is there whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What announced it.
    pub origin: Origin,
    /// Payload of its content header: [`ContentHeader::decode`] reads the properties.
    pub header: Vec<u8>,
    /// What was published.
    pub body: Vec<u8>,
}

/// The message that a channel is in the middle of.
#[derive(Debug, Default)]
pub(crate) enum Assembly {
    #[default]
    Idle,
    /// Its header must come.
    Announced(Origin),
    /// So many bytes of its body must come.
    Body(Message, u64),
}

impl Assembly {
    /// Takes a method that announces a message; `false` if it announces none.
    pub(crate) fn on_method(&mut self, method: &Method<'_>) -> Result<bool, Violation> {
        if !matches!(self, Self::Idle) {
            return Err(Violation::new(format_args!("{} in the middle of a message", method.info().name)));
        }
        let origin = match method {
            Method::BasicDeliver(deliver) => Origin::Delivered {
                consumer_tag: text(deliver.consumer_tag),
                delivery_tag: deliver.delivery_tag,
                redelivered: deliver.redelivered,
            },
            Method::BasicGetOk(got) => Origin::Got {
                delivery_tag: got.delivery_tag,
                redelivered: got.redelivered,
                remaining: got.message_count,
            },
            Method::BasicReturn(returned) => {
                Origin::Returned { code: returned.reply_code, text: text(returned.reply_text) }
            }
            _ => return Ok(false),
        };
        *self = Self::Announced(origin);
        Ok(true)
    }

    /// Takes the payload of a header frame; gives the message if it has no body.
    pub(crate) fn on_header(&mut self, payload: &[u8]) -> Result<Option<Message>, Violation> {
        let Self::Announced(origin) = core::mem::take(self) else {
            return Err(Violation::new("a content header that no method announced"));
        };
        let header = ContentHeader::decode(payload).map_err(Violation::new)?;
        let message = Message { origin, header: payload.to_vec(), body: Vec::new() };
        *self = Self::Body(message, header.body_size);
        Ok(self.finished())
    }

    /// Takes the payload of a body frame; gives the message if it was the last.
    pub(crate) fn on_body(&mut self, payload: &[u8]) -> Result<Option<Message>, Violation> {
        let Self::Body(message, left) = self else {
            return Err(Violation::new("a body frame without a content header"));
        };
        *left = left
            .checked_sub(payload.len() as u64)
            .ok_or_else(|| Violation::new("more body than its header announced"))?;
        message.body.extend_from_slice(payload);
        Ok(self.finished())
    }

    fn finished(&mut self) -> Option<Message> {
        match core::mem::take(self) {
            Self::Body(message, 0) => Some(message),
            unfinished => {
                *self = unfinished;
                None
            }
        }
    }
}

/// Short strings that brokers send are UTF-8; what is not is shown as well as it can be.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use leveret_wire::BasicProperties;
    use leveret_wire::method::{BasicReturn, ChannelOpenOk};

    use super::*;

    fn header(body_size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        BasicProperties::default().encode_payload(body_size, &mut out);
        out
    }

    fn announced() -> Assembly {
        let mut assembly = Assembly::default();
        let returned =
            BasicReturn { reply_code: 312, reply_text: b"NO_ROUTE", exchange: b"", routing_key: b"q" };
        assert_eq!(assembly.on_method(&Method::BasicReturn(returned)), Ok(true));
        assembly
    }

    fn body_of(message: Result<Option<Message>, Violation>) -> Option<Vec<u8>> {
        message.expect("pieces in order").map(|message| message.body)
    }

    #[test]
    fn a_body_in_two_frames_is_one_message() {
        let mut assembly = announced();
        assert_eq!(body_of(assembly.on_header(&header(5))), None);
        assert_eq!(body_of(assembly.on_body(b"har")), None);
        assert_eq!(body_of(assembly.on_body(b"es")).as_deref(), Some(b"hares".as_slice()));
        assert!(matches!(assembly, Assembly::Idle));
    }

    #[test]
    fn an_empty_body_needs_no_frame() {
        assert_eq!(body_of(announced().on_header(&header(0))), Some(Vec::new()));
    }

    #[test]
    fn pieces_in_a_wrong_order_are_violations() {
        assert!(Assembly::default().on_header(&header(1)).is_err());
        assert!(Assembly::default().on_body(b"x").is_err());
        assert!(announced().on_method(&Method::ChannelOpenOk(ChannelOpenOk)).is_err());
        let mut assembly = announced();
        assert_eq!(body_of(assembly.on_header(&header(1))), None);
        assert!(assembly.on_body(b"xy").is_err(), "one byte too many");
    }
}
