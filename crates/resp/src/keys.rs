//! Arguments to a [`KeyCommand`]: the options of `SET`, `EXPIRE` and the others, in Redis's order of errors.

use leveret_model::session::{ExpireIf, Expiry, KeyCommand, Presence, SetAnswer, TimeForm};

use crate::arguments::{is, parse_integer};
use crate::decode::Arguments;
use crate::native;
use crate::scripts;
use crate::table::Id;
use crate::texts::{self, Text};

/// Reads the arguments of a command whose first one is a key, or all of whose are. `unix_ms` is the wall
/// clock. hot.
///
/// # Errors
/// The text for the client.
pub(crate) fn parse<'a>(
    id: Id,
    arguments: Arguments<'a>,
    unix_ms: i64,
) -> Result<(&'a [u8], KeyCommand<'a>), Text> {
    let key = arguments.get(1);
    let plain_set = |value, expiry, presence, answer| KeyCommand::Set { value, expiry, presence, answer };
    let command = match id {
        Id::Get | Id::Mget => KeyCommand::Get,
        Id::Set => set(arguments, unix_ms)?,
        Id::Setex | Id::Psetex => {
            let seconds = id == Id::Setex;
            let expiry = Expiry::In(relative(id, arguments.get(2), seconds, unix_ms)?);
            plain_set(arguments.get(3), expiry, Presence::Any, SetAnswer::Status)
        }
        Id::Setnx => plain_set(arguments.get(2), Expiry::Unsaid, Presence::Missing, SetAnswer::Count),
        Id::Getset => plain_set(arguments.get(2), Expiry::Unsaid, Presence::Any, SetAnswer::Before),
        Id::Getdel => KeyCommand::GetAndDestroy,
        Id::Getex => KeyCommand::GetAndExpire(get_and_expire(arguments, unix_ms)?),
        Id::Strlen => KeyCommand::StringLength,
        Id::Del | Id::Unlink => KeyCommand::Destroy,
        Id::Exists => KeyCommand::Exists,
        Id::Touch => KeyCommand::Touch,
        Id::Type => KeyCommand::Type,
        Id::Ttl => KeyCommand::Time(TimeForm::LeftSeconds),
        Id::Pttl => KeyCommand::Time(TimeForm::LeftMs),
        Id::Expiretime => KeyCommand::Time(TimeForm::UnixSeconds),
        Id::Pexpiretime => KeyCommand::Time(TimeForm::UnixMs),
        Id::Expire | Id::Pexpire | Id::Expireat | Id::Pexpireat => expire(id, arguments, unix_ms)?,
        Id::Persist => KeyCommand::Persist,
        Id::Hset | Id::Hmset if arguments.count() % 2 == 1 => return Err(texts::wrong_arity(id.entry())),
        Id::Hset | Id::Hmset => {
            KeyCommand::SetFields { fields: arguments.list_from(2), counts: id == Id::Hset }
        }
        Id::Hsetnx => KeyCommand::SetNewField { name: arguments.get(2), value: arguments.get(3) },
        Id::Hget => KeyCommand::Field(arguments.get(2)),
        Id::Hmget => KeyCommand::Fields(arguments.list_from(2)),
        Id::Hgetall => KeyCommand::AllFields,
        Id::Hkeys => KeyCommand::FieldNames,
        Id::Hlen => KeyCommand::FieldCount,
        Id::Hexists => KeyCommand::HasField(arguments.get(2)),
        Id::Hdel => KeyCommand::RemoveFields(arguments.list_from(2)),
        Id::SessionLoad | Id::SessionCommit | Id::SessionDestroy => return native::parse(id, arguments),
        Id::Eval | Id::Evalsha => return scripts::parse(id, arguments),
        _ => unreachable!("only commands with keys are parsed here"),
    };
    Ok((key, command))
}

/// The word of a deadline, and the argument behind it.
#[derive(Clone, Copy, Debug)]
struct Deadline<'a> {
    argument: &'a [u8],
    seconds: bool,
    absolute: bool,
}

impl<'a> Deadline<'a> {
    /// `EX`, `PX`, `EXAT` or `PXAT`, if `word` is one of these and something follows.
    fn read(word: &[u8], next: Option<&'a [u8]>) -> Option<Self> {
        let argument = next?;
        let (seconds, absolute) = match () {
            () if is(word, "EX") => (true, false),
            () if is(word, "PX") => (false, false),
            () if is(word, "EXAT") => (true, true),
            () if is(word, "PXAT") => (false, true),
            () => return None,
        };
        Some(Self { argument, seconds, absolute })
    }

    /// Redis takes the last of several with the same word, and refuses different ones.
    fn replaces(self, before: Option<Self>) -> bool {
        before.is_none_or(|before| (before.seconds, before.absolute) == (self.seconds, self.absolute))
    }

    /// Redis 7.0: `getExpireMillisecondsOrReply`.
    fn expiry(self, id: Id, unix_ms: i64) -> Result<Expiry, Text> {
        if !self.absolute {
            return Ok(Expiry::In(relative(id, self.argument, self.seconds, unix_ms)?));
        }
        let at = positive_ms(id, self.argument, self.seconds)?;
        Ok(Expiry::In(at.saturating_sub(unix_ms)))
    }
}

/// A time that must be positive and fit, in milliseconds.
fn positive_ms(id: Id, argument: &[u8], seconds: bool) -> Result<i64, Text> {
    let value = parse_integer(argument).ok_or(texts::NOT_AN_INTEGER)?;
    let invalid = || texts::invalid_expire(id.entry());
    if value <= 0 {
        return Err(invalid());
    }
    if seconds { value.checked_mul(1000).ok_or_else(invalid) } else { Ok(value) }
}

/// The same for one that counts from now: the point in time must fit too.
fn relative(id: Id, argument: &[u8], seconds: bool, unix_ms: i64) -> Result<i64, Text> {
    let ms = positive_ms(id, argument, seconds)?;
    if ms.checked_add(unix_ms).is_none() {
        return Err(texts::invalid_expire(id.entry()));
    }
    Ok(ms)
}

/// `SET key value` and its options.
fn set(arguments: Arguments<'_>, unix_ms: i64) -> Result<KeyCommand<'_>, Text> {
    let value = arguments.get(2);
    let mut presence = Presence::Any;
    let mut answer = SetAnswer::Status;
    let mut keep = false;
    let mut deadline = None;
    let mut rest = arguments.from(3);
    while let Some(word) = rest.next() {
        if is(word, "NX") && presence != Presence::Existing {
            presence = Presence::Missing;
        } else if is(word, "XX") && presence != Presence::Missing {
            presence = Presence::Existing;
        } else if is(word, "GET") {
            answer = SetAnswer::Before;
        } else if is(word, "KEEPTTL") && deadline.is_none() {
            keep = true;
        } else if let Some(read) =
            Deadline::read(word, rest.clone().next()).filter(|read| !keep && read.replaces(deadline))
        {
            rest.next();
            deadline = Some(read);
        } else {
            return Err(texts::SYNTAX);
        }
    }
    let expiry = match deadline {
        Some(deadline) => deadline.expiry(Id::Set, unix_ms)?,
        None if keep => Expiry::Keep,
        None => Expiry::Unsaid,
    };
    Ok(KeyCommand::Set { value, expiry, presence, answer })
}

/// The options of `GETEX`.
fn get_and_expire(arguments: Arguments<'_>, unix_ms: i64) -> Result<Expiry, Text> {
    let mut persist = false;
    let mut deadline = None;
    let mut rest = arguments.from(2);
    while let Some(word) = rest.next() {
        if is(word, "PERSIST") && deadline.is_none() {
            persist = true;
        } else if let Some(read) =
            Deadline::read(word, rest.clone().next()).filter(|read| !persist && read.replaces(deadline))
        {
            rest.next();
            deadline = Some(read);
        } else {
            return Err(texts::SYNTAX);
        }
    }
    match deadline {
        Some(deadline) => deadline.expiry(Id::Getex, unix_ms),
        None if persist => Ok(Expiry::Never),
        None => Ok(Expiry::Unsaid),
    }
}

/// `EXPIRE` and its relatives: options first, then the number (Redis 7.0: `expireGenericCommand`).
fn expire(id: Id, arguments: Arguments<'_>, unix_ms: i64) -> Result<KeyCommand<'_>, Text> {
    let mut only = ExpireIf::default();
    for option in arguments.from(3) {
        let flag = match () {
            () if is(option, "NX") => &mut only.unset,
            () if is(option, "XX") => &mut only.set,
            () if is(option, "GT") => &mut only.later,
            () if is(option, "LT") => &mut only.earlier,
            () => return Err(texts::unsupported_option(option)),
        };
        *flag = true;
    }
    if only.unset && (only.set || only.later || only.earlier) {
        return Err(texts::NX_AND_OTHERS);
    }
    if only.later && only.earlier {
        return Err(texts::GT_AND_LT);
    }
    let value = parse_integer(arguments.get(2)).ok_or(texts::NOT_AN_INTEGER)?;
    let seconds = matches!(id, Id::Expire | Id::Expireat);
    let absolute = matches!(id, Id::Expireat | Id::Pexpireat);
    let invalid = || texts::invalid_expire(id.entry());
    let ms = if seconds { value.checked_mul(1000).ok_or_else(invalid)? } else { value };
    let left_ms = if absolute { ms.saturating_sub(unix_ms) } else { ms };
    // Redis keeps points in time: one past the last is refused
    if !absolute && ms.checked_add(unix_ms).is_none() {
        return Err(invalid());
    }
    Ok(KeyCommand::Expire { left_ms, only })
}
