//! Sessions as nouns: what a RESP connection asks of one key, and what the key's home answers.
//!
//! `resp` turns bytes into [`KeyCommand`]s and [`Answer`]s into bytes; `sessions` carries them out. Neither
//! imports the other, so the words that both use stand here. Values are borrowed: whoever keeps a command
//! copies it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::limits::SESSION_DATABASES;

mod byte_list;
mod commit;

pub use byte_list::{ByteList, ByteListIter};
pub use commit::{CommitMistake, CommitOrder, Names, Pairs};

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
    /// `HGET`
    Field(&'a [u8]),
    /// `HMGET`
    Fields(ByteList<'a>),
    /// `HGETALL`
    AllFields,
    /// `HKEYS`
    FieldNames,
    /// `HLEN`
    FieldCount,
    /// `HEXISTS`: 1 or 0.
    HasField(&'a [u8]),
    /// `HSET`, `HMSET`.
    SetFields {
        /// Names and values by turns.
        fields: ByteList<'a>,
        /// `HSET`: how many are new, else `OK`.
        counts: bool,
    },
    /// `HSETNX`: 1 or 0.
    SetNewField {
        /// Which one.
        name: &'a [u8],
        /// Its value if it is missing.
        value: &'a [u8],
    },
    /// `HDEL`: how many were there. With the last one the session ends.
    RemoveFields(ByteList<'a>),
    /// `SESSION.LOAD`
    Load {
        /// A token; empty: everything is wanted.
        since: &'a [u8],
        /// The deadline that the same command asks for, ms.
        touch_ms: Option<i64>,
    },
    /// `SESSION.COMMIT`
    Commit {
        /// Those of a [`CommitOrder`].
        arguments: ByteList<'a>,
        /// It began under another key, so it may not set the user.
        redirected: bool,
    },
    /// The first step of a rename: the state as its home has it.
    Export {
        /// What `SESSION.RENAME` is called, so that a repeat is known; else empty.
        id: &'a [u8],
    },
    /// The second step, at the new key: a state that another key had.
    Restore {
        /// What [`KeyCommand::Export`] gave, but for its first and second item.
        content: Restored<'a>,
        /// Its deadline.
        expiry: Expiry,
        /// `RENAMENX` and `SESSION.RENAME`: only if the new key is missing.
        only_missing: bool,
    },
    /// The last step: the old key ends, if nothing has changed since the export; 1 or 0.
    EndRenamed {
        /// The token of the export.
        token: &'a [u8],
        /// Under which key it lives on.
        to: &'a [u8],
        /// What `SESSION.RENAME` is called, so that a repeat is known; else empty.
        id: &'a [u8],
    },
}

/// Which command asks for a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameForm {
    /// `RENAME`: what the new key had is replaced.
    Plain,
    /// `RENAMENX`
    IfMissing,
    /// `SESSION.RENAME`
    Native,
}

/// The value of a session on its way to another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored<'a> {
    /// A string.
    String(&'a [u8]),
    /// Names and values by turns.
    Fields(ByteList<'a>),
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
            | Self::Field(_)
            | Self::Fields(_)
            | Self::AllFields
            | Self::FieldNames
            | Self::FieldCount
            | Self::HasField(_)
            | Self::Load { .. }
            | Self::GetAndExpire(Expiry::Unsaid) => false,
            Self::Set { .. }
            | Self::GetAndDestroy
            | Self::GetAndExpire(_)
            | Self::Destroy
            | Self::Expire { .. }
            | Self::Persist
            | Self::SetFields { .. }
            | Self::SetNewField { .. }
            | Self::RemoveFields(_)
            | Self::Commit { .. }
            // it changes nothing, but only the home may say it
            | Self::Export { .. }
            | Self::Restore { .. }
            | Self::EndRenamed { .. }
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
    /// An attribute's name is over 255 bytes, or begins with a zero byte.
    FieldName,
    /// More than 1,024 attributes.
    TooManyFields,
    /// All values together are over what one answer may be.
    AnswerTooLarge,
    /// The session has ended (`SESSION.COMMIT`, a rename to that key).
    Gone,
    /// `NEW` where a session is, or was.
    Exists,
    /// What was sent as a token is none.
    Token,
    /// `RENAME` of a key that is missing.
    NoSuchKey,
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
    /// A list.
    List(&'a [KeptAnswer]),
    /// Names and values by turns: a map in RESP 3.
    Map(&'a [KeptAnswer]),
    /// Attributes that were changed since the base: nothing was done.
    Conflict(&'a [KeptAnswer]),
    /// The session lives on under another key: the request for that one, as machines keep it. No client sees
    /// it.
    Moved(&'a [u8]),
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
    /// [`Answer::List`]
    List(Vec<Self>),
    /// [`Answer::Map`]
    Map(Vec<Self>),
    /// [`Answer::Conflict`]
    Conflict(Vec<Self>),
    /// [`Answer::Moved`]
    Moved(Box<[u8]>),
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
            Self::List(items) => KeptAnswer::List(items.to_vec()),
            Self::Map(items) => KeptAnswer::Map(items.to_vec()),
            Self::Conflict(names) => KeptAnswer::Conflict(names.to_vec()),
            Self::Moved(request) => KeptAnswer::Moved(request.into()),
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
            Self::List(items) => Answer::List(items),
            Self::Map(items) => Answer::Map(items),
            Self::Conflict(names) => Answer::Conflict(names),
            Self::Moved(request) => Answer::Moved(request),
        }
    }
}
