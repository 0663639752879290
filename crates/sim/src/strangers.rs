//! Strangers at the cluster ports: they say that they are nodes of the cluster, and do not know its secret.

use leveret_link::handshake::{Handshake, Purpose as LinkPurpose, Secret};
use leveret_link::sessions::{DataLinkKey, Round};
use leveret_model::Instant;

use crate::event::{End, ProcessId};
use crate::faults::FaultKind;
use crate::handshakes::{hello_of, nonce};
use crate::network::{Item, Owner, Purpose};
use crate::world::{Ways, World, ways};

/// Known to no node.
const SECRET: &[u8] = b"a secret that is as long as the true one, and another";

/// Somebody who dialled.
#[derive(Debug)]
pub(crate) struct Stranger {
    end: End,
    /// Answers with a forged code, once.
    forges: bool,
    turned_away: bool,
}

impl World {
    /// One more dials some node, in the name of a node that lives.
    pub(crate) fn stranger_comes(&mut self) -> bool {
        let all: Vec<ProcessId> = self.processes.keys().copied().collect();
        let dice = &mut self.schedule.dice;
        let (Some(to), Some(claimed)) = (dice.pick(&all), dice.pick(&all)) else { return false };
        let (Some(host), Some(hello)) =
            (self.processes.get(&to).map(|to| to.host), self.hellos.get(&claimed))
        else {
            return false;
        };
        let purpose = match dice.below(2) {
            0 => LinkPurpose::Control,
            // later than every round there is: whoever believed it would end a session
            _ => LinkPurpose::Data(DataLinkKey { round: Round(u64::MAX), index: 0 }),
        };
        let secret = Secret::shared(SECRET).expect("the constant is long enough");
        let hello = hello_of(hello, purpose);
        let mut says = Handshake::dialer(secret, hello, nonce(dice), &[], Instant::ZERO).take_output();
        let forges = match dice.below(4) {
            // half open
            0 => {
                says.truncate(dice.below(says.len()));
                false
            }
            1 => {
                says = (0..20 + dice.below(80)).map(|_| dice.bits() as u8).collect();
                false
            }
            _ => true,
        };
        let number = self.strangers.len() as u32;
        let dialler = (Owner::Stranger(number), None);
        let end = self.network.open(&mut self.schedule, dialler, (to, host), Purpose::Stranger);
        self.network.send(&mut self.schedule, end, Item::Bytes(says.into()));
        self.strangers.push(Stranger { end, forges, turned_away: false });
        false
    }

    /// Something came to one.
    pub(crate) fn stranger_hears(&mut self, number: u32) {
        let mut closed = false;
        let ways: Ways<'_> = ways!(self);
        let Some(stranger) = self.strangers.get_mut(number as usize) else { return };
        while let Some(item) = ways.network.read(stranger.end) {
            match item {
                Item::Bytes(_) if std::mem::take(&mut stranger.forges) => {
                    let code = nonce(&mut ways.schedule.dice);
                    ways.network.send(ways.schedule, stranger.end, Item::Bytes(code.to_vec().into()));
                }
                Item::Close => {
                    closed = !std::mem::replace(&mut stranger.turned_away, true);
                    ways.network.close(ways.schedule, stranger.end);
                }
                Item::Bytes(_) | Item::Open(_) => {}
            }
        }
        if closed {
            self.count(FaultKind::Stranger);
        }
    }
}
