//! Headers exchanges (AMQP 0-9-1 §3.1.3.4; RabbitMQ: `x-match` with four values).
//!
//! A binding's arguments are its criteria: a header with that name must be there and be equal by value; a void
//! value asks for its presence only. `x-match` is never a criterion, other `x-` keys are only with `all-with-x`
//! and `any-with-x`.

use alloc::format;
use alloc::vec::Vec;
use core::cell::OnceCell;

use leveret_model::limits::ENTRIES_LOOKED_THROUGH_MAX;
use leveret_model::settings::HashProperty;
use leveret_model::{Arguments, Refusal, ReplyCode, RoutingKey, Value};
use leveret_wire::{Array, ContentHeader, FieldValue, Table};

use crate::bindings::{Bindings, Bound};
use crate::slots::Slot;
use crate::stable_hash::StableHash;

/// The headers of a message. They are asked only on the way through a headers exchange.
pub trait Headers {
    /// Is there a header of that name, and, if a value is given, has the header that value?
    /// Of two headers with one name the first counts.
    fn matches(&self, name: &[u8], value: Option<&Value>) -> bool;

    /// The stable hash of a header's value; that of nothing if there is none.
    fn hash_of_header(&self, _name: &[u8]) -> u64 {
        StableHash::new().finish()
    }

    /// The stable hash of a property; that of nothing if there is none.
    fn hash_of_property(&self, _property: HashProperty) -> u64 {
        StableHash::new().finish()
    }
}

/// A message without headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn matches(&self, _: &[u8], _: Option<&Value>) -> bool {
        false
    }
}

/// The headers in the payload of a content header frame. It costs nothing until it is asked; a payload that
/// cannot be decoded has no headers.
#[derive(Debug)]
pub struct MessageHeaders<'a> {
    payload: &'a [u8],
    found: OnceCell<Entries<'a>>,
}

/// The entries of a header table, to be looked up by name.
#[derive(Debug)]
enum Entries<'a> {
    /// Looked through.
    Few(Table<'a>),
    /// Sorted by name, the first of equal names in front: criteria times headers would be too many steps.
    Many(Vec<(&'a [u8], FieldValue<'a>)>),
}

impl<'a> Entries<'a> {
    fn of(table: Table<'a>) -> Self {
        if table.iter().nth(ENTRIES_LOOKED_THROUGH_MAX).is_none() {
            return Self::Few(table);
        }
        let mut all: Vec<_> = table.iter().map_while(Result::ok).collect();
        all.sort_by_key(|(name, _)| *name);
        Self::Many(all)
    }

    fn get(&self, name: &[u8]) -> Option<FieldValue<'a>> {
        match self {
            Self::Few(table) => table.get(name),
            Self::Many(all) => {
                let at = all.partition_point(|(other, _)| *other < name);
                all.get(at).filter(|(other, _)| *other == name).map(|(_, value)| *value)
            }
        }
    }
}

impl<'a> MessageHeaders<'a> {
    /// Of this payload.
    #[must_use]
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { payload, found: OnceCell::new() }
    }
}

impl<'a> MessageHeaders<'a> {
    fn get(&self, name: &[u8]) -> Option<FieldValue<'a>> {
        let entries = self.found.get_or_init(|| {
            let header = ContentHeader::decode(self.payload).ok();
            Entries::of(header.and_then(|header| header.properties.headers()).unwrap_or(Table::EMPTY))
        });
        entries.get(name)
    }
}

impl Headers for MessageHeaders<'_> {
    fn hash_of_header(&self, name: &[u8]) -> u64 {
        let hash = StableHash::new();
        self.get(name).map_or(hash, |value| hash_value(hash, value)).finish()
    }

    fn hash_of_property(&self, property: HashProperty) -> u64 {
        let hash = StableHash::new();
        let Ok(ContentHeader { properties, .. }) = ContentHeader::decode(self.payload) else {
            return hash.finish();
        };
        let text = match property {
            HashProperty::CorrelationId => properties.correlation_id(),
            HashProperty::MessageId => properties.message_id(),
            HashProperty::Timestamp => {
                return properties.timestamp().map_or(hash, |t| hash.bytes(&t.to_be_bytes())).finish();
            }
        };
        text.map_or(hash, |text| hash.bytes(text)).finish()
    }

    fn matches(&self, name: &[u8], value: Option<&Value>) -> bool {
        let header = self.get(name);
        header.is_some_and(|header| value.is_none_or(|value| equivalent(header, value)))
    }
}

/// By value: the width of an integer does not matter.
fn hash_value(hash: StableHash, value: FieldValue<'_>) -> StableHash {
    if let Some(number) = value.as_integer() {
        return hash.bytes(&number.to_be_bytes());
    }
    match value {
        FieldValue::LongString(bytes) | FieldValue::Bytes(bytes) => hash.bytes(bytes),
        FieldValue::Timestamp(seconds) => hash.bytes(&seconds.to_be_bytes()),
        FieldValue::F32(n) => hash.bytes(&f64::from(n).to_bits().to_be_bytes()),
        FieldValue::F64(n) => hash.bytes(&n.to_bits().to_be_bytes()),
        FieldValue::Decimal(scale, unscaled) => hash.bytes(&[scale]).bytes(&unscaled.to_be_bytes()),
        FieldValue::Bool(on) => hash.bytes(&[u8::from(on)]),
        FieldValue::Array(items) => items.iter().map_while(Result::ok).fold(hash, hash_value),
        FieldValue::Table(table) => table
            .iter()
            .map_while(Result::ok)
            .fold(hash, |hash, (name, item)| hash_value(hash.bytes(name), item)),
        _ => hash,
    }
}

/// Is the header what the binding asks for? By value, as RabbitMQ 4.3 compares: integers of any width among
/// themselves, floats likewise, timestamps with timestamps (4.x multiplies one of them by 1000; 3.10 does not),
/// both kinds of strings are strings. Within arrays and tables the type counts too. It descends as deep as the
/// binding's value, which the decoder of the bind has bounded.
fn equivalent(header: FieldValue<'_>, value: &Value) -> bool {
    match (Number::of_header(&header), Number::of_value(value)) {
        (Some(a), Some(b)) => return a == b,
        (None, None) => {}
        _ => return false,
    }
    match (header, value) {
        (FieldValue::Bool(a), Value::Bool(b)) => a == *b,
        (FieldValue::Decimal(scale, unscaled), Value::Decimal(b, c)) => (scale, unscaled) == (*b, *c),
        (FieldValue::LongString(a) | FieldValue::Bytes(a), Value::LongString(b) | Value::Bytes(b)) => {
            *a == **b
        }
        (FieldValue::Array(a), Value::Array(b)) => equivalent_arrays(a, b),
        (FieldValue::Table(a), Value::Table(b)) => equivalent_tables(a, b),
        (FieldValue::Void, Value::Void) => true,
        _ => false,
    }
}

/// Inside an array or a table: of the same type too (RabbitMQ compares the decoded pairs of type and value).
fn identical(item: FieldValue<'_>, value: &Value) -> bool {
    item.type_name() == value.type_name() && equivalent(item, value)
}

/// A number, however it came.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Integer(i64),
    Float(f64),
    Timestamp(u64),
}

impl Number {
    fn of_header(header: &FieldValue<'_>) -> Option<Self> {
        Some(match *header {
            FieldValue::F32(n) => Self::Float(n.into()),
            FieldValue::F64(n) => Self::Float(n),
            FieldValue::Timestamp(n) => Self::Timestamp(n),
            _ => Self::Integer(header.as_integer()?),
        })
    }

    fn of_value(value: &Value) -> Option<Self> {
        Some(match *value {
            Value::F32(n) => Self::Float(n.into()),
            Value::F64(n) => Self::Float(n),
            Value::Timestamp(n) => Self::Timestamp(n),
            _ => Self::Integer(value.as_integer()?),
        })
    }
}

fn equivalent_arrays(header: Array<'_>, values: &[Value]) -> bool {
    let mut items = header.iter();
    values.iter().all(|value| matches!(items.next(), Some(Ok(item)) if identical(item, value)))
        && items.next().is_none()
}

fn equivalent_tables(header: Table<'_>, values: &Arguments) -> bool {
    if header.iter().count() != values.0.len() {
        return false;
    }
    if values.0.len() > ENTRIES_LOOKED_THROUGH_MAX {
        return equivalent_sorted(header, values);
    }
    let is_in = |(name, item): (&[u8], FieldValue<'_>)| {
        values.0.iter().any(|(key, value)| key[..] == *name && identical(item, value))
    };
    header.iter().all(|entry| entry.is_ok_and(is_in))
}

/// Large tables, entry by entry in the order of their names; equal names in the order in which they came.
fn equivalent_sorted(header: Table<'_>, values: &Arguments) -> bool {
    let mut items: Vec<_> = header.iter().map_while(Result::ok).collect();
    let mut wanted: Vec<_> = values.0.iter().collect();
    items.sort_by_key(|(name, _)| *name);
    wanted.sort_by(|(a, _), (b, _)| a[..].cmp(&b[..]));
    items.len() == wanted.len()
        && items
            .iter()
            .zip(wanted)
            .all(|((name, item), (key, value))| key[..] == **name && identical(*item, value))
}

/// How the criteria of one binding are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    All,
    Any,
    AllWithX,
    AnyWithX,
}

impl Mode {
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"all" => Self::All,
            b"any" => Self::Any,
            b"all-with-x" => Self::AllWithX,
            b"any-with-x" => Self::AnyWithX,
            _ => return None,
        })
    }

    /// The mode of a binding. What [`validate`] refuses can still come, when a merge changes an exchange's kind
    /// under its bindings; it counts as absent, which is `all`.
    fn of(arguments: &Arguments) -> Self {
        arguments.get("x-match").and_then(Value::as_bytes).and_then(Self::from_name).unwrap_or(Self::All)
    }

    fn matches(self, arguments: &Arguments, headers: &dyn Headers) -> bool {
        let with_x = matches!(self, Self::AllWithX | Self::AnyWithX);
        let mut criteria = arguments
            .0
            .iter()
            .filter(|(key, _)| key[..] != *b"x-match" && (with_x || !key.starts_with(b"x-")));
        let holds = |(key, value): &(RoutingKey, Value)| {
            headers.matches(key, (*value != Value::Void).then_some(value))
        };
        match self {
            Self::All | Self::AllWithX => criteria.all(holds),
            Self::Any | Self::AnyWithX => criteria.any(holds),
        }
    }
}

/// The mode of each binding, in step with the exchange's own list.
#[derive(Debug)]
pub(crate) struct HeadersIndex {
    modes: Vec<Mode>,
}

impl HeadersIndex {
    pub(crate) const fn new() -> Self {
        Self { modes: Vec::new() }
    }

    /// The binding has just entered the end of its source's list.
    pub(crate) fn insert(&mut self, bindings: &Bindings, slot: Slot<Bound>) {
        self.modes.push(Mode::of(&bindings[slot].arguments));
    }

    /// The binding is about to leave its source's list.
    pub(crate) fn remove(&mut self, bindings: &Bindings, slot: Slot<Bound>) {
        self.modes.swap_remove(bindings[slot].at_source as usize);
    }

    /// hot: each binding's criteria, one after the other.
    pub(crate) fn route(
        &self,
        bindings: &Bindings,
        from: &[Slot<Bound>],
        headers: &dyn Headers,
        found: &mut impl FnMut(Slot<Bound>),
    ) {
        for (slot, mode) in from.iter().zip(&self.modes) {
            if mode.matches(&bindings[*slot].arguments, headers) {
                found(*slot);
            }
        }
    }
}

/// Is `x-match` one of the four?
pub(crate) fn validate(arguments: &Arguments) -> Result<(), Refusal> {
    let refuse = |text| Err(Refusal::new(ReplyCode::PreconditionFailed, text));
    match arguments.get("x-match") {
        None => Ok(()),
        Some(Value::LongString(name)) if Mode::from_name(name).is_some() => Ok(()),
        Some(Value::LongString(name)) => refuse(format!(
            "Invalid x-match field value <<\"{}\">>; expected all, any, all-with-x, or any-with-x",
            name.escape_ascii()
        )),
        Some(other) => {
            // RabbitMQ prints any value; of a table or a long list the text of a close has no room
            let value = other.as_integer().map(|n| format!(" (value {n})")).unwrap_or_default();
            refuse(format!("Invalid x-match field type {}{value}; expected longstr", other.type_name()))
        }
    }
}

#[cfg(test)]
mod tests;
