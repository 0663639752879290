//! What a session holds: one string, or attributes.

use crate::attributes::Attributes;
use crate::list::Flags;

/// One of the two, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    String(&'a [u8]),
    Attributes(Attributes<'a>),
}

impl<'a> Content<'a> {
    /// Bytes that are kept under these flags.
    pub(crate) const fn of(flags: Flags, bytes: &'a [u8]) -> Self {
        if flags.has_attributes() {
            Self::Attributes(Attributes::trusted(bytes))
        } else {
            Self::String(bytes)
        }
    }

    pub(crate) const fn bytes(self) -> &'a [u8] {
        match self {
            Self::String(bytes) => bytes,
            Self::Attributes(attributes) => attributes.bytes(),
        }
    }
}
