//! What the sockets of RESP clients are given by their thread, and what they want of it.

use std::io;
use std::sync::Arc;

use crossbeam_channel::Sender;
use leveret_model::session::KeptAnswer;
use leveret_model::{Instant, ShardId};
use leveret_sessions::{Bucket, Handover, HeldSession};
use leveret_shard::{Caller, SessionMail, SessionSurvey, SessionTally, SessionTarget, Shard};
use mio::Registry;
use mio::net::{TcpListener, TcpStream};

use crate::log_limits::LogLimit;

/// Mail to a shard's thread about sessions.
#[derive(Debug)]
pub(crate) enum ToSessions {
    /// The socket where RESP clients come; for the first shard.
    Listener(TcpListener),
    /// A RESP client's socket that it has accepted.
    Client { stream: TcpStream, caller: Caller },
    /// From a shard of this node.
    Mail(SessionMail),
    /// Tell the admin socket of the sessions of a bucket.
    Held { bucket: Bucket, to: Sender<Vec<HeldSession>> },
    /// This node leaves: hand over what is at home here, and say when that is over.
    Leave { to: Sender<Handover> },
    /// It stays after all: nothing more is handed over.
    Stay,
    /// As [`Self::Leave`]; before it clients are ended between two commands.
    EndClients { to: Sender<Handover> },
    /// Give what is here for the image of the last node, with the number of its records.
    Image { to: Sender<(Vec<u8>, u64)> },
    /// Take what this shard keeps of an image, which was looked at before; say how many sessions that were.
    TakeImage { image: Arc<[u8]>, to: Sender<usize> },
    /// End a session for the admin socket.
    Kill { target: SessionTarget, to: Sender<KeptAnswer> },
    /// List or end sessions of a bucket on every node for the admin socket.
    Survey { bucket: Bucket, survey: SessionSurvey, to: Sender<SessionTally> },
}

/// The ways out of the thread, and what the whole node counts.
pub(crate) trait SessionWays {
    /// Mail for a shard's thread.
    fn send(&self, to: ShardId, mail: ToSessions);
    /// The shard that a new client goes to; nobody if all are full.
    fn place_client(&self) -> Option<ShardId>;
    /// A client of that shard is gone.
    fn client_gone(&self, shard: ShardId);
    /// Another handshake may begin.
    fn has_room(&self) -> bool;
    /// A handshake began.
    fn handshake_begun(&self);
    /// A handshake that was counted is through, or gone.
    fn handshake_ended(&self);
    /// A client could not be accepted.
    fn warn_not_accepted(&self, complaints: &mut LogLimit, now: Instant, error: &io::Error);
}

/// What the thread lends for a call.
pub(crate) struct Carrier<'a> {
    pub(crate) own: ShardId,
    pub(crate) shard: &'a mut Shard,
    pub(crate) registry: &'a Registry,
    pub(crate) ways: &'a dyn SessionWays,
    pub(crate) now: Instant,
}
