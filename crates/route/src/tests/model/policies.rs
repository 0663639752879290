//! Policies of the model: patterns that are plain texts, and alternates found by looking at all.

use leveret_model::policy::{ApplyTo, Policy};

use super::*;

impl Model {
    pub(super) fn put_policy(&mut self, policy: &PolicyDefinition) {
        if !self.policies.contains(policy) {
            self.drop_policy(&policy.vhost, &policy.name);
            self.policies.push(policy.clone());
        }
    }

    pub(super) fn policy_drops(&self) -> impl Iterator<Item = Change> {
        let policies = self.policies.iter();
        policies.map(|policy| Change::DropPolicy { vhost: policy.vhost.clone(), name: policy.name.clone() })
    }

    pub(super) fn drop_policy(&mut self, vhost: &Name, name: &Name) {
        self.policies.retain(|old| old.name != *name || old.vhost != *vhost);
    }

    /// By the declaration, else by the policy of the highest priority whose pattern, a plain text, is in the
    /// name.
    pub(super) fn alternate(&self, vhost: &str, name: &str) -> Option<String> {
        let is_it = |e: &&ExchangeDefinition| *e.name == *name && *e.vhost == *vhost;
        if let Some(declared) = self.exchanges.iter().find(is_it).and_then(alternate_of) {
            return Some(declared);
        }
        let matching = self.policies.iter().filter(|policy| {
            *policy.vhost == *vhost && policy.apply_to != ApplyTo::Queues && name.contains(&*policy.pattern)
        });
        let counts = matching.min_by_key(|policy| (-policy.priority, policy.name.clone()))?;
        let value = counts.settings.get("alternate-exchange")?.as_bytes()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

fn any_policy() -> impl Strategy<Value = PolicyDefinition> {
    let apply_to = prop::sample::select(&[ApplyTo::All, ApplyTo::Exchanges, ApplyTo::Queues][..]);
    let setting = prop::option::weighted(0.8, some(&EXCHANGES));
    let pattern = prop::sample::select(&["", "e", "amq.", "e1"][..]);
    (vhost(), 0..3u8, pattern, apply_to, -1..2i64, setting).prop_map(
        |(vhost, name, pattern, apply_to, priority, alternate)| {
            let (key, value) = match alternate {
                Some(name) => (&b"alternate-exchange"[..], Value::LongString(name.as_bytes().into())),
                None => (&b"max-length"[..], Value::I64(5)),
            };
            let settings = Arguments([(RoutingKey::new(key), value)].into());
            let name = Name::new(["p0", "p1", "p2"][usize::from(name)]);
            // a dot is any byte in a pattern, and there is no name in which that differs
            PolicyDefinition { vhost, name, pattern: pattern.into(), apply_to, priority, settings }
        },
    )
}

pub(super) fn policy_change() -> impl Strategy<Value = Change> {
    (any_policy(), prop::bool::weighted(0.75)).prop_map(|(policy, put)| {
        if put {
            Change::PutPolicy(Policy::new(policy).into())
        } else {
            Change::DropPolicy { vhost: policy.vhost, name: policy.name }
        }
    })
}
