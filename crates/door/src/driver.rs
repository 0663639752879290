//! What drivers of other proxies have in common: the loop, and the places that they hold at instances.
//!
//! Level-triggered: on each change of the table, and each second, a driver reads what its proxy has, compares
//! it with [`Places::wanted`] and says what is missing, so a lost reply or a restart of the proxy needs no
//! special case. Invariant: a driver enters the slot of an instance before its proxy hears of the instance, and
//! leaves it when the proxy has no request there any more; so the door's acknowledgement of a drain counts the
//! proxy's requests too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use leveret_model::limits::{DRIVER_EVERY, DRIVER_STOPPING_EVERY};
use leveret_services::{Candidate, ServiceName, Slot};

use crate::shared::{Shared, stopped};

/// One proxy, as the loop sees it.
pub(crate) trait Driver {
    /// For logs and the status.
    fn name(&self) -> String;

    /// The proxy's name of an instance.
    fn member_name(&self, candidate: &Candidate) -> String;

    /// Compares and acts once; gives what the status shows.
    async fn turn(&mut self, places: &mut Places) -> io::Result<String>;

    /// The proxy listens no more. Places that no process of it can use are left.
    fn on_gone(&mut self, places: &mut Places);
}

/// A member of the proxy as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    /// Suffix of its sessions' ids.
    pub(crate) route: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Serve {
        address: SocketAddr,
        weight: u32,
    },
    /// Only requests of its own sessions (T2).
    Sessions,
    /// Nothing new at all; what is there ends.
    Stop,
}

/// A place at an instance that the proxy's requests have.
struct Held {
    slot: Arc<Slot>,
    route: Option<String>,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.slot.leave() {
            self.shared.drained.notify_one();
        }
    }
}

/// The places that one driver holds, by the proxy's name of the instance.
pub(crate) struct Places {
    service: ServiceName,
    shared: Arc<Shared>,
    held: BTreeMap<String, Held>,
}

impl Places {
    pub(crate) fn new(service: ServiceName, shared: Arc<Shared>) -> Self {
        Self { service, shared, held: BTreeMap::new() }
    }

    /// Enters the slots of instances that are routed and not held yet.
    pub(crate) fn enter_new(&mut self, name_of: impl Fn(&Candidate) -> String) {
        let snapshot = self.shared.snapshot.load();
        let Some(view) = snapshot.service(&self.service) else { return };
        for candidate in view.candidates.iter().filter(|candidate| !candidate.sessions_only) {
            let name = name_of(candidate);
            // Another boot of the name waits: the old one is drained and left first.
            if self.held.contains_key(&name) || !candidate.slot.enter(false, 0) {
                continue;
            }
            let slot = Arc::clone(&candidate.slot);
            let route = candidate.route.as_ref().map(ToString::to_string);
            self.held.insert(name, Held { slot, route, shared: Arc::clone(&self.shared) });
        }
    }

    /// What the proxy should have.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let snapshot = self.shared.snapshot.load();
        let candidates =
            snapshot.service(&self.service).map(|view| view.candidates.as_slice()).unwrap_or_default();
        let wanted = |(name, held): (&String, &Held)| {
            let candidate = candidates.iter().find(|candidate| Arc::ptr_eq(&candidate.slot, &held.slot));
            let mode = match candidate {
                Some(candidate) if candidate.sessions_only => Mode::Sessions,
                Some(candidate) => Mode::Serve { address: candidate.address, weight: candidate.weight },
                None => Mode::Stop,
            };
            Wanted { name: name.clone(), mode, route: held.route.clone() }
        };
        self.held.iter().map(wanted).collect()
    }

    /// Leaves the slots of instances that are to stop and that the proxy is done with.
    pub(crate) fn leave_drained(&mut self, is_over: impl Fn(&str) -> bool) {
        for Wanted { name, mode, .. } in self.wanted() {
            if mode == Mode::Stop && is_over(&name) {
                self.held.remove(&name);
            }
        }
    }

    /// Leaves every slot, unless something else may have requests there.
    pub(crate) fn leave_unless(&mut self, busy: impl Fn(&str) -> bool) {
        self.held.retain(|name, _| busy(name));
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.held.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    fn stops(&self) -> bool {
        self.wanted().iter().any(|wanted| wanted.mode == Mode::Stop)
    }
}

/// Drives until the door ends.
pub(crate) async fn drive(mut driver: impl Driver, service: ServiceName, shared: Arc<Shared>) {
    let mut versions = shared.versions.subscribe();
    let stop = stopped(shared.stopping());
    tokio::pin!(stop);
    let mut places = Places::new(service, Arc::clone(&shared));
    // What was said last, so that it is not said each second.
    let mut trouble = String::new();
    loop {
        // Before the first snapshot nobody is known, and nobody may be removed.
        if *versions.borrow_and_update() > 0 {
            turn(&mut driver, &mut places, &mut trouble).await;
        }
        // While something stops its end is looked for more often: somebody waits for it.
        let hurry = places.stops() && trouble.is_empty();
        let pause = if hurry { DRIVER_STOPPING_EVERY } else { DRIVER_EVERY };
        tokio::select! {
            // A change of the table is acted on at once, unless the proxy is in trouble: then it is left in
            // peace.
            _ = versions.changed(), if trouble.is_empty() => {}
            () = tokio::time::sleep(pause) => {}
            () = &mut stop => return,
        }
    }
}

async fn turn(driver: &mut impl Driver, places: &mut Places, trouble: &mut String) {
    let name = driver.name();
    let said = match driver.turn(places).await {
        Ok(said) => {
            if !trouble.is_empty() {
                tracing::info!(driver = name, "the proxy is driven again");
                trouble.clear();
            }
            said
        }
        Err(error) => {
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
                driver.on_gone(places);
            }
            let now = error.to_string();
            if now != *trouble {
                tracing::warn!(driver = name, "the proxy is not driven: {now}");
                trouble.clone_from(&now);
            }
            now
        }
    };
    places.shared.driver_says(name, said);
}

/// An answer of a proxy within its time.
pub(crate) async fn in_time<T>(
    limit: Duration,
    exchange: impl Future<Output = io::Result<T>>,
    what: &'static str,
) -> io::Result<T> {
    match tokio::time::timeout(limit, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, what)),
    }
}
