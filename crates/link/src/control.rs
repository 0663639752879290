//! Control frames: what the control machines of two nodes tell each other.
//!
//! ```text
//!   newcomer ──────── State (own member) ────────▶ member        after the handshake, both ways
//!            ◀─────── State, MapReply … ──────────
//!   each     ──Ping──▶   ◀──Echo{versions, hears}── each 100 ms (R4)
//!   writer   ──Delta──▶  ◀──Conflict, DeltaAck, Agreed──   (R1, R2)
//!   anyone   ──Digest──▶ ◀──MapRequest──  ──MapReply…──▶         each second
//!   node     ──Request──▶ home ──Response──▶         repeated under its id on each new link
//! ```
//! Rules of change: a tag is never used again, unknown fields and frames are skipped, a missing field is its default.
//! Conversions from and to the model's types are in [`convert`]; a peer's value that the model cannot hold is
//! [`crate::Damage`] and ends the link.

pub mod convert;

use alloc::string::String;
use alloc::vec::Vec;

/// The envelope of every control frame.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ControlFrame {
    /// What it says; `None` is a frame of a later version, to be skipped.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    pub body: Option<Body>,
}

/// What a control frame says.
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(clippy::large_enum_variant, reason = "control frames are rare and live for one call")]
pub enum Body {
    /// Are you there?
    #[prost(message, tag = "1")]
    Ping(Ping),
    /// Yes, and this is what I know.
    #[prost(message, tag = "2")]
    Echo(Echo),
    /// The members as the sender sees them.
    #[prost(message, tag = "3")]
    State(State),
    /// A writer's changes.
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
    /// Its answer.
    #[prost(message, tag = "12")]
    Response(Response),
    /// A node left for good.
    #[prost(message, tag = "13")]
    NodeLeft(NodeLeft),
}

/// 128 bits: a node id or a ULID.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Id {
    /// The upper half.
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    /// The lower half.
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

/// How far a writer's map is known. Ordered by incarnation, then counter: a restart that lost an unsynced version
/// never reuses a number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Version {
    /// The writer.
    #[prost(message, required, tag = "1")]
    pub node: Id,
    /// Its incarnation.
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
    /// Changes in that incarnation.
    #[prost(uint64, tag = "3")]
    pub counter: u64,
}

/// Are you there?
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Ping {
    /// Rises by one per ping of this link.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// The sender's clock, nanoseconds; means nothing to anyone else and comes back in the echo.
    #[prost(fixed64, tag = "2")]
    pub sent_nanos: u64,
}

/// The answer to a ping, and at once whenever `hears` changes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Echo {
    /// Of the last ping that came.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// Of the last ping that came.
    #[prost(fixed64, tag = "2")]
    pub sent_nanos: u64,
    /// Of all maps that the sender has applied.
    #[prost(message, repeated, tag = "3")]
    pub versions: Vec<Version>,
    /// Nodes that echoed the sender's ping within `limits::HEARD_WITHIN`.
    #[prost(message, repeated, tag = "4")]
    pub hears: Vec<Id>,
    /// Echoed by all that it counts; members list a joiner only then.
    #[prost(bool, tag = "5")]
    pub ready: bool,
}

/// How a member stands in the sender's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Standing {
    /// Never heard so far; counts.
    Joining = 0,
    /// Heard.
    Alive = 1,
    /// Not heard by the sender, but by someone that it hears; counts.
    Unreachable = 2,
    /// Heard by nobody; does not count, stays a member.
    Down = 3,
    /// Left for good.
    Removed = 4,
}

/// A node, as its own record and the sender's verdict say.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Member {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub node: Id,
    /// Which start of it.
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
    /// The nonce of that start.
    #[prost(fixed64, tag = "3")]
    pub boot: u64,
    /// Where its cluster port is, `ADDR:PORT`.
    #[prost(string, tag = "4")]
    pub address: String,
    /// Its shards.
    #[prost(uint32, tag = "5")]
    pub shards: u32,
    /// Its name for people.
    #[prost(string, tag = "6")]
    pub name: String,
    /// The sender's verdict.
    #[prost(enumeration = "Standing", tag = "7")]
    pub standing: i32,
}

/// The first frame on a control link, both ways; maps follow as [`MapReply`]s.
#[derive(Clone, PartialEq, prost::Message)]
pub struct State {
    /// All members that the sender knows, itself first.
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<Member>,
    /// Versions of the maps that follow.
    #[prost(message, repeated, tag = "2")]
    pub versions: Vec<Version>,
    /// The sender has a lease, or had one.
    #[prost(bool, tag = "3")]
    pub ready: bool,
}

/// One life of a queue name.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct QueueId {
    /// Raised by `recreate` alone.
    #[prost(uint32, tag = "1")]
    pub generation: u32,
    /// Drawn at its creation.
    #[prost(message, required, tag = "2")]
    pub ulid: Id,
}

/// A queue, written by its home.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Queue {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Which life.
    #[prost(message, required, tag = "3")]
    pub id: QueueId,
    /// The home's node.
    #[prost(message, required, tag = "4")]
    pub node: Id,
    /// The home's shard.
    #[prost(uint32, tag = "5")]
    pub shard: u32,
    /// Raised when the home moves.
    #[prost(uint64, tag = "6")]
    pub epoch: u64,
    /// Survives a restart.
    #[prost(bool, tag = "7")]
    pub durable: bool,
    /// [`crate::arguments`].
    #[prost(bytes = "vec", tag = "8")]
    pub arguments: Vec<u8>,
}

/// An exchange's definition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exchange {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its type's name on the AMQP wire.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// Survives a restart.
    #[prost(bool, tag = "4")]
    pub durable: bool,
    /// Deleted after its last binding went.
    #[prost(bool, tag = "5")]
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    #[prost(bool, tag = "6")]
    pub internal: bool,
    /// [`crate::arguments`].
    #[prost(bytes = "vec", tag = "7")]
    pub arguments: Vec<u8>,
}

/// A binding's definition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Binding {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub vhost: String,
    /// The exchange that messages come from.
    #[prost(string, tag = "2")]
    pub source: String,
    /// The destination is an exchange, not a queue.
    #[prost(bool, tag = "3")]
    pub to_exchange: bool,
    /// The queue or exchange that they go to.
    #[prost(string, tag = "4")]
    pub destination: String,
    /// The binding key, any bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub key: Vec<u8>,
    /// [`crate::arguments`].
    #[prost(bytes = "vec", tag = "6")]
    pub arguments: Vec<u8>,
}

/// A last-writer register: an exchange, or its absence. The higher (lamport, writer) wins.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExchangeRegister {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// When it was written.
    #[prost(uint64, tag = "3")]
    pub lamport: u64,
    /// Who wrote it.
    #[prost(message, required, tag = "4")]
    pub writer: Id,
    /// Of its last deletion; bindings made at or before it are void.
    #[prost(uint64, tag = "5")]
    pub deleted_lamport: u64,
    /// The exchange; none if it is deleted.
    #[prost(message, optional, tag = "6")]
    pub exchange: Option<Exchange>,
}

/// A last-writer register of an exchange-to-exchange binding, which has no home.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExchangeBindingRegister {
    /// What is bound.
    #[prost(message, required, tag = "1")]
    pub binding: Binding,
    /// When it was written.
    #[prost(uint64, tag = "2")]
    pub lamport: u64,
    /// Who wrote it.
    #[prost(message, required, tag = "3")]
    pub writer: Id,
    /// False once unbound.
    #[prost(bool, tag = "4")]
    pub present: bool,
}

/// A proposal about an exchange name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExchangeProposal {
    /// Orders rivals: the older wins.
    #[prost(message, required, tag = "1")]
    pub id: Id,
    /// Its vhost.
    #[prost(string, tag = "2")]
    pub vhost: String,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The exchange to create; none to delete what is there.
    #[prost(message, optional, tag = "4")]
    pub exchange: Option<Exchange>,
}

/// A binding to a queue, written by the queue's home; valid for one incarnation and epoch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QueueBinding {
    /// What is bound.
    #[prost(message, required, tag = "1")]
    pub binding: Binding,
    /// Which life of the queue.
    #[prost(message, required, tag = "2")]
    pub queue: QueueId,
    /// Only those of the highest epoch count.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    /// When it was made; void at or before the exchange's last deletion.
    #[prost(uint64, tag = "4")]
    pub lamport: u64,
}

/// One change of a writer's map, or one record of a whole map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// What; `None` is a kind of a later version: kept as a gap, never routed by.
    #[prost(oneof = "EntryKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub kind: Option<EntryKind>,
}

/// What an entry says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum EntryKind {
    /// An exchange register.
    #[prost(message, tag = "1")]
    Exchange(ExchangeRegister),
    /// An exchange-to-exchange binding register.
    #[prost(message, tag = "2")]
    ExchangeBinding(ExchangeBindingRegister),
    /// The queue is there, so.
    #[prost(message, tag = "3")]
    PutQueue(Queue),
    /// The queue is gone.
    #[prost(message, tag = "4")]
    DropQueue(QueueId),
    /// The binding is there.
    #[prost(message, tag = "5")]
    PutBinding(QueueBinding),
    /// The binding is gone.
    #[prost(message, tag = "6")]
    DropBinding(QueueBinding),
    /// The queue's name is a proposal (R2); it stands with a later [`EntryKind::PutQueue`], or is dropped.
    #[prost(message, tag = "7")]
    ProposeQueue(Queue),
    /// An exchange is proposed, or the deletion of one that nothing is bound to.
    #[prost(message, tag = "8")]
    ProposeExchange(ExchangeProposal),
    /// That proposal is over: withdrawn, or it stands by a register in the same delta.
    #[prost(message, tag = "9")]
    DropProposal(Id),
}

/// A writer's changes, pushed to everyone. A gap before `from` asks for the map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Delta {
    /// Writer, and the version that these changes lead to.
    #[prost(message, required, tag = "1")]
    pub version: Version,
    /// The counter that they start from.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// The changes, in order.
    #[prost(message, repeated, tag = "3")]
    pub entries: Vec<Entry>,
    /// Other maps that the writer had when it made them: a binding means nothing without its exchange. Acked only when
    /// these are routed by as well.
    #[prost(message, repeated, tag = "4")]
    pub rests_on: Vec<Version>,
}

/// Every shard of the sender routes by the writer's map of this version. A vote for what it proposes (R2).
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct DeltaAck {
    /// Writer and version.
    #[prost(message, required, tag = "1")]
    pub version: Version,
}

/// A vote against a proposal: the sender knows another life of the name. It comes before the ack of the delta.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Conflict {
    /// The proposal's ULID.
    #[prost(message, required, tag = "1")]
    pub proposal: Id,
}

/// What stood against a proposal is gone, and every shard of the sender acts on the proposal.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Agreed {
    /// The proposal's ULID.
    #[prost(message, required, tag = "1")]
    pub proposal: Id,
}

/// The versions of all maps that the sender has, to one random peer each second.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Digest {
    /// One per writer.
    #[prost(message, repeated, tag = "1")]
    pub versions: Vec<Version>,
}

/// Send me this writer's whole map.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct MapRequest {
    /// The writer, and the version that the sender has; an answer is due only if a later one is known.
    #[prost(message, required, tag = "1")]
    pub known: Version,
}

/// A piece of a writer's whole map. All pieces have one version; a piece of another version begins anew.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MapReply {
    /// Writer and version.
    #[prost(message, required, tag = "1")]
    pub version: Version,
    /// Which piece, from 0.
    #[prost(uint32, tag = "2")]
    pub piece: u32,
    /// No piece follows.
    #[prost(bool, tag = "3")]
    pub last: bool,
    /// Its records.
    #[prost(message, repeated, tag = "4")]
    pub entries: Vec<Entry>,
    /// Other maps that this one rests on (as in [`Delta`]); in the last piece.
    #[prost(message, repeated, tag = "5")]
    pub rests_on: Vec<Version>,
}

/// A command for the home of its object, sent again under its id on each new link until it is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// Unique for the sender's boot.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The lowest id that the sender still waits for: answers below it may be forgotten.
    #[prost(uint64, tag = "8")]
    pub oldest: u64,
    /// What is wanted; `None` is of a later version and is refused with 540.
    #[prost(oneof = "CommandKind", tags = "2, 3, 4, 5, 6, 7")]
    pub command: Option<CommandKind>,
}

/// What a request wants.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum CommandKind {
    /// Declare an exchange.
    #[prost(message, tag = "2")]
    DeclareExchange(Exchange),
    /// Delete an exchange.
    #[prost(message, tag = "3")]
    DeleteExchange(DeleteExchange),
    /// Declare a queue; id and epoch mean nothing.
    #[prost(message, tag = "4")]
    DeclareQueue(Queue),
    /// Delete a queue.
    #[prost(message, tag = "5")]
    DeleteQueue(DeleteQueue),
    /// Bind.
    #[prost(message, tag = "6")]
    Bind(Binding),
    /// Unbind.
    #[prost(message, tag = "7")]
    Unbind(Binding),
}

/// Delete an exchange.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeleteExchange {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Only without bindings.
    #[prost(bool, tag = "3")]
    pub if_unused: bool,
}

/// Delete a queue.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeleteQueue {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Only without consumers.
    #[prost(bool, tag = "3")]
    pub if_unused: bool,
    /// Only without ready messages.
    #[prost(bool, tag = "4")]
    pub if_empty: bool,
}

/// The answer to a request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// Which request.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The answer.
    #[prost(oneof = "ReplyKind", tags = "2, 3, 4, 5")]
    pub reply: Option<ReplyKind>,
}

/// What a response says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ReplyKind {
    /// Done.
    #[prost(message, tag = "2")]
    Done(Done),
    /// The queue is there.
    #[prost(message, tag = "3")]
    Queue(Declared),
    /// Deleted, with so many ready messages.
    #[prost(uint64, tag = "4")]
    Deleted(u64),
    /// Refused.
    #[prost(message, tag = "5")]
    Refused(Refused),
}

/// Done, and nothing to say.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Done {}

/// A declared queue.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Declared {
    /// The queue as it is.
    #[prost(message, required, tag = "1")]
    pub queue: Queue,
    /// Made by this command.
    #[prost(bool, tag = "2")]
    pub created: bool,
}

/// A refusal.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Refused {
    /// AMQP reply code.
    #[prost(uint32, tag = "1")]
    pub code: u32,
    /// Why.
    #[prost(string, tag = "2")]
    pub text: String,
}

/// A node left for good.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct NodeLeft {
    /// Who.
    #[prost(message, required, tag = "1")]
    pub node: Id,
    /// Its last incarnation.
    #[prost(uint64, tag = "2")]
    pub incarnation: u64,
}
