//! A door's table: who is there, by their own words, and what the door may do with them.
//!
//! Read first: `docs/formats/services.md`, 4. T1 and T2 are here, T3 and T4 in [`freshness`],
//! acknowledgements in [`acks`], what requests see in [`view`]. Invariants: a row's slot is closed before its
//! drain is acknowledged; no row is removed as stale while the door's link is down; every table is bounded,
//! and a refused draining is acknowledged all the same.

mod acks;
mod admission;
mod events;
mod freshness;
mod owed;
mod retired;
mod row;
#[cfg(test)]
mod tests;
mod view;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use compact_str::CompactString;
use leveret_model::{Boot, Instant};

use self::owed::Owed;
use self::retired::{Retired, Why};
use crate::announcement::{Announcement, State};
use crate::claims::Claim;
use crate::hold::ServiceGate;
use crate::name::ServiceName;
use crate::planted::{Planted, planted};
use crate::slot::{Opening, Slot};

pub use self::events::{RowKey, TableConfig, TableEffect, TableNote};
pub use self::row::Row;
use self::row::{Freshness, Suspicion, claims_of, is_draining, opening, routes_alike};
pub use self::view::WhyNot;

/// A service as long as it has rows, and a while longer.
#[derive(Debug, Default)]
struct Service {
    gate: Arc<ServiceGate>,
    rows: usize,
    /// Since when it has none.
    empty_since: Instant,
    /// What its rows claimed, for requests that come while it has none.
    claims: Vec<Claim>,
}

/// The table.
#[derive(Debug)]
pub struct Table {
    config: TableConfig,
    rows: BTreeMap<RowKey, Row>,
    services: BTreeMap<ServiceName, Service>,
    /// Rows of each announcing user.
    users: BTreeMap<CompactString, usize>,
    /// Users whose refusal was logged: which row, and why it is still refused.
    refused_users: BTreeMap<CompactString, (RowKey, Option<String>)>,
    retired: Retired,
    owed: Owed,
    /// Until when no row becomes stale; [`Instant::FAR`] while the link is down.
    no_stale_until: Instant,
    changed: bool,
    ticked: Instant,
    planted: Planted,
}

impl Table {
    /// An empty one, whose door has no link yet.
    #[must_use]
    pub fn new(config: TableConfig, now: Instant) -> Self {
        let mut table = Self {
            config,
            rows: BTreeMap::new(),
            services: BTreeMap::new(),
            users: BTreeMap::new(),
            refused_users: BTreeMap::new(),
            retired: Retired::default(),
            owed: Owed::default(),
            no_stale_until: Instant::FAR,
            changed: true,
            ticked: now,
            planted: Planted::Nothing,
        };
        // A service that the operator names is known before its first instance: requests wait for it.
        let named: Vec<ServiceName> = table.config.claims.iter().map(|(name, _)| name.clone()).collect();
        for name in named {
            table.services.entry(name).or_default();
        }
        table
    }

    /// Plants a bug, for the test that must find it.
    pub fn plant(&mut self, bug: Planted) {
        self.planted = bug;
    }

    /// An instance says something about itself (T1, T2). `user`: checked by the broker.
    pub fn on_announcement(
        &mut self,
        now: Instant,
        announcement: Announcement,
        user: &str,
        effects: &mut Vec<TableEffect>,
    ) {
        let key = (announcement.service.clone(), announcement.instance.clone());
        if self.retired.contains(now, &key, announcement.boot) && !planted!(self.planted, RetiredBootTaken) {
            return self.owe_if_draining(now, &key, &announcement, effects);
        }
        let known = self.rows.get(&key);
        let same_boot = known.is_some_and(|row| row.announcement.boot == announcement.boot);
        if let Some(row) = known.filter(|_| same_boot)
            && announcement.seq <= row.announcement.seq
            && !planted!(self.planted, SeqIgnored)
        {
            return;
        }
        if announcement.state == State::Left {
            return self.on_left(now, &key, announcement.boot, effects);
        }
        if let Err(why) = self.may_take(&announcement, user, &key) {
            self.refuse(&key, user, why, effects);
            return self.owe_if_draining(now, &key, &announcement, effects);
        }
        if let Some((refused, why)) = self.refused_users.get_mut(user)
            && *refused == key
        {
            *why = None;
        }
        if known.is_some() && !same_boot {
            effects.push(TableEffect::Note(TableNote::Replaced(key.clone())));
            self.remove(now, &key, Some(Why::Replaced));
        }
        if self.rows.contains_key(&key) {
            self.update(now, &key, announcement, effects);
        } else {
            self.insert(now, key, announcement, user, effects);
        }
    }

    fn insert(
        &mut self,
        now: Instant,
        key: RowKey,
        announcement: Announcement,
        user: &str,
        effects: &mut Vec<TableEffect>,
    ) {
        let slot = Arc::new(Slot::default());
        slot.set_opening(opening(&announcement));
        if let Some(address) = announcement.address {
            effects.push(TableEffect::Note(TableNote::Joined(key.clone(), address)));
        }
        // An instance counts the doors that it heard; this one must be heard before it drains.
        effects.push(TableEffect::Report);
        *self.users.entry(user.into()).or_default() += 1;
        let service = self.services.entry(key.0.clone()).or_default();
        service.rows += 1;
        self.rows.insert(
            key,
            Row {
                announcement,
                user: user.into(),
                slot,
                heard: now,
                ready_since: now,
                freshness: Freshness::Fresh,
                suspicion: Suspicion::default(),
            },
        );
        self.changed = true;
    }

    fn update(
        &mut self,
        now: Instant,
        key: &RowKey,
        announcement: Announcement,
        effects: &mut Vec<TableEffect>,
    ) {
        let Some(row) = self.rows.get_mut(key) else { return };
        let old = &row.announcement;
        if old.state != announcement.state {
            effects.push(TableEffect::Note(TableNote::Changed(key.clone(), announcement.state)));
            if announcement.state == State::Ready {
                row.ready_since = now;
            }
        }
        let drains = is_draining(&announcement);
        if drains && !is_draining(old) {
            effects.push(TableEffect::Report);
        }
        let routed_alike = old.state == announcement.state && routes_alike(old, &announcement);
        self.changed |= !routed_alike;
        if !(drains && planted!(self.planted, AckBeforeClose)) {
            // Before anyone can ask for acknowledgements.
            row.slot.set_opening(opening(&announcement));
        }
        row.announcement = announcement;
        row.heard = now;
        if row.freshness != Freshness::Fresh {
            row.freshness = Freshness::Fresh;
            self.changed = true;
        }
    }

    fn on_left(&mut self, now: Instant, key: &RowKey, boot: Boot, effects: &mut Vec<TableEffect>) {
        let is_this = self.rows.get(key).is_some_and(|row| row.announcement.boot == boot);
        if is_this {
            effects.push(TableEffect::Note(TableNote::Left(key.clone())));
            self.remove(now, key, Some(Why::Left));
            self.retired.take_back(key);
        } else {
            // Its row is another boot's or was never there; a delayed `ready` of it must not make one.
            self.retired.insert(now, key.clone(), boot, Why::Left, None);
        }
        self.owed.forget(key, boot);
    }

    /// Takes a row out. `retire`: its boot is ignored from now on, for that reason.
    fn remove(&mut self, now: Instant, key: &RowKey, retire: Option<Why>) {
        let Some(row) = self.rows.remove(key) else { return };
        row.slot.set_opening(Opening::Nothing);
        if let Some(count) = self.users.get_mut(&row.user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&row.user);
            }
        }
        if let Some(service) = self.services.get_mut(&key.0) {
            service.rows -= 1;
            service.claims = claims_of(&row.announcement).collect();
            service.empty_since = now;
        }
        if let Some(why) = retire {
            self.retired.insert(now, key.clone(), row.announcement.boot, why, Some(row.slot));
        }
        self.changed = true;
    }

    /// The door's link came up or went down (T3).
    pub fn on_link(&mut self, now: Instant, up: bool) {
        self.no_stale_until = if up { now + leveret_model::limits::LINK_BACK_GRACE } else { Instant::FAR };
        self.changed = true;
    }

    /// Whether the door's link is down.
    #[must_use]
    pub fn link_is_down(&self) -> bool {
        self.no_stale_until == Instant::FAR
    }

    /// Time goes by: call it each 50 ms.
    pub fn poll(&mut self, now: Instant, effects: &mut Vec<TableEffect>) {
        if planted!(self.planted, AckBeforeClose) {
            self.rows.values().for_each(|row| row.slot.set_opening(opening(&row.announcement)));
        }
        self.poll_rows(now, effects);
        self.retired.poll(now);
        self.owed.poll(now);
        self.poll_services(now);
        self.ticked = now;
    }

    fn poll_services(&mut self, now: Instant) {
        let elapsed: Duration = now.since(self.ticked);
        let claims = &self.config.claims;
        let before = self.services.len();
        self.services.retain(|name, service| {
            service.gate.budget.on_time(elapsed);
            service.rows > 0
                || service.gate.waiting() > 0
                || now.since(service.empty_since) < leveret_model::limits::EMPTY_SERVICE_KEPT
                || claims.iter().any(|(claimed, _)| claimed == name)
        });
        self.changed |= self.services.len() != before;
    }
}
