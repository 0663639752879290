//! Which message a body is of.

/// One message: the channel opening that published it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageId {
    pub(crate) publisher: u32,
    pub(crate) number: u64,
}
