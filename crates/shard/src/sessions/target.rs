//! Which session an operator means, and where it is asked for.

use alloc::boxed::Box;

use leveret_model::session::Database;
use leveret_model::{ConnectionKey, ShardId};
use leveret_sessions::{Bucket, Hid, Place};

use super::parts::part_of;

/// Who asks: no connection has this slot.
pub(super) const OPERATOR: ConnectionKey = ConnectionKey { slot: u32::MAX, generation: 0 };

/// The shard of a node that keeps a bucket.
#[must_use]
pub fn session_shard(bucket: Bucket, shards: u8) -> ShardId {
    ShardId(part_of(bucket).0 % shards)
}

/// Which session an operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionTarget {
    /// By its key.
    Key {
        /// In which vhost.
        vhost: Box<str>,
        /// In which database.
        database: Database,
        /// The key.
        key: Box<[u8]>,
    },
    /// By what the list calls it; only a node that holds its state knows it so.
    Hid(Hid),
}

impl SessionTarget {
    /// The bucket that it is in.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        match self {
            Self::Key { vhost, database, key } => Place { vhost, database: *database, key }.hid().bucket(),
            Self::Hid(hid) => hid.bucket(),
        }
    }
}
