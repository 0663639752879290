//! Commands on attributes and the `SESSION.` commands as bytes.

use alloc::vec::Vec;

use leveret_model::session::{ByteList, KeyCommand, Restored};

use super::expiry::{put_expiry, take_expiry};
use crate::fields::{Damage, Put, Take};

mod kind {
    pub(super) const FIELD: u8 = 13;
    pub(super) const FIELDS: u8 = 14;
    pub(super) const ALL_FIELDS: u8 = 15;
    pub(super) const FIELD_NAMES: u8 = 16;
    pub(super) const FIELD_COUNT: u8 = 17;
    pub(super) const HAS_FIELD: u8 = 18;
    pub(super) const SET_FIELDS: u8 = 19;
    pub(super) const SET_NEW_FIELD: u8 = 20;
    pub(super) const REMOVE_FIELDS: u8 = 21;
    pub(super) const LOAD: u8 = 22;
    pub(super) const COMMIT: u8 = 23;
    pub(super) const EXPORT: u8 = 24;
    pub(super) const RESTORE: u8 = 25;
    pub(super) const END_RENAMED: u8 = 26;
}

fn put_list(out: &mut Vec<u8>, list: ByteList<'_>) {
    let mut bytes = Vec::new();
    for item in list.iter() {
        bytes.long(item);
    }
    out.long(&bytes);
}

fn take_list<'a>(take: &mut Take<'a>) -> Result<ByteList<'a>, Damage> {
    let list = ByteList::Encoded(take.long()?);
    if list.is_whole() { Ok(list) } else { Err(Damage::Short) }
}

pub(super) fn put_field_command(out: &mut Vec<u8>, command: &KeyCommand<'_>) {
    match *command {
        KeyCommand::Field(name) => named(out, kind::FIELD, name),
        KeyCommand::HasField(name) => named(out, kind::HAS_FIELD, name),
        KeyCommand::Fields(names) => listed(out, kind::FIELDS, names),
        KeyCommand::RemoveFields(names) => listed(out, kind::REMOVE_FIELDS, names),
        KeyCommand::Commit { arguments, redirected } => {
            listed(out, kind::COMMIT, arguments);
            out.u8(redirected.into());
        }
        KeyCommand::AllFields => out.u8(kind::ALL_FIELDS),
        KeyCommand::FieldNames => out.u8(kind::FIELD_NAMES),
        KeyCommand::FieldCount => out.u8(kind::FIELD_COUNT),
        KeyCommand::Export { id } => named(out, kind::EXPORT, id),
        KeyCommand::SetFields { fields, counts } => {
            listed(out, kind::SET_FIELDS, fields);
            out.u8(counts.into());
        }
        KeyCommand::SetNewField { name, value } => {
            named(out, kind::SET_NEW_FIELD, name);
            out.long(value);
        }
        KeyCommand::Load { since, touch_ms } => {
            named(out, kind::LOAD, since);
            out.i64(touch_ms.unwrap_or(-1));
        }
        KeyCommand::Restore { content, expiry, only_missing } => {
            out.u8(kind::RESTORE);
            match content {
                Restored::String(bytes) => named(out, 0, bytes),
                Restored::Fields(fields) => listed(out, 1, fields),
            }
            put_expiry(out, expiry);
            out.u8(only_missing.into());
        }
        KeyCommand::EndRenamed { token, to, id } => {
            named(out, kind::END_RENAMED, token);
            out.long(to);
            out.long(id);
        }
        _ => unreachable!("the caller writes the others"),
    }
}

fn named(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    out.u8(kind);
    out.long(name);
}

fn listed(out: &mut Vec<u8>, kind: u8, list: ByteList<'_>) {
    out.u8(kind);
    put_list(out, list);
}

pub(super) fn take_field_command<'a>(kind: u8, take: &mut Take<'a>) -> Result<KeyCommand<'a>, Damage> {
    Ok(match kind {
        kind::FIELD => KeyCommand::Field(take.long()?),
        kind::HAS_FIELD => KeyCommand::HasField(take.long()?),
        kind::FIELDS => KeyCommand::Fields(take_list(take)?),
        kind::REMOVE_FIELDS => KeyCommand::RemoveFields(take_list(take)?),
        kind::COMMIT => KeyCommand::Commit { arguments: take_list(take)?, redirected: take.u8()? != 0 },
        kind::ALL_FIELDS => KeyCommand::AllFields,
        kind::FIELD_NAMES => KeyCommand::FieldNames,
        kind::FIELD_COUNT => KeyCommand::FieldCount,
        kind::EXPORT => KeyCommand::Export { id: take.long()? },
        kind::SET_FIELDS => KeyCommand::SetFields { fields: take_list(take)?, counts: take.u8()? != 0 },
        kind::SET_NEW_FIELD => KeyCommand::SetNewField { name: take.long()?, value: take.long()? },
        kind::LOAD => {
            let since = take.long()?;
            let touch = take.i64()?;
            KeyCommand::Load { since, touch_ms: (touch >= 0).then_some(touch) }
        }
        kind::RESTORE => {
            let content = match take.u8()? {
                0 => Restored::String(take.long()?),
                1 => Restored::Fields(take_list(take)?),
                _ => return Err(Damage::Value("content")),
            };
            KeyCommand::Restore { content, expiry: take_expiry(take)?, only_missing: take.u8()? != 0 }
        }
        kind::END_RENAMED => {
            KeyCommand::EndRenamed { token: take.long()?, to: take.long()?, id: take.long()? }
        }
        _ => return Err(Damage::Value("command")),
    })
}
