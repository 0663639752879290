//! Under which key a session lives on (RENAME): kept beside gone entries, and told as they are.
//!
//! Nobody is sent from the old key to the new one, because that would hand a login to whoever planted the old
//! id. Only a `SESSION.COMMIT` that began on the old key is applied under the new one, and a repeat of the
//! `SESSION.RENAME` itself is known.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::gone::GoneSet;
use crate::hid::Hid;
use crate::stamp::Stamp;
use crate::time::Ms;

/// The new key of a session that ended under its old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub(crate) life: Stamp,
    pub(crate) to: Box<[u8]>,
    /// What `SESSION.RENAME` was called; empty if it was `RENAME`.
    pub(crate) id: Box<[u8]>,
}

/// By the hid of the old key: never more than there are gone entries, but for those that ended of late.
#[derive(Default)]
pub(crate) struct Renames {
    by_hid: BTreeMap<Hid, Renamed>,
    swept: Ms,
}

/// How often renames without a gone entry are looked for, ms.
const SWEEP_MS: u64 = 10_000;

impl Renames {
    pub(crate) fn insert(&mut self, hid: Hid, renamed: Renamed) {
        self.by_hid.insert(hid, renamed);
    }

    pub(crate) fn get(&self, hid: Hid) -> Option<&Renamed> {
        self.by_hid.get(&hid)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Hid, &Renamed)> {
        self.by_hid.iter().map(|(hid, renamed)| (*hid, renamed))
    }

    pub(crate) fn sweep(&mut self, now: Ms, gone: &GoneSet) {
        if now.since(self.swept) >= SWEEP_MS {
            self.swept = now;
            self.by_hid.retain(|hid, _| gone.get(*hid).is_some());
        }
    }
}
