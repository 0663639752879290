//! Sessions for people (`leveret session`): what a node holds, without keys and values, which are secrets.

use alloc::boxed::Box;

use leveret_model::session::Database;

use crate::attributes::USER;
use crate::content::Content;
use crate::effects::prefix;
use crate::hid::{Bucket, Hid, Place};
use crate::sessions::Sessions;
use crate::stamp::Home;
use crate::time::{Clock, Ms};

/// A session whose state a node holds, as home or as replicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSession {
    /// What it is called where its key must not be seen.
    pub hid: Hid,
    /// In which vhost.
    pub vhost: Box<str>,
    /// In which database.
    pub database: Database,
    /// Its key up to the first colon; empty without one.
    pub prefix: Box<[u8]>,
    /// Where its home is.
    pub home: Home,
    /// Until it expires, ms; `None` if it does not.
    pub left_ms: Option<u64>,
    /// Bytes of its value.
    pub bytes: usize,
    /// It was asked for after its creation.
    pub is_used: bool,
    /// Since it was used last, ms; whole seconds count.
    pub idle_ms: u64,
    /// Whom `SESSION.COMMIT … USER` named.
    pub user: Option<Box<[u8]>>,
    /// This node is its home, or may answer for it out of a copy.
    pub may_tell: bool,
}

impl Sessions {
    /// Those of a bucket whose state is here.
    pub fn held(&self, clock: Clock, bucket: Bucket) -> impl Iterator<Item = HeldSession> + '_ {
        let now = clock.ms();
        self.states.of_bucket(bucket).filter_map(move |(key, state)| {
            let row = self.list.get(state.hid())?;
            Some(HeldSession {
                hid: state.hid(),
                vhost: state.vhost().into(),
                database: state.database(),
                prefix: prefix(state.key()).into(),
                home: row.home,
                left_ms: state.deadline().point().map(|at| at.since(now)),
                bytes: state.value().len(),
                is_used: state.is_used(),
                idle_ms: now.since(Ms(u64::from(state.used_at()) * 1_000)),
                user: match state.content() {
                    Content::Attributes(attributes) => attributes.get(USER).map(|user| user.value.into()),
                    Content::String(_) => None,
                },
                may_tell: row.home == self.config.own || self.may_answer(key, row),
            })
        })
    }

    /// Where a session lies whose state is here.
    #[must_use]
    pub fn place_of(&self, hid: Hid) -> Option<Place<'_>> {
        self.states.find(hid).map(|key| self.states.get(key).place())
    }
}
