//! Where a dead letter goes, by what this shard knows of the cluster.

use alloc::vec::Vec;

use leveret_model::QueueHandle;
use leveret_model::definition::ExchangeKind;
use leveret_route::{ExchangeId, MessageHeaders, VhostId};

use super::letter::Letter;
use super::outlet::Dead;
use super::rows::Patience;
use crate::queues::Queues;
use crate::view::ClusterView;

/// The queues that a letter goes to, each once; none if nobody wants it.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) queues: Vec<QueueHandle>,
    /// False if some are away and get none.
    pub(super) complete: bool,
}

impl Targets {
    const NONE: Self = Self { queues: Vec::new(), complete: true };
}

impl Queues {
    /// `None` if the letter is to wait, because that cannot be known now or because one of them is away.
    pub(super) fn route_letter(
        &mut self,
        dead: &Dead,
        letter: &Letter,
        patience: Patience,
        view: &ClusterView,
    ) -> Option<Targets> {
        let (table, target) = (&view.table, &dead.source.target);
        if letter.deaths.len() > leveret_model::limits::DEATHS_MAX {
            return Some(Targets::NONE);
        }
        let vhost = table.vhost(&dead.source.vhost);
        let exchange =
            vhost.and_then(|vhost| Some((vhost, table.exchange(vhost, target.exchange.as_bytes())?)));
        // a queue of that name is known without a lease, as to a client that publishes
        let by_name = exchange.is_some_and(|(vhost, _)| is_known_by_name(vhost, target, letter, view));
        if !view.has_lease() && !by_name {
            return (patience == Patience::None).then_some(Targets { complete: false, ..Targets::NONE });
        }
        let Some((_, exchange)) = exchange else { return Some(Targets::NONE) };
        if table.definition(exchange).is_some_and(|exchange| exchange.kind == ExchangeKind::Later) {
            // only a later version can tell where to
            return (patience == Patience::None).then_some(Targets { complete: false, ..Targets::NONE });
        }
        let away = self.is_some_away(exchange, letter, view);
        if away && patience == Patience::All {
            return None;
        }
        let queues = self.queues_of(exchange, dead, letter, view);
        Some(Targets { queues, complete: !away })
    }

    fn is_some_away(&self, exchange: ExchangeId, letter: &Letter, view: &ClusterView) -> bool {
        let headers = MessageHeaders::new(&letter.header);
        letter.keys.iter().any(|key| view.table.reaches_masked(exchange, key, &headers))
    }

    /// Without those that have it, and those that it would go round with for ever.
    fn queues_of(
        &mut self,
        exchange: ExchangeId,
        dead: &Dead,
        letter: &Letter,
        view: &ClusterView,
    ) -> Vec<QueueHandle> {
        let headers = MessageHeaders::new(&letter.header);
        let (mut matches, mut queues) = (Vec::new(), Vec::new());
        for key in &letter.keys {
            view.table.route(exchange, key, &headers, &mut matches);
            for found in &matches {
                let name = view.table.queue_by_id(found.id).map(|queue| &queue.record.definition.name);
                let cycle = name.is_some_and(|name| letter.deaths.is_cycle(name));
                let handle = self.enter(found.id, found.address);
                if !cycle && !dead.reached.contains(&found.id) && !queues.contains(&handle) {
                    queues.push(handle);
                }
            }
        }
        queues
    }
}

fn is_known_by_name(
    vhost: VhostId,
    target: &leveret_model::settings::DeadLetterTarget,
    letter: &Letter,
    view: &ClusterView,
) -> bool {
    let known = |key: &[u8]| view.table.queue(vhost, key).is_some_and(|queue| !queue.masked);
    target.exchange.is_empty() && letter.keys.iter().all(|key| known(key))
}
