//! What policies say of exchanges: which one is the alternate. What they say of queues is asked by the queue's
//! home, of [`Table::policies`].

use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::Name;
use leveret_model::policy::{Policies, Policy, PolicyKey, PolicySubject};

use crate::changes::Applied;
use crate::exchange::Node;
use crate::slots::Slot;
use crate::table::Table;

impl Table {
    /// The policies of the cluster.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    pub(crate) fn put_policy(&mut self, policy: &Arc<Policy>) -> Applied {
        let old = self.policies.put(policy.clone());
        let applied = match &old {
            Some(old) if **old == **policy => return Applied::Unchanged,
            Some(_) => Applied::Updated,
            None => Applied::Added,
        };
        self.policies_changed([old.as_deref(), Some(&**policy)]);
        applied
    }

    pub(crate) fn drop_policy(&mut self, vhost: &Name, name: &Name) -> Applied {
        let Some(old) = self.policies.remove(vhost, name) else { return Applied::Unchanged };
        self.policies_changed([Some(&*old), None]);
        Applied::Removed
    }

    /// The alternate's name by the declaration of an exchange and its policy.
    pub(crate) fn alternate_of(&self, slot: Slot<Node>) -> Option<Name> {
        let node = &self.exchanges[slot];
        let exchange = node.definition.as_deref()?;
        // the default exchange has no policy (RabbitMQ: it routes by queue names alone)
        if self.policies.is_empty() || exchange.name.is_empty() {
            return exchange.arguments.settings().alternate_exchange.clone();
        }
        let (policy, _) = self.policies.best(&exchange.vhost, &exchange.name, PolicySubject::Exchange);
        exchange.arguments.under(policy.map(|policy| policy.definition())).alternate_exchange
    }

    /// Exchanges are looked at again, unless no policy says anything of them: most are about queues.
    fn policies_changed(&mut self, changed: [Option<&Policy>; 2]) {
        let alternates = |policy: &Policy| {
            PolicyKey::find(b"alternate-exchange")
                .is_some_and(|key| key.value_in(&policy.definition().settings).is_some())
        };
        if !changed.into_iter().flatten().any(alternates) && !self.policies.iter().any(|one| alternates(one))
        {
            return;
        }
        let slots: Vec<Slot<Node>> = self.exchanges().map(|(id, _)| id.slot()).collect();
        for slot in slots {
            if self.link_alternate(slot) {
                self.generation += 1;
                self.touch(slot);
            }
        }
    }
}
