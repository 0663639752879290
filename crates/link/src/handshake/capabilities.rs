//! What a node answers to, beyond what every node of its protocol does.
//!
//! An unknown record or frame is skipped by its receiver, so nobody would ever answer it. Whoever needs an
//! answer therefore asks only peers whose hello names the capability. A node that asks for nothing of the kind
//! may ignore the list.

use alloc::vec::Vec;

use leveret_model::limits;

use crate::fields::{Damage, Put, Take};

/// Something that a node can be asked for. A number is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(pub u16);

impl Capability {
    /// Control frames: `Request` with a command that the home of a queue alone can do (delete, bind, unbind).
    pub const QUEUE_COMMANDS: Self = Self(1);
    /// Records of sessions: the node keeps sessions (`session_listen`), and counts in everything that concerns
    /// them.
    pub const SESSIONS: Self = Self(2);
    /// Control frames `Move` and `Leaving`, and the data records of a queue that moves.
    pub const MOVES: Self = Self(3);
    /// Records of direct reply-to: replies, and questions whether their consumer is there.
    pub const DIRECT_REPLY_TO: Self = Self(5);
    /// Records of a queue that is copied while it serves, before it moves.
    pub const COPIES: Self = Self(6);
    /// Control frame `Staying`.
    pub const STAYING: Self = Self(7);
    /// Questions of an operator about sessions of every node.
    pub const SESSION_SURVEYS: Self = Self(10);
}

/// All that a node can be asked for; numbers that only later versions know are kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Capabilities(Vec<Capability>);

impl Capabilities {
    /// What this version answers to.
    #[must_use]
    pub fn own() -> Self {
        Self(alloc::vec![
            Capability::QUEUE_COMMANDS,
            Capability::MOVES,
            Capability::DIRECT_REPLY_TO,
            Capability::COPIES,
            Capability::STAYING,
        ])
    }

    /// These and one more.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Self {
        if !self.has(capability) && self.0.len() < limits::CAPABILITIES_MAX {
            self.0.push(capability);
        }
        self
    }

    /// These alone, without those past `limits::CAPABILITIES_MAX`.
    #[must_use]
    pub fn of(capabilities: &[Capability]) -> Self {
        Self(capabilities.iter().copied().take(limits::CAPABILITIES_MAX).collect())
    }

    /// The node answers to that.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.u8(self.0.len() as u8);
        for capability in &self.0 {
            out.u16(capability.0);
        }
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Self, Damage> {
        let count = usize::from(take.u8()?);
        if count > limits::CAPABILITIES_MAX {
            return Err(Damage::TooMany("capabilities"));
        }
        (0..count).map(|_| take.u16().map(Capability)).collect::<Result<_, _>>().map(Self)
    }
}
