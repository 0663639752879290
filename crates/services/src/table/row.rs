//! A row, and what its announcement means for requests.

use alloc::sync::Arc;

use compact_str::CompactString;
use leveret_model::Instant;

use crate::announcement::{Announcement, Drain, Kind, State};
use crate::claims::Claim;
use crate::slot::{Opening, Slot};

/// An instance that announced itself.
#[derive(Debug)]
pub struct Row {
    pub(super) announcement: Announcement,
    pub(super) user: CompactString,
    pub(super) slot: Arc<Slot>,
    pub(super) heard: Instant,
    pub(super) ready_since: Instant,
    pub(super) freshness: Freshness,
    pub(super) suspicion: Suspicion,
}

/// Whether a row is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Heard within its ttl, or its door is deaf.
    Fresh,
    /// Silent; its address is asked.
    Asked,
    /// Silent, and its address answered: served until then.
    Grace(Instant),
}

/// What the door does about a suspect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// A probe is under way.
    pub(super) asked: bool,
    /// The next one.
    pub(super) next: Instant,
}

/// Who may enter the slot of an instance in this state (T2).
pub(super) fn opening(announcement: &Announcement) -> Opening {
    match (announcement.kind, announcement.state, announcement.drain) {
        (Kind::Worker, ..) => Opening::Nothing,
        (_, State::Ready, _) => Opening::All,
        (_, State::Draining, Drain::Sessions) => Opening::Sessions,
        _ => Opening::Nothing,
    }
}

/// Whether it waits for acknowledgements.
pub(super) fn is_draining(announcement: &Announcement) -> bool {
    announcement.state == State::Draining && announcement.drain == Drain::Requests
}

/// Whether requests would go the same ways.
pub(super) fn routes_alike(old: &Announcement, new: &Announcement) -> bool {
    old.address == new.address && old.terms == new.terms && old.drain == new.drain
}

/// What an instance claims for its service.
pub(super) fn claims_of(announcement: &Announcement) -> impl Iterator<Item = Claim> + '_ {
    let claim =
        |host: Option<&CompactString>| Claim { host: host.cloned(), path: announcement.terms.path.clone() };
    let any = (announcement.terms.hosts.is_empty() && announcement.kind == Kind::Http).then(|| claim(None));
    announcement.terms.hosts.iter().map(move |host| claim(Some(host))).chain(any)
}
