//! The records of a batch, one after the other.

use bytes::Bytes;
use leveret_model::Message;

use super::{Batch, HEAD_BYTES};
use crate::codec::{self, kind};
use crate::credit::Cost;
use crate::fields::{Damage, Take};
use crate::record::{LaneTargets, Record};

impl<'a> IntoIterator for &'a Batch {
    type Item = Result<Record<'a>, Damage>;
    type IntoIter = Records<'a>;
    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// The records of a batch, in order. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    own: &'a [u8],
    beside: &'a [Bytes],
}

impl<'a> Records<'a> {
    pub(super) fn new(own: &'a [u8], beside: &'a [Bytes]) -> Self {
        Self { own, beside }
    }
}

impl<'a> Records<'a> {
    /// The next record if it is a publish: its message and queues, without the way through [`Record`], which
    /// most records need not go. hot.
    #[inline]
    pub fn next_publish(&mut self) -> Option<Result<(Message<'a>, LaneTargets<'a>), Damage>> {
        let mut take = Take::new(self.own);
        let (own, body) = take_head(&mut take).ok()?;
        let (&kind::PUBLISH, fields) = own.split_first()? else { return None };
        self.own = take.rest();
        let chunks = chunks_of(self.beside, body);
        self.beside = &self.beside[chunks.len()..];
        let publish = codec::decode_publish(&mut Take::new(fields), chunks);
        if publish.is_err() {
            self.own = &[];
        }
        Some(publish)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Damage>;

    /// hot.
    fn next(&mut self) -> Option<Self::Item> {
        if self.own.is_empty() {
            return None;
        }
        let mut take = Take::new(self.own);
        let record = take_head(&mut take).and_then(|(own, body)| {
            let chunks = chunks_of(self.beside, body);
            self.beside = &self.beside[chunks.len()..];
            codec::decode(own, chunks)
        });
        self.own = if record.is_ok() { take.rest() } else { &[] };
        Some(record)
    }
}

/// A record's own bytes and the length of what lies beside.
pub(super) fn take_head<'a>(take: &mut Take<'a>) -> Result<(&'a [u8], usize), Damage> {
    let own = take.u32()? as usize;
    let body = take.u32()? as usize;
    Ok((take.bytes(own)?, body))
}

pub(super) fn record_cost(own: &[u8], body: usize) -> Cost {
    if own.first() == Some(&kind::GRANT) { Cost::NONE } else { Cost::record(HEAD_BYTES + own.len() + body) }
}

/// The slices at the front that make up `body` bytes.
pub(super) fn chunks_of(beside: &[Bytes], body: usize) -> &[Bytes] {
    let mut bytes = 0;
    let mut count = 0;
    while bytes < body && count < beside.len() {
        bytes += beside[count].len();
        count += 1;
    }
    &beside[..count]
}
