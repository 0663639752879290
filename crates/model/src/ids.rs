//! Newtypes for every identity; none is a bare integer.

use core::fmt;

/// A node's lasting identity: 128 random bits. Drawn at each start while there is no disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u128);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NodeId {
    /// The first eight hexadecimal digits: what people see in logs and tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}

/// How often a node id has started; a later start beats an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

/// A random nonce of one process start. Two boots of one (id, incarnation) are clones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Boot(pub u64);

/// A shard of a node: one event loop on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardId(pub u8);

/// Where a shard is, for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardAddress {
    /// The node.
    pub node: NodeId,
    /// The shard of that node.
    pub shard: ShardId,
}

/// Where a queue lives, seen from one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// On this shard.
    Here,
    /// On another shard of this node.
    Shard(ShardId),
    /// On a shard of another node.
    Node(NodeId, ShardId),
}

impl Address {
    /// `home` as it looks from `own`.
    #[must_use]
    pub fn seen_from(own: ShardAddress, home: ShardAddress) -> Self {
        if own == home {
            Self::Here
        } else if own.node == home.node {
            Self::Shard(home.shard)
        } else {
            Self::Node(home.node, home.shard)
        }
    }
}

/// A connection of a shard. The generation guards a reused slot: a late record finds nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConnectionKey {
    /// Index in the shard's table.
    pub slot: u32,
    /// Counts the uses of the slot.
    pub generation: u32,
}

/// A connection, for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConnectionAddress {
    /// The shard that it is connected to.
    pub at: ShardAddress,
    /// The connection there.
    pub connection: ConnectionKey,
}

/// The number of a channel in its connection, 1 to `channel_max` (AMQP 0-9-1 §4.2.3); 0 is the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChannelNumber(pub u16);

/// One opening of a channel: its number, and a generation that differs from every earlier opening in the
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChannelKey {
    /// The connection.
    pub connection: ConnectionKey,
    /// The channel's number.
    pub number: ChannelNumber,
    /// Counts the openings in this connection, over all numbers.
    pub generation: u32,
}

/// A consumer of one channel opening, from 1; never reused there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConsumerNumber(pub u32);

impl ConsumerNumber {
    /// No consumer: a message that the channel took by `basic.get`.
    pub const OF_GET: Self = Self(0);
}

/// A consumer as a queue's home knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConsumerKey {
    /// The shard that holds the consumer's connection.
    pub at: ShardAddress,
    /// The channel there.
    pub channel: ChannelKey,
    /// The consumer of that channel.
    pub number: ConsumerNumber,
}

/// A delivery tag: per channel opening, from 1 (AMQP 0-9-1 §1.8.3, basic.deliver).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeliveryTag(pub u64);

/// The number of a publish on a channel in confirm mode, from 1 (RabbitMQ: publisher confirms).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PublishNumber(pub u64);

/// What a shard hands to the store at the end of a turn, counted from 1: the store answers "synced up to".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreMark(pub u64);

/// Whether an appended message is stored: as safe as its publisher was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is, or nothing was promised.
    Now,
    /// It is once the store has synced this.
    At(StoreMark),
}

/// The number of a publish on a lane (ingress boot and shard → queue incarnation), from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LaneSequence(pub u64);

/// A message's place in one queue: given at the append, rising, kept over requeues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// A try to move a queue to another home, counted by the old home's node over all its moves, from 1. What
/// belongs to an earlier try is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MoveAttempt(pub u64);

/// A request that waits for an answer; unique for its sender's boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestId(pub u64);

/// One life of a queue name. Ordered as R3 settles a merge: the smaller one wins
/// (generation descending, then ULID ascending).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct QueueId {
    /// Raised by `recreate` alone; always 0 for now.
    pub generation: u32,
    /// Drawn by the home at the creation.
    pub ulid: Ulid,
}

impl Ord for QueueId {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        other.generation.cmp(&self.generation).then(self.ulid.cmp(&other.ulid))
    }
}

impl PartialOrd for QueueId {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// 48 bits of milliseconds and 80 random bits, shown in Crockford's base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ulid(pub u128);

impl Ulid {
    /// From the driver's wall clock and 80 bits of its randomness.
    #[must_use]
    pub const fn new(unix_ms: u64, random: u128) -> Self {
        Self(((unix_ms as u128) << 80) | (random & ((1 << 80) - 1)))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        for at in (0..26).rev() {
            let digit = DIGITS[((self.0 >> (5 * at)) & 31) as usize];
            fmt::Write::write_char(f, digit as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_merge_is_won_by_generation_and_then_by_age() {
        let id = |generation, ulid| QueueId { generation, ulid: Ulid(ulid) };
        assert!(id(1, 9) < id(0, 1));
        assert!(id(0, 1) < id(0, 2));
    }

    #[test]
    fn a_ulid_shows_its_26_digits() {
        assert_eq!(Ulid::new(1_469_918_176_385, 0).to_string(), "01ARYZ6S410000000000000000");
    }

    #[test]
    fn an_address_is_relative() {
        let at = |node, shard| ShardAddress { node: NodeId(node), shard: ShardId(shard) };
        assert_eq!(Address::seen_from(at(1, 0), at(1, 0)), Address::Here);
        assert_eq!(Address::seen_from(at(1, 0), at(1, 1)), Address::Shard(ShardId(1)));
        assert_eq!(Address::seen_from(at(1, 0), at(2, 0)), Address::Node(NodeId(2), ShardId(0)));
    }
}
