//! A message on its way in: from `basic.publish` to the last byte of its body, or held until it can be routed.
//!
//! A body shorter than `limits::SLICE_BYTES_MIN` is gathered in one piece. A longer one is a list of chunks: pieces of at
//! least that size are counted slices of the block they came in, taken as they arrive, so that the rest of a large frame
//! is never copied; smaller pieces are gathered, so that a body in tiny frames cannot pin a block for each.
//! Invariant: `got ≤ body_size`, and `got` bytes are in `flat` and `chunks` together.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::limits::{GATHER_BYTES, SLICE_BYTES_MIN};
use leveret_model::{Body, Instant, Message, PublishNumber, RoutingKey, Terms};
use leveret_wire::{PublishFields, own_slices};

use super::copies;
use crate::host::Publish;

/// What is expected next of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The content header frame.
    Header,
    /// A body frame.
    Body,
}

/// A message on its way in.
#[derive(Debug)]
pub(crate) struct Assembly {
    expect: Expect,
    mandatory: bool,
    exchange_len: u8,
    address_len: u16,
    body_size: u64,
    got: u64,
    /// The address, then the content header's payload.
    front: Vec<u8>,
    /// The body if it is short; else small pieces that are not a chunk yet.
    flat: Vec<u8>,
    chunks: Vec<Bytes>,
    terms: Terms,
    /// Further routing keys, of the headers CC and BCC.
    copies: Vec<RoutingKey>,
    /// Set when it is held: its number, and when its last byte came.
    pub(crate) number: Option<PublishNumber>,
    pub(crate) arrived: Instant,
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            expect: Expect::Header,
            mandatory: false,
            exchange_len: 0,
            address_len: 0,
            body_size: 0,
            got: 0,
            front: Vec::new(),
            flat: Vec::new(),
            chunks: Vec::new(),
            terms: Terms::default(),
            copies: Vec::new(),
            number: None,
            arrived: Instant::ZERO,
        }
    }
}

impl Assembly {
    /// Starts with the fields of `basic.publish`.
    pub(crate) fn start(&mut self, fields: &PublishFields<'_>) {
        self.clear();
        self.mandatory = fields.mandatory;
        self.exchange_len = fields.exchange.len() as u8;
        self.address_len = fields.address.len() as u16;
        self.front.extend_from_slice(fields.address);
    }

    /// Goes on with a valid content header.
    pub(crate) fn on_header(&mut self, payload: &[u8], body_size: u64, terms: Terms) {
        self.terms = terms;
        self.front.extend_from_slice(payload);
        self.body_size = body_size;
        self.expect = Expect::Body;
    }

    /// The message goes to further routing keys; the content header that it was given is kept without BCC.
    pub(crate) fn take_copies(&mut self) {
        self.copies = copies::keys_of(&self.front[usize::from(self.address_len)..]);
        self.map_header(copies::without_bcc);
    }

    /// Changes the content header that it was given.
    pub(crate) fn map_header(&mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let header = self.front.split_off(usize::from(self.address_len));
        self.front.extend_from_slice(&change(header));
    }

    /// Further routing keys.
    pub(crate) fn copies(&self) -> &[RoutingKey] {
        &self.copies
    }

    /// What comes next.
    pub(crate) fn expect(&self) -> Expect {
        self.expect
    }

    /// Bytes of the body that are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.body_size - self.got
    }

    /// Bytes that are here: address, content header, body.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.front.len() + self.got as usize
    }

    /// True if the body is long enough to be kept in chunks.
    pub(crate) fn is_sliced(&self) -> bool {
        self.body_size >= SLICE_BYTES_MIN as u64
    }

    /// A piece of the body; at most what is missing. hot.
    pub(crate) fn gather(&mut self, piece: Bytes) {
        self.got += piece.len() as u64;
        if piece.len() >= SLICE_BYTES_MIN {
            self.end_gathered();
            self.chunks.push(piece);
            return;
        }
        self.flat.extend_from_slice(&piece);
        if self.is_sliced() && self.flat.len() >= GATHER_BYTES {
            self.end_gathered();
        }
    }

    /// The body is whole.
    pub(crate) fn finish(&mut self) {
        if self.is_sliced() {
            self.end_gathered();
        }
    }

    /// The message, to be offered to the host.
    pub(crate) fn publish(&self, number: Option<PublishNumber>, arrived: Instant) -> Publish<'_> {
        let message = self.message();
        let exchange_end = 1 + usize::from(self.exchange_len);
        Publish {
            message,
            exchange: &message.address[1..exchange_end],
            routing_key: &message.address[exchange_end + 1..],
            mandatory: self.mandatory,
            number,
            arrived,
        }
    }

    /// The message, to be returned.
    pub(crate) fn message(&self) -> Message<'_> {
        let (address, header) = self.front.split_at(usize::from(self.address_len));
        let body = if self.is_sliced() { Body::Chunks(&self.chunks) } else { Body::Flat(&self.flat) };
        Message { address, header, body, terms: self.terms }
    }

    /// Exchange and routing key.
    pub(crate) fn names(&self) -> (&[u8], &[u8]) {
        let (exchange, routing_key) =
            self.front[..usize::from(self.address_len)].split_at(1 + usize::from(self.exchange_len));
        (&exchange[1..], &routing_key[1..])
    }

    /// Keeps a whole message that was never assembled.
    pub(crate) fn keep(&mut self, publish: Publish<'_>) {
        self.clear();
        self.expect = Expect::Body;
        self.mandatory = publish.mandatory;
        self.exchange_len = publish.exchange.len() as u8;
        self.address_len = publish.message.address.len() as u16;
        self.front.extend_from_slice(publish.message.address);
        self.front.extend_from_slice(publish.message.header);
        match publish.message.body {
            Body::Flat(bytes) => self.flat.extend_from_slice(bytes),
            Body::Chunks(chunks) => self.chunks.extend_from_slice(chunks),
        }
        self.terms = publish.message.terms;
        self.number = publish.number;
        self.arrived = publish.arrived;
        self.got = (self.flat.len() + self.chunks.iter().map(Bytes::len).sum::<usize>()) as u64;
        self.body_size = self.got;
    }

    /// See `Output::own_slices`.
    pub(crate) fn own_slices(&mut self, budget_bytes: usize) -> usize {
        own_slices(&mut self.chunks, budget_bytes)
    }

    /// Empty again, buffers kept.
    pub(crate) fn clear(&mut self) {
        self.expect = Expect::Header;
        self.got = 0;
        self.body_size = 0;
        self.front.clear();
        self.flat.clear();
        self.chunks.clear();
        self.copies.clear();
        self.number = None;
    }

    fn end_gathered(&mut self) {
        if !self.flat.is_empty() {
            self.chunks.push(core::mem::take(&mut self.flat).into());
        }
    }
}
