//! What control says waits until what it rests on is on the disk: answers to clients and operators, and frames
//! to other nodes. Changes for the shards do not wait, because what a client hears of them waits itself.
//!
//! Invariant: frames of one link leave in their order, so while one is held all behind it are.

use std::collections::VecDeque;

use leveret_cluster::{Control, LinkKey, StoreStep};
use leveret_model::directory::{Reply, ToShard};
use leveret_model::{Instant, RequestId, ShardId};

use crate::disk::{FoundQueue, LogInput, StoreGate, control_turn};

/// Something that is said once a turn is on the disk.
#[derive(Debug)]
pub(super) enum Held {
    Mail(ShardId, ToShard),
    Answer(RequestId, Reply),
    Frame(LinkKey, Vec<u8>),
}

/// Turns that were handed over, and what waits for them.
#[derive(Debug)]
pub(super) struct UntilStored {
    gate: StoreGate,
    handed: u64,
    stored: u64,
    held: VecDeque<(u64, Held)>,
}

impl UntilStored {
    pub(super) fn new(gate: StoreGate) -> Self {
        Self { gate, handed: 0, stored: 0, held: VecDeque::new() }
    }

    /// Hands the steps of a turn over.
    pub(super) fn hand_over(&mut self, steps: &mut Vec<StoreStep>) {
        if steps.is_empty() {
            return;
        }
        self.handed += 1;
        let turn = control_turn(steps);
        steps.clear();
        // a log that ended has stopped the process
        let _ = self.gate.inputs.send(LogInput::Turn(self.gate.sender, turn));
    }

    /// So many turns are on the disk: gives what rests on them alone, bit by bit.
    pub(super) fn release(&mut self, turns: u64) -> Option<Held> {
        self.stored = self.stored.max(turns);
        self.held.pop_front_if(|(turn, _)| *turn <= turns).map(|(_, held)| held)
    }

    fn waits(&self) -> bool {
        self.stored < self.handed
    }

    /// Gives the mail back if it need not wait.
    pub(super) fn hold_mail(&mut self, shard: ShardId, mail: ToShard) -> Option<ToShard> {
        if !self.waits() || !matches!(mail, ToShard::Reply { .. }) {
            return Some(mail);
        }
        self.held.push_back((self.handed, Held::Mail(shard, mail)));
        None
    }

    pub(super) fn hold_answer(&mut self, request: RequestId, reply: Reply) -> Option<Reply> {
        if !self.waits() {
            return Some(reply);
        }
        self.held.push_back((self.handed, Held::Answer(request, reply)));
        None
    }

    pub(super) fn hold_frame(&mut self, link: LinkKey, frame: Vec<u8>) -> Option<Vec<u8>> {
        if !self.waits() {
            return Some(frame);
        }
        self.held.push_back((self.handed, Held::Frame(link, frame)));
        None
    }
}

/// The control machine with what the disk had of its map.
pub(super) fn restored(
    mut control: Control,
    now: Instant,
    (queues, registers): &(Vec<FoundQueue>, Vec<Vec<u8>>),
) -> Control {
    let queues: Vec<Vec<u8>> = queues.iter().map(|queue| queue.definition.clone()).collect();
    let unread = control.restore(now, &queues, registers);
    if unread > 0 {
        tracing::error!(unread, "definitions on the disk cannot be read; they are kept there");
    }
    control
}
