//! Frames of a channel as they are read, and what is said of those that cannot be (RabbitMQ's codes and words).

use alloc::format;
use alloc::string::String;

use bytes::Bytes;
use leveret_model::ReplyCode;
use leveret_wire::frame::{FRAME_END, FRAME_HEAD_BYTES};
use leveret_wire::properties::CLASS_BASIC;
use leveret_wire::{
    FieldError, Frame, FrameError, FrameHead, FrameKind, HeaderError, Method, MethodError, decode_frame,
};

use super::assembly::Expect;
use crate::exception::{Exception, MethodId};

/// The frame at `at` whose head was read and is within what was agreed, if it is whole. hot.
#[inline]
pub(super) fn framed(source: &Bytes, at: usize, head: FrameHead) -> Result<Option<Frame<'_>>, Exception> {
    let end = at + FRAME_HEAD_BYTES + head.size as usize;
    match source.get(end) {
        None => Ok(None),
        Some(&FRAME_END) => Ok(Some(Frame { head, payload: &source[at + FRAME_HEAD_BYTES..end] })),
        Some(&other) => Err(framing(FrameError::BadEnd(other))),
    }
}

/// The frame at `at`, if it is whole. hot.
pub(crate) fn whole_frame(source: &Bytes, at: usize, frame_max: u32) -> Result<Option<Frame<'_>>, Exception> {
    decode_frame(&source[at..], frame_max).map_err(framing)
}

/// Bytes that are no frame.
pub(crate) fn framing(error: FrameError) -> Exception {
    Exception::framing(ReplyCode::FrameError, format!("{error}"))
}

/// The method of a frame.
pub(crate) fn decode_method<'a>(frame: &Frame<'a>) -> Result<Method<'a>, Exception> {
    Method::decode(frame.payload).map_err(|error| match error {
        MethodError::Unknown { class, method } => {
            Exception::new(ReplyCode::NotImplemented, MethodId { class, method }, format!("{error}"))
        }
        MethodError::Malformed { class, method } => {
            Exception::new(ReplyCode::FrameError, MethodId { class, method }, undecodable(frame.payload))
        }
    })
}

/// RabbitMQ's words for arguments that end too early, with their bytes as Erlang shows them.
#[cold]
fn undecodable(payload: &[u8]) -> String {
    let mut text = String::from("cannot decode <<");
    // more than a reply text can show
    let arguments = payload.iter().skip(METHOD_IDS_BYTES).take(REPLY_TEXT_BYTES_MAX);
    for (at, byte) in arguments.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{byte}"));
    }
    text.push_str(">>");
    text
}

/// Class and method id in front of a method's arguments.
const METHOD_IDS_BYTES: usize = 4;
/// A reply text is a short string (AMQP 0-9-1 §4.2.5.3).
const REPLY_TEXT_BYTES_MAX: usize = 255;

/// The ids of a method.
pub(crate) fn method_id(method: &Method<'_>) -> MethodId {
    MethodId { class: method.class_id(), method: method.method_id() }
}

/// A frame that is not due (AMQP 0-9-1 §4.2.6; RabbitMQ's words).
pub(super) fn unexpected(kind: FrameKind, expected: Option<Expect>) -> Exception {
    let (text, blamed) = match expected {
        _ if kind == FrameKind::Heartbeat => {
            ("heartbeat frame on a channel other than 0".into(), MethodId::NONE)
        }
        None => ("expected method frame, got non method frame instead".into(), MethodId::NONE),
        Some(Expect::Header) => (no_content_header(), MethodId::PUBLISH),
        Some(Expect::Body) => {
            ("expected content body, got non content body frame instead".into(), MethodId::PUBLISH)
        }
    };
    Exception::new(ReplyCode::UnexpectedFrame, blamed, text)
}

/// RabbitMQ's words for a frame where a content header was due.
fn no_content_header() -> String {
    format!("expected content header for class {CLASS_BASIC}, got non content header frame instead")
}

/// What is wrong with a content header frame, and what that ends.
#[cold]
pub(super) fn malformed_header(error: HeaderError) -> Exception {
    let (code, text) = match error {
        // headers that are too deep for us are well formed: the channel is enough to close
        HeaderError::Headers(FieldError::TooDeep) => (ReplyCode::PreconditionFailed, format!("{error}")),
        // RabbitMQ: a frame with a weight is not taken for a content header
        HeaderError::Weight => (ReplyCode::UnexpectedFrame, no_content_header()),
        _ => (ReplyCode::SyntaxError, format!("{error}")),
    };
    Exception::new(code, MethodId::PUBLISH, text)
}
