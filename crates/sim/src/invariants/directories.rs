//! All directories agree from 2 s after the last fault on: what each control machine tells, and what each shard
//! routes by.
//!
//! Clients may still be changing something then. So each exchange, queue and binding is judged by itself: none
//! is here and not there for longer than 2 s, whatever commands are under way. Queues that are masked are left
//! out: a node that came later never hears of those that died before.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::Instant;
use leveret_model::definition::{Binding, ExchangeDefinition};
use leveret_model::directory::QueueRecord;

use crate::oracle::Oracle;
use crate::process::Process;

const WITHIN: Duration = Duration::from_secs(2);
/// Others come with the broker.
const OWN_EXCHANGES: &str = "ex.";

/// Since when something is known in some places only.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    apart_since: BTreeMap<String, Instant>,
}

impl Directories {
    /// Looks from the last fault on.
    pub(crate) fn look<'a>(
        &mut self,
        now: Instant,
        processes: impl Iterator<Item = &'a Process>,
        oracle: &mut Oracle,
    ) {
        let mut views = Vec::new();
        for process in processes {
            let status = process.control.control.status();
            let queues = status.queues.iter().filter(|queue| !queue.masked).map(|queue| &queue.record);
            let name = &process.hello.name;
            views.push((format!("{name}"), lines(&status.exchanges, queues, &status.bindings)));
            for (shard, host) in process.shards.iter().enumerate() {
                let routes = host.shard.routes();
                let queues = routes.queues.iter().filter(|(_, masked)| !masked).map(|(record, _)| record);
                let lines = lines(&routes.exchanges, queues, &routes.bindings);
                views.push((format!("{name}/{shard}"), lines));
            }
        }
        let mut known: BTreeMap<&String, usize> = BTreeMap::new();
        for line in views.iter().flat_map(|(_, lines)| lines) {
            *known.entry(line).or_default() += 1;
        }
        let mut apart = BTreeMap::new();
        for (line, _) in known.into_iter().filter(|(_, count)| *count < views.len()) {
            let since = self.apart_since.get(line).copied().unwrap_or(now);
            if now.since(since) > WITHIN {
                let at: Vec<_> =
                    views.iter().filter(|(_, lines)| lines.contains(line)).map(|(at, _)| at).collect();
                let text = format!("for {:?} only {at:?} know {line}", now.since(since));
                oracle.violation(now, "directories", text);
            }
            apart.insert(line.clone(), since);
        }
        self.apart_since = apart;
    }
}

/// What is known, as lines.
fn lines<'a>(
    exchanges: &[ExchangeDefinition],
    queues: impl Iterator<Item = &'a QueueRecord>,
    bindings: &[Binding],
) -> Vec<String> {
    let own = exchanges.iter().filter(|exchange| exchange.name.starts_with(OWN_EXCHANGES));
    let mut lines: Vec<String> = own.map(|exchange| format!("{exchange:?}")).collect();
    lines.extend(queues.map(|queue| format!("{queue:?}")));
    lines.extend(bindings.iter().map(|binding| format!("{binding:?}")));
    lines.sort_unstable();
    lines.dedup();
    lines
}
