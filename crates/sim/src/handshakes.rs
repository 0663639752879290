//! Links of a control thread that are not authenticated yet: the bytes of `leveret_link::handshake`, over the
//! network.
//!
//! The same rules as in the real driver: who takes too long is dropped, of too many the oldest goes, and
//! nothing but the handshake is read before the other end proved that it knows the secret.

use std::collections::BTreeMap;

use bytes::Bytes;
use leveret_cluster::{DialFailure, PeerHello};
use leveret_link::handshake::{Handshake, Hello, Nonce, Outcome, PROTOCOL, Purpose, Refused, Secret};
use leveret_link::sessions::DataLinkKey;
use leveret_model::{Instant, Name, NodeId, limits};

use crate::event::End;
use crate::network::Item;
use crate::scheduler::Dice;
use crate::world::Ways;

/// What the nodes share.
const SECRET: &[u8] = b"the hares of this warren know it, and nobody else";

/// What a link that is not authenticated yet is for.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    /// The other end says so.
    Accepted,
    /// This address was dialled, whoever is there.
    Control(String),
    /// A member was dialled.
    Data(NodeId, DataLinkKey),
}

#[derive(Debug)]
struct Shaking {
    handshake: Handshake,
    errand: Errand,
}

/// What came of a link.
#[derive(Debug)]
pub(crate) enum Shaken {
    /// It goes on.
    More,
    /// The peer is believed.
    Open { hello: Box<Hello>, errand: Errand },
    /// It is closed.
    Failed { errand: Errand, failure: DialFailure },
}

/// All of a thread.
#[derive(Debug)]
pub(crate) struct Handshakes {
    own: Hello,
    /// Ends are numbered as they are made, so the first is the oldest.
    open: BTreeMap<End, Shaking>,
}

/// What a process says of itself on a link.
pub(crate) fn hello_of(peer: &PeerHello, purpose: Purpose) -> Hello {
    Hello {
        protocol: PROTOCOL,
        group: Name::new("sim"),
        node: peer.node,
        incarnation: peer.incarnation,
        boot: peer.boot,
        shards: peer.shards,
        name: peer.name.clone(),
        address: Name::new(&peer.address),
        purpose,
        capabilities: peer.capabilities.clone(),
    }
}

pub(crate) fn nonce(dice: &mut Dice) -> Nonce {
    let mut nonce = Nonce::default();
    for piece in nonce.chunks_exact_mut(8) {
        piece.copy_from_slice(&dice.bits().to_le_bytes());
    }
    nonce
}

fn secret() -> Secret {
    Secret::shared(SECRET).expect("the constant is long enough")
}

impl Handshakes {
    pub(crate) fn new(own: &PeerHello) -> Self {
        Self { own: hello_of(own, Purpose::Control), open: BTreeMap::new() }
    }

    /// A dial reached somebody; it began then.
    pub(crate) fn dialled(&mut self, began: Instant, end: End, errand: Errand, ways: &mut Ways<'_>) {
        let purpose = match &errand {
            Errand::Data(_, key) => Purpose::Data(*key),
            Errand::Control(_) | Errand::Accepted => Purpose::Control,
        };
        let hello = Hello { purpose, ..self.own.clone() };
        let handshake = Handshake::dialer(secret(), hello, nonce(&mut ways.schedule.dice), &[], began);
        self.begin(end, Shaking { handshake, errand }, ways);
    }

    /// Somebody dialled. Gives the one that had to go for it.
    pub(crate) fn accepted(&mut self, now: Instant, end: End, ways: &mut Ways<'_>) -> Option<End> {
        let accepted = |shaking: &Shaking| matches!(shaking.errand, Errand::Accepted);
        let mut oldest = None;
        if self.open.values().filter(|shaking| accepted(shaking)).count() >= limits::LINK_HANDSHAKES_MAX {
            oldest = self.open.iter().find(|(_, shaking)| accepted(shaking)).map(|(end, _)| *end);
        }
        if let Some(oldest) = oldest {
            self.open.remove(&oldest);
        }
        let nonce = nonce(&mut ways.schedule.dice);
        let handshake = Handshake::acceptor(secret(), self.own.clone(), nonce, &[], now);
        self.begin(end, Shaking { handshake, errand: Errand::Accepted }, ways);
        oldest
    }

    fn begin(&mut self, end: End, mut shaking: Shaking, ways: &mut Ways<'_>) {
        say(end, &mut shaking.handshake, ways);
        self.open.insert(end, shaking);
    }

    pub(crate) fn is_open(&self, end: End) -> bool {
        self.open.contains_key(&end)
    }

    /// Bytes came. What follows the handshake stays unread.
    pub(crate) fn on_bytes(&mut self, end: End, bytes: &Bytes, ways: &mut Ways<'_>) -> Shaken {
        let Some(shaking) = self.open.get_mut(&end) else { return Shaken::More };
        let (consumed, outcome) = shaking.handshake.on_bytes(bytes);
        say(end, &mut shaking.handshake, ways);
        match outcome {
            Outcome::More => Shaken::More,
            Outcome::Open(hello) => {
                ways.network.unread(end, bytes.slice(consumed..));
                let Some(Shaking { errand, .. }) = self.open.remove(&end) else { return Shaken::More };
                Shaken::Open { hello, errand }
            }
            Outcome::Refused(refused) => {
                let failure = match refused {
                    Refused::Myself => DialFailure::Myself,
                    _ => DialFailure::Unreachable,
                };
                self.fail(end, failure)
            }
        }
    }

    /// The other end is gone.
    pub(crate) fn on_close(&mut self, end: End) -> Shaken {
        self.fail(end, DialFailure::Unreachable)
    }

    fn fail(&mut self, end: End, failure: DialFailure) -> Shaken {
        match self.open.remove(&end) {
            Some(Shaking { errand, .. }) => Shaken::Failed { errand, failure },
            None => Shaken::More,
        }
    }

    /// Those that took too long.
    pub(crate) fn late(&self, now: Instant) -> Vec<End> {
        let late = |shaking: &Shaking| shaking.handshake.deadline() <= now;
        self.open.iter().filter(|(_, shaking)| late(shaking)).map(|(end, _)| *end).collect()
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        self.open.values().map(|shaking| shaking.handshake.deadline()).min().unwrap_or(Instant::FAR)
    }
}

fn say(end: End, handshake: &mut Handshake, ways: &mut Ways<'_>) {
    let output = handshake.take_output();
    if !output.is_empty() {
        ways.trace.bytes(&output);
        ways.network.send(ways.schedule, end, Item::Bytes(output.into()));
    }
}
