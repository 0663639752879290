//! Renames under way: each goes from the home of one key to that of another, step by step.
//!
//! The first steps are asked for in the name of the client's connection, so that they keep their place behind
//! its earlier commands. What ends a rename is asked for in the name of nobody, because it is to be done
//! without the client too.

use alloc::collections::BTreeMap;

use leveret_model::{ConnectionKey, limits};
use leveret_sessions::{Asker, RENAME_PART, Renaming};

/// Who asks for the steps that end a rename: no connection has this slot.
const RENAMER: ConnectionKey = ConnectionKey { slot: u32::MAX, generation: 1 };

#[derive(Debug)]
struct Entry {
    renaming: Renaming,
    /// Who waits for the answer; nobody any more if it has gone or was answered.
    client: Option<Asker>,
    /// Who asked for the step at hand: an answer to anybody else is one to a step that was given up.
    asking: ConnectionKey,
}

/// By number. A connection has one at most, because nothing behind a rename is taken before it is done.
#[derive(Debug, Default)]
pub(super) struct Renames {
    next: u64,
    all: BTreeMap<u64, Entry>,
}

impl Renames {
    /// Gives the asker of its first step.
    pub(super) fn begin(&mut self, client: Asker, renaming: Renaming) -> Asker {
        self.next += 1;
        self.all.insert(self.next, Entry { renaming, client: Some(client), asking: client.connection });
        Asker { reply: self.next, part: RENAME_PART, ..client }
    }

    pub(super) fn get_mut(&mut self, step: Asker) -> Option<&mut Renaming> {
        let entry = self.all.get_mut(&step.reply).filter(|entry| entry.asking == step.connection);
        entry.map(|entry| &mut entry.renaming)
    }

    /// The asker of the next step.
    pub(super) fn next_step(&mut self, step: Asker) -> Asker {
        let Some(entry) = self.all.get_mut(&step.reply) else { return step };
        if entry.renaming.is_half_done() {
            entry.asking = RENAMER;
        }
        Asker { connection: entry.asking, ..step }
    }

    /// Who is to be answered, once.
    pub(super) fn take_client(&mut self, step: Asker) -> Option<Asker> {
        self.all.get_mut(&step.reply)?.client.take()
    }

    /// It is over.
    pub(super) fn end(&mut self, step: Asker) -> Option<Asker> {
        self.all.remove(&step.reply)?.client
    }

    /// A connection is gone. What it had begun is ended without it, unless nothing was written yet.
    pub(super) fn forget(&mut self, connection: ConnectionKey) {
        let alone = self.all.values().filter(|entry| entry.client.is_none()).count();
        self.all.retain(|_, entry| {
            if entry.client.is_none_or(|client| client.connection != connection) {
                return true;
            }
            entry.client = None;
            alone < limits::SESSION_RENAMES_ALONE_MAX && entry.renaming.writes_new()
        });
    }
}
