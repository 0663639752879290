//! Field tables (AMQP 0-9-1 §4.2.5.5) with the types that RabbitMQ and its clients send.
//!
//! ```text
//!   table  ┌─────────┬──────────────────────────┐    entry  ┌─────────┬─────┬──────┬───────┐
//!          │ len u32 │ entry, entry, …          │           │ len u8  │ key │ type │ value │
//!          └─────────┴──────────────────────────┘           └─────────┴─────┴──────┴───────┘
//!   array  ┌─────────┬──────────────────────────┐
//!          │ len u32 │ type value, type value … │    Table and Array hold what comes behind the length.
//!          └─────────┴──────────────────────────┘
//!   t bool   b i8   B u8   s U i16   u u16   I i32   i u32   l L i64   f f32   d f64   D scale u8 + i32
//!   S bytes  x bytes  A array  T seconds u64  F table  V nothing
//! ```
//! The letters are RabbitMQ's, not the specification's (RabbitMQ: "AMQP 0-9-1 errata", field types).
//! Invariant: [`Table::validate`] walks with a bounded stack; what it accepts, everything else here can read.

use alloc::vec::Vec;

use leveret_model::limits::{TABLE_DEPTH_MAX, TABLE_LEVELS_AT_ONCE};
use leveret_model::{Arguments, RoutingKey, Value};

use crate::codec::{Reader, put_long, put_longstr, put_shortstr};

/// Why bytes are no table that we take: 502, or 406 for one that is only too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A key, a length or a value runs past the end.
    #[error("a field runs past the end of its table")]
    Truncated,
    /// No such type of value.
    #[error("unknown field type {0}")]
    UnknownType(u8),
    /// Nested deeper than `limits::TABLE_DEPTH_MAX`.
    #[error("tables nested deeper than {TABLE_DEPTH_MAX}")]
    TooDeep,
}

/// A field table: the bytes behind its length.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Table<'a>(pub &'a [u8]);

/// An array in a field table: the bytes behind its length.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Array<'a>(pub &'a [u8]);

/// A value in a field table, borrowed. The variants are those of [`Value`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`, `U`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, `L`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: scale and unscaled value
    Decimal(u8, i32),
    /// `S`
    LongString(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `A`
    Array(Array<'a>),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `F`
    Table(Table<'a>),
    /// `V`
    Void,
}

impl<'a> Table<'a> {
    /// The table without entries.
    pub const EMPTY: Self = Self(&[]);

    /// Its entries, one by one; ends after the first error. Nested tables are not looked into.
    #[must_use]
    pub const fn iter(self) -> TableIter<'a> {
        TableIter { reader: Reader::new(self.0) }
    }

    /// The value under `key`; of two equal keys the first counts, and what follows an error is not found.
    #[must_use]
    pub fn get(self, key: &[u8]) -> Option<FieldValue<'a>> {
        self.iter().map_while(Result::ok).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Checks all of it, nested tables and arrays too.
    ///
    /// # Errors
    /// The first [`FieldError`] from the front.
    pub fn validate(self) -> Result<(), FieldError> {
        walk(Level::Table(Reader::new(self.0)), TABLE_DEPTH_MAX)
    }

    /// Makes values of it, to be kept.
    ///
    /// # Errors
    /// As [`Table::validate`].
    pub fn to_arguments(self) -> Result<Arguments, FieldError> {
        // bounds the depth of the recursion below
        self.validate()?;
        table_to_arguments(self)
    }
}

impl core::fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Table(\"{}\")", self.0.escape_ascii())
    }
}

impl<'a> Array<'a> {
    /// Its values, one by one; ends after the first error.
    #[must_use]
    pub const fn iter(self) -> ArrayIter<'a> {
        ArrayIter { reader: Reader::new(self.0) }
    }
}

impl core::fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Array(\"{}\")", self.0.escape_ascii())
    }
}

impl FieldValue<'_> {
    /// RabbitMQ's name of the type, as [`Value::type_name`].
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal(..) => "decimal",
            Self::LongString(_) => "longstr",
            Self::Bytes(_) => "binary",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }

    /// The number, whatever its width.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(n) => n.into(),
            Self::U8(n) => n.into(),
            Self::I16(n) => n.into(),
            Self::U16(n) => n.into(),
            Self::I32(n) => n.into(),
            Self::U32(n) => n.into(),
            Self::I64(n) => n,
            _ => return None,
        })
    }
}

/// The entries of a [`Table`].
#[derive(Clone, Debug)]
pub struct TableIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for TableIter<'a> {
    type Item = Result<(&'a [u8], FieldValue<'a>), FieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let entry = read_entry(&mut self.reader);
        if entry.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// The values of an [`Array`].
#[derive(Clone, Debug)]
pub struct ArrayIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = Result<FieldValue<'a>, FieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let value = read_value(&mut self.reader);
        if value.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(value)
    }
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], FieldValue<'a>), FieldError> {
    let key = reader.shortstr().ok_or(FieldError::Truncated)?;
    Ok((key, read_value(reader)?))
}

fn read_value<'a>(reader: &mut Reader<'a>) -> Result<FieldValue<'a>, FieldError> {
    let kind = reader.octet().ok_or(FieldError::Truncated)?;
    read_value_of(kind, reader)?.ok_or(FieldError::Truncated)
}

/// `Ok(None)` if the value ends too early.
fn read_value_of<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Option<FieldValue<'a>>, FieldError> {
    Ok(match kind {
        b't' => reader.octet().map(|b| FieldValue::Bool(b != 0)),
        b'b' => reader.array().map(|b| FieldValue::I8(i8::from_be_bytes(b))),
        b'B' => reader.octet().map(FieldValue::U8),
        b's' | b'U' => reader.array().map(|b| FieldValue::I16(i16::from_be_bytes(b))),
        b'u' => reader.short().map(FieldValue::U16),
        b'I' => reader.array().map(|b| FieldValue::I32(i32::from_be_bytes(b))),
        b'i' => reader.long().map(FieldValue::U32),
        b'l' | b'L' => reader.array().map(|b| FieldValue::I64(i64::from_be_bytes(b))),
        b'f' => reader.array().map(|b| FieldValue::F32(f32::from_be_bytes(b))),
        b'd' => reader.array().map(|b| FieldValue::F64(f64::from_be_bytes(b))),
        b'D' => {
            reader.octet().zip(reader.array()).map(|(s, b)| FieldValue::Decimal(s, i32::from_be_bytes(b)))
        }
        b'S' => reader.longstr().map(FieldValue::LongString),
        b'x' => reader.longstr().map(FieldValue::Bytes),
        b'A' => reader.longstr().map(|bytes| FieldValue::Array(Array(bytes))),
        b'T' => reader.longlong().map(FieldValue::Timestamp),
        b'F' => reader.table().map(FieldValue::Table),
        b'V' => Some(FieldValue::Void),
        other => return Err(FieldError::UnknownType(other)),
    })
}

/// One level of a walk: what is left of a table or an array.
#[derive(Clone, Copy)]
enum Level<'a> {
    Table(Reader<'a>),
    Array(Reader<'a>),
}

/// Visits every value, inner ones at the place where they stand: some levels on a stack of its own, and for
/// what is deeper than that a call for each such number of levels.
fn walk<'a>(outermost: Level<'a>, levels_max: usize) -> Result<(), FieldError> {
    let mut stack = [Level::Array(Reader::new(&[])); TABLE_LEVELS_AT_ONCE];
    let mut depth = 1;
    stack[0] = outermost;
    while depth > 0 {
        let value = match &mut stack[depth - 1] {
            Level::Table(reader) | Level::Array(reader) if reader.is_empty() => {
                depth -= 1;
                continue;
            }
            Level::Table(reader) => read_entry(reader)?.1,
            Level::Array(reader) => read_value(reader)?,
        };
        let inner = match value {
            FieldValue::Table(table) => Level::Table(Reader::new(table.0)),
            FieldValue::Array(array) => Level::Array(Reader::new(array.0)),
            _ => continue,
        };
        if depth == levels_max {
            return Err(FieldError::TooDeep);
        }
        match stack.get_mut(depth) {
            Some(level) => *level = inner,
            None => {
                walk(inner, levels_max - depth)?;
                continue;
            }
        }
        depth += 1;
    }
    Ok(())
}

/// Of a table that is known to be no deeper than `limits::TABLE_DEPTH_MAX`.
fn table_to_arguments(table: Table<'_>) -> Result<Arguments, FieldError> {
    let entry =
        |entry: Result<(&[u8], _), _>| entry.and_then(|(key, v)| Ok((RoutingKey::new(key), to_value(v)?)));
    Ok(Arguments(table.iter().map(entry).collect::<Result<_, _>>()?))
}

fn to_value(value: FieldValue<'_>) -> Result<Value, FieldError> {
    Ok(match value {
        FieldValue::Bool(b) => Value::Bool(b),
        FieldValue::I8(n) => Value::I8(n),
        FieldValue::U8(n) => Value::U8(n),
        FieldValue::I16(n) => Value::I16(n),
        FieldValue::U16(n) => Value::U16(n),
        FieldValue::I32(n) => Value::I32(n),
        FieldValue::U32(n) => Value::U32(n),
        FieldValue::I64(n) => Value::I64(n),
        FieldValue::F32(n) => Value::F32(n),
        FieldValue::F64(n) => Value::F64(n),
        FieldValue::Decimal(scale, n) => Value::Decimal(scale, n),
        FieldValue::LongString(bytes) => Value::LongString(bytes.into()),
        FieldValue::Bytes(bytes) => Value::Bytes(bytes.into()),
        FieldValue::Timestamp(n) => Value::Timestamp(n),
        FieldValue::Void => Value::Void,
        FieldValue::Array(array) => {
            Value::Array(array.iter().map(|v| v.and_then(to_value)).collect::<Result<_, _>>()?)
        }
        FieldValue::Table(table) => Value::Table(table_to_arguments(table)?),
    })
}

/// Appends the entries of a table, without its length: the bytes of a [`Table`].
pub fn encode_arguments(arguments: &Arguments, out: &mut Vec<u8>) {
    for (key, value) in &arguments.0 {
        put_shortstr(out, key);
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(b) => put_fixed(out, b't', &[u8::from(*b)]),
        Value::I8(n) => put_fixed(out, b'b', &n.to_be_bytes()),
        Value::U8(n) => put_fixed(out, b'B', &n.to_be_bytes()),
        Value::I16(n) => put_fixed(out, b's', &n.to_be_bytes()),
        Value::U16(n) => put_fixed(out, b'u', &n.to_be_bytes()),
        Value::I32(n) => put_fixed(out, b'I', &n.to_be_bytes()),
        Value::U32(n) => put_fixed(out, b'i', &n.to_be_bytes()),
        Value::I64(n) => put_fixed(out, b'l', &n.to_be_bytes()),
        Value::F32(n) => put_fixed(out, b'f', &n.to_be_bytes()),
        Value::F64(n) => put_fixed(out, b'd', &n.to_be_bytes()),
        Value::Timestamp(n) => put_fixed(out, b'T', &n.to_be_bytes()),
        Value::Void => out.push(b'V'),
        Value::Decimal(scale, n) => {
            put_fixed(out, b'D', &[*scale]);
            out.extend_from_slice(&n.to_be_bytes());
        }
        Value::LongString(bytes) => {
            out.push(b'S');
            put_longstr(out, bytes);
        }
        Value::Bytes(bytes) => {
            out.push(b'x');
            put_longstr(out, bytes);
        }
        Value::Array(values) => put_sized(out, b'A', |out| values.iter().for_each(|v| put_value(out, v))),
        Value::Table(table) => put_sized(out, b'F', |out| encode_arguments(table, out)),
    }
}

fn put_fixed(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

/// Appends a type, a length and what `content` writes.
fn put_sized(out: &mut Vec<u8>, kind: u8, content: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let start = out.len();
    put_long(out, 0);
    content(out);
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
mod tests;
