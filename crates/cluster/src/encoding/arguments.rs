//! Arguments of exchanges, queues and bindings as bytes: what maps and control frames carry of a
//! [`leveret_model::Value`].
//!
//! ```text
//!   table: count u32, then per entry: key length u8, key, value     array: count u32, then values
//!   value: the type letter of AMQP tables, then the value, little-endian; strings: length u32, bytes
//! ```
//! Invariants: what [`encode`] writes [`decode`] reads back equal, bit by bit for floats; nesting and entries
//! are bounded by `limits::TABLE_DEPTH_MAX` and the bytes of a client's frame, so the recursion is too.

use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put, Take};
use leveret_model::{Arguments, RoutingKey, Value, limits};

/// The bytes of `arguments`; none for an empty table.
#[must_use]
pub(crate) fn encode(arguments: &Arguments) -> Vec<u8> {
    let mut out = Vec::new();
    if !arguments.is_empty() {
        put_table(&mut out, arguments);
    }
    out
}

/// The table in `bytes`; [`Damage`] if they are none, or larger than a client may send.
pub(crate) fn decode(bytes: &[u8]) -> Result<Arguments, Damage> {
    if bytes.is_empty() {
        return Ok(Arguments::default());
    }
    let mut take = Take::new(bytes);
    // an entry took a byte of its client's frame at least
    let mut budget = Budget { entries: limits::FRAME_BYTES_MAX as usize, depth: limits::TABLE_DEPTH_MAX };
    let table = take_table(&mut take, &mut budget)?;
    take.end()?;
    Ok(table)
}

/// What is left of the limits.
struct Budget {
    entries: usize,
    depth: usize,
}

impl Budget {
    fn enter(&mut self, entries: usize) -> Result<(), Damage> {
        self.entries = self.entries.checked_sub(entries).ok_or(Damage::TooMany("table entries"))?;
        self.depth = self.depth.checked_sub(1).ok_or(Damage::TooMany("table levels"))?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth += 1;
    }
}

fn put_table(out: &mut Vec<u8>, table: &Arguments) {
    out.u32(table.0.len() as u32);
    for (key, value) in &table.0 {
        out.u8(key.len() as u8);
        out.raw(key);
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut letter = |letter| out.u8(letter);
    match value {
        Value::Bool(_) => letter(b't'),
        Value::I8(_) => letter(b'b'),
        Value::U8(_) => letter(b'B'),
        Value::I16(_) => letter(b's'),
        Value::U16(_) => letter(b'u'),
        Value::I32(_) => letter(b'I'),
        Value::U32(_) => letter(b'i'),
        Value::I64(_) => letter(b'l'),
        Value::F32(_) => letter(b'f'),
        Value::F64(_) => letter(b'd'),
        Value::Decimal(..) => letter(b'D'),
        Value::LongString(_) => letter(b'S'),
        Value::Bytes(_) => letter(b'x'),
        Value::Array(_) => letter(b'A'),
        Value::Timestamp(_) => letter(b'T'),
        Value::Table(_) => letter(b'F'),
        Value::Void => letter(b'V'),
    }
    match value {
        Value::Bool(value) => out.flag(*value),
        Value::I8(value) => out.raw(&value.to_le_bytes()),
        Value::U8(value) => out.u8(*value),
        Value::I16(value) => out.raw(&value.to_le_bytes()),
        Value::U16(value) => out.u16(*value),
        Value::I32(value) => out.raw(&value.to_le_bytes()),
        Value::U32(value) => out.u32(*value),
        Value::I64(value) => out.raw(&value.to_le_bytes()),
        Value::F32(value) => out.u32(value.to_bits()),
        Value::F64(value) => out.u64(value.to_bits()),
        Value::Decimal(scale, unscaled) => {
            out.u8(*scale);
            out.raw(&unscaled.to_le_bytes());
        }
        Value::LongString(bytes) | Value::Bytes(bytes) => {
            out.u32(bytes.len() as u32);
            out.raw(bytes);
        }
        Value::Array(items) => {
            out.u32(items.len() as u32);
            for item in items {
                put_value(out, item);
            }
        }
        Value::Timestamp(seconds) => out.u64(*seconds),
        Value::Table(table) => put_table(out, table),
        Value::Void => {}
    }
}

fn take_table(take: &mut Take<'_>, budget: &mut Budget) -> Result<Arguments, Damage> {
    // an entry has a key length and a type letter at least
    let count = take.count(2)?;
    budget.enter(count)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let key_bytes = take.u8()?.into();
        let key = RoutingKey::new(take.bytes(key_bytes)?);
        entries.push((key, take_value(take, budget)?));
    }
    budget.leave();
    Ok(Arguments(entries))
}

fn take_value(take: &mut Take<'_>, budget: &mut Budget) -> Result<Value, Damage> {
    Ok(match take.u8()? {
        b't' => Value::Bool(take.flag()?),
        b'b' => Value::I8(i8::from_le_bytes(take.array()?)),
        b'B' => Value::U8(take.u8()?),
        b's' => Value::I16(i16::from_le_bytes(take.array()?)),
        b'u' => Value::U16(take.u16()?),
        b'I' => Value::I32(i32::from_le_bytes(take.array()?)),
        b'i' => Value::U32(take.u32()?),
        b'l' => Value::I64(i64::from_le_bytes(take.array()?)),
        b'f' => Value::F32(f32::from_bits(take.u32()?)),
        b'd' => Value::F64(f64::from_bits(take.u64()?)),
        b'D' => Value::Decimal(take.u8()?, i32::from_le_bytes(take.array()?)),
        b'S' => Value::LongString(take_string(take)?.into()),
        b'x' => Value::Bytes(take_string(take)?.into()),
        b'A' => {
            let count = take.count(1)?;
            budget.enter(count)?;
            let items = (0..count).map(|_| take_value(take, budget)).collect::<Result<_, _>>()?;
            budget.leave();
            Value::Array(items)
        }
        b'T' => Value::Timestamp(take.u64()?),
        b'F' => Value::Table(take_table(take, budget)?),
        b'V' => Value::Void,
        _ => return Err(Damage::Value("argument type")),
    })
}

fn take_string<'a>(take: &mut Take<'a>) -> Result<&'a [u8], Damage> {
    let bytes = take.u32()? as usize;
    take.bytes(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::format;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    /// Any arguments, four levels deep.
    pub(crate) fn arguments() -> impl Strategy<Value = Arguments> {
        let string = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Vec::into_boxed_slice);
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i8>().prop_map(Value::I8),
            any::<u8>().prop_map(Value::U8),
            any::<i16>().prop_map(Value::I16),
            any::<u16>().prop_map(Value::U16),
            any::<i32>().prop_map(Value::I32),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
            any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
            any::<(u8, i32)>().prop_map(|(scale, unscaled)| Value::Decimal(scale, unscaled)),
            string().prop_map(Value::LongString),
            string().prop_map(Value::Bytes),
            any::<u64>().prop_map(Value::Timestamp),
            Just(Value::Void),
        ];
        let key = move || string().prop_map(|bytes| RoutingKey::new(&bytes));
        let value = leaf.prop_recursive(4, 40, 6, move |inner| {
            let table = prop::collection::vec((key(), inner.clone()), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Value::Array),
                table.prop_map(|entries| Value::Table(Arguments(entries))),
            ]
        });
        prop::collection::vec((key(), value), 0..6).prop_map(Arguments)
    }

    proptest! {
        #[test]
        fn arguments_come_back_as_they_were(arguments in arguments()) {
            let bytes = encode(&arguments);
            let back = decode(&bytes).unwrap();
            // by bits: a NaN differs from itself
            prop_assert_eq!(encode(&back), bytes);
            prop_assert_eq!(format!("{back:?}"), format!("{arguments:?}"));
        }

        #[test]
        fn any_bytes_are_arguments_or_damage(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&bytes));
        }

        #[test]
        fn arguments_cut_short_are_damage(arguments in arguments(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&arguments);
            if !bytes.is_empty() {
                let cut = cut.index(bytes.len());
                prop_assert!(cut == 0 || decode(&bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_recursing_into_it() {
        let mut bytes = vec![1, 0, 0, 0, 0];
        for _ in 0..100_000 {
            bytes.extend_from_slice(&[b'A', 1, 0, 0, 0]);
        }
        bytes.push(b'V');
        assert_eq!(decode(&bytes), Err(Damage::TooMany("table levels")));
    }

    #[test]
    fn a_count_that_cannot_be_true_takes_no_memory() {
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0, b'V']), Err(Damage::Short));
    }
}
