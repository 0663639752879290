//! The nouns of the directory as bytes: definitions, names and ids as protobuf, for control frames and for the
//! keys and values of registers.
//!
//! Rules of change: a tag is never used again, unknown fields are skipped, a missing field is its default. The
//! key of a register is compared byte by byte, so the fields of a key never change.

pub(crate) mod arguments;
pub(crate) mod messages;
pub(crate) mod nouns;

pub(crate) use nouns::name;
