//! Which policy each queue that is at home here has.
//!
//! A queue gets its policy when it opens or is renamed. When a policy comes, changes or goes, all queues here
//! are looked at again, some in each turn: the walk goes once around the table from where it is, so the bound
//! of a turn holds for any number of queues and policies, and a message never pays for a pattern.

use leveret_model::policy::PolicySubject;
use leveret_model::{QueueHandle, limits};
use leveret_route::Table;

use super::Queues;
use super::dead_letters::outlet::Outlet;
use super::lists::PolicyWalk;

impl Queues {
    /// A policy came, changed or went: every queue here is looked at again.
    pub(crate) fn policies_changed(&mut self) {
        self.lists.policies.left = self.places.slots();
    }

    /// Queues wait to be looked at for their policies.
    pub(crate) fn has_policy_walk(&self) -> bool {
        self.lists.policies.left > 0
    }

    /// Looks at the next queues, up to the bound of a turn.
    pub(crate) fn walk_policies(&mut self, table: &Table) {
        let mut budget = limits::POLICY_MATCHES_PER_TURN_MAX;
        while self.lists.policies.left > 0 && budget > 0 {
            let slots = self.places.slots();
            let PolicyWalk { next, left } = &mut self.lists.policies;
            let slot = *next % slots.max(1);
            (*next, *left) = (slot + 1, *left - 1);
            let queue = self.places.within(slot..slot + 1).next().map(|entry| entry.id);
            let handle = queue.and_then(|id| self.places.handle(id));
            let compared = handle.map_or(0, |handle| self.settle_policy(handle, table));
            budget = budget.saturating_sub(compared + 1);
        }
    }

    /// Gives a queue that is at home here the policy that counts for its name; how many were compared with it.
    pub(crate) fn settle_policy(&mut self, handle: QueueHandle, table: &Table) -> usize {
        let Some(mut home) = self.home(handle) else { return 0 };
        let Some(queue) = table.queue_by_id(home.id) else { return 0 };
        let definition = &queue.record.definition;
        let subject = PolicySubject::Queue(definition.arguments.settings().kind);
        let (policy, compared) = table.policies().best(&definition.vhost, &definition.name, subject);
        if policy != home.home.policy.as_ref() {
            let settings = definition.arguments.under(policy.map(|policy| policy.definition()));
            home.set_policy(policy.cloned(), &settings);
            Outlet::set(&mut home.home.dead_letters, definition, settings.dead_letter_target());
        }
        compared
    }
}
