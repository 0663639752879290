//! Control frames as this crate uses them, to and from the bytes of a link (`message`, `record`).
//!
//! A frame of an unknown kind is skipped. A known frame with a value that cannot be is [`Damage`], and its link
//! is closed: the peer has a bug.

mod convert;
pub(crate) mod entry;
mod message;
mod moves;
pub(crate) mod record;

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_link::Damage;
use leveret_model::directory::{Command, Reply};
use leveret_model::{Boot, Incarnation, MoveAttempt, Name, NodeId, QueueId, RequestId, Ulid};
use prost::Message as _;
use prost::encoding::decode_key;

use self::entry::{op_in, op_out};
use self::message::{self as wire, Body, ControlFrame};
use crate::directory::map::{Op, Record, Version, Versions};
use crate::encoding;
use crate::membership::TurnAway;
use crate::moves::MoveStep;

/// What came of the bytes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decoded {
    Known(Frame),
    /// A kind of a later version: its number. To be skipped.
    Unknown(u32),
}

/// The kind of a frame whose body this version does not know: the number of its first field.
fn unknown(mut bytes: &[u8]) -> Result<Decoded, Damage> {
    let (kind, _) = decode_key(&mut bytes).map_err(|_| Damage::Value("control frame"))?;
    Ok(Decoded::Unknown(kind))
}

/// A member as a peer sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MemberInfo {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) boot: Boot,
    pub(crate) address: alloc::string::String,
    pub(crate) shards: u8,
    pub(crate) name: Name,
    /// Down in the peer's view, for so long.
    pub(crate) down_for: Option<Duration>,
}

/// What a control frame says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Ping {
        sent_nanos: u64,
    },
    Echo {
        sent_nanos: u64,
        versions: Vec<(NodeId, Version)>,
        hears: Vec<NodeId>,
        ready: bool,
    },
    State {
        members: Vec<MemberInfo>,
        versions: Vec<(NodeId, Version)>,
        ready: bool,
    },
    Delta {
        node: NodeId,
        from: Version,
        to: Version,
        ops: Vec<Op>,
        rests_on: Versions,
    },
    Ack {
        version: Version,
    },
    Conflict {
        proposal: Ulid,
        /// For something that stands and is not Down, not for a rival proposal.
        taken: bool,
    },
    Agreed {
        proposal: Ulid,
    },
    Digest {
        versions: Vec<(NodeId, Version)>,
    },
    MapRequest {
        node: NodeId,
        known: Version,
    },
    MapReply {
        node: NodeId,
        version: Version,
        piece: u32,
        last: bool,
        records: Vec<Record>,
        rests_on: Versions,
    },
    Request {
        id: RequestId,
        oldest: RequestId,
        command: Command,
    },
    Response {
        id: RequestId,
        reply: Reply,
    },
    TurnAway {
        why: TurnAway,
    },
    Move {
        queue: QueueId,
        attempt: MoveAttempt,
        step: MoveStep,
    },
    /// The sender is about to leave.
    Leaving,
    /// The sender was about to leave, and stays.
    Staying,
    Forget {
        node: NodeId,
    },
}

fn version_out(node: NodeId, version: Version) -> wire::Version {
    wire::Version { node: node.into(), incarnation: version.incarnation.0, counter: version.counter }
}

fn version_in(version: wire::Version) -> (NodeId, Version) {
    let incarnation = Incarnation(version.incarnation);
    (version.node.into(), Version { incarnation, counter: version.counter })
}

fn versions_out(versions: &[(NodeId, Version)]) -> Vec<wire::Version> {
    versions.iter().map(|&(node, version)| version_out(node, version)).collect()
}

fn versions_in(versions: Vec<wire::Version>) -> Vec<(NodeId, Version)> {
    versions.into_iter().map(version_in).collect()
}

impl Frame {
    /// The frame's bytes. An ack is for `to`, the writer of the map.
    pub(crate) fn encode(self, to: NodeId) -> Vec<u8> {
        let body = match self {
            Self::Ping { sent_nanos } => Body::Ping(wire::Ping { sent_nanos }),
            Self::Echo { sent_nanos, versions, hears, ready } => Body::Echo(wire::Echo {
                sent_nanos,
                versions: versions_out(&versions),
                hears: hears.into_iter().map(Into::into).collect(),
                ready,
            }),
            Self::State { members, versions, ready } => Body::State(wire::State {
                members: members.into_iter().map(member_out).collect(),
                versions: versions_out(&versions),
                ready,
            }),
            Self::Delta { node, from, to, ops, rests_on } => Body::Delta(wire::Delta {
                version: version_out(node, to),
                from: from.counter,
                entries: ops.into_iter().map(op_out).collect(),
                rests_on: versions_out(&rests_on),
            }),
            Self::Ack { version } => Body::DeltaAck(wire::DeltaAck { version: version_out(to, version) }),
            Self::Conflict { proposal, taken } => {
                Body::Conflict(wire::Conflict { proposal: proposal.0.into(), taken })
            }
            Self::Agreed { proposal } => Body::Agreed(wire::Agreed { proposal: proposal.0.into() }),
            Self::Digest { versions } => Body::Digest(wire::Digest { versions: versions_out(&versions) }),
            Self::MapRequest { node, known } => {
                Body::MapRequest(wire::MapRequest { known: version_out(node, known) })
            }
            Self::MapReply { node, version, piece, last, records, rests_on } => {
                Body::MapReply(wire::MapReply {
                    version: version_out(node, version),
                    piece,
                    last,
                    entries: records.into_iter().map(|record| op_out(Op::Put(record))).collect(),
                    rests_on: versions_out(&rests_on),
                })
            }
            Self::Request { id, oldest, command } => {
                Body::Request(wire::Request { id: id.0, oldest: oldest.0, command: Some((&command).into()) })
            }
            Self::Response { id, reply } => {
                Body::Response(wire::Response { id: id.0, reply: Some((&reply).into()) })
            }
            Self::TurnAway { why } => {
                let reason = match why {
                    TurnAway::Full => wire::Reason::Full,
                    TurnAway::Clone => wire::Reason::Clone,
                    TurnAway::Secret | TurnAway::Unsaid => wire::Reason::Unsaid,
                };
                Body::TurnAway(wire::TurnAway { reason: reason.into() })
            }
            Self::Move { queue, attempt, step } => Body::Move(moves::step_out(queue, attempt, step)),
            Self::Leaving => Body::Leaving(wire::Leaving {}),
            Self::Staying => Body::Staying(wire::Staying {}),
            Self::Forget { node } => Body::Forget(wire::Forget { node: node.into() }),
        };
        ControlFrame::from(body).encode_to_vec()
    }

    /// What the frame says.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Damage> {
        let frame = ControlFrame::decode(bytes).map_err(|_| Damage::Value("control frame"))?;
        let Some(body) = frame.body else { return unknown(bytes) };
        Ok(Decoded::Known(match body {
            Body::Ping(ping) => Self::Ping { sent_nanos: ping.sent_nanos },
            Body::Echo(echo) => Self::Echo {
                sent_nanos: echo.sent_nanos,
                versions: versions_in(echo.versions),
                hears: echo.hears.into_iter().map(Into::into).collect(),
                ready: echo.ready,
            },
            Body::State(state) => Self::State {
                members: state.members.into_iter().map(member_in).collect::<Result<_, _>>()?,
                versions: versions_in(state.versions),
                ready: state.ready,
            },
            Body::Delta(delta) => {
                let (node, to) = version_in(delta.version);
                let ops = delta.entries.into_iter().map(op_in).collect::<Result<Vec<Op>, _>>()?;
                let rests_on = versions_in(delta.rests_on);
                Self::Delta { node, from: Version { counter: delta.from, ..to }, to, ops, rests_on }
            }
            Body::DeltaAck(ack) => Self::Ack { version: version_in(ack.version).1 },
            Body::Conflict(conflict) => {
                Self::Conflict { proposal: Ulid(conflict.proposal.into()), taken: conflict.taken }
            }
            Body::Agreed(agreed) => Self::Agreed { proposal: Ulid(agreed.proposal.into()) },
            Body::Digest(digest) => Self::Digest { versions: versions_in(digest.versions) },
            Body::MapRequest(request) => {
                let (node, known) = version_in(request.known);
                Self::MapRequest { node, known }
            }
            Body::MapReply(reply) => {
                let (node, version) = version_in(reply.version);
                let mut records = Vec::with_capacity(reply.entries.len());
                for entry in reply.entries {
                    match op_in(entry)? {
                        Op::Put(record) => records.push(record),
                        Op::Drop(_) => return Err(Damage::Value("record of a map")),
                    }
                }
                let rests_on = versions_in(reply.rests_on);
                Self::MapReply { node, version, piece: reply.piece, last: reply.last, records, rests_on }
            }
            Body::Request(request) => {
                let command = request.command.as_ref().ok_or(Damage::Value("command"))?;
                let (id, oldest) = (RequestId(request.id), RequestId(request.oldest));
                Self::Request { id, oldest, command: command.try_into()? }
            }
            Body::Response(response) => {
                let reply = response.reply.as_ref().ok_or(Damage::Value("reply"))?;
                Self::Response { id: RequestId(response.id), reply: reply.try_into()? }
            }
            Body::Move(step) => {
                let (queue, attempt, step) = moves::step_in(step)?;
                Self::Move { queue, attempt, step }
            }
            Body::Leaving(_) => Self::Leaving,
            Body::Staying(_) => Self::Staying,
            Body::Forget(forget) => Self::Forget { node: forget.node.into() },
            Body::TurnAway(away) => Self::TurnAway {
                why: match away.reason() {
                    wire::Reason::Full => TurnAway::Full,
                    wire::Reason::Clone => TurnAway::Clone,
                    wire::Reason::Unsaid => TurnAway::Unsaid,
                },
            },
        }))
    }
}

fn member_out(member: MemberInfo) -> wire::Member {
    wire::Member {
        node: member.node.into(),
        incarnation: member.incarnation.0,
        boot: member.boot.0,
        address: member.address,
        shards: member.shards.into(),
        name: member.name.to_string(),
        down_ms: member.down_for.map(|time| time.as_millis() as u64),
    }
}

fn member_in(member: wire::Member) -> Result<MemberInfo, Damage> {
    Ok(MemberInfo {
        down_for: member.down_ms.map(Duration::from_millis),
        node: member.node.into(),
        incarnation: Incarnation(member.incarnation),
        boot: Boot(member.boot),
        address: member.address,
        shards: u8::try_from(member.shards).map_err(|_| Damage::Value("shards"))?,
        name: encoding::name(&member.name)?,
    })
}
