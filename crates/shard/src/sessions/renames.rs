//! Renames under way: each goes from the home of one key to that of another, step by step.

use alloc::collections::BTreeMap;

use leveret_model::ConnectionKey;
use leveret_sessions::{Asker, Renaming};

/// The part of an asker's ticket whose answers are those of a step.
pub(super) const RENAME_PART: u32 = u32::MAX;

/// By connection and the number of its command. A connection has one at most, because nothing behind a rename
/// is taken before it is done.
#[derive(Debug, Default)]
pub(super) struct Renames(BTreeMap<(ConnectionKey, u64), Renaming>);

impl Renames {
    pub(super) fn begin(&mut self, asker: Asker, renaming: Renaming) {
        self.0.insert((asker.connection, asker.reply), renaming);
    }

    pub(super) fn get_mut(&mut self, asker: Asker) -> Option<&mut Renaming> {
        self.0.get_mut(&(asker.connection, asker.reply))
    }

    pub(super) fn end(&mut self, asker: Asker) {
        self.0.remove(&(asker.connection, asker.reply));
    }

    pub(super) fn forget(&mut self, connection: ConnectionKey) {
        self.0.retain(|(asker, _), _| *asker != connection);
    }
}
