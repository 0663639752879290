//! Commands and answers as bytes: what waits, and what is forwarded.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::{
    Answer, ExpireIf, KeptAnswer, KeyCommand, Presence, SessionRefusal, SetAnswer, TimeForm,
};

use crate::fields::{Damage, Put, Take};
use crate::hid::Place;

mod expiry;
mod field_commands;

use expiry::{put_expiry, take_expiry};
use field_commands::{put_field_command, take_field_command};

/// Place, whether it is a block, and the commands.
pub(crate) fn put_request(out: &mut Vec<u8>, place: Place<'_>, commands: &[KeyCommand<'_>], block: bool) {
    out.place(place);
    out.u8(block.into());
    out.u8(commands.len() as u8);
    for command in commands {
        put_command(out, command);
    }
}

/// A request as it was kept.
pub(crate) struct KeptRequest<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) block: bool,
    pub(crate) commands: Vec<KeyCommand<'a>>,
}

pub(crate) fn take_request(bytes: &[u8]) -> Result<KeptRequest<'_>, Damage> {
    let mut take = Take::new(bytes);
    let place = take.place()?;
    let block = take.u8()? != 0;
    let count = take.u8()?;
    let commands = (0..count).map(|_| take_command(&mut take)).collect::<Result<_, _>>()?;
    take.end()?;
    Ok(KeptRequest { place, block, commands })
}

fn put_command(out: &mut Vec<u8>, command: &KeyCommand<'_>) {
    match *command {
        KeyCommand::Get => out.u8(0),
        KeyCommand::StringLength => out.u8(1),
        KeyCommand::Set { value, expiry, presence, answer } => {
            out.u8(2);
            out.long(value);
            put_expiry(out, expiry);
            out.u8(match presence {
                Presence::Any => 0,
                Presence::Missing => 1,
                Presence::Existing => 2,
            });
            out.u8(match answer {
                SetAnswer::Status => 0,
                SetAnswer::Before => 1,
                SetAnswer::Count => 2,
            });
        }
        KeyCommand::GetAndDestroy => out.u8(3),
        KeyCommand::GetAndExpire(expiry) => {
            out.u8(4);
            put_expiry(out, expiry);
        }
        KeyCommand::Destroy => out.u8(5),
        KeyCommand::Exists => out.u8(6),
        KeyCommand::Touch => out.u8(7),
        KeyCommand::Type => out.u8(8),
        KeyCommand::Time(form) => {
            out.u8(9);
            out.u8(match form {
                TimeForm::LeftSeconds => 0,
                TimeForm::LeftMs => 1,
                TimeForm::UnixSeconds => 2,
                TimeForm::UnixMs => 3,
            });
        }
        KeyCommand::Expire { left_ms, only } => {
            out.u8(10);
            out.i64(left_ms);
            let bits = [only.unset, only.set, only.later, only.earlier];
            out.u8(bits.iter().enumerate().map(|(at, &bit)| u8::from(bit) << at).sum());
        }
        KeyCommand::Persist => out.u8(11),
        KeyCommand::DestroyIfEqual(value) => {
            out.u8(12);
            out.u8(value.is_some().into());
            out.long(value.unwrap_or_default());
        }
        _ => put_field_command(out, command),
    }
}

fn take_command<'a>(take: &mut Take<'a>) -> Result<KeyCommand<'a>, Damage> {
    Ok(match take.u8()? {
        0 => KeyCommand::Get,
        1 => KeyCommand::StringLength,
        2 => {
            let (value, expiry) = (take.long()?, take_expiry(take)?);
            let presence = match take.u8()? {
                0 => Presence::Any,
                1 => Presence::Missing,
                2 => Presence::Existing,
                _ => return Err(Damage::Value("presence")),
            };
            let answer = match take.u8()? {
                0 => SetAnswer::Status,
                1 => SetAnswer::Before,
                2 => SetAnswer::Count,
                _ => return Err(Damage::Value("answer of SET")),
            };
            KeyCommand::Set { value, expiry, presence, answer }
        }
        3 => KeyCommand::GetAndDestroy,
        4 => KeyCommand::GetAndExpire(take_expiry(take)?),
        5 => KeyCommand::Destroy,
        6 => KeyCommand::Exists,
        7 => KeyCommand::Touch,
        8 => KeyCommand::Type,
        9 => KeyCommand::Time(match take.u8()? {
            0 => TimeForm::LeftSeconds,
            1 => TimeForm::LeftMs,
            2 => TimeForm::UnixSeconds,
            3 => TimeForm::UnixMs,
            _ => return Err(Damage::Value("form of a time")),
        }),
        10 => {
            let (left_ms, bits) = (take.i64()?, take.u8()?);
            let bit = |at: u8| bits & 1 << at != 0;
            let only = ExpireIf { unset: bit(0), set: bit(1), later: bit(2), earlier: bit(3) };
            KeyCommand::Expire { left_ms, only }
        }
        11 => KeyCommand::Persist,
        12 => {
            let some = take.u8()? != 0;
            let value = take.long()?;
            KeyCommand::DestroyIfEqual(some.then_some(value))
        }
        kind => return take_field_command(kind, take),
    })
}

/// Words that answers use.
const WORDS: [&str; 5] = ["none", "string", "hash", "full", "since"];
/// What `TooMuch` may name; another one travels as the last of them.
const BOUNDS: [&str; 3] =
    ["another key has the same hash", "entries of the session list", "a bound of another node"];

pub(crate) fn put_answer(out: &mut Vec<u8>, answer: Answer<'_>) {
    match answer {
        Answer::Ok => out.u8(0),
        Answer::Nil => out.u8(1),
        Answer::Integer(number) => {
            out.u8(2);
            out.i64(number);
        }
        Answer::Bytes(bytes) => {
            out.u8(3);
            out.long(bytes);
        }
        Answer::Word(word) => {
            out.u8(4);
            out.u8(WORDS.iter().position(|known| *known == word).unwrap_or(0) as u8);
        }
        Answer::Refused(why) => {
            out.u8(5);
            let (code, bound) = match why {
                SessionRefusal::TryAgain => (0, 0),
                SessionRefusal::OutOfMemory => (1, 0),
                SessionRefusal::TooLarge => (2, 0),
                SessionRefusal::WrongType => (3, 0),
                SessionRefusal::FieldName => (5, 0),
                SessionRefusal::TooManyFields => (6, 0),
                SessionRefusal::AnswerTooLarge => (7, 0),
                SessionRefusal::Gone => (8, 0),
                SessionRefusal::Exists => (9, 0),
                SessionRefusal::Token => (10, 0),
                SessionRefusal::NoSuchKey => (11, 0),
                SessionRefusal::TooMuch(text) => {
                    (4, BOUNDS.iter().position(|known| *known == text).unwrap_or(BOUNDS.len() - 1))
                }
            };
            out.u8(code);
            out.u8(bound as u8);
        }
        Answer::Block(answers) => put_items(out, 6, answers),
        Answer::List(items) => put_items(out, 7, items),
        Answer::Map(items) => put_items(out, 8, items),
        Answer::Conflict(names) => put_items(out, 9, names),
        Answer::Moved(request) => {
            out.u8(10);
            out.long(request);
        }
    }
}

fn put_items(out: &mut Vec<u8>, kind: u8, items: &[KeptAnswer]) {
    out.u8(kind);
    out.u16(items.len() as u16);
    for kept in items {
        put_answer(out, kept.as_answer());
    }
}

/// A block holds lists, and what `SESSION.LOAD` answers holds one.
const DEPTH_MAX: u8 = 3;

pub(crate) fn take_answer(bytes: &[u8]) -> Result<KeptAnswer, Damage> {
    let mut take = Take::new(bytes);
    let answer = take_one_answer(&mut take, DEPTH_MAX)?;
    take.end()?;
    Ok(answer)
}

fn take_items(take: &mut Take<'_>, depth: u8) -> Result<Vec<KeptAnswer>, Damage> {
    let depth = depth.checked_sub(1).ok_or(Damage::Value("depth of an answer"))?;
    let count = take.u16()?;
    (0..count).map(|_| take_one_answer(take, depth)).collect()
}

fn take_one_answer(take: &mut Take<'_>, depth: u8) -> Result<KeptAnswer, Damage> {
    Ok(match take.u8()? {
        0 => KeptAnswer::Ok,
        1 => KeptAnswer::Nil,
        2 => KeptAnswer::Integer(take.i64()?),
        3 => KeptAnswer::Bytes(Box::from(take.long()?)),
        4 => {
            let word = WORDS.get(usize::from(take.u8()?)).copied();
            KeptAnswer::Word(word.ok_or(Damage::Value("word"))?)
        }
        5 => {
            let (code, bound) = (take.u8()?, take.u8()?);
            let bound = BOUNDS.get(usize::from(bound)).copied();
            KeptAnswer::Refused(match code {
                0 => SessionRefusal::TryAgain,
                1 => SessionRefusal::OutOfMemory,
                2 => SessionRefusal::TooLarge,
                3 => SessionRefusal::WrongType,
                5 => SessionRefusal::FieldName,
                6 => SessionRefusal::TooManyFields,
                7 => SessionRefusal::AnswerTooLarge,
                8 => SessionRefusal::Gone,
                9 => SessionRefusal::Exists,
                10 => SessionRefusal::Token,
                11 => SessionRefusal::NoSuchKey,
                4 => SessionRefusal::TooMuch(bound.ok_or(Damage::Value("bound"))?),
                _ => return Err(Damage::Value("refusal")),
            })
        }
        6 => KeptAnswer::Block(take_items(take, depth)?),
        7 => KeptAnswer::List(take_items(take, depth)?),
        8 => KeptAnswer::Map(take_items(take, depth)?),
        9 => KeptAnswer::Conflict(take_items(take, depth)?),
        10 => KeptAnswer::Moved(Box::from(take.long()?)),
        _ => return Err(Damage::Value("answer")),
    })
}
