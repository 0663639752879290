//! What others see of the table: requests, reports, people.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use leveret_model::Instant;

use super::events::RowKey;
use super::row::{Freshness, Row, claims_of, opening};
use super::{Service, Table};
use crate::announcement::{Announcement, Kind, State};
use crate::claims::{Claim, Claims};
use crate::name::ServiceName;
use crate::report::ServiceCount;
use crate::slot::{Opening, Slot};
use crate::snapshot::{Candidate, ServiceView, Snapshot};

/// Why a row gets no new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// Its own state.
    State(State),
    /// It has no port.
    Worker,
    /// It did not answer; others are asked while there are others (T4).
    Suspect,
    /// It is silent and its address is being asked (T3).
    Silent,
    /// It has as many requests as it takes at a time; others wait.
    Full,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "it says {state}"),
            Self::Worker => f.write_str("a worker has no port"),
            Self::Suspect => f.write_str("it does not answer"),
            Self::Silent => f.write_str("it is silent, its address is asked"),
            Self::Full => f.write_str("it has as many requests as it takes"),
        }
    }
}

impl Row {
    /// Its last word.
    #[must_use]
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Who announced it, as the broker says.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Counts of it.
    #[must_use]
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Time since its last word.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Duration {
        now.since(self.heard)
    }

    /// Why it gets no new requests; `None` if it does.
    #[must_use]
    pub fn why_not(&self) -> Option<WhyNot> {
        match self.announcement.state {
            _ if self.announcement.kind == Kind::Worker => Some(WhyNot::Worker),
            State::Ready if self.slot.is_suspect() => Some(WhyNot::Suspect),
            State::Ready if self.freshness == Freshness::Asked => Some(WhyNot::Silent),
            State::Ready if self.is_full() => Some(WhyNot::Full),
            State::Ready => None,
            state => Some(WhyNot::State(state)),
        }
    }

    fn is_full(&self) -> bool {
        let most = self.announcement.terms.max_inflight;
        most != 0 && self.slot.inflight() >= most
    }
}

impl Table {
    /// Announcements that are refused now: of each user the first one, and why.
    pub fn refusals(&self) -> impl Iterator<Item = (&str, &RowKey, &str)> {
        let still = self.refused_users.iter();
        still.filter_map(|(user, (key, why))| Some((user.as_str(), key, why.as_deref()?)))
    }

    /// Every row, in the order of names.
    pub fn rows(&self) -> impl Iterator<Item = (&RowKey, &Row)> {
        self.rows.iter()
    }

    /// Entries of each table, for the test that they are bounded: rows, services, retired boots,
    /// acknowledgements owed.
    #[must_use]
    pub fn sizes(&self) -> [usize; 4] {
        [self.rows.len(), self.services.len(), self.retired.len(), self.owed.len()]
    }

    /// Counts of every service, for the report.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<ServiceName, ServiceCount> {
        let mut inflight: BTreeMap<&ServiceName, u32> = BTreeMap::new();
        for ((service, _), row) in &self.rows {
            *inflight.entry(service).or_default() += row.slot.inflight();
        }
        let count = |(name, service): (&ServiceName, &Service)| {
            (name.clone(), service.gate.count(inflight.get(name).copied().unwrap_or(0)))
        };
        self.services.iter().map(count).collect()
    }

    /// Whether requests should get a new snapshot; asking forgets it.
    pub fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// What requests should see.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut candidates: BTreeMap<&ServiceName, Vec<Candidate>> = BTreeMap::new();
        for (key, row) in &self.rows {
            candidates.entry(&key.0).or_default().extend(candidate(key, row));
        }
        let view = |(name, service): (&ServiceName, &Service)| {
            let candidates = candidates.remove(name).unwrap_or_default();
            Arc::new(ServiceView {
                name: name.clone(),
                gate: Arc::clone(&service.gate),
                has_routes: candidates.iter().any(|candidate| candidate.route.is_some()),
                candidates,
            })
        };
        let services = self.services.iter().map(view).collect();
        Snapshot { services, claims: self.claims(), link_down: self.link_is_down() }
    }

    fn claims(&self) -> Claims {
        if !self.config.claims.is_empty() {
            return Claims::new(self.config.claims.iter().cloned());
        }
        let of_rows = self.rows.iter().flat_map(|((service, _), row)| {
            claims_of(&row.announcement).map(|claim| (service.clone(), claim))
        });
        // A service without rows keeps its claims for a while; one with rows has theirs only.
        let of_empty = self.services.iter().filter(|(_, service)| service.rows == 0);
        let of_empty = of_empty.flat_map(|(name, service)| {
            service.claims.iter().map(|claim: &Claim| (name.clone(), claim.clone()))
        });
        Claims::new(of_rows.chain(of_empty))
    }
}

fn candidate((_, instance): &RowKey, row: &Row) -> Option<Candidate> {
    let announcement = &row.announcement;
    let open = opening(announcement);
    if open == Opening::Nothing {
        return None;
    }
    Some(Candidate {
        instance: instance.clone(),
        boot: announcement.boot,
        address: announcement.address?,
        slot: Arc::clone(&row.slot),
        sessions_only: open == Opening::Sessions,
        route: announcement.terms.route.clone(),
        weight: announcement.terms.weight,
        max_inflight: announcement.terms.max_inflight,
        keep_alive_ms: announcement.terms.keep_alive_ms,
        ready_since: row.ready_since,
        warm_up: Duration::from_millis(announcement.terms.warm_up_ms.into()),
    })
}
