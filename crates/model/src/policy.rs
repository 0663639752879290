//! Policies: settings that an operator gives to all queues and exchanges whose names match a pattern.
//!
//! Read first: [`PolicyDefinition`], then [`Policies`], which finds the policy of a name. What a policy and the
//! arguments of a declaration say together is in [`effective`](crate::effective).
//!
//! Invariant: of the policies that match a name exactly one counts, the first by [`Rank`]; all nodes order them
//! alike (RabbitMQ: policies; of equal priorities it takes any).

mod keys;
mod pattern;
mod table;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::cmp::Reverse;
use core::fmt;

use crate::settings::QueueKind;
use crate::{Arguments, Name};

pub use self::keys::{Both, POLICY_KEYS, PolicyKey, SettingsError, check_settings};
pub use self::pattern::{Pattern, PatternError};
pub use self::table::Policies;

/// What a policy may apply to (`apply-to`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ApplyTo {
    #[default]
    All,
    Queues,
    ClassicQueues,
    Exchanges,
}

impl ApplyTo {
    /// All values.
    pub const ALL: [Self; 4] = [Self::All, Self::Queues, Self::ClassicQueues, Self::Exchanges];

    /// Its name (RabbitMQ: `--apply-to`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::Exchanges => "exchanges",
        }
    }

    /// The value of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// A policy that applies to these may apply to that.
    #[must_use]
    pub const fn covers(self, subject: PolicySubject) -> bool {
        match (self, subject) {
            (Self::All, _)
            | (Self::Queues, PolicySubject::Queue(_))
            | (Self::ClassicQueues, PolicySubject::Queue(QueueKind::Classic))
            | (Self::Exchanges, PolicySubject::Exchange) => true,
            (Self::Queues | Self::ClassicQueues, _) | (Self::Exchanges, PolicySubject::Queue(_)) => false,
        }
    }
}

impl fmt::Display for ApplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a policy is sought for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum PolicySubject {
    Queue(QueueKind),
    Exchange,
}

/// A policy as its operator wrote it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PolicyDefinition {
    pub vhost: Name,
    pub name: Name,
    /// A regular expression that is sought in names, anchored only where it says so.
    pub pattern: Box<str>,
    pub apply_to: ApplyTo,
    /// The highest of those that match counts.
    pub priority: i64,
    /// Values by the keys of [`POLICY_KEYS`]; a later version may have written others beside them.
    pub settings: Arguments,
}

/// A policy, ready to be matched.
#[derive(Debug)]
pub struct Policy {
    definition: PolicyDefinition,
    /// `None` for one that another version wrote and this one cannot read: it matches nothing.
    pattern: Option<Pattern>,
}

impl Policy {
    /// Compiles the pattern.
    #[must_use]
    pub fn new(definition: PolicyDefinition) -> Self {
        let pattern = Pattern::new(&definition.pattern).ok();
        Self { definition, pattern }
    }

    /// As its operator wrote it.
    #[must_use]
    pub const fn definition(&self) -> &PolicyDefinition {
        &self.definition
    }

    /// This version can read its pattern.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.pattern.is_some()
    }

    /// It applies to the queue or exchange of that name in its vhost.
    #[must_use]
    pub fn matches(&self, name: &str, subject: PolicySubject) -> bool {
        self.definition.apply_to.covers(subject)
            && self.pattern.as_ref().is_some_and(|pattern| pattern.matches(name))
    }
}

/// Two policies are equal if their operators wrote the same.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.definition == other.definition
    }
}

/// The order of the policies of a vhost: a higher priority goes first, then the smaller name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    vhost: Name,
    priority: Reverse<i64>,
    name: Name,
}

impl Rank {
    fn of(definition: &PolicyDefinition) -> Self {
        let PolicyDefinition { vhost, name, priority, .. } = definition;
        Self { vhost: vhost.clone(), priority: Reverse(*priority), name: name.clone() }
    }
}
