//! Field tables that the broker keeps: queue and binding arguments.
//!
//! Tables that only pass through (message headers) stay bytes; see `wire::field`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::RoutingKey;

/// A value of a field table (RabbitMQ: the types that its clients send).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `t`
    Bool(bool),
    /// `b`: signed 8 bit
    I8(i8),
    /// `B`: unsigned 8 bit
    U8(u8),
    /// `s` (and `U`): signed 16 bit
    I16(i16),
    /// `u`: unsigned 16 bit
    U16(u16),
    /// `I`: signed 32 bit
    I32(i32),
    /// `i`: unsigned 32 bit
    U32(u32),
    /// `l` and `L`: signed 64 bit
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: scale and unscaled value
    Decimal(u8, i32),
    /// `S`: any bytes
    LongString(Box<[u8]>),
    /// `x`: any bytes
    Bytes(Box<[u8]>),
    /// `A`
    Array(Vec<Value>),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `F`
    Table(Arguments),
    /// `V`
    Void,
}

impl Value {
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

    /// RabbitMQ's name of the type, which its refusals contain.
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

    /// The bytes of a string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::LongString(bytes) | Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Equal by value: integers of any width are compared as numbers, so int8 5 equals int64 5
    /// (RabbitMQ: equivalence of arguments); never a number with a string.
    #[must_use]
    pub fn equivalent(&self, other: &Self) -> bool {
        match (self.as_integer(), other.as_integer()) {
            (Some(a), Some(b)) => return a == b,
            (None, None) => {}
            _ => return false,
        }
        match (self, other) {
            (Self::F32(a), Self::F64(b)) | (Self::F64(b), Self::F32(a)) => {
                f64::from(*a).to_bits() == b.to_bits()
            }
            (Self::Array(a), Self::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equivalent(b))
            }
            (Self::Table(a), Self::Table(b)) => a.equivalent(b),
            (a, b) => a == b,
        }
    }
}

/// A field table, in the order it came.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Arguments(pub Vec<(RoutingKey, Value)>);

impl Arguments {
    /// The value under `key`; of two equal keys the first counts.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k[..] == *key.as_bytes()).map(|(_, value)| value)
    }

    /// True without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same entries by value, in any order.
    #[must_use]
    pub fn equivalent(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(key, value)| {
                other
                    .0
                    .iter()
                    .any(|(other_key, other_value)| key == other_key && value.equivalent(other_value))
            })
    }

    /// The bytes that this takes in memory, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        fn value(v: &Value) -> usize {
            match v {
                Value::LongString(b) | Value::Bytes(b) => 32 + b.len(),
                Value::Array(items) => 32 + items.iter().map(value).sum::<usize>(),
                Value::Table(table) => 32 + table.weight_bytes(),
                _ => 32,
            }
        }
        self.0.iter().map(|(key, v)| key.len() + 16 + value(v)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn integers_are_compared_by_value_not_by_width() {
        assert!(Value::I8(5).equivalent(&Value::I64(5)));
        assert!(!Value::I8(5).equivalent(&Value::LongString(b"5".as_slice().into())));
    }

    #[test]
    fn order_does_not_matter_to_equivalence() {
        let key = |k: &str| RoutingKey::new(k.as_bytes());
        let a = Arguments(vec![(key("a"), Value::I8(1)), (key("b"), Value::Void)]);
        let b = Arguments(vec![(key("b"), Value::Void), (key("a"), Value::U32(1))]);
        assert!(a.equivalent(&b));
        assert_ne!(a, b);
    }
}
