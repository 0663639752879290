//! Control frames: what the control machines of two nodes tell each other, as protobuf.
//!
//! ```text
//!   newcomer ──────── State (own member) ────────▶ member        after the handshake, both ways
//!            ◀─────── State, MapReply … ──────────
//!   each     ──Ping──▶   ◀──Echo{versions, hears}── each 100 ms (R4)
//!   writer   ──Delta──▶  ◀──Conflict, DeltaAck, Agreed──   (R1, R2)
//!   anyone   ──Digest──▶ ◀──MapRequest──  ──MapReply…──▶         each second
//!   node     ──Request──▶ home ──Response──▶         repeated under its id on each new link
//! ```
//! Read first: `frame`, whose enum is what the rest of the crate speaks. Rules of change: a tag is never used
//! again, unknown fields and frames are skipped, a missing field is its default. What directory records look
//! like is in [`record`](super::record).

use alloc::string::String;
use alloc::vec::Vec;

use super::record::Entry;
use crate::encoding::messages::{Binding, Id, QueueId};

/// The envelope of every control frame.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ControlFrame {
    /// What it says; `None` is a frame of a later version, to be skipped.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 19")]
    pub(crate) body: Option<Body>,
}

/// What a control frame says.
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(clippy::large_enum_variant, reason = "control frames are rare and live for one call")]
pub(crate) enum Body {
    #[prost(message, tag = "1")]
    Ping(Ping),
    /// Yes, and this is what I know.
    #[prost(message, tag = "2")]
    Echo(Echo),
    /// The members as the sender sees them.
    #[prost(message, tag = "3")]
    State(State),
    #[prost(message, tag = "4")]
    Delta(Delta),
    /// Every shard of the sender routes by them.
    #[prost(message, tag = "5")]
    DeltaAck(DeltaAck),
    /// A vote against a proposal.
    #[prost(message, tag = "6")]
    Conflict(Conflict),
    /// The vote is free again.
    #[prost(message, tag = "7")]
    Agreed(Agreed),
    /// The versions of all maps.
    #[prost(message, tag = "8")]
    Digest(Digest),
    /// Send me a map.
    #[prost(message, tag = "9")]
    MapRequest(MapRequest),
    /// A piece of a map.
    #[prost(message, tag = "10")]
    MapReply(MapReply),
    /// A command for the node that is home to its object.
    #[prost(message, tag = "11")]
    Request(Request),
    #[prost(message, tag = "12")]
    Response(Response),
    /// You are not taken in.
    #[prost(message, tag = "14")]
    TurnAway(TurnAway),
    /// A node is Down and will not come back: somebody said so.
    #[prost(message, tag = "15")]
    Forget(Forget),
    /// A queue moves.
    #[prost(message, tag = "16")]
    Move(Move),
    /// The sender is about to leave.
    #[prost(message, tag = "17")]
    Leaving(Leaving),
    /// The sender was about to leave, and stays.
    #[prost(message, tag = "19")]
    Staying(Staying),
}

/// A step of the move of a queue, by the control machine of its old home or its new one.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Move {
    #[prost(message, required, tag = "1")]
    pub(crate) queue: QueueId,
    /// Counted by the old home.
    #[prost(uint64, tag = "2")]
    pub(crate) attempt: u64,
    #[prost(enumeration = "MoveKind", tag = "3")]
    pub(crate) kind: i32,
    /// Of an acceptance: the shard that takes the queue.
    #[prost(uint32, tag = "4")]
    pub(crate) shard: u32,
    /// Of an offer the queue's record; of the word to serve its bindings.
    #[prost(message, repeated, tag = "5")]
    pub(crate) entries: Vec<Entry>,
    /// Of the word that it has moved: the version of the sender's map that says so.
    #[prost(uint64, tag = "6")]
    pub(crate) incarnation: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) counter: u64,
}

/// Which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum MoveKind {
    Unsaid = 0,
    Offer = 1,
    Accept = 2,
    Decline = 3,
    Abort = 4,
    Serve = 5,
    Moved = 6,
}

/// The sender is about to leave: nothing is to be given to it.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Leaving {}

/// The sender stays after all: it takes queues again.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Staying {}

/// How far a writer's map is known. Ordered by incarnation, then counter: a restart that lost an unsynced
/// version never reuses a number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Version {
    #[prost(message, required, tag = "1")]
    pub(crate) node: Id,
    #[prost(uint64, tag = "2")]
    pub(crate) incarnation: u64,
    /// Changes in that incarnation.
    #[prost(uint64, tag = "3")]
    pub(crate) counter: u64,
}

/// Are you there?
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Ping {
    /// The sender's clock, nanoseconds; means nothing to anyone else and comes back in the echo.
    #[prost(fixed64, tag = "1")]
    pub(crate) sent_nanos: u64,
}

/// The answer to a ping, and at once whenever `hears` changes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Echo {
    /// Of the last ping that came.
    #[prost(fixed64, tag = "1")]
    pub(crate) sent_nanos: u64,
    /// Of all maps that the sender has applied.
    #[prost(message, repeated, tag = "2")]
    pub(crate) versions: Vec<Version>,
    /// Nodes that echoed the sender's ping within `leveret_model::limits::HEARD_WITHIN`.
    #[prost(message, repeated, tag = "3")]
    pub(crate) hears: Vec<Id>,
    /// Echoed by all that it counts; members list a joiner only then.
    #[prost(bool, tag = "4")]
    pub(crate) ready: bool,
}

/// A node, as its own record and the sender's verdict say.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Member {
    #[prost(message, required, tag = "1")]
    pub(crate) node: Id,
    /// Which start of it.
    #[prost(uint64, tag = "2")]
    pub(crate) incarnation: u64,
    /// The nonce of that start.
    #[prost(fixed64, tag = "3")]
    pub(crate) boot: u64,
    /// Where its cluster port is, `ADDR:PORT`.
    #[prost(string, tag = "4")]
    pub(crate) address: String,
    #[prost(uint32, tag = "5")]
    pub(crate) shards: u32,
    /// Its name for people.
    #[prost(string, tag = "6")]
    pub(crate) name: String,
    /// The sender's verdict: heard by nobody, for so long. It does not count, and stays a member for its time.
    #[prost(uint64, optional, tag = "7")]
    pub(crate) down_ms: Option<u64>,
}

/// The first frame on a control link, both ways; maps follow as [`MapReply`]s.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct State {
    /// All members that the sender knows, itself first.
    #[prost(message, repeated, tag = "1")]
    pub(crate) members: Vec<Member>,
    /// Versions of the maps that follow.
    #[prost(message, repeated, tag = "2")]
    pub(crate) versions: Vec<Version>,
    /// The sender has a lease, or had one.
    #[prost(bool, tag = "3")]
    pub(crate) ready: bool,
}

/// A writer's changes, pushed to everyone. A gap before `from` asks for the map.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delta {
    /// Writer, and the version that these changes lead to.
    #[prost(message, required, tag = "1")]
    pub(crate) version: Version,
    /// The counter that they start from.
    #[prost(uint64, tag = "2")]
    pub(crate) from: u64,
    /// The changes, in order.
    #[prost(message, repeated, tag = "3")]
    pub(crate) entries: Vec<Entry>,
    /// Other maps that the writer had when it made them: a binding means nothing without its exchange. Acked
    /// only when these are routed by as well.
    #[prost(message, repeated, tag = "4")]
    pub(crate) rests_on: Vec<Version>,
}

/// Every shard of the sender routes by the writer's map of this version. A vote for what it proposes (R2).
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct DeltaAck {
    #[prost(message, required, tag = "1")]
    pub(crate) version: Version,
}

/// A vote against a proposal: the sender knows another life of the name. It comes before the ack of the delta.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Conflict {
    #[prost(message, required, tag = "1")]
    pub(crate) proposal: Id,
    /// What stands against it is there, and the sender does not take its home for Down; else it is a rival
    #[prost(bool, tag = "2")]
    pub(crate) taken: bool,
}

/// What stood against a proposal is gone, and every shard of the sender acts on the proposal.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Agreed {
    #[prost(message, required, tag = "1")]
    pub(crate) proposal: Id,
}

/// The versions of all maps that the sender has, to one random peer each second.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Digest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) versions: Vec<Version>,
}

/// Send me this writer's whole map.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct MapRequest {
    /// The writer, and the version that the sender has; an answer is due only if a later one is known.
    #[prost(message, required, tag = "1")]
    pub(crate) known: Version,
}

/// A piece of a writer's whole map. All pieces have one version; a piece of another version begins anew.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MapReply {
    #[prost(message, required, tag = "1")]
    pub(crate) version: Version,
    /// Which piece, from 0.
    #[prost(uint32, tag = "2")]
    pub(crate) piece: u32,
    #[prost(bool, tag = "3")]
    pub(crate) last: bool,
    #[prost(message, repeated, tag = "4")]
    pub(crate) entries: Vec<Entry>,
    /// Other maps that this one rests on (as in [`Delta`]); in the last piece.
    #[prost(message, repeated, tag = "5")]
    pub(crate) rests_on: Vec<Version>,
}

/// A command for the home of its object, sent again under its id on each new link until it is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    /// Unique for the sender's boot.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    /// The lowest id that the sender still waits for: answers below it may be forgotten.
    #[prost(uint64, tag = "8")]
    pub(crate) oldest: u64,
    /// What is wanted; `None` is of another version, and ends the link.
    #[prost(oneof = "CommandKind", tags = "5, 6, 7")]
    pub(crate) command: Option<CommandKind>,
}

/// What a request wants: what a queue's home alone can do. Tags 2 to 4 were declarations, which no node ever
/// sent.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum CommandKind {
    #[prost(message, tag = "5")]
    DeleteQueue(DeleteQueue),
    /// Bind; the destination is a queue.
    #[prost(message, tag = "6")]
    Bind(Binding),
    #[prost(message, tag = "7")]
    Unbind(Binding),
}

/// Delete a queue.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DeleteQueue {
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(bool, tag = "3")]
    pub(crate) if_unused: bool,
    /// Only without ready messages.
    #[prost(bool, tag = "4")]
    pub(crate) if_empty: bool,
}

/// The answer to a request.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Response {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    /// The answer; `None` is of another version, and ends the link.
    #[prost(oneof = "ReplyKind", tags = "2, 4, 5")]
    pub(crate) reply: Option<ReplyKind>,
}

/// What a response says. Tag 3 answered declarations, which no node ever sent.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ReplyKind {
    #[prost(message, tag = "2")]
    Done(Done),
    /// Deleted, with so many ready messages.
    #[prost(uint64, tag = "4")]
    Deleted(u64),
    #[prost(message, tag = "5")]
    Refused(Refused),
}

/// Done, and nothing to say.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Done {}

/// A refusal.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Refused {
    #[prost(uint32, tag = "1")]
    pub(crate) code: u32,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
}

/// The only frame to a peer that is not taken in; the link ends.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct TurnAway {
    #[prost(enumeration = "Reason", tag = "1")]
    pub(crate) reason: i32,
}

/// Sent to all peers by the node that was told. A version that does not know it keeps the node until its time
/// is over.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Forget {
    #[prost(message, required, tag = "1")]
    pub(crate) node: Id,
}

/// Why a peer is not taken in; a reason of a later version is none that this one knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Reason {
    /// None is given.
    Unsaid = 0,
    /// The cluster has all the nodes that it can.
    Full = 1,
    /// Another process runs under the peer's identity.
    Clone = 2,
}
