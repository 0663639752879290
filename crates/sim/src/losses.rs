//! What consumers without acknowledgements may have lost: what was under way to one of them when its connection, its node
//! or the link between its home and it ended; a lost `basic.get` takes one message.
//!
//! A message was under way to a taker at a time only if the taker had seen none behind it of the same publisher by then,
//! nobody had when it was asked for, and nobody who was asked for later saw one before it: a queue gives in order, and
//! one way keeps it. How long a home goes on giving to a connection that is gone is what the network needs to tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leveret_model::{Instant, NodeId};

use crate::event::HostId;
use crate::oracle::{Answer, MessageId, Oracle};
use crate::topology::Base;
use crate::truth::Truth;

/// With a good way for so long a home has learnt that a consumer is gone, slow shards on both sides included.
const LEARNT_WITHIN: Duration = Duration::from_secs(2);
/// A node that died is Down at all homes by then.
const DOWN_WITHIN: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(250);

/// A consumer or a get without acknowledgements.
#[derive(Debug)]
struct Taker {
    base: Base,
    at: (NodeId, HostId),
    asked_at: Instant,
    got: Vec<(Instant, MessageId)>,
    is_get: bool,
    ended: Ended,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Not,
    /// By its own cancel, or answered: all that was under way came before.
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
        self.takers.insert(taker, Taker { base, at, asked_at: now, got, is_get, ended });
    }

    pub(crate) fn got(&mut self, now: Instant, taker: u32, id: MessageId) {
        if let Some(taker) = self.takers.get_mut(&taker) {
            taker.got.push((now, id));
        }
    }

    pub(crate) fn ended(&mut self, now: Instant, taker: u32, orderly: bool) {
        if let Some(taker) = self.takers.get_mut(&taker).filter(|taker| taker.ended == Ended::Not) {
            taker.ended = if orderly { Ended::Orderly(now) } else { Ended::Lossy(now) };
        }
    }

    pub(crate) fn link_ended(&mut self, now: Instant, own: NodeId, other: NodeId) {
        self.links.push((now, own, other));
    }

    /// Confirmed messages that did not come from queues without acknowledgements, and may have been lost on their way out.
    pub(crate) fn excused(&self, oracle: &Oracle, truth: &Truth) -> BTreeSet<(MessageId, Base)> {
        let (mut excused, mut spent) = (BTreeSet::new(), BTreeSet::new());
        for base in Base::ALL.into_iter().filter(|base| base.may_lose()) {
            let homes: BTreeSet<NodeId> =
                oracle.lives.values().filter(|life| life.base == base).map(|life| life.home.node).collect();
            let takers: Vec<(u32, &Taker, Vec<Instant>)> = self
                .takers
                .iter()
                .filter(|(_, taker)| taker.base == base)
                .map(|(number, taker)| (*number, taker, self.interruptions(taker, &homes, oracle, truth)))
                .collect();
            for (publisher, all) in oracle.sent.iter().enumerate() {
                for (at, sent) in all.iter().enumerate() {
                    let id = MessageId { publisher: publisher as u32, number: at as u64 + 1 };
                    let to = sent.exchange.behind().matches(&base.name(), &sent.key);
                    let confirmed = matches!(sent.answer, Answer::Confirmed(_));
                    if !to || !confirmed || oracle.deliveries.contains_key(&(id, base)) {
                        continue;
                    }
                    let by = takers.iter().find(|(number, taker, interruptions)| {
                        !(taker.is_get && spent.contains(number))
                            && interruptions.iter().any(|until| {
                                sent.sent_at < *until && was_under_way(id, taker, *until, &takers)
                            })
                    });
                    if let Some((number, ..)) = by {
                        spent.insert(*number);
                        excused.insert((id, base));
                    }
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
        if let Ended::Lossy(at) = taker.ended {
            if let Some(died) = oracle.ended.get(&node).filter(|died| **died <= at + LEARNT_WITHIN) {
                all.push(*died + DOWN_WITHIN);
            }
            for home in homes.iter().filter_map(|home| oracle.hosts.get(home)) {
                all.push(learnt(at, taker.at.1, *home, truth));
            }
        }
        all
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

fn was_under_way(
    id: MessageId,
    taker: &Taker,
    until: Instant,
    takers: &[(u32, &Taker, Vec<Instant>)],
) -> bool {
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
            .all(|(_, other, _)| !behind(other, taker.asked_at) && !(other.asked_at > until && before(other)))
}
