//! Sessions as nouns: what a RESP connection asks of one key, and what the key's home answers.
//!
//! `resp` turns bytes into [`KeyCommand`]s and [`Answer`]s into bytes; `sessions` carries them out. Neither
//! imports the other, so the words that both use stand here. Values are borrowed: whoever keeps a command
//! copies it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::limits::SESSION_DATABASES;

/// A database of a vhost, 0 to 15 (Redis: `databases 16`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Database(u8);

impl Database {
    /// `None` past the last one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < SESSION_DATABASES { Some(Self(number)) } else { None }
    }

    /// 0 to 15.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// When a key expires, as a command says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Expiry {
    /// Never (plain `SET`); for `GETEX`: leave it as it is.
    #[default]
    Unsaid,
    /// As before (`KEEPTTL`).
    Keep,
    /// Not any more (`PERSIST`).
    Never,
    /// Milliseconds from the command's arrival; in the past if not positive. Points in time are turned into
    /// this where the command arrives, because clocks of two nodes are never compared.
    In(i64),
}

/// Whether a `SET` depends on what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Presence {
    /// It does not.
    #[default]
    Any,
    /// Only if the key is missing (`NX`).
    Missing,
    /// Only if it exists (`XX`).
    Existing,
}

/// What a `SET` and its relatives answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SetAnswer {
    /// `OK`, or nil if [`Presence`] forbade it.
    #[default]
    Status,
    /// The value before (`GET`, `GETSET`).
    Before,
    /// 1 or 0 (`SETNX`).
    Count,
}

/// Which deadlines an `EXPIRE` may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ExpireIf {
    /// `NX`: only if there is none.
    pub unset: bool,
    /// `XX`: only if there is one.
    pub set: bool,
    /// `GT`: only a later one.
    pub later: bool,
    /// `LT`: only an earlier one.
    pub earlier: bool,
}

/// How a deadline is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// `TTL`
    LeftSeconds,
    /// `PTTL`
    LeftMs,
    /// `EXPIRETIME`
    UnixSeconds,
    /// `PEXPIRETIME`
    UnixMs,
}

/// A command on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCommand<'a> {
    /// The string.
    Get,
    /// Its length.
    StringLength,
    /// `SET`, `SETEX`, `PSETEX`, `SETNX`, `GETSET`.
    Set {
        /// The new string.
        value: &'a [u8],
        /// When it expires.
        expiry: Expiry,
        /// On what it depends.
        presence: Presence,
        /// What is answered.
        answer: SetAnswer,
    },
    /// `GETDEL`
    GetAndDestroy,
    /// `GETEX`
    GetAndExpire(Expiry),
    /// `DEL`, `UNLINK`: 1 or 0.
    Destroy,
    /// `EXISTS`: 1 or 0.
    Exists,
    /// `TOUCH`: 1 or 0. It is no growing deadline (Redis only refreshes its LRU clock).
    Touch,
    /// `TYPE`
    Type,
    /// `TTL` and its relatives.
    Time(TimeForm),
    /// `EXPIRE` and its relatives: 1 or 0.
    Expire {
        /// Milliseconds from the command's arrival; not positive destroys.
        left_ms: i64,
        /// On which deadline it depends.
        only: ExpireIf,
    },
    /// `PERSIST`: 1 or 0.
    Persist,
    /// The unlock script of phpredis: destroy if the string equals this; 1 or 0. `None` equals nothing.
    DestroyIfEqual(Option<&'a [u8]>),
}

impl KeyCommand<'_> {
    /// True if it can change state or deadline, so that only the home answers it.
    #[must_use]
    pub const fn writes(&self) -> bool {
        match self {
            Self::Get
            | Self::StringLength
            | Self::Exists
            | Self::Touch
            | Self::Type
            | Self::Time(_)
            | Self::GetAndExpire(Expiry::Unsaid) => false,
            Self::Set { .. }
            | Self::GetAndDestroy
            | Self::GetAndExpire(_)
            | Self::Destroy
            | Self::Expire { .. }
            | Self::Persist
            | Self::DestroyIfEqual(_) => true,
        }
    }
}

/// Why a command was not carried out. Nothing has been changed, but for a write that
/// [`SessionRefusal::TryAgain`] answers: it may have reached the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionRefusal {
    /// No node could say within the time that a request may take.
    TryAgain,
    /// Sessions of this node take the memory that they may.
    OutOfMemory,
    /// The value is over `session_bytes_max`.
    TooLarge,
    /// The key holds the other kind.
    WrongType,
    /// A node would have to say too much at once; the bound that was met is named.
    TooMuch(&'static str),
}

/// What a home answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    /// Done.
    Ok,
    /// Nothing there, or not done.
    Nil,
    /// A number.
    Integer(i64),
    /// Bytes of a value.
    Bytes(&'a [u8]),
    /// A word of ours, such as a type's name.
    Word(&'static str),
    /// Not carried out.
    Refused(SessionRefusal),
    /// The answers of a block of commands, in order.
    Block(&'a [KeptAnswer]),
}

/// An answer that waits for its turn.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptAnswer {
    /// [`Answer::Ok`]
    Ok,
    /// [`Answer::Nil`]
    Nil,
    /// [`Answer::Integer`]
    Integer(i64),
    /// [`Answer::Bytes`]
    Bytes(Box<[u8]>),
    /// [`Answer::Word`]
    Word(&'static str),
    /// [`Answer::Refused`]
    Refused(SessionRefusal),
    /// [`Answer::Block`]
    Block(Vec<Self>),
}

impl Answer<'_> {
    /// A copy to keep.
    #[must_use]
    pub fn keep(&self) -> KeptAnswer {
        match *self {
            Self::Ok => KeptAnswer::Ok,
            Self::Nil => KeptAnswer::Nil,
            Self::Integer(number) => KeptAnswer::Integer(number),
            Self::Bytes(bytes) => KeptAnswer::Bytes(bytes.into()),
            Self::Word(word) => KeptAnswer::Word(word),
            Self::Refused(why) => KeptAnswer::Refused(why),
            Self::Block(answers) => KeptAnswer::Block(answers.to_vec()),
        }
    }
}

impl KeptAnswer {
    /// The answer that is kept.
    #[must_use]
    pub fn as_answer(&self) -> Answer<'_> {
        match self {
            Self::Ok => Answer::Ok,
            Self::Nil => Answer::Nil,
            Self::Integer(number) => Answer::Integer(*number),
            Self::Bytes(bytes) => Answer::Bytes(bytes),
            Self::Word(word) => Answer::Word(word),
            Self::Refused(why) => Answer::Refused(*why),
            Self::Block(answers) => Answer::Block(answers),
        }
    }
}
