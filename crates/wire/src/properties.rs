//! The content header (AMQP 0-9-1 §2.3.5.2, §4.2.6.1): class, body size, and the properties of class basic.
//!
//! ```text
//!   ┌───────────┬─────────┬───────────────┬───────────┬──────────────────────────────┐
//!   │ class u16 │ 0 (u16) │ body size u64 │ flags u16 │ the values whose flag is set │
//!   └───────────┴─────────┴───────────────┴───────────┴──────────────────────────────┘
//!   flag 15 content-type   14 content-encoding  13 headers   12 delivery-mode  11 priority  10 correlation-id
//!         9 reply-to        8 expiration         7 message-id 6 timestamp       5 type       4 user-id
//!         3 app-id          2 cluster-id         1 unused     0 another word of flags follows
//! ```
//! The broker forwards the payload as it came; it reads single properties through [`Properties`], which walks
//! to them.

use alloc::vec::Vec;

use leveret_model::Terms;

use crate::codec::{Reader, put_longlong, put_octet, put_short, put_shortstr, put_table};
use crate::field::{FieldError, Table};

/// The class of all content that there is (AMQP 0-9-1 §1.8).
pub const CLASS_BASIC: u16 = 60;
/// `delivery_mode` of a message that asks to survive a restart.
pub const PERSISTENT: u8 = 2;

/// Another word of flags follows.
const CONTINUED: u16 = 1;
/// Flags that no property of class basic has.
const UNUSED: u16 = 2;
/// Flags of what is not for applications alone: headers, reply-to, expiration, user-id.
const FOR_BROKER: u16 = 0x2000 | 0x0200 | 0x0100 | 0x0010;

/// Flags of what [`Terms`] are read from: delivery-mode, priority, expiration.
const FOR_TERMS: u16 = 0x1000 | 0x0800 | 0x0100;

/// Why bytes are no content header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The payload ends too early, or bytes are left over. 501 or 502.
    #[error("malformed content header")]
    Malformed,
    /// A weight other than 0 (AMQP 0-9-1 §4.2.6.1). 505: RabbitMQ does not take such a frame for a content
    /// header.
    #[error("a content header with a weight")]
    Weight,
    /// A flag that class basic does not have. 502.
    #[error("unknown property flags")]
    UnknownFlags,
    /// The headers are no field table, 502, or one that is too deep for us, 406.
    #[error("malformed headers: {0}")]
    Headers(FieldError),
}

/// The payload of a content header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class of the method that came before.
    pub class_id: u16,
    /// Bytes of the body that follows.
    pub body_size: u64,
    /// The properties.
    pub properties: Properties<'a>,
}

impl<'a> ContentHeader<'a> {
    /// hot: the size of the body, and nothing else looked at.
    #[inline]
    #[must_use]
    pub fn body_size(payload: &[u8]) -> Option<u64> {
        payload.get(4..12)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Reads the fixed part; the values are only looked at when asked for.
    ///
    /// # Errors
    /// Too short, a weight other than 0, or flags that class basic does not have.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(payload);
        let class_id = reader.short().ok_or(HeaderError::Malformed)?;
        if reader.short().ok_or(HeaderError::Malformed)? != 0 {
            return Err(HeaderError::Weight);
        }
        let body_size = reader.longlong().ok_or(HeaderError::Malformed)?;
        let mut word = reader.short().ok_or(HeaderError::Malformed)?;
        let flags = word & !CONTINUED;
        // a sender may add words of flags as long as it sets none that we do not know
        while word & CONTINUED != 0 {
            word = reader.short().ok_or(HeaderError::Malformed)?;
            if word & !CONTINUED != 0 {
                return Err(HeaderError::UnknownFlags);
            }
        }
        if flags & UNUSED != 0 {
            return Err(HeaderError::UnknownFlags);
        }
        Ok(Self { class_id, body_size, properties: Properties { flags, values: reader.rest() } })
    }

    /// Checks all of a payload, headers too.
    ///
    /// # Errors
    /// The first [`HeaderError`].
    #[inline]
    pub fn validate(payload: &'a [u8]) -> Result<Self, HeaderError> {
        let header = Self::decode(payload)?;
        header.properties.validate()?;
        Ok(header)
    }

    /// Appends the payload of a content header frame.
    pub fn encode_payload(&self, out: &mut Vec<u8>) {
        put_head(out, self.class_id, self.body_size, self.properties.flags);
        out.extend_from_slice(self.properties.values);
    }
}

/// The type of a property.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ShortString,
    Table,
    Octet,
    Timestamp,
}

/// The types of the 14 properties, from flag 15 down.
const KINDS: [Kind; 14] = [
    Kind::ShortString,
    Kind::ShortString,
    Kind::Table,
    Kind::Octet,
    Kind::Octet,
    Kind::ShortString,
    Kind::ShortString,
    Kind::ShortString,
    Kind::ShortString,
    Kind::Timestamp,
    Kind::ShortString,
    Kind::ShortString,
    Kind::ShortString,
    Kind::ShortString,
];

/// The properties of a message as they came. Each accessor walks to its value; `None` is absent, or malformed
/// in front of it or there (which [`Properties::validate`] tells).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    flags: u16,
    values: &'a [u8],
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $index:literal, $read:ident -> $type:ty;)*) => {
        impl<'a> Properties<'a> {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> Option<$type> {
                self.find($index)?.$read()
            })*
        }
    };
}

accessors! {
    /// MIME type of the body; for applications.
    content_type: 0, shortstr -> &'a [u8];
    /// MIME encoding of the body; for applications.
    content_encoding: 1, shortstr -> &'a [u8];
    /// Headers, for applications and for headers exchanges.
    headers: 2, table -> Table<'a>;
    /// 2 asks to survive a restart, see [`PERSISTENT`].
    delivery_mode: 3, octet -> u8;
    /// Priority.
    priority: 4, octet -> u8;
    /// For applications: which request this answers.
    correlation_id: 5, shortstr -> &'a [u8];
    /// For applications: where to answer.
    reply_to: 6, shortstr -> &'a [u8];
    /// Milliseconds to live, as a decimal string (RabbitMQ: per-message TTL).
    expiration: 7, shortstr -> &'a [u8];
    /// For applications.
    message_id: 8, shortstr -> &'a [u8];
    /// For applications: seconds since 1970.
    timestamp: 9, longlong -> u64;
    /// For applications: the kind of message. `type` on the wire.
    kind: 10, shortstr -> &'a [u8];
    /// The publisher's user (RabbitMQ: must be the one logged in).
    user_id: 11, shortstr -> &'a [u8];
    /// For applications.
    app_id: 12, shortstr -> &'a [u8];
    /// Not used any more.
    cluster_id: 13, shortstr -> &'a [u8];
}

impl<'a> Properties<'a> {
    /// True if one is there that a broker may have to act on: headers, reply-to, expiration or user-id. hot.
    #[inline]
    #[must_use]
    pub const fn concern_broker(&self) -> bool {
        self.flags & FOR_BROKER != 0
    }

    /// What the publisher asks of a broker with them. An expiration that is no number counts as none: the
    /// ingress refuses it before this is asked. hot: most messages have none of the three.
    #[inline]
    #[must_use]
    pub fn terms(&self) -> Terms {
        if self.flags & FOR_TERMS == 0 { Terms::default() } else { self.read_terms() }
    }

    #[inline(never)]
    fn read_terms(&self) -> Terms {
        let digits = self.expiration().and_then(|digits| core::str::from_utf8(digits).ok());
        let expiration_ms = digits.and_then(|digits| digits.parse::<i64>().ok()?.try_into().ok());
        Terms::new(self.delivery_mode() == Some(PERSISTENT), self.priority().unwrap_or(0), expiration_ms)
    }

    /// Checks the values: all there, nothing left over, headers a table.
    ///
    /// # Errors
    /// The first [`HeaderError`].
    pub fn validate(&self) -> Result<(), HeaderError> {
        let mut reader = Reader::new(self.values);
        // only those that are there: most messages have one or two
        let mut left = self.flags & !CONTINUED & !UNUSED;
        while left != 0 {
            let index = left.leading_zeros() as usize;
            left &= !(0x8000 >> index);
            if KINDS[index] == Kind::Table {
                let table = reader.table().ok_or(HeaderError::Malformed)?;
                table.validate().map_err(HeaderError::Headers)?;
            } else {
                skip(&mut reader, KINDS[index]).ok_or(HeaderError::Malformed)?;
            }
        }
        if reader.is_empty() { Ok(()) } else { Err(HeaderError::Malformed) }
    }

    /// All of them, to look at or to change.
    #[must_use]
    pub fn to_basic(&self) -> BasicProperties<'a> {
        BasicProperties {
            content_type: self.content_type(),
            content_encoding: self.content_encoding(),
            headers: self.headers(),
            delivery_mode: self.delivery_mode(),
            priority: self.priority(),
            correlation_id: self.correlation_id(),
            reply_to: self.reply_to(),
            expiration: self.expiration(),
            message_id: self.message_id(),
            timestamp: self.timestamp(),
            kind: self.kind(),
            user_id: self.user_id(),
            app_id: self.app_id(),
            cluster_id: self.cluster_id(),
        }
    }

    const fn has(&self, index: usize) -> bool {
        self.flags & (0x8000 >> index) != 0
    }

    /// A reader that stands at the value of a property that is there.
    fn find(&self, index: usize) -> Option<Reader<'a>> {
        if !self.has(index) {
            return None;
        }
        let mut reader = Reader::new(self.values);
        for (before, kind) in KINDS[..index].iter().enumerate() {
            if self.has(before) {
                skip(&mut reader, *kind)?;
            }
        }
        Some(reader)
    }
}

#[inline]
fn skip(reader: &mut Reader<'_>, kind: Kind) -> Option<()> {
    match kind {
        Kind::ShortString => reader.shortstr().map(drop),
        Kind::Table => reader.longstr().map(drop),
        Kind::Octet => reader.octet().map(drop),
        Kind::Timestamp => reader.longlong().map(drop),
    }
}

/// The properties of a message, to be written. Fields as the accessors of [`Properties`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is documented at its accessor")]
pub struct BasicProperties<'a> {
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    pub headers: Option<Table<'a>>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<&'a [u8]>,
    pub reply_to: Option<&'a [u8]>,
    pub expiration: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    pub timestamp: Option<u64>,
    pub kind: Option<&'a [u8]>,
    pub user_id: Option<&'a [u8]>,
    pub app_id: Option<&'a [u8]>,
    pub cluster_id: Option<&'a [u8]>,
}

impl BasicProperties<'_> {
    /// Appends the payload of a content header frame for a body of that size.
    pub fn encode_payload(&self, body_size: u64, out: &mut Vec<u8>) {
        put_head(out, CLASS_BASIC, body_size, 0);
        let at = out.len() - 2;
        let mut flags = Flags(0);
        flags.put(0, self.content_type, out, put_shortstr);
        flags.put(1, self.content_encoding, out, put_shortstr);
        flags.put(2, self.headers, out, put_table);
        flags.put(3, self.delivery_mode, out, put_octet);
        flags.put(4, self.priority, out, put_octet);
        flags.put(5, self.correlation_id, out, put_shortstr);
        flags.put(6, self.reply_to, out, put_shortstr);
        flags.put(7, self.expiration, out, put_shortstr);
        flags.put(8, self.message_id, out, put_shortstr);
        flags.put(9, self.timestamp, out, put_longlong);
        flags.put(10, self.kind, out, put_shortstr);
        flags.put(11, self.user_id, out, put_shortstr);
        flags.put(12, self.app_id, out, put_shortstr);
        flags.put(13, self.cluster_id, out, put_shortstr);
        out[at..at + 2].copy_from_slice(&flags.0.to_be_bytes());
    }
}

/// The flags of the values written so far.
struct Flags(u16);

impl Flags {
    fn put<T>(
        &mut self,
        index: usize,
        value: Option<T>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>, T),
    ) {
        if let Some(value) = value {
            self.0 |= 0x8000 >> index;
            write(out, value);
        }
    }
}

fn put_head(out: &mut Vec<u8>, class_id: u16, body_size: u64, flags: u16) {
    put_short(out, class_id);
    put_short(out, 0);
    put_longlong(out, body_size);
    put_short(out, flags);
}

#[cfg(test)]
mod tests;
