//! What consumers without acknowledgements may have lost: what was under way to one of them when its
//! connection, its node or the link between its home and it ended; a lost `basic.get` takes one message.
//!
//! A message was under way to a taker at a time only if the taker had seen none behind it of the same publisher
//! by then, nobody had when it was asked for, and nobody who was asked for later saw one before it: a queue
//! gives in order, and one way keeps it. (What others saw counts while the name has one life.) How long a home
//! goes on giving to a connection that is gone is what its node needs to read that, and the network to tell the
//! home.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leveret_model::{Instant, NodeId, QueueId};

use crate::event::HostId;
use crate::message_id::MessageId;
use crate::oracle::{Answer, Oracle};
use crate::topology::{Base, Exchange};
use crate::truth::Truth;

/// With a good way for so long a home has learnt that a consumer is gone, slow shards on both sides included.
const LEARNT_WITHIN: Duration = Duration::from_secs(2);
/// A node that died is Down at all homes by then.
const DOWN_WITHIN: Duration = Duration::from_secs(10);
/// A silent link is found out by then, and a new one there.
const SILENT_WITHIN: Duration = Duration::from_secs(5);
/// Ends of links in so short a time are one.
const FLAP: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(250);

/// A consumer or a get without acknowledgements.
#[derive(Debug)]
struct Taker {
    base: Base,
    at: (NodeId, HostId),
    asked_at: Instant,
    got: Vec<(Instant, MessageId)>,
    /// When its node was sure to know of its end: a close can wait behind what its channel asked before.
    learnt_at: Option<Instant>,
    is_get: bool,
    ended: Ended,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Not,
    /// By its own cancel, or answered: all that was under way came before, unless the node of the client
    /// answered because it had just lost the home.
    Orderly(Instant),
    /// With its channel or connection, or cancelled by the server.
    Lossy(Instant),
}

/// All of them, and when links ended.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    takers: BTreeMap<u32, Taker>,
    /// A shard of the first node heard that its links to the second are gone, or new.
    links: Vec<(Instant, NodeId, NodeId)>,
}

impl Losses {
    pub(crate) fn asked(&mut self, now: Instant, taker: u32, base: Base, at: (NodeId, HostId), is_get: bool) {
        let (got, ended) = (Vec::new(), Ended::Not);
        self.takers.insert(taker, Taker { base, at, asked_at: now, got, learnt_at: None, is_get, ended });
    }

    pub(crate) fn got(&mut self, now: Instant, taker: u32, id: MessageId) {
        if let Some(taker) = self.takers.get_mut(&taker) {
            taker.got.push((now, id));
        }
    }

    pub(crate) fn ended(&mut self, now: Instant, id: u32, orderly: bool) {
        if let Some(taker) = self.takers.get_mut(&id).filter(|taker| taker.ended == Ended::Not) {
            taker.ended = if orderly { Ended::Orderly(now) } else { Ended::Lossy(now) };
        }
    }

    /// Its node knows by now that it ended.
    pub(crate) fn learnt(&mut self, now: Instant, taker: u32) {
        if let Some(taker) = self.takers.get_mut(&taker) {
            taker.learnt_at = Some(now);
        }
    }

    pub(crate) fn link_ended(&mut self, now: Instant, own: NodeId, other: NodeId) {
        self.links.push((now, own, other));
    }

    /// Confirmed messages that did not come from queues without acknowledgements, and may have been lost on
    /// their way out.
    pub(crate) fn excused(&self, oracle: &Oracle, truth: &Truth) -> BTreeSet<(MessageId, Base)> {
        let mut excused = BTreeSet::new();
        for base in Base::ALL.into_iter().filter(|base| base.may_lose()) {
            let homes: BTreeSet<NodeId> = oracle
                .lives
                .values()
                .filter(|life| life.base == base)
                .flat_map(|life| life.homes.iter().copied())
                .collect();
            let of_base = self.takers.values().filter(|taker| taker.base == base);
            let takers: Vec<(&Taker, Vec<Instant>)> =
                of_base.map(|taker| (taker, self.interruptions(taker, &homes, oracle, truth))).collect();
            // what each get may have lost: one message, and one more each time that it was asked again
            let mut lost: Vec<Vec<usize>> = vec![Vec::new(); takers.len()];
            let missing = missing(oracle, base);
            let could: Vec<Vec<usize>> = missing
                .iter()
                .map(|(id, sent_at)| who_lost(oracle, base, (*id, *sent_at), &takers))
                .collect();
            for (at, (id, _)) in missing.iter().enumerate() {
                if assign(at, &could, &takers, &mut lost, &mut BTreeSet::new()) {
                    excused.insert((*id, base));
                }
            }
        }
        excused
    }

    /// Until when something may have been given to the taker that did not come.
    fn interruptions(
        &self,
        taker: &Taker,
        homes: &BTreeSet<NodeId>,
        oracle: &Oracle,
        truth: &Truth,
    ) -> Vec<Instant> {
        let (node, _) = taker.at;
        let over = match taker.ended {
            Ended::Not => Instant::FAR,
            Ended::Orderly(at) | Ended::Lossy(at) => at,
        };
        let links = self.links.iter().filter(|(at, own, other)| {
            *other == node && homes.contains(own) && taker.asked_at <= *at && *at <= over
        });
        let mut all: Vec<Instant> = links.map(|(at, ..)| *at).collect();
        // the shards of a home hear of the same end one by one, and of the next link soon after
        all.sort_unstable();
        all.reverse();
        all.dedup_by(|earlier, later| later.since(*earlier) < FLAP);
        if let Some(at) = self.ended_lossily(taker, homes) {
            let at = taker.learnt_at.map_or(at, |learnt_at| learnt_at.max(at));
            let died = oracle.lifetimes.ended_after(node, taker.asked_at);
            let died = died.filter(|died| *died <= at + LEARNT_WITHIN);
            let known = homes.iter().filter_map(|home| oracle.hosts.get(home));
            let learnt = known.map(|home| learnt(at, taker.at.1, *home, truth));
            // what was told on a link that is silent is told again on the next one
            let silent = self.links.iter().filter(|(ended, own, other)| {
                *other == node && homes.contains(own) && at <= *ended && ended.since(at) < SILENT_WITHIN
            });
            let known = learnt.chain(died.map(|died| died + DOWN_WITHIN));
            all.extend(known.chain(silent.map(|(ended, ..)| *ended)).max());
        }
        all
    }

    /// An end that leaves what was under way, or is still to be sent by a home that does not know yet.
    fn ended_lossily(&self, taker: &Taker, homes: &BTreeSet<NodeId>) -> Option<Instant> {
        let lost_home = |at: Instant| {
            let mut links = self.links.iter();
            links.any(|(lost, own, other)| {
                *own == taker.at.0 && homes.contains(other) && *lost <= at && at.since(*lost) < FLAP
            })
        };
        match taker.ended {
            Ended::Lossy(at) => Some(at),
            Ended::Orderly(at) if lost_home(at) => Some(at),
            Ended::Orderly(_) | Ended::Not => None,
        }
    }
}

/// When a home has learnt what happened at the other host.
fn learnt(since: Instant, host: HostId, home: HostId, truth: &Truth) -> Instant {
    let mut at = since;
    for _ in 0..240 {
        if truth.direct(host, home, at, at + LEARNT_WITHIN) {
            break;
        }
        at = at + STEP;
    }
    at + LEARNT_WITHIN
}

/// Confirmed messages that went there, were not returned, and never came. Those that may have died with a home
/// come last, since that excuses them already where it is not asked which life of the name they went to. Not
/// those of a life whose home never died: nothing else excuses them.
fn missing(oracle: &Oracle, base: Base) -> Vec<(MessageId, Instant)> {
    let (mut missing, mut may_have_died) = (Vec::new(), Vec::new());
    for (publisher, all) in oracle.sent.iter().enumerate() {
        for (at, sent) in all.iter().enumerate() {
            let id = MessageId { publisher: publisher as u32, number: at as u64 + 1 };
            let to = sent.exchange == Exchange::Default && sent.key == base.name();
            let Answer::Confirmed(by) = sent.answer else { continue };
            let lives_on = |queue: &QueueId| {
                oracle.lives.get(queue).is_some_and(|life| life.base == base && life.died.is_empty())
            };
            let died = oracle.home_ended_since(base, sent.sent_at, by) && !sent.routed.iter().any(lives_on);
            if to && !sent.returned && !oracle.deliveries.contains_key(&(id, base)) {
                if died { &mut may_have_died } else { &mut missing }.push((id, sent.sent_at));
            }
        }
    }
    missing.append(&mut may_have_died);
    missing
}

/// Takers to which a message may have been under way when something ended.
fn who_lost(
    oracle: &Oracle,
    base: Base,
    (id, sent_at): (MessageId, Instant),
    takers: &[(&Taker, Vec<Instant>)],
) -> Vec<usize> {
    // what others saw may be of another life, whose order is its own
    let lived = oracle.lives.values().filter(|life| life.base == base);
    let one_life = lived.filter(|life| life.died.iter().all(|died| *died >= sent_at)).count() == 1;
    let others = if one_life { takers } else { &[] };
    let could = |(taker, interruptions): &(&Taker, Vec<Instant>)| {
        interruptions.iter().any(|until| sent_at < *until && was_under_way(id, taker, *until, others))
    };
    (0..takers.len()).filter(|at| could(&takers[*at])).collect()
}

/// Finds a taker for a lost message, and if need be another one for a message that has it (an augmenting path).
fn assign(
    message: usize,
    could: &[Vec<usize>],
    takers: &[(&Taker, Vec<Instant>)],
    lost: &mut [Vec<usize>],
    tried: &mut BTreeSet<usize>,
) -> bool {
    for at in &could[message] {
        if !tried.insert(*at) {
            continue;
        }
        let (taker, interruptions) = &takers[*at];
        if !taker.is_get || lost[*at].len() < interruptions.len() {
            lost[*at].push(message);
            return true;
        }
        for place in 0..lost[*at].len() {
            if assign(lost[*at][place], could, takers, lost, tried) {
                lost[*at][place] = message;
                return true;
            }
        }
    }
    false
}

fn was_under_way(id: MessageId, taker: &Taker, until: Instant, takers: &[(&Taker, Vec<Instant>)]) -> bool {
    let of_publisher = |got: &&(Instant, MessageId)| got.1.publisher == id.publisher;
    let behind = |taker: &Taker, by: Instant| {
        let mut got = taker.got.iter().filter(of_publisher);
        got.any(|(at, other)| *at <= by && other.number > id.number)
    };
    let before =
        |taker: &Taker| taker.got.iter().filter(of_publisher).any(|(_, other)| other.number < id.number);
    !behind(taker, until)
        && takers
            .iter()
            .all(|(other, _)| !(behind(other, taker.asked_at) || (other.asked_at > until && before(other))))
}
