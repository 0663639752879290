//! The policies of a cluster, in their order.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::cmp::Reverse;

use super::{Policy, PolicySubject, Rank};
use crate::Name;

/// All policies. A look-up takes them one by one in their order, so its cost is the number of policies that
/// come before the one that it finds.
#[derive(Debug, Default)]
pub struct Policies {
    by_rank: BTreeMap<Rank, Arc<Policy>>,
    ranks: BTreeMap<(Name, Name), Rank>,
}

impl Policies {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_rank.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_rank.is_empty()
    }

    /// The policy is there now, instead of one of its name, which is given.
    pub fn put(&mut self, policy: Arc<Policy>) -> Option<Arc<Policy>> {
        let definition = policy.definition();
        let rank = Rank::of(definition);
        let name = (definition.vhost.clone(), definition.name.clone());
        let old = self.ranks.insert(name, rank.clone()).and_then(|old| self.by_rank.remove(&old));
        self.by_rank.insert(rank, policy);
        old
    }

    /// The policy is gone; gives it if it was there.
    pub fn remove(&mut self, vhost: &Name, name: &Name) -> Option<Arc<Policy>> {
        let rank = self.ranks.remove(&(vhost.clone(), name.clone()))?;
        self.by_rank.remove(&rank)
    }

    /// The policy of that name.
    #[must_use]
    pub fn get(&self, vhost: &Name, name: &Name) -> Option<&Arc<Policy>> {
        self.by_rank.get(self.ranks.get(&(vhost.clone(), name.clone()))?)
    }

    /// All, by vhost and rank.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.by_rank.values()
    }

    /// Those that match a name, the one that counts first.
    pub fn matching(
        &self,
        vhost: &Name,
        name: &str,
        subject: PolicySubject,
    ) -> impl Iterator<Item = &Arc<Policy>> {
        self.of_vhost(vhost).filter(move |policy| policy.matches(name, subject))
    }

    /// The one that counts for a name, and how many were compared with it.
    #[must_use]
    pub fn best(&self, vhost: &Name, name: &str, subject: PolicySubject) -> (Option<&Arc<Policy>>, usize) {
        let mut compared = 0;
        let best = self.of_vhost(vhost).find(|policy| {
            compared += 1;
            policy.matches(name, subject)
        });
        (best, compared)
    }

    fn of_vhost(&self, vhost: &Name) -> impl Iterator<Item = &Arc<Policy>> + use<'_> {
        let first = Rank { vhost: vhost.clone(), priority: Reverse(i64::MAX), name: Name::default() };
        let vhost = vhost.clone();
        let ranked = self.by_rank.range(first..).take_while(move |(rank, _)| rank.vhost == vhost);
        ranked.map(|(_, policy)| policy)
    }
}
