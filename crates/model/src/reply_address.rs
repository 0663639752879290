//! The addresses of direct reply-to: where a requester's channel waits for its replies (RabbitMQ: direct
//! reply-to).
//!
//! ```text
//!   amq.rabbitmq.reply-to.<node, 32 hexadecimal digits><shard, 2><secret, 32>
//! ```
//! Node and shard say where the channel is. The shard drew the secret for one `basic.consume`; who was not told
//! it cannot write to the channel.

use alloc::format;

use crate::{Name, NodeId, ShardAddress, ShardId};

/// The queue that stands for "back to this channel".
pub const DIRECT_REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";

/// Digits of an address behind its prefix.
const DIGITS: usize = 32 + 2 + 32;

/// Where one consumer of replies is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyAddress {
    /// The shard that has its connection.
    pub at: ShardAddress,
    /// Which consumer there.
    pub secret: ReplySecret,
}

/// What a shard drew for a consumer of replies: unguessable, never drawn again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplySecret(pub u128);

impl core::fmt::Debug for ReplySecret {
    /// Logs are read by more people than may write to the channel.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ReplySecret(..)")
    }
}

impl ReplyAddress {
    /// The name that requesters send as `reply_to`, a routing key of the default exchange.
    #[must_use]
    pub fn to_name(self) -> Name {
        let ShardAddress { node, shard } = self.at;
        Name::new(&format!("amq.rabbitmq.reply-to.{:032x}{:02x}{:032x}", node.0, shard.0, self.secret.0))
    }

    /// The address of that name; `None` for every name that [`ReplyAddress::to_name`] never gives.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let digits = name.strip_prefix(DIRECT_REPLY_TO)?.strip_prefix(b".")?;
        if digits.len() != DIGITS {
            return None;
        }
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u128, |number, digit| {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                Some(number << 4 | u128::from(value))
            })
        };
        let shard = number(&digits[32..34])?;
        let at = ShardAddress { node: NodeId(number(&digits[..32])?), shard: ShardId(shard as u8) };
        Some(Self { at, secret: ReplySecret(number(&digits[34..])?) })
    }

    /// The name is the queue that stands for a channel, or is meant as an address: such a queue cannot be
    /// declared, and is in no map.
    #[must_use]
    pub fn is_meant(name: &[u8]) -> bool {
        name.strip_prefix(DIRECT_REPLY_TO).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_from_its_name() {
        let ends = [0, 1, u128::MAX];
        for (node, secret) in ends.into_iter().flat_map(|node| ends.map(|secret| (node, secret))) {
            let at = ShardAddress { node: NodeId(node), shard: ShardId(7) };
            let address = ReplyAddress { at, secret: ReplySecret(secret) };
            let name = address.to_name();
            assert_eq!(ReplyAddress::from_name(name.as_bytes()), Some(address));
            assert!(ReplyAddress::is_meant(name.as_bytes()));
        }
    }

    #[test]
    fn a_name_that_was_never_given_is_no_address() {
        let at = ShardAddress { node: NodeId(1), shard: ShardId(2) };
        let name = ReplyAddress { at, secret: ReplySecret(3) }.to_name();
        let longer = format!("{name}0");
        let upper = name.replace('a', "A");
        for wrong in
            ["", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.", &name[..name.len() - 1], &longer, &upper]
        {
            assert_eq!(ReplyAddress::from_name(wrong.as_bytes()), None, "{wrong}");
        }
        let with = |digit: &str| format!("{}{digit}", &name[..name.len() - 1]);
        for digit in ["g", "G", "F", "/", ":", "+", "-", "\u{0}"] {
            assert_eq!(ReplyAddress::from_name(with(digit).as_bytes()), None, "{digit:?}");
        }
    }
}
