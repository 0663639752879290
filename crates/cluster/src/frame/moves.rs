//! Steps of a move to and from their frame.

use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_model::{Incarnation, MoveAttempt, QueueId, ShardId};

use super::entry::{op_in, op_out};
use super::message::{Move, MoveKind};
use crate::directory::map::{Op, Record, Version};
use crate::moves::MoveStep;

pub(super) fn step_out(queue: QueueId, attempt: MoveAttempt, step: MoveStep) -> Move {
    let mut version = Version::default();
    let (kind, shard, records) = match step {
        MoveStep::Offer(record) => {
            (MoveKind::Offer, 0, alloc::vec![Record::Queue { record, standing: true }])
        }
        MoveStep::Accept(shard) => (MoveKind::Accept, shard.0, Vec::new()),
        MoveStep::Decline => (MoveKind::Decline, 0, Vec::new()),
        MoveStep::Abort => (MoveKind::Abort, 0, Vec::new()),
        MoveStep::Serve(bindings) => (MoveKind::Serve, 0, bindings),
        MoveStep::Moved(of) => {
            version = of;
            (MoveKind::Moved, 0, Vec::new())
        }
    };
    Move {
        queue: queue.into(),
        attempt: attempt.0,
        kind: kind.into(),
        shard: shard.into(),
        incarnation: version.incarnation.0,
        counter: version.counter,
        entries: records.into_iter().map(|record| op_out(Op::Put(record))).collect(),
    }
}

pub(super) fn step_in(step: Move) -> Result<(QueueId, MoveAttempt, MoveStep), Damage> {
    let (kind, attempt) = (step.kind(), MoveAttempt(step.attempt));
    let queue = step.queue.into();
    let records = step.entries.into_iter().map(|entry| match op_in(entry)? {
        Op::Put(record) => Ok(record),
        Op::Drop(_) => Err(Damage::Value("record of a move")),
    });
    let mut records = records.collect::<Result<Vec<Record>, Damage>>()?;
    let step = match kind {
        MoveKind::Offer => match (records.pop(), records.is_empty()) {
            (Some(Record::Queue { record, standing: true }), true) if record.id == queue => {
                MoveStep::Offer(record)
            }
            _ => return Err(Damage::Value("offer")),
        },
        MoveKind::Accept => {
            MoveStep::Accept(ShardId(u8::try_from(step.shard).map_err(|_| Damage::Value("shard"))?))
        }
        MoveKind::Decline => MoveStep::Decline,
        MoveKind::Abort => MoveStep::Abort,
        MoveKind::Serve => {
            let fits = |record: &Record| matches!(record, Record::Binding { queue: of, .. } if *of == queue);
            if !records.iter().all(fits) {
                return Err(Damage::Value("bindings of a move"));
            }
            MoveStep::Serve(records)
        }
        MoveKind::Moved => {
            let incarnation = Incarnation(step.incarnation);
            MoveStep::Moved(Version { incarnation, counter: step.counter })
        }
        MoveKind::Unsaid => return Err(Damage::Value("step of a move")),
    };
    Ok((queue, attempt, step))
}
