//! Policies, as their registers say over all maps: what the shards of this node are told of them.
//!
//! A policy is compiled here, once for all shards. What it matches is found by whoever needs it: the homes of
//! queues, routing tables, `leveret queue explain`.

use alloc::sync::Arc;

use leveret_model::directory::Change;
use leveret_model::limits;
use leveret_model::policy::{Policy, PolicyDefinition};

use super::effective::Batch;
use super::known_registers;
use super::map::{Op, Record};
use super::names::ObjectName;
use super::size::Bound;
use super::state::Directory;

impl Directory {
    /// Tells which policies came, changed or went.
    pub(super) fn refresh_policies(&mut self, batch: &mut Batch) {
        while let Some(name) = self.dirty.policies.pop_first() {
            let value = self.read_policy(&name);
            let known = self.published.policies.get(&name.vhost, &name.name);
            if known.map(|known| known.definition()) == value.as_ref() {
                continue;
            }
            if let Some(definition) = value {
                let policy = Arc::new(Policy::new(definition));
                self.published.policies.put(policy.clone());
                batch.policies.push(Change::PutPolicy(policy));
            } else {
                self.published.policies.remove(&name.vhost, &name.name);
                let ObjectName { vhost, name } = name;
                batch.policies.push(Change::DropPolicy { vhost, name });
            }
        }
    }

    /// None if it is cleared, or a later version wrote it in a way that this one cannot hold.
    fn read_policy(&self, name: &ObjectName) -> Option<PolicyDefinition> {
        let key = known_registers::policy_key(name);
        let latest = self.registers.latest(&key)?;
        let policy = self.register_value(&key, latest).and_then(known_registers::policy_in)?;
        // the register's key says which policy it is
        (policy.vhost == name.vhost && policy.name == name.name).then_some(policy)
    }

    /// Somebody set it, and nobody cleared it since.
    pub(crate) fn has_policy(&self, name: &ObjectName) -> bool {
        self.registers.latest(&known_registers::policy_key(name)).is_some_and(|latest| latest.present)
    }

    /// Sets or clears a policy.
    pub(crate) fn write_policy(&mut self, name: &ObjectName, policy: Option<&PolicyDefinition>) {
        let register = known_registers::policy(name, self.stamp(), policy);
        self.write(Op::Put(Record::Register(register)));
    }

    /// The bound that a policy would break. One that was cleared has its place already, in a register.
    pub(crate) fn no_room_for_policy(&self, policy: &PolicyDefinition) -> Option<Bound> {
        let name = ObjectName::new(&policy.vhost, &policy.name);
        let (count, most) = (self.published.policies.len(), limits::POLICIES_MAX);
        let full = count >= most && self.published.policies.get(&name.vhost, &name.name).is_none();
        let written = self.registers.latest(&known_registers::policy_key(&name)).is_some();
        full.then_some(Bound { what: "policies", most })
            .or_else(|| self.no_room_for_register().filter(|_| !written))
            .or_else(|| self.no_room_for(&policy.settings))
    }
}

#[cfg(test)]
mod tests;
