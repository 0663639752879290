//! A rename, step by step: two keys have two homes, perhaps on two nodes, and no command is on both.
//!
//! ```text
//!   EXPORT old ─▶ RESTORE new (claim, list, copies) ─▶ END old, if it is still what was exported
//!      ▲                                                 │ somebody has changed it
//!      └─────────────────────────────────────────────────┘
//! ```
//! The new key is there before the old one ends, so the session is never missing. A change of the old key
//! between the steps is not lost: the home compares the token at the end. A logout of the old key between the
//! steps ends the new one too. Once the new key is there, the last step is asked for until it is answered, also
//! if the client has gone or was told to try again; and once the new key is being written, that is awaited.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use leveret_model::session::{
    ByteList, Database, Expiry, KeptAnswer, KeyCommand, RenameForm, Restored, SessionRefusal,
};

use crate::hid::{Bucket, Place};
use crate::requests::encode_request;

/// How often the old key may change under a rename before the client is asked to try again.
const TRIES: u8 = 8;
/// How often the last step is asked for again after nobody could say: each takes up to 4 s, and a home that
/// has died is taken over in less than one.
const LAST_STEPS: u8 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Export,
    Restore,
    End,
    /// The old key was destroyed meanwhile: the new one follows it.
    Undo,
    /// It was done before, by a command of the same id.
    Repeated,
}

/// What is asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameRequest {
    /// The bucket of the key.
    pub bucket: Bucket,
    /// [`encode_request`]
    pub bytes: Vec<u8>,
}

/// How a rename goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum RenameStep {
    /// Ask this, and give the answer to [`Renaming::on_answer`].
    Ask(RenameRequest),
    /// The answer for the client.
    Done(KeptAnswer),
    /// The client has waited for long enough and gets this; the rename goes on with that request.
    GoOn(KeptAnswer, RenameRequest),
}

/// A rename under way.
pub struct Renaming {
    vhost: Box<str>,
    database: Database,
    old: Box<[u8]>,
    new: Box<[u8]>,
    id: Box<[u8]>,
    form: RenameForm,
    phase: Phase,
    tries: u8,
    last_steps: u8,
    /// Of the state that was exported.
    exported: Box<[u8]>,
    /// Of the state under the new key.
    token: Box<[u8]>,
}

impl fmt::Debug for Renaming {
    /// Keys are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renaming")
            .field("form", &self.form)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Renaming {
    /// A rename, and its first step.
    #[must_use]
    pub fn begin(place: Place<'_>, new: &[u8], id: &[u8], form: RenameForm) -> (Self, RenameRequest) {
        let renaming = Self {
            vhost: place.vhost.into(),
            database: place.database,
            old: place.key.into(),
            new: new.into(),
            id: id.into(),
            form,
            phase: Phase::Export,
            tries: 0,
            last_steps: 0,
            exported: Box::default(),
            token: Box::default(),
        };
        let first = renaming.request(&renaming.old, &KeyCommand::Export { id: &renaming.id });
        (renaming, first)
    }

    fn request(&self, key: &[u8], command: &KeyCommand<'_>) -> RenameRequest {
        let place = Place { vhost: &self.vhost, database: self.database, key };
        RenameRequest {
            bucket: place.hid().bucket(),
            bytes: encode_request(place, core::slice::from_ref(command), false),
        }
    }

    /// The answer to the step at hand.
    pub fn on_answer(&mut self, answer: &KeptAnswer) -> RenameStep {
        match (self.phase, answer) {
            (Phase::End | Phase::Undo, KeptAnswer::Refused(SessionRefusal::TryAgain))
                if self.last_steps < LAST_STEPS =>
            {
                self.last_steps += 1;
                let next = if self.phase == Phase::End { self.ask_end() } else { self.ask_undo() };
                RenameStep::GoOn(answer.clone(), next)
            }
            (_, KeptAnswer::Refused(SessionRefusal::TryAgain)) => RenameStep::Done(answer.clone()),
            (Phase::Export, KeptAnswer::List(items)) => self.on_exported(items),
            (Phase::Export, KeptAnswer::Moved(_)) => {
                self.phase = Phase::Repeated;
                RenameStep::Ask(self.request(&self.new, &KeyCommand::Export { id: b"" }))
            }
            (Phase::Repeated, KeptAnswer::List(items)) => match items.get(2) {
                Some(token) => RenameStep::Done(token.clone()),
                None => RenameStep::Done(self.missing()),
            },
            (Phase::Export, KeptAnswer::Refused(SessionRefusal::Gone)) if self.form == RenameForm::Native => {
                RenameStep::Done(answer.clone())
            }
            (Phase::Restore, KeptAnswer::List(items)) => {
                if let Some(KeptAnswer::Bytes(token)) = items.first() {
                    self.token.clone_from(token);
                }
                self.phase = Phase::End;
                RenameStep::Ask(self.ask_end())
            }
            (Phase::Restore, KeptAnswer::Refused(SessionRefusal::Exists))
                if self.form == RenameForm::IfMissing =>
            {
                RenameStep::Done(KeptAnswer::Integer(0))
            }
            (Phase::Restore, refused) => RenameStep::Done(refused.clone()),
            (Phase::End, KeptAnswer::Integer(1)) => RenameStep::Done(self.done()),
            (Phase::End, KeptAnswer::Integer(_)) if self.tries < TRIES => {
                self.tries += 1;
                self.phase = Phase::Export;
                RenameStep::Ask(self.request(&self.old, &KeyCommand::Export { id: b"" }))
            }
            (Phase::End, KeptAnswer::Integer(_)) => {
                RenameStep::Done(KeptAnswer::Refused(SessionRefusal::TryAgain))
            }
            (Phase::End, _) => self.undo(),
            (Phase::Export, _) if self.tries > 0 => self.undo(),
            (Phase::Export | Phase::Repeated | Phase::Undo, _) => RenameStep::Done(self.missing()),
        }
    }

    /// True once the new key may stand beside the old one: from then on the rename is ended whatever becomes of
    /// its client.
    #[must_use]
    pub fn is_half_done(&self) -> bool {
        matches!(self.phase, Phase::End | Phase::Undo) || self.tries > 0
    }

    /// True once the new key is being written: whether it was, only the answer says, so it is awaited even if
    /// the client is gone.
    #[must_use]
    pub fn writes_new(&self) -> bool {
        self.phase == Phase::Restore || self.is_half_done()
    }

    fn ask_end(&self) -> RenameRequest {
        let command = KeyCommand::EndRenamed { token: &self.exported, to: &self.new, id: &self.id };
        self.request(&self.old, &command)
    }

    fn ask_undo(&self) -> RenameRequest {
        self.request(&self.new, &KeyCommand::Destroy)
    }

    fn undo(&mut self) -> RenameStep {
        self.phase = Phase::Undo;
        RenameStep::Ask(self.ask_undo())
    }

    fn on_exported(&mut self, items: &[KeptAnswer]) -> RenameStep {
        let [KeptAnswer::Word(kind), KeptAnswer::Integer(left), KeptAnswer::Bytes(token), content @ ..] =
            items
        else {
            return RenameStep::Done(self.missing());
        };
        if self.old == self.new {
            return RenameStep::Done(match self.form {
                RenameForm::Plain => KeptAnswer::Ok,
                RenameForm::IfMissing => KeptAnswer::Integer(0),
                RenameForm::Native => KeptAnswer::Refused(SessionRefusal::Exists),
            });
        }
        self.exported.clone_from(token);
        self.phase = Phase::Restore;
        let values: Vec<&[u8]> = content
            .iter()
            .filter_map(|item| if let KeptAnswer::Bytes(bytes) = item { Some(&bytes[..]) } else { None })
            .collect();
        let content = match (*kind, &values[..]) {
            ("string", [value]) => Restored::String(value),
            (_, fields) => Restored::Fields(ByteList::Slices(fields)),
        };
        let expiry = if *left < 0 { Expiry::Never } else { Expiry::In((*left).max(1)) };
        // once it was put there, it is this rename's own
        let only_missing = self.form != RenameForm::Plain && self.tries == 0;
        RenameStep::Ask(self.request(&self.new, &KeyCommand::Restore { content, expiry, only_missing }))
    }

    fn done(&self) -> KeptAnswer {
        match self.form {
            RenameForm::Plain => KeptAnswer::Ok,
            RenameForm::IfMissing => KeptAnswer::Integer(1),
            RenameForm::Native => KeptAnswer::Bytes(self.token.clone()),
        }
    }

    fn missing(&self) -> KeptAnswer {
        match self.form {
            RenameForm::Plain | RenameForm::IfMissing => KeptAnswer::Refused(SessionRefusal::NoSuchKey),
            RenameForm::Native => KeptAnswer::Nil,
        }
    }
}
