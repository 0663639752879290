//! What the generated method table is made of: its row types, and the two things that every method can do.

use alloc::vec::Vec;

use crate::codec::put_short;
use crate::frame::{FrameKind, begin_frame, end_frame};

/// Who may send a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentBy {
    /// Only clients.
    Client,
    /// Only the server; from a client it is 503.
    Server,
    /// Either.
    Both,
}

/// The type of a method's field (AMQP 0-9-1 §4.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// One bit; neighbours share an octet, the first is its lowest bit.
    Bit,
    /// Unsigned 8 bit.
    Octet,
    /// Unsigned 16 bit.
    Short,
    /// Unsigned 32 bit.
    Long,
    /// Unsigned 64 bit.
    LongLong,
    /// At most 255 bytes, one byte of length.
    ShortString,
    /// Four bytes of length.
    LongString,
    /// A field table, four bytes of length.
    Table,
}

/// A field of a method, in wire order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodField {
    /// Its name; empty for a reserved one.
    pub name: &'static str,
    /// Its type.
    pub kind: FieldKind,
}

/// A field, for the table.
pub(crate) const fn field(name: &'static str, kind: FieldKind) -> MethodField {
    MethodField { name, kind }
}

/// A row of [`crate::METHODS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// Its class.
    pub class_id: u16,
    /// Its number in the class.
    pub method_id: u16,
    /// As in `basic.publish`.
    pub name: &'static str,
    /// Who may send it.
    pub sent_by: SentBy,
    /// A content header and body frames follow.
    pub content: bool,
    /// Its fields, reserved ones too.
    pub fields: &'static [MethodField],
}

impl MethodInfo {
    /// The row of a method, if there is such a method.
    #[must_use]
    pub fn find(class_id: u16, method_id: u16) -> Option<&'static Self> {
        crate::METHODS.iter().find(|info| (info.class_id, info.method_id) == (class_id, method_id))
    }
}

/// Why a payload is no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// No such method in AMQP 0-9-1 or RabbitMQ's extensions. Answered 540.
    #[error("unknown method {class}.{method}")]
    Unknown {
        /// Class id.
        class: u16,
        /// Method id.
        method: u16,
    },
    /// The fields end too early or bytes are left over. Answered 502. Both ids are 0 if not even they are
    /// there.
    #[error("malformed arguments of method {class}.{method}")]
    Malformed {
        /// Class id.
        class: u16,
        /// Method id.
        method: u16,
    },
}

/// The struct of a method that can be written.
pub trait EncodeMethod {
    /// Class id.
    const CLASS_ID: u16;
    /// Method id.
    const METHOD_ID: u16;

    /// Appends the fields.
    fn encode_fields(&self, out: &mut Vec<u8>);

    /// Appends the payload of a method frame: class, method, fields.
    fn encode_payload(&self, out: &mut Vec<u8>) {
        put_short(out, Self::CLASS_ID);
        put_short(out, Self::METHOD_ID);
        self.encode_fields(out);
    }

    /// Appends a whole method frame.
    fn encode_frame(&self, channel: u16, out: &mut Vec<u8>) {
        let mark = begin_frame(out, FrameKind::Method, channel);
        self.encode_payload(out);
        end_frame(out, mark);
    }
}
