//! Mail from the control machine: changes of the directory, answers, the lease, the standing of peers.

use leveret_model::directory::{Change, FromShard, QueueRecord, ToShard};
use leveret_model::{Address, QueueHandle, QueueId, RequestId, ShardAddress, limits, refusals};

use crate::broker::Broker;
use crate::places::{Away, Entry, Place};
use crate::shard::Shard;

impl Shard {
    /// Mail from the control machine, in order.
    pub fn on_control(&mut self, mail: ToShard) {
        let broker = &mut self.broker;
        match mail {
            ToShard::Change { sequence, change } => {
                broker.on_change(&change);
                broker.control.push(FromShard::Applied { sequence });
            }
            ToShard::Reply { request, reply } => broker.on_reply(request, reply),
            ToShard::Lease { until } => {
                let had = broker.has_lease();
                broker.lease_until = until;
                if !had && broker.has_lease() {
                    broker.retry = true;
                    broker.go_on_with_lookups();
                }
            }
            ToShard::NodeNamed { node, name } => {
                broker.node_names.insert(node, name);
            }
            ToShard::NodeDown { node } => broker.on_node_down(node),
            ToShard::NodeForgotten { node } => broker.on_node_forgotten(node),
            ToShard::CloseQueue { request, id, if_unused, if_empty } => {
                broker.on_close_queue(request, id, if_unused, if_empty);
            }
        }
        self.hand_out_results();
    }
}

impl Broker {
    fn on_change(&mut self, change: &Change) {
        #[cfg(feature = "planted")]
        if self.planted == Some(crate::planted::Planted::StaleTable)
            && matches!(change, Change::DropBinding(_))
        {
            return;
        }
        match change {
            Change::PutQueue(record) => self.on_put_queue(change, record),
            Change::DropQueue { id } => self.on_drop_queue(change, *id, false),
            Change::WithdrawQueue { id } => self.on_drop_queue(change, *id, true),
            Change::MaskQueue { id } => {
                self.masked_at = self.now;
                self.table.apply(change);
                // what its lane waits for is answered at its time
                if let Some((handle, _)) = self.places.away_mut(*id) {
                    self.end_away(handle, true);
                }
            }
            Change::DropBinding(_) => {
                self.unbound_at = self.now;
                self.table.apply(change);
            }
            Change::UnmaskQueue { .. }
            | Change::PutExchange(_)
            | Change::DropExchange { .. }
            | Change::PutBinding(_) => {
                self.table.apply(change);
            }
        }
        // What could not go before may go now, or is known to have nowhere to go.
        self.retry = true;
    }

    fn on_put_queue(&mut self, change: &Change, record: &QueueRecord) {
        let known = self.table.queue_by_id(record.id).map(|known| &known.record);
        let renamed = known.is_some_and(|known| known.name != record.name);
        if record.home == self.own {
            self.open_home(record.id);
        }
        self.table.apply(change);
        if renamed && let Some(handle) = self.places.handle(record.id) {
            self.end_consumers_of(handle, false);
            self.end_away(handle, true);
        }
    }

    fn on_drop_queue(&mut self, change: &Change, id: QueueId, withdrawn: bool) {
        let deleted = !withdrawn && self.table.queue_by_id(id).is_none_or(|queue| !queue.masked);
        self.table.apply(change);
        if deleted {
            self.note_dropped(id);
        }
        let Some(handle) = self.places.handle(id) else { return };
        if deleted {
            self.on_gone(id);
        } else {
            self.on_left(id);
        }
        self.end_consumers_of(handle, true);
        self.end_away(handle, false);
        if let Some(Entry { place: Place::Away(away), .. }) = self.places.remove(handle) {
            self.outboxes.at(away.outbox).forget_settles_of(id);
            self.outboxes.leave(away.outbox);
        }
        self.release_due = true;
    }

    /// The control machine wants a queue closed, under conditions.
    fn on_close_queue(&mut self, request: RequestId, id: QueueId, if_unused: bool, if_empty: bool) {
        let known = self.table.queue_by_id(id).map(|queue| &queue.record);
        let (name, vhost) = known.map(|record| (&*record.name, &*record.vhost)).unwrap_or_default();
        let result = match self.places.home_mut(id) {
            None => Ok(0),
            Some((_, home)) if if_unused && home.queue.consumers() > 0 => {
                Err(refusals::queue_in_use(name, vhost))
            }
            Some((_, home)) if if_empty && home.queue.ready() > 0 => {
                Err(refusals::queue_not_empty(name, vhost))
            }
            Some((_, home)) => {
                home.closed = true;
                Ok(home.queue.ready())
            }
        };
        self.control.push(FromShard::QueueClosed { request, result });
    }

    /// Remembers for a while that a queue was here, so that what comes late for it is not taken for early.
    fn note_dropped(&mut self, id: QueueId) {
        if self.dropped.len() >= limits::DROPPED_QUEUES_KEPT {
            self.dropped.pop_front();
        }
        self.dropped.push_back(id);
    }

    /// Whose shard an address is.
    pub(crate) fn home_of(&self, address: Address) -> ShardAddress {
        match address {
            Address::Here => self.own,
            Address::Shard(shard) => ShardAddress { node: self.own.node, shard },
            Address::Node(node, shard) => ShardAddress { node, shard },
        }
    }

    /// The shard's entry for a queue of the map.
    pub(crate) fn place(&mut self, id: QueueId, home: ShardAddress) -> QueueHandle {
        if let Some(handle) = self.places.handle(id) {
            return handle;
        }
        // a queue of this shard has its entry since it came into the map
        let outbox = self.outboxes.join(home);
        let away = Away::new(home, outbox, self.places.lanes_from);
        self.places.insert(id, Place::Away(alloc::boxed::Box::new(away)))
    }
}
