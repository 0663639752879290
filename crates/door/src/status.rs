//! What a door knows, as a document: `leveret door status --json` prints it.

use leveret_services::{Row, RowKey, Table};
use serde::{Deserialize, Serialize};

use crate::shared::Shared;

/// A door at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its name.
    pub door: String,
    /// Version of the program.
    pub version: String,
    /// Where clients connect.
    pub listen: String,
    /// Clients' connections.
    pub connections: usize,
    /// To the broker.
    pub link: LinkStatus,
    /// In the order of names.
    pub services: Vec<ServiceStatus>,
    /// Claims that two services want.
    pub conflicts: Vec<String>,
    /// Announcements that the door refuses, with who sent them and why.
    pub refused: Vec<String>,
    /// What each driver of another proxy said last.
    pub drivers: std::collections::BTreeMap<String, String>,
}

/// The door's link.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkStatus {
    /// There is one.
    pub up: bool,
    /// Address of the broker.
    pub broker: String,
    /// User there.
    pub user: String,
    /// Why there is none.
    pub why: String,
}

/// A service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Answered.
    pub requests: u64,
    /// Of them by the door itself.
    pub errors: u64,
    /// At instances.
    pub inflight: u32,
    /// For an instance.
    pub waiting: u32,
    /// Median time of a request, microseconds.
    pub p50_us: u64,
    /// 95th percentile of it.
    pub p95_us: u64,
    /// In the order of names.
    pub instances: Vec<InstanceStatus>,
}

/// An instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// As it says.
    pub state: String,
    /// Why it gets no new requests; empty if it does.
    pub why_not: String,
    /// Where it listens.
    pub address: String,
    /// Who announced it, as the broker says.
    pub user: String,
    /// Milliseconds since its last word.
    pub silent_ms: u64,
    /// Requests at it.
    pub inflight: u32,
    /// Upgraded connections.
    pub tunnels: u32,
    /// Answered.
    pub requests: u64,
    /// Failed tries.
    pub errors: u64,
    /// Median time of a request, microseconds.
    pub p50_us: u64,
    /// 95th percentile of it.
    pub p95_us: u64,
    /// Thousandths of its cores.
    pub cpu: Option<u32>,
    /// Resident bytes.
    pub rss: Option<u64>,
}

impl Status {
    pub(crate) fn of(shared: &Shared, table: &Table, link: &LinkStatus) -> Self {
        let mut status = Self {
            door: shared.config.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: shared.config.listen.to_string(),
            connections: shared.connections.load(std::sync::atomic::Ordering::Relaxed),
            link: link.clone(),
            services: Vec::new(),
            conflicts: Vec::new(),
            refused: table
                .refusals()
                .map(|(user, (service, instance), why)| format!("{service}/{instance} of user {user}: {why}"))
                .collect(),
            drivers: shared.drivers(),
        };
        for conflict in &table.snapshot().claims.conflicts {
            let host = conflict.claim.host.as_deref().unwrap_or("any host");
            let (path, winner, loser) = (&conflict.claim.path, &conflict.winner, &conflict.loser);
            status.conflicts.push(format!("{loser} and {winner} claim {path} of {host}: {winner} has it"));
        }
        for (name, count) in table.counts() {
            let of_service = table.rows().filter(|((service, _), _)| *service == name);
            status.services.push(ServiceStatus {
                name: name.to_string(),
                requests: count.requests,
                errors: count.errors,
                inflight: count.inflight,
                waiting: count.waiting,
                p50_us: count.p50_us,
                p95_us: count.p95_us,
                instances: of_service.map(|(key, row)| instance(shared, key, row)).collect(),
            });
        }
        status
    }
}

fn instance(shared: &Shared, (_, name): &RowKey, row: &Row) -> InstanceStatus {
    let (announcement, slot) = (row.announcement(), row.slot());
    InstanceStatus {
        name: name.to_string(),
        state: announcement.state.to_string(),
        why_not: row.why_not().map(|why| why.to_string()).unwrap_or_default(),
        address: announcement.address.map(|address| address.to_string()).unwrap_or_default(),
        user: row.user().to_owned(),
        silent_ms: u64::try_from(row.silent_for(shared.clock.now()).as_millis()).unwrap_or(u64::MAX),
        inflight: slot.inflight(),
        tunnels: slot.tunnels(),
        requests: slot.requests(),
        errors: slot.errors(),
        p50_us: slot.latency().permille(500),
        p95_us: slot.latency().permille(950),
        cpu: announcement.load.map(|load| load.cpu),
        rss: announcement.load.map(|load| load.rss),
    }
}
