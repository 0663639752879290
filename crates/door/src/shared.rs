//! What the control thread and the serving threads share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use leveret_services::{ServiceName, Snapshot};
use tokio::sync::{Notify, watch};

use crate::DoorConfig;
use crate::clock::Clock;

/// Shared by all threads of a door.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: DoorConfig,
    pub(crate) clock: Clock,
    /// What requests see of the table.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Counts snapshots; 0 until the first one.
    pub(crate) versions: watch::Sender<u64>,
    /// The last request of a draining instance has ended: control reports at once.
    pub(crate) drained: Notify,
    stopping: watch::Sender<bool>,
    /// Queues of requests that wait, by service.
    turnstiles: Mutex<BTreeMap<ServiceName, Arc<Turnstile>>>,
    /// What this door writes into `Via`: unlike that of any other door.
    pub(crate) via: String,
    /// A serving thread's connections all count here.
    pub(crate) connections: std::sync::atomic::AtomicUsize,
}

/// T7: requests of one service wait in order. Only the first of them looks for an instance; the mutex is
/// fair, so the others stand behind it in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    pub(crate) first: tokio::sync::Mutex<()>,
    /// Something may be free.
    pub(crate) free: Notify,
}

impl Shared {
    pub(crate) fn new(config: DoorConfig) -> Self {
        let random = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        Self {
            via: format!("leveret-{random:016x}"),
            config,
            clock: Clock::start(),
            snapshot: ArcSwap::default(),
            versions: watch::channel(0).0,
            drained: Notify::new(),
            stopping: watch::channel(false).0,
            turnstiles: Mutex::default(),
            connections: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Requests see this from now on, and those that wait look again.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        self.versions.send_modify(|version| *version += 1);
        let mut turnstiles = self.turnstiles.lock().unwrap_or_else(PoisonError::into_inner);
        turnstiles.retain(|name, turnstile| {
            turnstile.free.notify_one();
            snapshot.service(name).is_some() || Arc::strong_count(turnstile) > 1
        });
    }

    pub(crate) fn turnstile(&self, service: &ServiceName) -> Arc<Turnstile> {
        let mut turnstiles = self.turnstiles.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turnstiles.entry(service.clone()).or_default())
    }

    /// Ends the door.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true when the door ends.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// Waits for the end of the door.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender lives as long as the door.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
