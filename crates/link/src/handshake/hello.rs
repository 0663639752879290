//! What each side of a link says of itself before it is believed: fields of checked lengths, drawn in
//! docs/formats/link.md.
//!
//! Invariant: decoding looks at `limits::LINK_HANDSHAKE_BYTES_MAX` bytes at most and takes memory for three
//! names.

use alloc::vec::Vec;

use leveret_model::{Boot, Incarnation, Name, NodeId, limits};

use super::capabilities::Capabilities;
use crate::fields::{Damage, Put, Take};
use crate::sessions::{DataLinkKey, Round};

/// The version that this build speaks. It talks with the next one too, and with those before it from
/// [`PROTOCOL_OLDEST`] on.
pub const PROTOCOL: u16 = 4;
/// The oldest that it talks with: no node of an earlier version was ever released.
pub const PROTOCOL_OLDEST: u16 = 4;

/// Bytes of the code behind a hello.
pub(super) const MAC_BYTES: usize = 32;
pub(super) const MAGIC: &[u8; 8] = b"LEVERET\0";
/// Magic, protocol, length.
const HELLO_HEAD_BYTES: usize = 12;

/// Random bytes of one handshake, from the driver; never used twice.
pub type Nonce = [u8; 32];

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Control frames.
    Control,
    /// Records; the dialler says which shards they are between, and of which of its rounds the link is.
    Data(DataLinkKey),
}

/// What each side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The protocol that it speaks; [`PROTOCOL`] for our own.
    pub protocol: u16,
    /// The group it belongs to.
    pub group: Name,
    /// Its lasting identity.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// The nonce of that start.
    pub boot: Boot,
    /// Its shards.
    pub shards: u8,
    /// Its name for people.
    pub name: Name,
    /// Where its cluster port is for others, `ADDR:PORT`.
    pub address: Name,
    /// What the dialer wants the link for; the acceptor answers with the same.
    pub purpose: Purpose,
    /// What it can be asked for.
    pub capabilities: Capabilities,
}

/// The length of the hello that begins so, or of its head while that is not there. None if no hello begins so:
/// a wrong byte is refused at once.
pub(super) fn hello_length(input: &[u8]) -> Option<usize> {
    let magic = input.len().min(MAGIC.len());
    if input[..magic] != MAGIC[..magic] {
        return None;
    }
    let Some(head) = input.first_chunk::<HELLO_HEAD_BYTES>() else { return Some(HELLO_HEAD_BYTES) };
    let whole = HELLO_HEAD_BYTES + usize::from(u16::from_le_bytes([head[10], head[11]]));
    (whole + MAC_BYTES <= limits::LINK_HANDSHAKE_BYTES_MAX).then_some(whole)
}

pub(super) fn encode_hello(hello: &Hello, nonce: &Nonce) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.raw(MAGIC);
    out.u16(hello.protocol);
    out.u16(0);
    out.raw(nonce);
    out.node(hello.node);
    out.u64(hello.incarnation.0);
    out.u64(hello.boot.0);
    out.u8(hello.shards);
    let (purpose, key) = match hello.purpose {
        Purpose::Control => (0, DataLinkKey { round: Round(0), index: 0 }),
        Purpose::Data(key) => (1, key),
    };
    out.u8(purpose);
    out.u8(key.index);
    out.u64(key.round.0);
    for text in [&hello.group, &hello.name, &hello.address] {
        out.u8(text.len() as u8);
        out.raw(text.as_bytes());
    }
    hello.capabilities.put(&mut out);
    let length = (out.len() - HELLO_HEAD_BYTES) as u16;
    out[10..HELLO_HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    out
}

pub(super) fn decode_hello(message: &[u8]) -> Result<Hello, Damage> {
    let mut take = Take::new(message);
    take.bytes(MAGIC.len())?;
    let protocol = take.u16()?;
    take.u16()?;
    take.bytes(size_of::<Nonce>())?;
    let node = take.node()?;
    let incarnation = Incarnation(take.u64()?);
    let boot = Boot(take.u64()?);
    let shards = take.u8()?;
    if shards == 0 {
        return Err(Damage::Value("number of shards"));
    }
    let purpose = match (take.u8()?, take.u8()?, take.u64()?) {
        (0, 0, 0) => Purpose::Control,
        (1, index, round) => Purpose::Data(DataLinkKey { round: Round(round), index }),
        _ => return Err(Damage::Value("purpose")),
    };
    let mut name = || {
        let bytes = take.u8()?.into();
        Name::from_bytes(take.bytes(bytes)?).map_err(|_| Damage::Value("name"))
    };
    let (group, name, address) = (name()?, name()?, name()?);
    let capabilities = Capabilities::take(&mut take)?;
    // a later version may say more; the code covers it
    if protocol <= PROTOCOL {
        take.end()?;
    }
    Ok(Hello { protocol, group, node, incarnation, boot, shards, name, address, purpose, capabilities })
}
