//! What a queue or an exchange does in the end: the arguments of its declaration and its policy together.
//!
//! [`effective`] is the only place that decides between the two. Homes, routing tables and
//! `leveret queue explain` all ask it.

use alloc::vec::Vec;

use crate::definition::{Parsed, Settings};
use crate::known_arguments::{KNOWN_ARGUMENTS, KnownArgument, Setter, Status};
use crate::policy::{Both, PolicyDefinition, PolicyKey};
use crate::{Arguments, Value};

/// Who set a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// Nobody.
    Default,
    /// The declaration.
    Argument,
    /// The policy.
    Policy,
    /// Both, to the same.
    Both,
}

/// The value of one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effective<'a> {
    /// `None`: nobody set it.
    pub value: Option<&'a Value>,
    /// Who set it.
    pub set_by: SetBy,
    /// What the other one of the two said, if it said something else.
    pub overruled: Option<&'a Value>,
}

/// The value of a setting, by what the arguments of the declaration and the settings of the policy say.
///
/// A value that its argument does not take counts as absent, as in [`Parsed`]. An argument that no policy can
/// set is decided by the declaration alone.
#[must_use]
pub fn effective<'a>(
    known: &KnownArgument,
    arguments: &'a Arguments,
    policy: Option<&'a Arguments>,
) -> Effective<'a> {
    let argument = arguments.get(known.key).filter(|value| known.accepts.takes(value));
    let key = PolicyKey::of_argument(known);
    let by_policy = key.zip(policy).and_then(|(key, settings)| key.value_in(settings));
    let (value, set_by, overruled) = match (argument, by_policy) {
        (None, None) => (None, SetBy::Default, None),
        (Some(value), None) => (Some(value), SetBy::Argument, None),
        (None, Some(value)) => (Some(value), SetBy::Policy, None),
        (Some(argument), Some(policy)) if argument.equivalent(policy) => (Some(argument), SetBy::Both, None),
        (Some(argument), Some(policy)) => {
            let smaller = key.is_some_and(|key| key.both == Both::Smaller)
                && policy.as_integer().zip(argument.as_integer()).is_some_and(|(a, b)| a < b);
            if smaller {
                (Some(policy), SetBy::Policy, Some(argument))
            } else {
                (Some(argument), SetBy::Argument, Some(policy))
            }
        }
    };
    Effective { value, set_by, overruled }
}

impl<S: Settings> Parsed<S> {
    /// The settings under a policy.
    #[must_use]
    pub fn under(&self, policy: Option<&PolicyDefinition>) -> S {
        let mut settings = S::default();
        for known in settable::<S>() {
            if let Some(value) = effective(known, self, policy.map(|policy| &policy.settings)).value {
                settings.set(known.setter, value);
            }
        }
        settings
    }

    /// Each setting with its value and who set it, in the order of the table of arguments.
    #[must_use]
    pub fn explained<'a>(
        &'a self,
        policy: Option<&'a PolicyDefinition>,
    ) -> Vec<(&'static KnownArgument, Effective<'a>)> {
        let explain = |known| (known, effective(known, self, policy.map(|policy| &policy.settings)));
        settable::<S>().filter(|known| known.status == Status::Here).map(explain).collect()
    }
}

/// The arguments that fill a setting of these.
fn settable<S: Settings>() -> impl Iterator<Item = &'static KnownArgument> {
    let here = |known: &&KnownArgument| known.owner.place() == S::PLACE;
    KNOWN_ARGUMENTS.iter().filter(here).filter(|known| !matches!(known.setter, Setter::None))
}
