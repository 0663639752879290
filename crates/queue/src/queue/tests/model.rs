//! The queue against a list of messages and a list of consumers that are searched from the front each time.

mod deeds;

use leveret_model::Name;
use leveret_model::definition::QueueDefinition;
use proptest::prelude::*;

use self::deeds::{Deed, Resubscription, deed};
use super::*;

/// The queue that all of these tests are about.
pub(super) fn record() -> QueueRecord {
    QueueRecord {
        definition: QueueDefinition {
            durable: true,
            ..QueueDefinition::new(Name::default(), Name::default())
        }
        .into(),
        id: QueueId { generation: 0, ulid: Ulid(1) },
        home: OWN,
        epoch: 0,
    }
}

/// A message that has not left: where it is, and who holds it.
#[derive(Clone, Copy, Debug)]
struct Message {
    name: u64,
    position: u64,
    bytes: usize,
    redelivered: bool,
    holder: Option<ConsumerKey>,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    asked: Subscription,
    asleep: bool,
    messages: u32,
    bytes: i64,
    /// Since when it waits for a turn.
    since: Option<u64>,
    /// When it came.
    came: u64,
}

#[derive(Default)]
struct Model {
    messages: Vec<Message>,
    peers: Vec<Peer>,
    room: BTreeMap<u32, u32>,
    gone: Vec<ConsumerKey>,
    appended: u64,
    clock: u64,
}

impl Model {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn can_take(&self, peer: &Peer) -> bool {
        let held = self.messages.iter().filter(|message| message.holder == Some(peer.asked.key)).count();
        let limit =
            if peer.asked.terms.prefetch == 0 { usize::MAX } else { peer.asked.terms.prefetch.into() };
        let window = peer.asked.window == Window::Output || (peer.messages > 0 && peer.bytes > 0);
        !peer.asleep && window && (peer.asked.terms.no_ack || held < limit)
    }

    /// Whoever can take a message since now joins the end of its line; whoever cannot leaves it.
    fn refresh(&mut self) {
        for at in 0..self.peers.len() {
            let since = match (self.can_take(&self.peers[at]), self.peers[at].since) {
                (true, None) => Some(self.tick()),
                (true, since) => since,
                (false, _) => None,
            };
            self.peers[at].since = since;
        }
    }

    fn find(&mut self, key: &ConsumerKey) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.asked.key == *key)
    }

    fn subscribe(&mut self, terms: Subscription, unread: Unread) -> bool {
        let others = self.peers.iter().filter(|peer| peer.asked.key != terms.key);
        let refused = others.clone().any(|peer| peer.asked.terms.exclusive)
            || (terms.terms.exclusive && others.count() > 0);
        if !refused {
            let came = self.tick();
            let came = self.find(&terms.key).map_or(came, |peer| peer.came);
            self.peers.retain(|peer| peer.asked.key != terms.key);
            let (messages, bytes) = match terms.window {
                Window::Output => (0, 0),
                Window::Credit { messages, bytes } => {
                    (messages.saturating_sub(unread.messages), bytes as i64 - unread.bytes as i64)
                }
            };
            self.peers.push(Peer { asked: terms, asleep: false, messages, bytes, since: None, came });
            self.refresh();
        }
        !refused
    }

    fn best(&self) -> Option<usize> {
        let rank = |peer: &Peer| {
            let remote = peer.asked.key.at.node != OWN.node;
            (-i64::from(peer.asked.terms.priority), remote, peer.since)
        };
        let waiting = (0..self.peers.len()).filter(|&at| self.peers[at].since.is_some());
        waiting.min_by_key(|&at| rank(&self.peers[at]))
    }

    fn first_ready(&self) -> Option<usize> {
        let ready = (0..self.messages.len()).filter(|&at| self.messages[at].holder.is_none());
        ready.min_by_key(|&at| self.messages[at].position)
    }

    fn dispatch(&mut self, budget: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.len() < budget
            && let (Some(peer), Some(at)) = (self.best(), self.first_ready())
        {
            let Peer { asked: terms, .. } = self.peers[peer];
            let message = self.messages[at];
            if self.gone.contains(&terms.key) {
                self.peers.remove(peer);
                continue;
            }
            match self.room.get_mut(&terms.key.number.0) {
                Some(0) => {
                    self.peers[peer].asleep = true;
                    self.refresh();
                    continue;
                }
                Some(room) => *room -= 1,
                None => {}
            }
            seen.push((terms.key, Position(message.position), message.redelivered, message.name));
            if terms.window != Window::Output {
                self.peers[peer].messages -= 1;
                self.peers[peer].bytes -= message.bytes as i64;
            }
            if terms.terms.no_ack {
                self.messages.remove(at);
            } else {
                self.messages[at].holder = Some(terms.key);
            }
            self.peers[peer].since = Some(self.tick());
            self.refresh();
        }
        seen
    }

    fn requeue_where(&mut self, of: impl Fn(&ConsumerKey, u64) -> bool) {
        for message in &mut self.messages {
            if message.holder.is_some_and(|holder| of(&holder, message.position)) {
                message.holder = None;
                message.redelivered = true;
            }
        }
    }

    fn held(&self) -> Vec<Message> {
        self.messages.iter().filter(|message| message.holder.is_some()).copied().collect()
    }
}

struct Pair {
    bench: Bench,
    model: Model,
}

impl Pair {
    fn act(&mut self, deed: Deed) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        match deed {
            Deed::Append { padding } => {
                let position = bench.append_padded(padding).0;
                model.appended += 1;
                let (name, bytes) = (bench.appended, 8 + padding);
                prop_assert_eq!(position, model.appended);
                model.messages.push(Message { name, position, bytes, redelivered: false, holder: None });
            }
            Deed::Subscribe(terms) => {
                prop_assert_eq!(
                    bench.queue.subscribe(terms).is_ok(),
                    model.subscribe(terms, Unread::default())
                );
            }
            Deed::Unsubscribe(key) => {
                prop_assert_eq!(bench.queue.unsubscribe(&key), model.find(&key).is_some());
                model.peers.retain(|peer| peer.asked.key != key);
            }
            Deed::Credit(key, messages, bytes) => {
                bench.queue.credit(&key, messages, bytes);
                if let Some(peer) = model.find(&key)
                    && let Window::Credit { messages: most, bytes: bytes_max } = peer.asked.window
                {
                    peer.messages = (peer.messages + messages).min(most);
                    peer.bytes = (peer.bytes + bytes as i64).min(bytes_max as i64);
                }
            }
            Deed::Room(key, room) => {
                bench.outputs.room.insert(key.number.0, room);
                model.room.insert(key.number.0, room);
                bench.queue.wake(&key);
                model.find(&key).into_iter().for_each(|peer| peer.asleep = false);
            }
            Deed::Dispatch(budget) => {
                bench.outputs.seen.clear();
                let wanted = bench.queue.wants_dispatch();
                let outcome = bench.dispatch_reading(budget);
                prop_assert_eq!(&bench.outputs.seen, &model.dispatch(budget));
                prop_assert!(wanted || outcome.delivered == 0);
                prop_assert_eq!(outcome.more, model.best().is_some() && model.first_ready().is_some());
            }
            Deed::Settle { .. } | Deed::SettleWrong(..) | Deed::Get { .. } => self.settle_or_get(&deed)?,
            Deed::Reconcile(said) => self.reconcile(&said)?,
            Deed::PageOut { bytes, keep, loose } => bench.page_out(bytes, keep, loose),
            Deed::Purge | Deed::DropAll => self.empty(matches!(deed, Deed::DropAll))?,
            Deed::NodeDown(node) => {
                bench.queue.release_node(NodeId(node));
                model.peers.retain(|peer| peer.asked.key.at.node.0 != node);
                model.requeue_where(|holder, _| holder.at.node.0 == node);
            }
            Deed::Vanish(key) => {
                bench.outputs.gone.push(key);
                model.gone.push(key);
            }
        }
        self.model.refresh();
        Ok(())
    }

    fn settle_or_get(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        match *deed {
            Deed::Settle { which, how } => {
                let held = model.held();
                if let Some(Message { position, holder: Some(holder), .. }) =
                    held.get(which % held.len().max(1))
                {
                    prop_assert!(bench.settle(*holder, *position, how));
                    if how == Settlement::Requeue {
                        model.requeue_where(|_, at| at == *position);
                    } else {
                        model.messages.retain(|message| message.position != *position);
                    }
                }
            }
            Deed::SettleWrong(key, position) => {
                let right = |message: &Message| message.position == position && message.holder == Some(key);
                if !model.messages.iter().any(right) {
                    prop_assert!(!bench.settle(key, position, Settlement::Ack));
                }
            }
            Deed::Get { channel, no_ack } => {
                let holder = key(1, 0, channel, 0);
                let taken = bench.get_reading(&holder, no_ack);
                let first = model.first_ready().map(|at| (at, model.messages[at]));
                prop_assert_eq!(
                    taken.map(|taken| (
                        taken.position.0,
                        taken.redelivered,
                        name_of(bench.arena.get(taken.message))
                    )),
                    first.map(|(_, message)| (message.position, message.redelivered, message.name))
                );
                if let (Some(taken), Some((at, _))) = (taken, first) {
                    if no_ack {
                        bench.arena.release(taken.message);
                        model.messages.remove(at);
                    } else {
                        model.messages[at].holder = Some(holder);
                    }
                    let ready = model.messages.iter().filter(|message| message.holder.is_none()).count();
                    prop_assert_eq!(taken.remaining, ready as u64);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn reconcile(&mut self, said: &Resubscription) -> Result<(), TestCaseError> {
        let Resubscription { at, consumers, keep, void, piece } = said;
        let (at, keep, void, piece) = (*at, *keep, *void, *piece);
        let Self { bench, model } = self;
        let there = model.held().into_iter().filter_map(|message| Some((message.holder?, message.position)));
        let there = there.filter(|(holder, _)| holder.at == at);
        let kept: Vec<_> =
            there.enumerate().filter(|(bit, _)| keep >> (bit % 64) & 1 == 1).map(|(_, held)| held).collect();
        let mut named: Vec<HeldPlace> =
            kept.iter().map(|(holder, at)| (holder.channel, holder.number, Position(*at))).collect();
        if !model.held().iter().any(|message| message.position == void) {
            named.push((key(1, 0, 1, 1).channel, ConsumerNumber(1), Position(void)));
        }
        let listed: Vec<_> = consumers.iter().filter(|(terms, _)| terms.key.at == at).copied().collect();
        consumers.chunks(piece).for_each(|piece| bench.queue.name(at, piece, &[]));
        named.chunks(piece).for_each(|piece| bench.queue.name(at, &[], piece));
        let cancelled = bench.queue.reconcile(at);
        model.peers.retain(|peer| {
            peer.asked.key.at != at || listed.iter().any(|(terms, _)| terms.key == peer.asked.key)
        });
        model.requeue_where(|holder, position| holder.at == at && !kept.contains(&(*holder, position)));
        let mut refused = Vec::new();
        for (terms, unread) in listed {
            if !model.subscribe(terms, unread) {
                model.peers.retain(|peer| peer.asked.key != terms.key);
                refused.push(terms.key);
            }
        }
        prop_assert_eq!(cancelled, refused);
        Ok(())
    }

    fn empty(&mut self, all: bool) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        if all {
            let mut peers = model.peers.clone();
            peers.sort_by_key(|peer| peer.came);
            let order: Vec<_> = peers.iter().map(|peer| peer.asked.key).collect();
            prop_assert_eq!(bench.queue.drop_all(&mut bench.arena), order);
            model.messages.clear();
            model.peers.clear();
        } else {
            let before = model.messages.len();
            model.messages.retain(|message| message.holder.is_some());
            prop_assert_eq!(bench.queue.purge(&mut bench.arena), (before - model.messages.len()) as u64);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Self { bench, model } = self;
        let held = model.held();
        let held_bytes: u64 = held.iter().map(|message| message.bytes as u64).sum();
        prop_assert_eq!(bench.queue.unacked_bytes(), held_bytes);
        let held = held.len();
        let ready = model.messages.iter().filter(|message| message.holder.is_none());
        prop_assert_eq!(bench.queue.unacked(), held as u64);
        prop_assert_eq!(bench.queue.ready(), (model.messages.len() - held) as u64);
        prop_assert_eq!(bench.queue.ready_bytes(), ready.map(|message| message.bytes as u64).sum::<u64>());
        prop_assert_eq!(bench.queue.consumers() as usize, model.peers.len());
        prop_assert_eq!(bench.arena.messages(), model.messages.len() as u64);
        prop_assert_eq!(bench.queue.is_idle(), model.messages.is_empty() && model.peers.is_empty());
        let wants = model.best().is_some() && model.first_ready().is_some();
        prop_assert_eq!(bench.queue.wants_dispatch(), wants);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any deeds, with messages paged out at any time: the same deliveries in the same order, the same answers,
    /// the same counts after each.
    #[test]
    fn the_queue_does_what_a_list_would_do(deeds in prop::collection::vec(deed(), 1..150)) {
        let mut pair = Pair { bench: Bench::new(), model: Model::default() };
        for deed in deeds {
            pair.act(deed)?;
            pair.check()?;
        }
    }
}
