//! Commands that ask the host for two things: renames, which are of two keys, and the touch of a load.

use leveret_model::limits;
use leveret_model::session::{ExpireIf, KeyCommand, RenameForm};

use crate::connection::{Connection, Step};
use crate::decode::Arguments;
use crate::host::{Host, Rename};
use crate::replies::Plan;
use crate::table::Id;
use crate::texts;

impl Connection {
    /// `RENAME`, `RENAMENX` and `SESSION.RENAME`: of two keys, so nothing behind it is taken before it is done.
    pub(crate) fn rename<H: Host>(&mut self, id: Id, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let rename = match id {
            Id::SessionRename => Rename {
                old: arguments.get(1),
                new: arguments.get(2),
                id: arguments.get(3),
                form: RenameForm::Native,
            },
            id => {
                let form = if id == Id::Rename { RenameForm::Plain } else { RenameForm::IfMissing };
                Rename { old: arguments.get(1), new: arguments.get(2), id: b"", form }
            }
        };
        if rename.old.len().max(rename.new.len()) > limits::SESSION_KEY_BYTES_MAX {
            return self.error(step.out, &texts::KEY_TOO_LONG);
        }
        if rename.id.len() > limits::SESSION_COMMIT_ID_BYTES_MAX {
            return self.error(step.out, &texts::COMMIT_ID_TOO_LONG);
        }
        step.host.rename(self.replies.next_ticket(), self.database, &rename);
        self.replies.wait_alone(Plan::One, self.protocol);
    }

    /// The touch of a `SESSION.LOAD`, after the load. Its answer is nobody's.
    pub(crate) fn touch_loaded<H: Host>(&mut self, key: &[u8], touch_ms: i64, step: &mut Step<'_, H>) {
        let only = ExpireIf { later: true, ..Default::default() };
        let ticket = self.replies.unheard_ticket();
        let _ =
            step.host.execute(ticket, self.database, key, &KeyCommand::Expire { left_ms: touch_ms, only });
    }
}
