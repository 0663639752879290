//! Mutual authentication of a link, before any frame of it is parsed.
//!
//! ```text
//!   dialer                                acceptor
//!     │ hello_d ──────────────────────────▶ │   hello: "LEVERET", protocol u16, len u16, fields with a fresh nonce
//!     │ ◀────────────── hello_a, mac_a ─────│   mac_a = HMAC(secret, "…acceptor…" binding hello_d hello_a)
//!     │ mac_d ─────────────────────────────▶│   mac_d = HMAC(secret, "…dialer…"   binding hello_d hello_a)
//!     └─────────────── frames ──────────────┘
//! ```
//! Every byte is drawn in docs/formats/link.md. What it withstands, each by a test: *wrong secret, other
//! binding*: the code does not match; *replay*: both nonces are under the code; *reflection*: the role is under
//! the code, and a code that our own acceptor made for our own dialer is our own id and boot; *other group*:
//! refused at the hello, and the group is under the code too.
//!
//! Invariants: the reason of a refusal is for our log; the peer sees the drop alone. Hellos are length-checked
//! fields and no more than `limits::LINK_HANDSHAKE_BYTES_MAX` are kept. Without a secret the key is empty and
//! proves nothing: the driver lets such links only run over loopback.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use leveret_model::{Instant, Name, limits};
use sha2::Sha256;
use subtle::ConstantTimeEq;

mod capabilities;
mod hello;

pub use capabilities::{Capabilities, Capability};
pub use hello::{Hello, Nonce, PROTOCOL, PROTOCOL_OLDEST, Purpose};

use hello::{MAC_BYTES, decode_hello, encode_hello, hello_length};

const ACCEPTOR_LABEL: &[u8] = b"leveret link acceptor";
const DIALER_LABEL: &[u8] = b"leveret link dialer";

/// What the nodes of a group share.
#[derive(Clone)]
pub enum Secret {
    /// Nothing: links over loopback only.
    None,
    /// Bytes that only the nodes know, made by [`Secret::shared`].
    Shared(Box<[u8]>),
}

/// A secret of less than `limits::LINK_SECRET_BYTES_MIN`: whoever reaches the port could search it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret has {0} bytes, less than {min}", min = limits::LINK_SECRET_BYTES_MIN)]
pub struct SecretTooShort(pub usize);

impl Secret {
    /// The content of a secret file; white space at its ends does not count.
    ///
    /// # Errors
    /// [`SecretTooShort`].
    pub fn shared(text: &[u8]) -> Result<Self, SecretTooShort> {
        let secret = text.trim_ascii();
        if secret.len() < limits::LINK_SECRET_BYTES_MIN {
            return Err(SecretTooShort(secret.len()));
        }
        Ok(Self::Shared(secret.into()))
    }

    /// True without a secret: the driver refuses all but loopback.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Shared(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Secret {
    /// Never the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "Secret::None" } else { "Secret::Shared(..)" })
    }
}

/// Why a link is not opened. For our log; the peer is told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a hello: something else dialled this port, or a hello is damaged.
    #[error("the peer does not speak the link protocol")]
    NotALink,
    /// Older than [`PROTOCOL_OLDEST`], or later than the version after ours.
    #[error("the peer speaks protocol {0}, this node {PROTOCOL}")]
    Protocol(u16),
    /// Another group.
    #[error("the peer belongs to the group {0:?}")]
    Group(Name),
    /// The code does not match: another secret, or a stranger.
    #[error("the peer does not know the secret of this group")]
    Secret,
    /// An address led back to this very node.
    #[error("the peer is this node itself")]
    Myself,
    /// The acceptor answered for another purpose than the dialer's.
    #[error("the peer answers for another link")]
    Purpose,
}

/// What came of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// More bytes are needed.
    More,
    /// The peer knows the secret: frames follow, after the output is written.
    Open(Box<Hello>),
    /// Drop the socket; write nothing.
    Refused(Refused),
}

/// One side of one handshake.
#[derive(Debug)]
pub struct Handshake {
    secret: Secret,
    binding: Box<[u8]>,
    me: Hello,
    nonce: Nonce,
    deadline: Instant,
    output: Vec<u8>,
    /// Bytes of the message under way.
    input: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    DialerAwaitsHello { hello: Vec<u8> },
    DialerAwaitsMac { hello: Vec<u8>, peer_hello: Vec<u8>, peer: Box<Hello> },
    AcceptorAwaitsHello,
    AcceptorAwaitsMac { hello: Vec<u8>, peer_hello: Vec<u8>, peer: Box<Hello> },
    Over,
}

impl Handshake {
    /// The side that dialled; has output at once. `me.purpose` is what the link is for.
    #[must_use]
    pub fn dialer(secret: Secret, me: Hello, nonce: Nonce, binding: &[u8], now: Instant) -> Self {
        let hello = encode_hello(&me, &nonce);
        Self {
            output: hello.clone(),
            state: State::DialerAwaitsHello { hello },
            ..Self::acceptor(secret, me, nonce, binding, now)
        }
    }

    /// The side that accepted; `me.purpose` is replaced by the dialer's.
    #[must_use]
    pub fn acceptor(secret: Secret, me: Hello, nonce: Nonce, binding: &[u8], now: Instant) -> Self {
        Self {
            secret,
            binding: binding.into(),
            me,
            nonce,
            deadline: now + limits::LINK_HANDSHAKE_TIMEOUT,
            output: Vec::new(),
            input: Vec::new(),
            state: State::AcceptorAwaitsHello,
        }
    }

    /// Past it the socket is dropped.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Bytes to write, once.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.output)
    }

    /// Bytes came; says how many of them were the handshake's. What follows [`Outcome::Open`] are frames.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> (usize, Outcome) {
        let mut consumed = 0;
        loop {
            let wanted = match self.wanted() {
                Ok(wanted) => wanted,
                Err(refused) => return (consumed, self.refuse(refused)),
            };
            let piece = wanted.min(bytes.len() - consumed);
            self.input.extend_from_slice(&bytes[consumed..consumed + piece]);
            consumed += piece;
            match self.wanted() {
                Err(refused) => return (consumed, self.refuse(refused)),
                Ok(1..) if piece < wanted => return (consumed, Outcome::More),
                // the head was complete, and says that more belongs to the message
                Ok(1..) => {}
                Ok(0) => {
                    let message = core::mem::take(&mut self.input);
                    match self.on_message(message) {
                        Ok(None) => {}
                        Ok(Some(peer)) => return (consumed, Outcome::Open(peer)),
                        Err(refused) => return (consumed, self.refuse(refused)),
                    }
                }
            }
        }
    }

    /// Bytes that the message under way lacks, as far as its head says.
    fn wanted(&self) -> Result<usize, Refused> {
        let whole = match self.state {
            State::DialerAwaitsMac { .. } | State::AcceptorAwaitsMac { .. } => MAC_BYTES,
            State::DialerAwaitsHello { .. } | State::AcceptorAwaitsHello => {
                hello_length(&self.input).ok_or(Refused::NotALink)?
            }
            // fed after its end: by a driver that missed it
            State::Over => return Err(Refused::NotALink),
        };
        Ok(whole.saturating_sub(self.input.len()))
    }

    fn on_message(&mut self, message: Vec<u8>) -> Result<Option<Box<Hello>>, Refused> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::AcceptorAwaitsHello => {
                let peer = self.check_hello(&message)?;
                self.me.purpose = peer.purpose;
                let hello = encode_hello(&self.me, &self.nonce);
                self.output.extend_from_slice(&hello);
                self.output.extend_from_slice(&self.mac(ACCEPTOR_LABEL, &message, &hello));
                self.state = State::AcceptorAwaitsMac { hello, peer_hello: message, peer };
                Ok(None)
            }
            State::DialerAwaitsHello { hello } => {
                let peer = self.check_hello(&message)?;
                self.state = State::DialerAwaitsMac { hello, peer_hello: message, peer };
                Ok(None)
            }
            State::DialerAwaitsMac { hello, peer_hello, peer } => {
                self.check_mac(&message, ACCEPTOR_LABEL, &hello, &peer_hello)?;
                self.check_peer(&peer)?;
                self.output.extend_from_slice(&self.mac(DIALER_LABEL, &hello, &peer_hello));
                Ok(Some(peer))
            }
            State::AcceptorAwaitsMac { hello, peer_hello, peer } => {
                self.check_mac(&message, DIALER_LABEL, &peer_hello, &hello)?;
                self.check_peer(&peer)?;
                Ok(Some(peer))
            }
            State::Over => Err(Refused::NotALink),
        }
    }

    /// What can be said before the peer has proved anything.
    fn check_hello(&self, message: &[u8]) -> Result<Box<Hello>, Refused> {
        let peer = decode_hello(message).map_err(|_| Refused::NotALink)?;
        if !(PROTOCOL_OLDEST..=PROTOCOL + 1).contains(&peer.protocol) {
            return Err(Refused::Protocol(peer.protocol));
        }
        if peer.group != self.me.group {
            return Err(Refused::Group(peer.group));
        }
        Ok(Box::new(peer))
    }

    /// What a peer that knows the secret may still be. Our own acceptor proves itself to our own dialer, so
    /// that the dialer can strike the address: a stranger cannot make it do so.
    fn check_peer(&self, peer: &Hello) -> Result<(), Refused> {
        if peer.node == self.me.node && peer.boot == self.me.boot {
            return Err(Refused::Myself);
        }
        if peer.purpose != self.me.purpose {
            return Err(Refused::Purpose);
        }
        Ok(())
    }

    fn check_mac(&self, mac: &[u8], label: &[u8], dialer: &[u8], acceptor: &[u8]) -> Result<(), Refused> {
        if bool::from(self.mac(label, dialer, acceptor).ct_eq(mac)) { Ok(()) } else { Err(Refused::Secret) }
    }

    fn mac(&self, label: &[u8], dialer: &[u8], acceptor: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.key())
            .expect("HMAC takes keys of any length (RFC 2104 §3)");
        for part in [label, &self.binding, dialer, acceptor] {
            // lengths in front, so that no two lists of parts give the same bytes
            mac.update(&(part.len() as u32).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn refuse(&mut self, refused: Refused) -> Outcome {
        self.state = State::Over;
        self.output.clear();
        self.input = Vec::new();
        Outcome::Refused(refused)
    }
}

#[cfg(test)]
mod tests;
