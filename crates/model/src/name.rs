//! Names and routing keys: AMQP short strings with a meaning.

use alloc::boxed::Box;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use compact_str::CompactString;

/// Most bytes of a short string (AMQP 0-9-1 §4.2.5.3).
pub const SHORT_STRING_BYTES_MAX: usize = 255;

/// Why some bytes are no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than a short string.
    #[error("longer than 255 bytes")]
    TooLong,
    /// RabbitMQ refuses names that are not UTF-8 as well.
    #[error("not valid UTF-8")]
    NotUtf8,
}

/// The name of a vhost, exchange, queue, user or consumer: UTF-8, at most 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(CompactString);

impl Name {
    /// A name that is known to be short; longer text is cut at a character.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut end = text.len().min(SHORT_STRING_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(CompactString::from(&text[..end]))
    }

    /// A name from the bytes of a short string.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.len() > SHORT_STRING_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        core::str::from_utf8(bytes)
            .map(|text| Self(CompactString::from(text)))
            .map_err(|_| NameError::NotUtf8)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_str(), f)
    }
}

/// A routing or binding key: any bytes, at most 255.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RoutingKey(Box<[u8]>);

impl RoutingKey {
    /// A key; bytes past 255 are cut (the wire cannot carry more).
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes[..bytes.len().min(SHORT_STRING_BYTES_MAX)].into())
    }
}

impl Deref for RoutingKey {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for RoutingKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
