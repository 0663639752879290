//! Messages and definitions on their way to the store, and messages on their way back.
//!
//! A message is stored as it came, so its terms are read from its content header again; what the header does
//! not say is beside it ([`MessageTerms`]).

use std::time::Duration;

use leveret_cluster::StoreStep;
use leveret_model::limits::SLICE_BYTES_MIN;
use leveret_model::{Body, Instant, Message, Position, QueueId, ShardId, Terms};
use leveret_shard::{Shard, StoreLeft, StoreRead, StoreRequest, StoredMessage};
use leveret_store::{
    ColdMessage, MessageTerms, ReadAnswer, ReadId, ReadRequest, SealedTurn, StoreClock, StoreTime, Turn,
    TurnBody,
};
use leveret_wire::ContentHeader;

use super::given_places::{mark_given, mark_shared};

/// What a turn of a shard says to the store.
pub(crate) fn shard_turn(
    request: &StoreRequest,
    shard: &Shard,
    clock: &StoreClock,
    now: Instant,
) -> SealedTurn {
    let mut turn = Turn::new();
    for queue in &request.forgotten {
        turn.queue_deleted(*queue);
    }
    let stored = clock.at(now);
    let mut targets: Vec<(QueueId, Position)> = Vec::new();
    // a message that went to several queues is written once
    for copies in request.appends.chunk_by(|one, next| one.message == next.message) {
        let message = shard.stored_message(copies[0].message);
        // each queue may have a time to live of its own
        for same in copies.chunk_by(|one, next| one.expires == next.expires) {
            targets.clear();
            targets.extend(same.iter().map(|append| (append.queue, append.position)));
            let terms = MessageTerms {
                stored,
                expires: (same[0].expires < Instant::FAR).then(|| later(stored, same[0].expires.since(now))),
                due: None,
                priority: message.terms.priority(),
                delivered_before: false,
                dead_letter: message.terms.is_dead_letter(),
                copies_spent: message.terms.are_copies_spent(),
            };
            let body = match message.body {
                Body::Flat(bytes) => TurnBody::Flat(bytes),
                Body::Chunks(chunks) => TurnBody::Chunks(chunks),
            };
            turn.message(&terms, &targets, message.address, message.header, body);
        }
    }
    for left in &request.left {
        match *left {
            StoreLeft::Message { queue, position } => turn.acked(queue, position),
            // one more than it came back: it was delivered so often
            StoreLeft::Returned { queue, position, count } => turn.deliveries(queue, position, count + 1),
            StoreLeft::Given { queue, last } => mark_given(&mut turn, queue, last),
        }
    }
    turn.seal()
}

/// Shards number their reads each for itself: a read of the store has the shard above that.
const SHARD_AT: u32 = 56;

/// A shard wants messages back.
pub(crate) fn read_request(shard: ShardId, read: StoreRead) -> ReadRequest {
    let StoreRead { id, queue, first, last } = read;
    let id = ReadId(u64::from(shard.0) << SHARD_AT | id);
    ReadRequest { id, queue, spilled: false, first, last }
}

/// Whose read it was, and which one of its own.
pub(crate) fn of_shard(ReadId(id): ReadId) -> (ShardId, u64) {
    (ShardId((id >> SHARD_AT) as u8), id & ((1 << SHARD_AT) - 1))
}

/// What an answer brings.
pub(crate) fn stored_messages(answer: &ReadAnswer, now: StoreTime) -> Vec<StoredMessage<'_>> {
    answer.messages.iter().map(|cold| from_disk(cold, now, true)).collect()
}

fn later(from: StoreTime, by: Duration) -> StoreTime {
    StoreTime(from.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// What a turn of the control machine says to the store.
pub(crate) fn control_turn(steps: &[StoreStep]) -> SealedTurn {
    let mut turn = Turn::new();
    for step in steps {
        match step {
            StoreStep::Queue { id, definition } => turn.queue_created(*id, definition),
            StoreStep::QueueGone { id } => turn.queue_deleted(*id),
            StoreStep::Shared { id, below } => mark_shared(&mut turn, *id, *below),
            // the order of two writes is in the record
            StoreStep::Register { kind, key, value } => turn.register(*kind, key, &[], value),
            StoreStep::RegisterGone { kind, key } => turn.forgotten(*kind, key),
        }
    }
    turn.seal()
}

/// A message as its queue gets it back. `clean`: the store knows which were delivered.
pub(super) fn from_disk(cold: &ColdMessage, now: StoreTime, clean: bool) -> StoredMessage<'_> {
    let header = ContentHeader::decode(&cold.header);
    // one that was checked when it came
    let mut terms =
        header.map_or(Terms::new(true, cold.terms.priority, None), |header| header.properties.terms());
    if cold.terms.dead_letter {
        terms = terms.of_dead_letter(cold.terms.copies_spent);
    }
    let body = if cold.body.len() < SLICE_BYTES_MIN {
        Body::Flat(&cold.body)
    } else {
        Body::Chunks(std::slice::from_ref(&cold.body))
    };
    let message = Message { address: &cold.address, header: &cold.header, body, terms };
    StoredMessage {
        position: cold.position,
        message,
        left: cold.terms.expires.map(|at| Duration::from_millis(at.0.saturating_sub(now.0))),
        returns: cold.deliveries.saturating_sub(1),
        redelivered: !clean || cold.deliveries > 0 || cold.terms.delivered_before,
    }
}
