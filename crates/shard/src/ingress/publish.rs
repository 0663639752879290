//! A publish of a client: routed, given to its queues, or held until it can be.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_amqp::host::{Publish, Published};
use leveret_auth::Access;
use leveret_model::{ChannelKey, ConnectionKey, Instant, QueueHandle, Refusal, Seed, limits};

use super::cache::{self, ChannelState, Route};
use super::owed::OwedAnswers;
use super::rooms::Routing;
use super::routes::{Routes, exchange_of_publish};
use crate::clients::{Clients, no_vhost};
use crate::queues::{Answered, Appended, OneAppended, Publisher, Queues};
use crate::view::ClusterView;
use crate::watch::Routed;

/// Publishes of this shard's clients.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(super) routes: Routes,
    owed: OwedAnswers,
    /// Connections that hold a publish, each once; `holds` has the generation of those that do, by slot.
    holding: Vec<ConnectionKey>,
    holds: Vec<Option<u32>>,
    /// What is held may go now.
    retry: bool,
    /// When the first one that is held has waited for long enough.
    due: Instant,
    unroutable: u64,
    pub(super) given_up: u64,
    /// Where publishes went, while somebody watches.
    routed: Option<Vec<Routed>>,
}

impl Ingress {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            routes: Routes::default(),
            owed: OwedAnswers::new(seed.part(4)),
            holding: Vec::new(),
            holds: Vec::new(),
            retry: false,
            due: Instant::FAR,
            unroutable: 0,
            given_up: 0,
            routed: None,
        }
    }

    /// A message from a client of this shard. hot.
    #[inline(always)]
    pub(crate) fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut ChannelState,
        publish: &Publish<'_>,
        routing: Routing<'_>,
    ) -> Result<Published, Refusal> {
        // taken apart, and put together again only where the way is long
        let Routing { view, clients, queues, throttled, replies } = routing;
        if view.may_miss_a_home(publish.arrived)
            && let Some(published) =
                self.miss_a_home(view, clients, channel, publish, &mut [publish.routing_key].into_iter())
        {
            return Ok(published);
        }
        let cache = state.cache.get_or_insert_with(Box::default);
        let (cached, found) = cache::find(cache, publish.message.address, view);
        let route = match found {
            Some(route) => route,
            None => {
                let (queues, throttled, replies) = (&mut *queues, &mut *throttled, &mut *replies);
                let routing = Routing { view, clients, queues, throttled, replies };
                self.routes.look_up(channel, cached, publish, routing)?
            }
        };
        if let ([handle], Route::Cached) = (&cached.targets[..], route)
            && self.routed.is_none()
        {
            match queues.append_to_one(&publish.message, *handle) {
                OneAppended::Done => return Ok(Published::Settled),
                OneAppended::NotDone(stored) => {
                    let appended = queues.finish_one(*handle, stored, publisher(channel, publish));
                    let mut routing = Routing { view, clients, queues, throttled, replies };
                    return Ok(self.outcome(channel, &cached.targets, publish, appended, &mut routing));
                }
                OneAppended::NotHere => {}
            }
        }
        let routing = Routing { view, clients, queues, throttled, replies };
        Ok(self.publish_to_many(channel, route, &cached.targets, publish, routing))
    }

    /// To none, to several, to one elsewhere, or while somebody watches. hot.
    #[inline(never)]
    pub(super) fn publish_to_many(
        &mut self,
        channel: ChannelKey,
        route: Route,
        cached: &[QueueHandle],
        publish: &Publish<'_>,
        mut routing: Routing<'_>,
    ) -> Published {
        match route {
            Route::NotNow => return self.hold(channel, publish, routing.view.now()),
            Route::Reply => return self.reply(channel, publish, routing),
            Route::Cached | Route::Uncached => {}
        }
        let uncached = core::mem::take(&mut self.routes.targets);
        let targets = if route == Route::Cached { cached } else { &uncached[..] };
        let due = publish.arrived + limits::PUBLISH_WAIT;
        let publisher = publisher(channel, publish);
        let appended = routing.queues.append_to_many(&publish.message, targets, publisher, due);
        let published = self.outcome(channel, targets, publish, appended, &mut routing);
        self.routes.targets = uncached;
        published
    }

    /// What the channel hears. hot.
    fn outcome(
        &mut self,
        channel: ChannelKey,
        targets: &[QueueHandle],
        publish: &Publish<'_>,
        (appended, long): (Appended, bool),
        routing: &mut Routing<'_>,
    ) -> Published {
        if long {
            routing.throttled.outruns(channel.connection, targets, routing.queues);
        }
        let published = match appended {
            Appended::Stored if targets.is_empty() => self.unrouted(publish),
            Appended::Stored => Published::Settled,
            Appended::Owed(answers) => {
                if let Some(publisher) = publisher(channel, publish)
                    && targets.len() > 1
                {
                    self.owed.owe(publisher, answers);
                }
                Published::Owed
            }
            Appended::NoRoom => self.hold(channel, publish, routing.view.now()),
        };
        if self.routed.is_some() {
            self.note_routed(channel, publish, targets, published, routing.queues);
        }
        published
    }

    #[cold]
    pub(super) fn unrouted(&mut self, publish: &Publish<'_>) -> Published {
        if publish.mandatory {
            return Published::Unroutable;
        }
        self.unroutable += 1;
        Published::Settled
    }

    /// The publish cannot go now: its channel keeps it, with all behind it, or gives up when it waited long
    /// enough.
    #[inline(never)]
    pub(super) fn hold(&mut self, channel: ChannelKey, publish: &Publish<'_>, now: Instant) -> Published {
        if now.since(publish.arrived) >= limits::PUBLISH_WAIT {
            self.given_up += 1;
            return Published::GivenUp;
        }
        let ConnectionKey { slot, generation } = channel.connection;
        if self.holds.len() <= slot as usize {
            self.holds.resize(slot as usize + 1, None);
        }
        if self.holds[slot as usize].replace(generation) != Some(generation) {
            self.holding.push(channel.connection);
        }
        self.due = self.due.min(publish.arrived + limits::PUBLISH_WAIT);
        Published::NotNow
    }

    /// What is held may go now: a lease, a change of the map, room in a lane.
    pub(crate) fn retry(&mut self) {
        self.retry = true;
    }

    /// When a held publish has waited for long enough.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Time passed: what has waited for long enough is offered again, to be given up.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.due <= now {
            self.due = Instant::FAR;
            self.retry = true;
        }
    }

    /// Connections whose held publishes are to be offered again; those that still cannot go are held anew.
    pub(crate) fn take_held(&mut self) -> Vec<ConnectionKey> {
        if !core::mem::take(&mut self.retry) {
            return Vec::new();
        }
        let holding = core::mem::take(&mut self.holding);
        holding.iter().for_each(|key| self.holds[key.slot as usize] = None);
        holding
    }

    /// A home, a store or the clock answered for one copy of a publish: its publisher, once all have. hot.
    #[inline]
    pub(crate) fn settle(&mut self, answered: &Answered) -> Option<(Publisher, bool)> {
        self.owed.settle(answered)
    }

    pub(crate) fn unroutable(&self) -> u64 {
        self.unroutable
    }

    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// From now on it is remembered where publishes under confirms go.
    pub(crate) fn watch(&mut self) {
        self.routed = Some(Vec::new());
    }

    /// Where publishes went since the last time.
    pub(crate) fn take_routed(&mut self) -> Vec<Routed> {
        self.routed.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Somebody watches where messages go.
    #[cold]
    fn note_routed(
        &mut self,
        channel: ChannelKey,
        publish: &Publish<'_>,
        targets: &[QueueHandle],
        published: Published,
        queues: &mut Queues,
    ) {
        let (Some(number), Published::Settled | Published::Owed) = (publish.number, published) else {
            return;
        };
        #[cfg(feature = "planted")]
        queues.lose_a_copy(targets, number);
        let ids = targets.iter().filter_map(|handle| queues.live_id(*handle)).collect();
        if let Some(routed) = &mut self.routed {
            routed.push(Routed { channel, number, queues: ids });
        }
    }
}

/// Who is to hear what became of a publish.
fn publisher(channel: ChannelKey, publish: &Publish<'_>) -> Option<Publisher> {
    publish.number.map(|number| Publisher::Channel(channel, number))
}

/// Is anything known to be wrong with the exchange of a publish?
pub(crate) fn may_publish(
    connection: ConnectionKey,
    exchange: &[u8],
    view: &ClusterView,
    clients: &Clients,
) -> Result<(), Refusal> {
    let vhost = clients.get(connection).vhost.ok_or_else(no_vhost)?;
    clients.authorize(connection, Access::Write, "exchange", &String::from_utf8_lossy(exchange))?;
    if exchange.is_empty() || !view.has_lease() {
        return Ok(());
    }
    exchange_of_publish(view, vhost, exchange).map(drop)
}
