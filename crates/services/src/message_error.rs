//! Why a message is ignored.

use alloc::string::String;

use crate::announcement::AnnouncementError;

/// Why a message cannot be read. Its sender is to blame; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No key of this exchange.
    #[error("its routing key is none of announce.…, door.…, ask, command.…")]
    Key,
    /// The key names another sender than the body: permissions are checked against the key.
    #[error("its body names another sender than its routing key")]
    OtherSender,
    /// Longer than the bound.
    #[error("has {0} bytes, more than its kind may have")]
    Long(usize),
    /// Not JSON of this shape.
    #[error("{0}")]
    Text(String),
    /// An announcement that is none.
    #[error(transparent)]
    Announcement(#[from] AnnouncementError),
}
