//! Records of queues that move.

use core::time::Duration;

use leveret_model::{
    Boot, ConsumerKey, MessageRule, MessageState, MoveAttempt, NodeId, ShardAddress, ShardId,
};

use super::*;
use crate::record::{ListedRun, MovePart, MoveRefused, MovedConsumer, MovedLane};

fn shard() -> impl Strategy<Value = ShardAddress> {
    any::<(u128, u8)>().prop_map(|(node, shard)| ShardAddress { node: NodeId(node), shard: ShardId(shard) })
}

fn state() -> impl Strategy<Value = MessageState> {
    let held = (shard(), channel(), any::<u32>()).prop_map(|(at, channel, number)| {
        MessageState::Held(ConsumerKey { at, channel, number: ConsumerNumber(number) })
    });
    prop_oneof![Just(MessageState::Fresh), Just(MessageState::Returned), held]
}

/// Whole microseconds, as the link has them.
fn rule() -> impl Strategy<Value = MessageRule> {
    (prop::option::of(0..u64::MAX - 1), any::<(u8, u32)>()).prop_map(|(micros, (level, returns))| {
        MessageRule { left: micros.map(Duration::from_micros), level, returns }
    })
}

fn run() -> impl Strategy<Value = ListedRun> {
    (any::<(u64, u32)>(), state(), prop::option::of(any::<u32>()))
        .prop_map(|((from, count), state, returns)| ListedRun { from: Position(from), count, state, returns })
}

fn part() -> impl Strategy<Value = MovePart> {
    let consumer = (shard(), remote()).prop_map(|(at, consumer)| MovedConsumer { at, consumer });
    let lane = (shard(), any::<(u64, u64)>()).prop_map(|(ingress, (boot, last))| MovedLane {
        ingress,
        boot: Boot(boot),
        last: LaneSequence(last),
    });
    prop_oneof![
        Just(MovePart::Fence),
        Just(MovePart::Fenced),
        Just(MovePart::Unfence),
        Just(MovePart::Taken),
        any::<u64>().prop_map(|from| MovePart::Ruled(Position(from))),
        prop::collection::vec(consumer, 0..4).prop_map(MovePart::Consumers),
        prop::collection::vec(lane, 0..4).prop_map(MovePart::Lanes),
        any::<u64>().prop_map(MovePart::Piece),
        any::<u64>().prop_map(MovePart::PieceTaken),
        prop_oneof![Just(MoveRefused::Unfit), Just(MoveRefused::NoMemory)].prop_map(MovePart::Refused),
        prop::collection::vec(run(), 0..4).prop_map(MovePart::Listed),
        any::<(u64, u64)>().prop_map(|(messages, next)| MovePart::End { messages, next: Position(next) }),
    ]
}

pub(super) fn move_record() -> impl Strategy<Value = Record<'static>> {
    let attempt = || any::<u64>().prop_map(MoveAttempt);
    prop_oneof![
        (queue(), attempt(), part()).prop_map(|(queue, attempt, part)| Record::Move { queue, attempt, part }),
        queue().prop_map(|queue| Record::ResubscribeQueueEnd { queue }),
        (queue(), attempt(), any::<u64>(), prop::option::of(rule()), message()).prop_map(
            |(queue, attempt, position, rule, message)| Record::CopyMessage {
                queue,
                attempt,
                position: Position(position),
                rule,
                message,
            }
        ),
        (queue(), attempt(), any::<u64>(), state(), prop::option::of(rule()), message()).prop_map(
            |(queue, attempt, position, state, rule, message)| Record::MoveMessage {
                queue,
                attempt,
                position: Position(position),
                state,
                rule,
                message,
            }
        ),
    ]
}
