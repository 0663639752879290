//! What commands make of one session, before anybody else hears of it (S4, S5).
//!
//! A [`Draft`] begins with what is there, takes one command or a block of them, and ends in one [`Verdict`],
//! so that a block is one commit. It changes nothing itself.

use leveret_model::session::{
    Answer, ExpireIf, Expiry, KeptAnswer, KeyCommand, Presence, SessionRefusal, SetAnswer, TimeForm,
};

use crate::rules::Rule;
use crate::time::{Clock, Deadline, Ms};

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// No such session.
    Missing,
    /// One that ended; `may_begin` if this asker may begin a new life.
    Gone { may_begin: bool },
    /// One that is alive.
    Alive { value: &'a [u8], deadline: Deadline },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'c> {
    /// Nothing changes.
    Nothing,
    /// A write came too late: it is dropped and counted.
    Dropped,
    /// Only the deadline, and it grows: no version, no copy.
    Touch(Deadline),
    /// The next version. `None`: the value stays.
    Commit { value: Option<&'c [u8]>, deadline: Deadline },
    /// A new life.
    Birth { value: &'c [u8], deadline: Deadline },
    /// The session ends.
    Destroy,
}

/// The value that the draft would have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'s, 'c> {
    Old(&'s [u8]),
    New(&'c [u8]),
}

impl<'s, 'c: 's> Value<'s, 'c> {
    fn bytes(self) -> &'s [u8] {
        match self {
            Self::Old(bytes) => bytes,
            Self::New(bytes) => bytes,
        }
    }
}

/// What the commands so far have made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl<'s, 'c: 's> Draft<'s, 'c> {
    pub(crate) fn new(clock: Clock, arrived: Ms, rule: Rule, bytes_max: usize, before: Found<'s>) -> Self {
        // a deadline that is over is as good as gone, whenever expiry gets to it
        let before = match before {
            Found::Alive { deadline, .. } if deadline.is_over(clock.ms()) => Found::Missing,
            before => before,
        };
        let now = match before {
            Found::Alive { value, deadline } => Now::Alive { value: Value::Old(value), deadline },
            Found::Missing => Now::Missing,
            Found::Gone { may_begin } => Now::Gone { may_begin },
        };
        Self { clock, arrived, rule, bytes_max, before, now, ended: false, dropped: false }
    }

    /// Takes a command that only looks.
    pub(crate) fn read(&self, command: &KeyCommand<'_>) -> Answer<'s> {
        let Now::Alive { value, deadline } = self.now else {
            return match command {
                KeyCommand::Get | KeyCommand::GetAndExpire(_) => Answer::Nil,
                KeyCommand::Type => Answer::Word("none"),
                KeyCommand::Time(_) => Answer::Integer(-2),
                _ => Answer::Integer(0),
            };
        };
        match command {
            KeyCommand::Get | KeyCommand::GetAndExpire(_) => Answer::Bytes(value.bytes()),
            KeyCommand::StringLength => Answer::Integer(value.bytes().len() as i64),
            KeyCommand::Type => Answer::Word("string"),
            KeyCommand::Time(form) => Answer::Integer(time(*form, deadline, self.clock)),
            _ => Answer::Integer(1),
        }
    }

    /// Takes any command.
    pub(crate) fn take(&mut self, command: &KeyCommand<'c>) -> KeptAnswer {
        match *command {
            KeyCommand::Set { value, expiry, presence, answer } => self.set(value, expiry, presence, answer),
            KeyCommand::GetAndDestroy => {
                let answer = self.read(&KeyCommand::Get).keep();
                self.destroy();
                answer
            }
            KeyCommand::GetAndExpire(expiry) => {
                let answer = self.read(&KeyCommand::Get).keep();
                self.expire_to(expiry);
                answer
            }
            KeyCommand::Destroy => KeptAnswer::Integer(self.destroy().into()),
            KeyCommand::DestroyIfEqual(expected) => {
                let equal = matches!(self.now, Now::Alive { value, .. } if Some(value.bytes()) == expected);
                KeptAnswer::Integer((equal && self.destroy()).into())
            }
            KeyCommand::Expire { left_ms, only } => KeptAnswer::Integer(self.expire(left_ms, only).into()),
            KeyCommand::Persist => {
                let Now::Alive { deadline, .. } = &mut self.now else { return KeptAnswer::Integer(0) };
                let had = *deadline != Deadline::NEVER;
                *deadline = Deadline::NEVER;
                KeptAnswer::Integer(had.into())
            }
            _ => self.read(command).keep(),
        }
    }

    /// What all commands together come to.
    pub(crate) fn verdict(&self) -> Verdict<'c> {
        match (self.before, self.now) {
            (Found::Alive { deadline: before, .. }, Now::Alive { value, deadline }) if !self.ended => {
                match value {
                    Value::Old(_) if deadline == before => Verdict::Nothing,
                    Value::Old(_) if deadline > before => Verdict::Touch(deadline),
                    Value::Old(_) => Verdict::Commit { value: None, deadline },
                    // Flask-Session writes the same bytes at every request
                    Value::New(new) if self.is_same(new) && deadline > before => Verdict::Touch(deadline),
                    Value::New(new) if self.is_same(new) && deadline == before => Verdict::Nothing,
                    Value::New(new) => Verdict::Commit { value: Some(new), deadline },
                }
            }
            (_, Now::Alive { value: Value::New(value), deadline }) => Verdict::Birth { value, deadline },
            (Found::Alive { .. }, _) if self.ended => Verdict::Destroy,
            _ if self.dropped => Verdict::Dropped,
            _ => Verdict::Nothing,
        }
    }

    fn is_same(&self, new: &[u8]) -> bool {
        matches!(self.before, Found::Alive { value, .. } if value == new)
    }

    fn set(&mut self, value: &'c [u8], expiry: Expiry, presence: Presence, answer: SetAnswer) -> KeptAnswer {
        if value.len() > self.bytes_max {
            return KeptAnswer::Refused(SessionRefusal::TooLarge);
        }
        let before = match answer {
            SetAnswer::Before => Some(self.read(&KeyCommand::Get).keep()),
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
        self.now = Now::Alive { value: Value::New(value), deadline };
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

#[cfg(test)]
mod tests;
