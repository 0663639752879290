//! Bodies that say who sent them, so that a delivery proves itself.

use leveret_wire::BasicProperties;
use leveret_wire::properties::PERSISTENT;

use crate::message_id::MessageId;

/// Every other message of a publisher is persistent.
pub(crate) fn properties(id: MessageId) -> BasicProperties<'static> {
    let delivery_mode = id.number.is_multiple_of(2).then_some(PERSISTENT);
    BasicProperties { delivery_mode, ..BasicProperties::default() }
}

const HEAD_BYTES: usize = 12;

/// A body of `len` bytes or a little more.
pub(crate) fn make(id: MessageId, len: usize, pattern: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(len.max(HEAD_BYTES));
    body.extend_from_slice(&id.publisher.to_le_bytes());
    body.extend_from_slice(&id.number.to_le_bytes());
    let mut word = pattern;
    while body.len() < len {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        body.extend_from_slice(&word.to_le_bytes());
    }
    body
}

/// Whose it is.
pub(crate) fn read(body: &[u8]) -> Option<MessageId> {
    let (publisher, rest) = body.split_first_chunk::<4>()?;
    let (number, _) = rest.split_first_chunk::<8>()?;
    Some(MessageId { publisher: u32::from_le_bytes(*publisher), number: u64::from_le_bytes(*number) })
}

/// Its checksum (FNV-1a).
pub(crate) fn checksum(body: &[u8]) -> u64 {
    body.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
