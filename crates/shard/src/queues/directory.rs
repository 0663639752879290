//! What the directory says of queues: they come, close, lose their name, go.

use leveret_link::record::Record;
use leveret_model::directory::QueueRecord;
use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerNumber, Instant, LaneSequence, QueueHandle, QueueId, Refusal,
    ShardAddress, refusals,
};

use super::Queues;
use super::dead_letters::outlet::Outlet;
use super::home::Home;
use super::places::{Entry, Place};
use crate::view::ClusterView;

impl Queues {
    /// The directory made a queue; one of this shard opens. `lives` says whether a connection may have
    /// exclusive queues: one that went while it declared one leaves nothing behind.
    pub(crate) fn open(
        &mut self,
        record: &QueueRecord,
        view: &ClusterView,
        lives: impl FnOnce(ConnectionKey) -> bool,
    ) {
        let id = record.id;
        if record.home != self.own || self.places.handle(id).is_some() {
            return;
        }
        #[cfg_attr(not(feature = "planted"), allow(unused_mut))]
        let mut home = Home::new(record, self.seed.part(id.ulid.0 as u64));
        #[cfg(feature = "planted")]
        self.planted.into_iter().for_each(|bug| home.plant(bug));
        let owner = home.owner;
        let handle = self.places.insert(id, Place::Home(alloc::boxed::Box::new(home)));
        if let Some(owner) = owner {
            self.lifetimes.exclusive.insert(owner, handle);
        }
        if let Some(recovered) = self.commits.take_recovered(id)
            && let Some(mut home) = self.home(handle)
        {
            home.restore_stored(recovered);
        }
        if let Some(mut home) = self.home(handle) {
            home.on_use();
            if owner.is_some_and(|owner| !lives(owner)) {
                home.end();
            }
        }
        self.take_early(id, view);
    }

    /// A queue that is at home here has another name: its dead letters say so.
    pub(crate) fn rename_deaths(&mut self, record: &QueueRecord) {
        if let Some(home) = self.home_of(record.id) {
            let policy = home.home.policy.as_ref().map(|policy| policy.definition());
            let settings = record.definition.arguments.under(policy);
            Outlet::set(&mut home.home.dead_letters, &record.definition, settings.dead_letter_target());
        }
    }

    /// The directory says that a queue has another home, or the same one anew.
    pub(crate) fn on_new_home(&mut self, record: &QueueRecord) {
        let Some(handle) = self.places.handle(record.id) else { return };
        self.forget_copy(handle);
        if record.home != self.own {
            let outbox = self.peers.join(record.home);
            let Some((id, away)) = self.places.away(handle) else { return self.peers.leave(outbox) };
            let old = core::mem::replace(&mut away.outbox, outbox);
            (away.home, away.moved, away.throttled) = (record.home, true, false);
            self.peers.at(old).forget_settles_of(id);
            self.peers.leave(old);
            // what came too early for the old home finds the new one by itself
            self.early.take_lanes(id);
            self.out.throttle_ended = true;
        }
        self.out.new_homes.push(handle);
    }

    /// What came for the queue before it did goes on.
    pub(super) fn take_early(&mut self, id: QueueId, view: &ClusterView) {
        if self.early.is_empty() {
            return;
        }
        for from in self.early.take_lanes(id) {
            self.peers.push(from, &Record::Gap { queue: id, after: LaneSequence(0) });
        }
        for (asker, question) in self.early.take_questions(id) {
            self.on_question(asker, id, question, view);
        }
    }

    /// The control machine wants a queue closed, under conditions; gives the messages that were ready.
    pub(crate) fn close(
        &mut self,
        id: QueueId,
        (if_unused, if_empty): (bool, bool),
        view: &ClusterView,
    ) -> Result<u64, Refusal> {
        let known = view.table.queue_by_id(id).map(|queue| &queue.record.definition);
        let (name, vhost) = known.map(|record| (&*record.name, &*record.vhost)).unwrap_or_default();
        let Some(mut home) = self.home_of(id) else { return Ok(0) };
        let (ready, consumers) = home.counts();
        if if_unused && consumers > 0 {
            return Err(refusals::queue_in_use(name, vhost));
        }
        if if_empty && ready > 0 {
            return Err(refusals::queue_not_empty(name, vhost));
        }
        Ok(home.close())
    }

    /// A queue left the map. `deleted` says that it is gone for good, and not a masked queue or a proposal that
    /// never stood. The caller ends its consumers and what waits for it before, by [`Queues::end_consumers`].
    pub(crate) fn remove(&mut self, handle: QueueHandle) {
        self.forget_copy(handle);
        match self.places.remove(handle) {
            Some(Entry { id, place: Place::Away(away) }) => {
                self.peers.at(away.outbox).forget_settles_of(id);
                self.peers.leave(away.outbox);
            }
            Some(Entry { place: Place::Home(mut home), .. }) => {
                self.lifetimes.timers.set(handle, &mut home.timer_at, Instant::FAR);
                if let Some(owner) = home.owner {
                    self.lifetimes.exclusive.remove(owner, handle);
                }
            }
            None => {}
        }
        self.out.throttle_ended = true;
    }

    /// What was on its way to a queue that left the map is answered.
    pub(crate) fn answer_lane_of(&mut self, id: QueueId, deleted: bool) {
        if deleted {
            self.early.note_dropped(id);
        }
        self.end_lane(id, deleted);
    }

    /// The queue is gone, or lost its name, or its home is Down: its consumers end. Those of this shard are
    /// told, those elsewhere by a record; a home elsewhere that goes on hears that they are gone. With `delete`
    /// its messages leave.
    pub(crate) fn end_consumers(&mut self, handle: QueueHandle, delete: bool, goes_on: bool) {
        let own = self.own;
        let ended = self.home(handle).map(|mut home| (home.id, home.end_consumers(delete)));
        if let Some((queue, ended)) = ended {
            for key in ended {
                if key.at == own {
                    self.out.cancelled.push_back((key.channel, key.number));
                } else {
                    let record = Record::Cancelled { queue, channel: key.channel, consumer: key.number };
                    self.peers.push(key.at, &record);
                }
            }
        } else if let Some((queue, away)) = self.places.away(handle) {
            // what was held goes back at the home, or has another one to go to
            away.fence = None;
            for (channel, consumer) in core::mem::take(&mut away.consumers).into_keys() {
                self.out.cancelled.push_back((channel, consumer));
                if goes_on {
                    let record = Record::Unsubscribe { request: None, queue, channel, consumer };
                    self.peers.at(away.outbox).push(&record);
                }
            }
        }
    }

    /// A home elsewhere ended a consumer of this shard.
    pub(crate) fn on_cancelled(&mut self, queue: QueueId, channel: ChannelKey, consumer: ConsumerNumber) {
        if let Some((_, away)) = self.places.away_of(queue) {
            away.consumers.remove(&(channel, consumer));
        }
        self.out.cancelled.push_back((channel, consumer));
    }

    /// Consumers that a shard elsewhere believes in end.
    pub(super) fn cancel_there(
        &mut self,
        to: ShardAddress,
        queue: QueueId,
        consumers: impl Iterator<Item = (ChannelKey, ConsumerNumber)>,
    ) {
        for (channel, consumer) in consumers {
            self.peers.push(to, &Record::Cancelled { queue, channel, consumer });
        }
    }

    /// The shard's handle of a queue, if it has to do with it.
    pub(crate) fn handle(&self, id: QueueId) -> Option<QueueHandle> {
        self.places.handle(id)
    }

    /// The queue is elsewhere by the shard's table.
    pub(crate) fn is_away(&self, handle: QueueHandle) -> bool {
        matches!(self.places.get(handle), Some(Entry { place: Place::Away(_), .. }))
    }
}
