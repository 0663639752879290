//! What commands make of one session, before anybody else hears of it (S4, S5).
//!
//! A [`Draft`] begins with what is there, takes one command or a block of them, and ends in one [`Verdict`],
//! so that a block is one commit. It changes nothing itself.

use alloc::vec::Vec;

use leveret_model::session::{
    Answer, ExpireIf, Expiry, KeptAnswer, KeyCommand, Presence, SessionRefusal, SetAnswer, TimeForm,
};

use crate::attributes::{Attributes, Changed, Edits};
use crate::content::Content;
use crate::rules::Rule;
use crate::stamp::StateId;
use crate::time::{Clock, Deadline, Ms};

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// No such session.
    Missing,
    /// One that ended; `may_begin` if this asker may begin a new life.
    Gone { may_begin: bool },
    /// One that is alive.
    Alive { content: Content<'a>, deadline: Deadline, id: StateId },
}

/// What a session holds from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NewContent<'c> {
    String(&'c [u8]),
    /// Attributes as they are kept.
    Attributes(Vec<u8>),
}

impl NewContent<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::String(bytes) => bytes,
            Self::Attributes(bytes) => bytes,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'c> {
    /// Nothing changes.
    Nothing,
    /// A write came too late: it is dropped and counted.
    Dropped,
    /// Only the deadline, and it grows: no version, no copy.
    Touch(Deadline),
    /// The next version. `None`: the value stays.
    Commit { content: Option<NewContent<'c>>, deadline: Deadline },
    /// A new life.
    Birth { content: NewContent<'c>, deadline: Deadline },
    /// The session ends.
    Destroy,
}

/// The value that the draft would have now.
#[derive(Clone, Debug)]
enum Value<'s, 'c> {
    Old(Content<'s>),
    String(&'c [u8]),
    /// Attributes over those that were there; over none in a life that begins here.
    Edited {
        base: Attributes<'s>,
        edits: Edits<'s>,
    },
}

/// What the commands so far have made of it.
#[derive(Clone, Debug)]
enum Now<'s, 'c> {
    Missing,
    Gone { may_begin: bool },
    Alive { value: Value<'s, 'c>, deadline: Deadline },
}

/// A session under commands.
pub(crate) struct Draft<'s, 'c> {
    clock: Clock,
    /// When the commands arrived: their times count from there.
    arrived: Ms,
    rule: Rule,
    bytes_max: usize,
    before: Found<'s>,
    now: Now<'s, 'c>,
    /// A life ended in this draft.
    ended: bool,
    /// A late write was dropped.
    dropped: bool,
    /// What this commit would be called, if it is none of a new life.
    next: Changed,
    /// Attributes that were changed since the base of a `SESSION.COMMIT`.
    conflicts: usize,
}

impl<'s, 'c: 's> Draft<'s, 'c> {
    pub(crate) fn new(clock: Clock, arrived: Ms, rule: Rule, bytes_max: usize, before: Found<'s>) -> Self {
        // a deadline that is over is as good as gone, whenever expiry gets to it
        let before = match before {
            Found::Alive { deadline, .. } if deadline.is_over(clock.ms()) => Found::Missing,
            before => before,
        };
        let now = match before {
            Found::Alive { content, deadline, .. } => Now::Alive { value: Value::Old(content), deadline },
            Found::Missing => Now::Missing,
            Found::Gone { may_begin } => Now::Gone { may_begin },
        };
        let (ended, dropped, next, conflicts) = (false, false, Changed::FIRST, 0);
        Self { clock, arrived, rule, bytes_max, before, now, ended, dropped, next, conflicts }
    }

    /// What the commit will be called: it stands beside every attribute that it changes.
    pub(crate) fn named(self, next: Changed) -> Self {
        Self { next, ..self }
    }

    /// Attributes that a commit changed though they were changed since its base, or because of which it was
    /// rejected.
    pub(crate) fn conflicts(&self) -> usize {
        self.conflicts
    }

    /// Takes a command that only looks and answers with one thing: for lists see [`Draft::read_list`].
    pub(crate) fn read(&self, command: &KeyCommand<'_>) -> Answer<'s> {
        let Now::Alive { value, deadline } = &self.now else {
            return match command {
                KeyCommand::Get | KeyCommand::GetAndExpire(_) | KeyCommand::Field(_) => Answer::Nil,
                KeyCommand::Type => Answer::Word("none"),
                KeyCommand::Time(_) => Answer::Integer(-2),
                _ => Answer::Integer(0),
            };
        };
        match command {
            KeyCommand::Get | KeyCommand::GetAndExpire(_) => string(value).map_or(WRONG_TYPE, Answer::Bytes),
            KeyCommand::StringLength => {
                string(value).map_or(WRONG_TYPE, |bytes| Answer::Integer(bytes.len() as i64))
            }
            KeyCommand::Type => Answer::Word(if string(value).is_some() { "string" } else { "hash" }),
            KeyCommand::Time(form) => Answer::Integer(time(*form, *deadline, self.clock)),
            KeyCommand::Field(_) | KeyCommand::FieldCount | KeyCommand::HasField(_) => {
                self.read_field(command)
            }
            _ => Answer::Integer(1),
        }
    }

    /// The answer to any command that only looks, to be kept.
    pub(crate) fn read_kept(&self, command: &KeyCommand<'_>) -> KeptAnswer {
        self.read_list(command).unwrap_or_else(|| self.read(command).keep())
    }

    /// Takes any command.
    pub(crate) fn take(&mut self, command: &KeyCommand<'c>) -> KeptAnswer {
        match *command {
            KeyCommand::Set { value, expiry, presence, answer } => self.set(value, expiry, presence, answer),
            KeyCommand::GetAndDestroy => {
                let answer = self.read(&KeyCommand::Get).keep();
                if !is_refused(&answer) {
                    self.destroy();
                }
                answer
            }
            KeyCommand::GetAndExpire(expiry) => {
                let answer = self.read(&KeyCommand::Get).keep();
                if !is_refused(&answer) {
                    self.expire_to(expiry);
                }
                answer
            }
            KeyCommand::Destroy => KeptAnswer::Integer(self.destroy().into()),
            KeyCommand::DestroyIfEqual(expected) => {
                let answer = self.read(&KeyCommand::Get);
                if matches!(answer, Answer::Refused(_)) {
                    return answer.keep();
                }
                let equal = matches!(answer, Answer::Bytes(bytes) if Some(bytes) == expected);
                KeptAnswer::Integer((equal && self.destroy()).into())
            }
            KeyCommand::Expire { left_ms, only } => KeptAnswer::Integer(self.expire(left_ms, only).into()),
            KeyCommand::Persist => {
                let Now::Alive { deadline, .. } = &mut self.now else { return KeptAnswer::Integer(0) };
                let had = *deadline != Deadline::NEVER;
                *deadline = Deadline::NEVER;
                KeptAnswer::Integer(had.into())
            }
            KeyCommand::SetFields { .. } | KeyCommand::SetNewField { .. } | KeyCommand::RemoveFields(_) => {
                self.take_fields(command)
            }
            KeyCommand::Commit { arguments, redirected } => self.commit(arguments, redirected),
            KeyCommand::Export { .. } => self.export(),
            KeyCommand::Restore { content, expiry, only_missing } => {
                self.restore(content, expiry, only_missing)
            }
            KeyCommand::EndRenamed { token, .. } => self.end_renamed(token),
            _ => self.read_kept(command),
        }
    }

    /// What all commands together come to.
    pub(crate) fn verdict(self) -> Verdict<'c> {
        match (self.before, self.now) {
            (Found::Alive { content, deadline: before, .. }, Now::Alive { value, deadline })
                if !self.ended =>
            {
                let new = value.finish(self.next);
                // Flask-Session writes the same bytes at every request
                match new.filter(|new| deadline < before || !is_same(content, new)) {
                    Some(new) => Verdict::Commit { content: Some(new), deadline },
                    None if deadline == before => Verdict::Nothing,
                    None if deadline > before => Verdict::Touch(deadline),
                    None => Verdict::Commit { content: None, deadline },
                }
            }
            (_, Now::Alive { value, deadline }) => match value.finish(Changed::FIRST) {
                Some(content) => Verdict::Birth { content, deadline },
                None => Verdict::Nothing,
            },
            (Found::Alive { .. }, _) if self.ended => Verdict::Destroy,
            _ if self.dropped => Verdict::Dropped,
            _ => Verdict::Nothing,
        }
    }

    fn set(&mut self, value: &'c [u8], expiry: Expiry, presence: Presence, answer: SetAnswer) -> KeptAnswer {
        if value.len() > self.bytes_max {
            return KeptAnswer::Refused(SessionRefusal::TooLarge);
        }
        let before = match answer {
            SetAnswer::Before => match self.read(&KeyCommand::Get) {
                refused @ Answer::Refused(_) => return refused.keep(),
                before => Some(before.keep()),
            },
            SetAnswer::Status | SetAnswer::Count => None,
        };
        let said = |done: bool| match (before, answer, done) {
            (Some(before), ..) => before,
            (None, SetAnswer::Count, done) => KeptAnswer::Integer(done.into()),
            (None, _, true) => KeptAnswer::Ok,
            (None, _, false) => KeptAnswer::Nil,
        };
        let (exists, deadline) = match self.now {
            Now::Alive { deadline, .. } => (true, deadline),
            Now::Missing | Now::Gone { may_begin: true } => (false, Deadline::NEVER),
            Now::Gone { may_begin: false } => {
                // S5: as if it had come just before the logout; only who asks for a free id is told the truth
                self.dropped = true;
                return said(presence != Presence::Missing);
            }
        };
        match presence {
            Presence::Missing if exists => return said(false),
            Presence::Existing if !exists => return said(false),
            Presence::Any | Presence::Missing | Presence::Existing => {}
        }
        let deadline = match expiry {
            Expiry::Unsaid | Expiry::Never => Deadline::NEVER,
            Expiry::Keep => deadline,
            // set and over at once (Redis: the key is there until somebody looks)
            Expiry::In(left) if left <= 0 => {
                self.end();
                return said(true);
            }
            Expiry::In(left) => Deadline::after(self.arrived, left),
        };
        self.now = Now::Alive { value: Value::String(value), deadline };
        said(true)
    }

    /// True if a session was there.
    fn destroy(&mut self) -> bool {
        let there = matches!(self.now, Now::Alive { .. });
        if there {
            self.end();
        }
        there
    }

    fn end(&mut self) {
        self.ended = true;
        self.now = match self.rule {
            Rule::Free => Now::Missing,
            Rule::Stays | Rule::Reader if matches!(self.before, Found::Alive { .. }) => {
                Now::Gone { may_begin: false }
            }
            // it was born in this very draft: nobody has seen it
            Rule::Stays | Rule::Reader => Now::Missing,
        };
    }

    fn expire_to(&mut self, expiry: Expiry) {
        let Now::Alive { deadline, .. } = &mut self.now else { return };
        match expiry {
            Expiry::Unsaid | Expiry::Keep => {}
            Expiry::Never => *deadline = Deadline::NEVER,
            Expiry::In(left) if left <= 0 => self.end(),
            Expiry::In(left) => *deadline = Deadline::after(self.arrived, left),
        }
    }

    fn expire(&mut self, left_ms: i64, only: ExpireIf) -> bool {
        let Now::Alive { deadline, .. } = &mut self.now else { return false };
        let before = *deadline;
        let new = Deadline::after(self.arrived, left_ms);
        let has_one = before != Deadline::NEVER;
        // Redis 7.0: a key without a deadline is as one that lasts for ever
        let refused = only.unset && has_one
            || only.set && !has_one
            || only.later && (!has_one || new <= before)
            || only.earlier && has_one && new >= before;
        if refused {
            return false;
        }
        if left_ms <= 0 {
            self.end();
        } else {
            *deadline = new;
        }
        true
    }
}

const WRONG_TYPE: Answer<'static> = Answer::Refused(SessionRefusal::WrongType);

const fn is_refused(answer: &KeptAnswer) -> bool {
    matches!(answer, KeptAnswer::Refused(_))
}

/// `None`: there are attributes.
fn string<'s, 'c: 's>(value: &Value<'s, 'c>) -> Option<&'s [u8]> {
    match *value {
        Value::Old(Content::String(bytes)) => Some(bytes),
        Value::String(bytes) => Some(bytes),
        Value::Old(Content::Attributes(_)) | Value::Edited { .. } => None,
    }
}

fn is_same(content: Content<'_>, new: &NewContent<'_>) -> bool {
    match (content, new) {
        (Content::String(before), NewContent::String(new)) => before == *new,
        (Content::Attributes(before), NewContent::Attributes(new)) => before.bytes() == &new[..],
        _ => false,
    }
}

impl<'c> Value<'_, 'c> {
    /// What it is, if it is another one.
    fn finish(self, stamp: Changed) -> Option<NewContent<'c>> {
        match self {
            Self::Old(_) => None,
            Self::String(bytes) => Some(NewContent::String(bytes)),
            Self::Edited { base, edits } => Some(NewContent::Attributes(edits.apply(base, stamp))),
        }
    }
}

/// Redis: seconds are rounded to the nearest.
fn time(form: TimeForm, deadline: Deadline, clock: Clock) -> i64 {
    let Some(at) = deadline.point() else { return -1 };
    let left = at.since(clock.ms()) as i64;
    let unix = clock.unix_origin_ms.saturating_add(at.0 as i64);
    match form {
        TimeForm::LeftSeconds => (left.saturating_add(500)) / 1_000,
        TimeForm::LeftMs => left,
        TimeForm::UnixSeconds => (unix.saturating_add(500)) / 1_000,
        TimeForm::UnixMs => unix,
    }
}

mod fields;
mod native;

#[cfg(test)]
mod tests;
