//! The ends of handshakes that failed, and small parts of all of them.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::SocketAddr;

use leveret_cluster::DialFailure;
use leveret_link::handshake::{Hello, Nonce, Refused};
use leveret_model::{Instant, Name, limits};
use mio::net::TcpStream;
use tracing::{debug, warn};

use super::{Handshaking, LinkSocket, Links, Origin};
use crate::clock;
use crate::log_limits::unless_none;

/// Sockets whose dial met this node itself: their other ends, which are here too, are told of nobody.
#[derive(Debug, Default)]
pub(super) struct OwnDials(VecDeque<String>);

impl OwnDials {
    fn note(&mut self, dialled: &TcpStream) {
        if self.0.len() == limits::LINK_HANDSHAKES_MAX {
            // whichever goes, its other end becomes a line of the log and nothing else
            self.0.pop_front();
        }
        self.0.extend(dialled.local_addr().map(|address| address.to_string()));
    }

    fn take(&mut self, peer: &str) -> bool {
        let at = self.0.iter().position(|own| own == peer);
        at.and_then(|at| self.0.remove(at)).is_some()
    }
}

/// Addresses that answered a dial for a control link, and whether one of them ever let this node in: an
/// acceptor of another group hangs up without a word, so whoever dials cannot know more.
#[derive(Debug, Default)]
pub(super) struct Answered(BTreeMap<String, bool>);

impl Answered {
    pub(super) fn opened(&mut self, address: &str) {
        self.note(address, true);
    }

    /// True the first time, and if it never let this node in.
    fn shut(&mut self, address: &str) -> bool {
        let first = !self.0.contains_key(address);
        if first {
            self.note(address, false);
        }
        first
    }

    fn note(&mut self, address: &str, let_in: bool) {
        if self.0.len() == limits::UNDIALLED_MAX {
            self.0.clear();
        }
        self.0.insert(address.to_owned(), let_in);
    }

    /// In words, if there are any that did not let this node in.
    fn why_alone(&self, group: &str) -> Option<String> {
        let shut = self.0.iter().filter(|(_, let_in)| !**let_in).map(|(address, _)| address.as_str());
        let shut: Vec<&str> = shut.take(limits::NAMES_SAID).collect();
        (!shut.is_empty()).then(|| {
            format!("nobody of group '{group}' answered; did not let this node in: {}", shut.join(", "))
        })
    }
}

impl Links {
    /// As many accepted links are in their handshakes as may be. They are looked through for each that comes:
    /// there are few.
    pub(crate) fn is_full(&self) -> bool {
        self.accepted().count() >= limits::LINK_HANDSHAKES_MAX
    }

    /// Drops the oldest handshake for a link that waits, if it had its time: one that is under way is worth
    /// more than one that just came. False if there is none to drop.
    pub(crate) fn drop_stale(&mut self, now: Instant) -> bool {
        // tokens are given in the order of arrival
        let Some((oldest, handshaking)) = self.accepted().min_by_key(|(token, _)| *token) else {
            return false;
        };
        let left = limits::LINK_HANDSHAKE_TIMEOUT - limits::LINK_HANDSHAKE_UNDISTURBED;
        let stale = handshaking.handshake.deadline() <= now + left;
        if stale {
            self.shaking_failed(oldest, &io::Error::other("it took long, and others wait"));
        }
        stale
    }

    fn accepted(&self) -> impl Iterator<Item = (usize, &Handshaking)> {
        self.sockets.iter().filter_map(|(token, socket)| match socket {
            LinkSocket::Handshaking(handshaking) if !handshaking.is_dialled() => {
                Some((*token, &**handshaking))
            }
            _ => None,
        })
    }

    /// Why this node found nobody although somebody answered, for people.
    pub(crate) fn why_alone(&self) -> Option<String> {
        self.answered.why_alone(&self.identity.hello.group)
    }

    pub(super) fn shaking_failed(&mut self, token: usize, error: &io::Error) {
        let Some(LinkSocket::Handshaking(handshaking)) = self.sockets.remove(&token) else { return };
        if handshaking.is_dialled() {
            // who accepted may have refused us: its log says why
            debug!(address = %handshaking.address, %error, "a link's handshake failed");
            let hung_up = error.kind() == io::ErrorKind::UnexpectedEof;
            if hung_up
                && matches!(handshaking.origin, Origin::Control)
                && self.answered.shut(&handshaking.address)
            {
                let (address, group) = (&*handshaking.address, self.identity.hello.group.as_str());
                warn!(
                    address,
                    group,
                    "an address answers and hangs up: it is of another group, of another link protocol, or a door to nobody"
                );
            }
        } else if !self.own_dials.take(&handshaking.address) {
            let why = match error.kind() {
                // a dialer that finds another secret here leaves without a word, and so does one that waited
                // too long
                io::ErrorKind::UnexpectedEof => {
                    "the peer left: this node stood still, or they have different secrets".to_owned()
                }
                _ => error.to_string(),
            };
            let peer = host_of(&handshaking.address);
            if let Some(unsaid) = self.peer_lines.take(clock::now(), peer, &why) {
                warn!(peer, reason = why, unsaid = unless_none(unsaid), "a link was not made");
            }
        }
        self.end_dial(&handshaking.address, handshaking.origin, DialFailure::Unreachable);
    }

    pub(super) fn refused(&mut self, token: usize, refused: &Refused) {
        let Some(LinkSocket::Handshaking(handshaking)) = self.sockets.remove(&token) else { return };
        if *refused == Refused::Myself {
            self.own_dials.note(&handshaking.stream);
        } else {
            let (dialled, reason) = (handshaking.is_dialled(), refused.to_string());
            let peer = if dialled { &*handshaking.address } else { host_of(&handshaking.address) };
            if matches!(handshaking.origin, Origin::Control) && *refused != Refused::Secret {
                // the line below says why
                self.answered.shut(&handshaking.address);
            }
            if let Some(unsaid) = self.peer_lines.take(clock::now(), peer, &reason) {
                warn!(peer, dialled, reason, unsaid = unless_none(unsaid), "a link was refused");
            }
        }
        self.end_dial(&handshaking.address, handshaking.origin, refusal_of(refused));
    }
}

/// Whoever dials has another port each time.
fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// A node that listens on every address names none: its links come from the right one.
pub(super) fn with_address(mut hello: Box<Hello>, stream: &TcpStream) -> Box<Hello> {
    if let (Ok(said), Ok(peer)) = (hello.address.parse::<SocketAddr>(), stream.peer_addr())
        && said.ip().is_unspecified()
    {
        hello.address = Name::new(&SocketAddr::new(peer.ip(), said.port()).to_string());
    }
    hello
}

pub(super) fn write_some(stream: &mut TcpStream, output: &mut Vec<u8>) -> io::Result<()> {
    while !output.is_empty() {
        match stream.write(output) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                output.drain(..count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn failure_of(error: &io::Error) -> DialFailure {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        DialFailure::Refused
    } else {
        DialFailure::Unreachable
    }
}

/// What a refused handshake says about whoever is at the address.
pub(super) fn refusal_of(refused: &Refused) -> DialFailure {
    match refused {
        Refused::Myself => DialFailure::Myself,
        Refused::Secret => DialFailure::Secret,
        Refused::NotALink | Refused::Protocol(_) | Refused::Group(_) | Refused::Purpose => {
            DialFailure::Unreachable
        }
    }
}

pub(super) fn nonce() -> Nonce {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce)
        .expect("the kernel gives random bytes: without them no link could be trusted");
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_that_never_opened_is_told_of_once_and_named_until_it_opens() {
        let mut answered = Answered::default();
        assert_eq!(answered.why_alone("hares"), None);
        assert!(answered.shut("a") && !answered.shut("a") && answered.shut("b"));
        let why = "nobody of group 'hares' answered; did not let this node in: a, b";
        assert_eq!(answered.why_alone("hares").as_deref(), Some(why));
        answered.opened("a");
        answered.opened("c");
        assert!(!answered.shut("a") && !answered.shut("c"), "who let this node in may hang up");
        let why = "nobody of group 'hares' answered; did not let this node in: b";
        assert_eq!(answered.why_alone("hares").as_deref(), Some(why));
    }
}
