//! What shards of one node tell each other about sessions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::{Database, KeptAnswer};
use leveret_model::{ConnectionKey, Name, NodeId, ShardId};
use leveret_sessions::{Asker, Expired};

use super::attached::{Attached, Interest};
use super::gathering::WalkStep;
use super::parts::Part;

/// From one shard to another, or to itself in a later turn.
#[derive(Debug)]
pub enum SessionMail {
    /// Commands on a key of a part there.
    Request {
        /// Who waits for the answer.
        asker: Asker,
        /// The part.
        part: Part,
        /// `leveret_sessions::encode_request`
        request: Box<[u8]>,
    },
    /// The answer.
    Answer {
        /// Who waits for it.
        asker: Asker,
        /// What it is.
        answer: KeptAnswer,
    },
    /// Count your sessions of a database.
    Count {
        /// Who waits for the sum.
        asker: Asker,
        /// Which one.
        database: Database,
    },
    /// Destroy your sessions of a database.
    Flush {
        /// Who waits for the end.
        asker: Asker,
        /// In which vhost.
        vhost: Name,
        /// Which one.
        database: Database,
    },
    /// A number for a sum; `None`: it was done.
    Part {
        /// Who waits for the sum.
        asker: Asker,
        /// The number.
        number: Option<u64>,
    },
    /// List the nodes.
    Nodes {
        /// Who waits for the list.
        asker: Asker,
    },
    /// All that connections of a shard want to be told of.
    Attached {
        /// The shard.
        shard: ShardId,
        /// What they want.
        interests: Vec<Interest>,
    },
    /// All that connections of another node want to be told of.
    AttachedThere {
        /// The node.
        node: NodeId,
        /// What they want.
        interests: Vec<Interest>,
    },
    /// A session that expired, for a connection there.
    Expired(Box<Expired>),
    /// A walk that goes on here, or is over and goes back to its connection.
    Walk(WalkStep),
    /// A connection that has asked something is gone.
    Closed {
        /// Its shard.
        shard: ShardId,
        /// Which one.
        connection: ConnectionKey,
    },
}

/// Tells every shard of the node what connections of this one want to be told of; what a shard does about that,
/// this one too, it does in a later turn.
pub(super) fn announce(
    attached: &Attached,
    own: ShardId,
    shards: u8,
    mail: &mut Vec<(ShardId, SessionMail)>,
) {
    for shard in (0..shards).map(ShardId) {
        mail.push((shard, SessionMail::Attached { shard: own, interests: attached.interests() }));
    }
}
