//! The kind byte of each record. A number is never given to another kind again.

// 1 was a publish to one queue, until protocol 3
pub(crate) const STORED: u8 = 2;
pub(crate) const GAP: u8 = 3;
pub(crate) const GONE: u8 = 4;
// 5 was "not home", on which nobody acted
pub(crate) const SUBSCRIBE: u8 = 6;
pub(crate) const UNSUBSCRIBE: u8 = 7;
pub(crate) const DELIVER: u8 = 8;
pub(crate) const CREDIT: u8 = 9;
pub(crate) const SETTLE: u8 = 10;
pub(crate) const CANCELLED: u8 = 11;
pub(crate) const RESUBSCRIBE: u8 = 12;
pub(crate) const GET: u8 = 13;
pub(crate) const GOT: u8 = 14;
pub(crate) const EMPTY: u8 = 15;
pub(crate) const PURGE: u8 = 16;
pub(crate) const INSPECT: u8 = 17;
pub(crate) const COUNTS: u8 = 18;
pub(crate) const DONE: u8 = 19;
pub(crate) const REFUSED: u8 = 20;
pub(crate) const GRANT: u8 = 21;
pub(crate) const RESUBSCRIBE_END: u8 = 22;
pub(crate) const THROTTLE: u8 = 23;
pub(crate) const PUBLISH: u8 = 24;
pub(crate) const NOT_NOW: u8 = 25;
pub(crate) const PUBLISH_REFUSED: u8 = 26;
pub(crate) const SESSIONS: u8 = 27;
pub(crate) const MOVE_MESSAGE: u8 = 28;
pub(crate) const MOVE: u8 = 29;
pub(crate) const RESUBSCRIBE_QUEUE_END: u8 = 30;
pub(crate) const COPY_MESSAGE: u8 = 31;
// 32 to 34 are given to features that this version lacks
pub(crate) const REPLY: u8 = 35;
pub(crate) const FIND_REPLY_ADDRESS: u8 = 36;
pub(crate) const REPLY_ADDRESS_FOUND: u8 = 37;
/// Later kinds are of later versions. Those of before that nobody writes any more are damage.
pub(crate) const LAST: u8 = REPLY_ADDRESS_FOUND;

/// Of a later version, or of another one beside it: skipped by its length.
pub(crate) const fn is_unknown(kind: u8) -> bool {
    kind > LAST || (COPY_MESSAGE < kind && kind < REPLY)
}
