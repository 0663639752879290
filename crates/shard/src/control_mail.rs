//! Mail from the control machine: changes of the directory, answers, the lease, the standing of peers.

use leveret_model::directory::{Change, FromShard, MoveOrder, QueueRecord, ToShard};
use leveret_model::{MoveAttempt, QueueHandle, QueueId};

use crate::machines::Machines;
use crate::shard::Shard;

impl Shard {
    /// Mail from the control machine, in order.
    pub fn on_control(&mut self, mail: ToShard) {
        self.enter(|shard| {
            if let ToShard::SessionPeers { peers } = &mail {
                shard.on_session_peers(peers);
            }
            shard.machines.on_control(mail);
            shard.tell_new_homes();
            shard.tell_of_vhosts();
            shard.note_session_lease();
        });
    }
}

impl Shard {
    /// Queues have other homes: each hears what this shard has of it.
    pub(crate) fn tell_new_homes(&mut self) {
        let moved = core::mem::take(&mut self.machines.queues.out().new_homes);
        if moved.is_empty() {
            return;
        }
        let all = self.machines.queues.held_there(&self.connections);
        let unread = self.machines.egress.unread();
        for handle in moved {
            let queues = &mut self.machines.queues;
            let held = all.iter().filter(|(of, _)| *of == handle).copied().collect();
            queues.say_at_new_home(handle, held, &unread);
            let (requests, mut rooms) = self.machines.requests();
            requests.ask_again(handle, &mut rooms);
        }
    }
}

impl Machines {
    fn on_control(&mut self, mail: ToShard) {
        match mail {
            ToShard::Change { sequence, change } => {
                self.on_change(&change);
                self.requests.control().push(FromShard::Applied { sequence });
            }
            ToShard::Reply { request, reply } => {
                if !self.requests.on_record_deleted(request) {
                    let (requests, mut rooms) = self.requests();
                    requests.on_reply(request, reply, &mut rooms);
                }
            }
            ToShard::Lease { until } => {
                if self.view.set_lease(until) {
                    self.ingress.retry();
                    self.queues.retry_dead_letters();
                    let (requests, mut rooms) = self.requests();
                    requests.on_lease(&mut rooms);
                }
            }
            // for the sessions, which are none of these machines
            ToShard::SessionPeers { .. } => {}
            ToShard::NodeNamed { node, name, reply_shards } => self.view.name_node(node, name, reply_shards),
            ToShard::NodeDown { node } => {
                self.view.note_down(node);
                self.queues.on_node_down(node);
                // replies for it have nowhere to go
                self.ingress.retry();
            }
            ToShard::NodeForgotten { node } => {
                self.queues.on_node_forgotten(node);
                self.view.forget_node(node);
            }
            ToShard::Move { id, attempt, order } => self.on_move(id, attempt, order),
            ToShard::CloseQueue { request, id, if_unused, if_empty } => {
                let result = self.queues.close(id, (if_unused, if_empty), &self.view);
                let ready = result.as_ref().copied().unwrap_or(0);
                if result.is_err() || self.queues.answer_closed(request, (id, ready), &self.view) {
                    self.requests.control().push(FromShard::QueueClosed { request, result });
                }
            }
        }
    }

    fn on_move(&mut self, id: QueueId, attempt: MoveAttempt, order: MoveOrder) {
        match order {
            MoveOrder::Copy { to } => self.queues.copy(id, to, attempt),
            MoveOrder::HandOver { to, only_if_short } => {
                self.queues.hand_over(id, to, attempt, only_if_short);
            }
            MoveOrder::Expect { record, from } => self.queues.expect(&record, from, attempt),
            MoveOrder::Open => self.queues.open_arrived(id, attempt, &self.view),
            MoveOrder::Cancel => self.queues.cancel_move(id, attempt),
            MoveOrder::TakeBack => self.queues.take_back(id, attempt),
        }
    }

    fn on_change(&mut self, change: &Change) {
        match change {
            Change::PutQueue(record) => self.on_put_queue(change, record),
            Change::DropQueue { id } => self.on_drop_queue(change, *id, false),
            Change::WithdrawQueue { id } => self.on_drop_queue(change, *id, true),
            Change::MaskQueue { id } => {
                self.view.apply(change);
                // what its lane waits for is answered at its time
                let away =
                    |handle: &QueueHandle| self.queues.is_away(*handle) && !self.queues.is_leaving(*handle);
                if let Some(handle) = self.queues.handle(*id).filter(away) {
                    self.end_queue(handle, false, true);
                }
            }
            Change::DropBinding(_)
            | Change::UnmaskQueue { .. }
            | Change::PutExchange(_)
            | Change::DropExchange { .. }
            | Change::PutBinding(_) => self.view.apply(change),
            Change::PutPolicy(_) | Change::DropPolicy { .. } => {
                self.view.apply(change);
                self.queues.policies_changed();
            }
        }
        // What could not go before may go now, or is known to have nowhere to go.
        self.ingress.retry();
        self.queues.retry_dead_letters();
    }

    fn on_put_queue(&mut self, change: &Change, record: &QueueRecord) {
        let known = self.view.table.queue_by_id(record.id).map(|known| &known.record);
        let renamed = known.is_some_and(|known| known.definition.name != record.definition.name);
        let moved = known.is_some_and(|known| known.epoch != record.epoch);
        if record.home != self.own {
            self.forget_stale_copy(record.id);
        }
        let Self { clients, queues, view, .. } = &mut *self;
        queues.open(record, view, |connection| clients.may_own_queues(connection));
        if moved {
            queues.on_new_home(record);
        }
        self.view.apply(change);
        let Some(handle) = self.queues.handle(record.id) else { return };
        self.queues.settle_policy(handle, &self.view.table);
        if renamed {
            // deaths name the queue
            self.queues.rename_deaths(record);
            self.end_queue(handle, false, true);
        }
    }

    /// The queue lives elsewhere. If this shard serves it, it has what the disk had of it before it moved, and
    /// what it confirmed since.
    fn forget_stale_copy(&mut self, id: QueueId) {
        self.queues.keep_remains(id);
        let served = |handle: &QueueHandle| !self.queues.is_away(*handle);
        if let Some(handle) = self.queues.handle(id).filter(served) {
            self.end_queue(handle, true, false);
            self.queues.remove(handle);
        }
    }

    fn on_drop_queue(&mut self, change: &Change, id: QueueId, withdrawn: bool) {
        let deleted = !withdrawn && self.view.table.queue_by_id(id).is_none_or(|queue| !queue.masked);
        self.view.apply(change);
        self.queues.answer_lane_of(id, deleted);
        self.queues.forget_recovered(id);
        if deleted {
            self.queues.drop_remains(id);
        }
        let Some(handle) = self.queues.handle(id) else { return };
        self.end_queue(handle, true, false);
        self.queues.remove(handle);
    }

    /// The directory says that a queue is gone or was renamed, or that its home is Down or a rival has its
    /// name: consumers are told, and what waits for it asks the map again. A home elsewhere that goes on hears
    /// that they are gone. With `delete` the messages of a queue of this shard leave.
    fn end_queue(&mut self, handle: QueueHandle, delete: bool, goes_on: bool) {
        self.queues.end_consumers(handle, delete, goes_on);
        let (requests, mut rooms) = self.requests();
        requests.end_queue(handle, goes_on, &mut rooms);
    }
}
