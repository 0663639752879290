//! Names of exchanges, queues and bindings, as the directory orders and compares them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use leveret_model::definition::{Binding, DestinationKind};
use leveret_model::directory::QueueRecord;
use leveret_model::{Arguments, Name, RoutingKey, Value};

/// The name of an exchange or a queue in its vhost.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct ObjectName {
    /// The vhost.
    pub vhost: Name,
    /// The name in it.
    pub name: Name,
}

impl ObjectName {
    /// The name of `name` in `vhost`.
    #[must_use]
    pub(crate) fn new(vhost: &Name, name: &Name) -> Self {
        Self { vhost: vhost.clone(), name: name.clone() }
    }

    /// The name of a queue.
    #[must_use]
    pub(crate) fn of_queue(record: &QueueRecord) -> Self {
        Self::new(&record.definition.vhost, &record.definition.name)
    }
}

impl fmt::Display for ObjectName {
    /// As RabbitMQ writes resources: `'q' in vhost '/'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' in vhost '{}'", self.name, self.vhost)
    }
}

/// What a binding leads to.
pub(crate) type Destination = (DestinationKind, ObjectName);

/// A binding's identity, ordered. Arguments are in a canonical form, so equivalent ones are equal here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct BindingKey {
    /// The vhost.
    pub vhost: Name,
    /// The source exchange.
    pub source: Name,
    /// What the destination is.
    pub kind: DestinationKind,
    /// The destination.
    pub destination: Name,
    /// The binding key.
    pub key: RoutingKey,
    /// The arguments, canonical.
    pub arguments: Box<[u8]>,
}

impl BindingKey {
    /// The smallest key.
    #[must_use]
    pub(crate) fn first() -> Self {
        Self {
            vhost: Name::default(),
            source: Name::default(),
            kind: DestinationKind::Queue,
            destination: Name::default(),
            key: RoutingKey::default(),
            arguments: Box::default(),
        }
    }

    /// The identity of `binding`.
    #[must_use]
    pub(crate) fn of(binding: &Binding) -> Self {
        Self {
            vhost: binding.vhost.clone(),
            source: binding.source.clone(),
            kind: binding.kind,
            destination: binding.destination.clone(),
            key: binding.key.clone(),
            arguments: canonical(&binding.arguments).into(),
        }
    }

    /// The source exchange.
    #[must_use]
    pub(crate) fn source(&self) -> ObjectName {
        ObjectName::new(&self.vhost, &self.source)
    }

    /// The destination.
    #[must_use]
    pub(crate) fn destination(&self) -> ObjectName {
        ObjectName::new(&self.vhost, &self.destination)
    }

    /// It leads from `source`.
    pub(super) fn is_from(&self, source: &ObjectName) -> bool {
        self.source == source.name && self.vhost == source.vhost
    }

    /// The smallest key from `source` to a destination: keys of one source are neighbours.
    pub(super) fn first_between(
        source: &ObjectName,
        (kind, destination): &(DestinationKind, ObjectName),
    ) -> Self {
        let (vhost, source) = (source.vhost.clone(), source.name.clone());
        Self { vhost, source, kind: *kind, destination: destination.name.clone(), ..Self::first() }
    }

    /// Of `keys` that lead to `destination`, those that come from `source`.
    pub(crate) fn between<'a, T>(
        keys: &'a BTreeMap<Self, T>,
        source: &'a ObjectName,
        destination: &(DestinationKind, ObjectName),
    ) -> impl Iterator<Item = (&'a Self, &'a T)> {
        let keys = keys.range(Self::first_between(source, destination)..);
        keys.take_while(move |(key, _)| key.is_from(source))
    }
}

/// Bytes that are equal for tables that are equivalent (`Arguments::equivalent`).
fn canonical(table: &Arguments) -> Vec<u8> {
    let mut entries: Vec<(&[u8], Vec<u8>)> =
        table.0.iter().map(|(key, value)| (&key[..], encode(value))).collect();
    entries.sort();
    let mut out = Vec::new();
    for (key, value) in entries {
        chunk(&mut out, key);
        chunk(&mut out, &value);
    }
    out
}

fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn encode(value: &Value) -> Vec<u8> {
    let tagged = |tag: u8, bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len() + 1);
        out.push(tag);
        out.extend_from_slice(bytes);
        out
    };
    if let Some(number) = value.as_integer() {
        return tagged(b'i', &number.to_be_bytes());
    }
    match value {
        Value::Bool(on) => tagged(b'b', &[u8::from(*on)]),
        Value::F32(number) => tagged(b'f', &f64::from(*number).to_bits().to_be_bytes()),
        Value::F64(number) => tagged(b'f', &number.to_bits().to_be_bytes()),
        Value::Decimal(scale, unscaled) => {
            let mut out = tagged(b'd', &[*scale]);
            out.extend_from_slice(&unscaled.to_be_bytes());
            out
        }
        Value::LongString(bytes) => tagged(b's', bytes),
        Value::Bytes(bytes) => tagged(b'x', bytes),
        Value::Array(items) => {
            let mut out = tagged(b'a', &[]);
            for item in items {
                chunk(&mut out, &encode(item));
            }
            out
        }
        Value::Timestamp(seconds) => tagged(b't', &seconds.to_be_bytes()),
        Value::Table(table) => tagged(b'T', &canonical(table)),
        // integers were taken above
        _ => tagged(b'v', &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn equivalent_arguments_have_equal_bytes() {
        let key = |k: &str| RoutingKey::new(k.as_bytes());
        let a = Arguments(vec![(key("a"), Value::I8(1)), (key("b"), Value::F32(0.5))]);
        let b = Arguments(vec![(key("b"), Value::F64(0.5)), (key("a"), Value::I64(1))]);
        assert!(a.equivalent(&b));
        assert_eq!(canonical(&a), canonical(&b));
    }

    #[test]
    fn strings_and_numbers_differ() {
        let one = |value| canonical(&Arguments(vec![(RoutingKey::new(b"x"), value)]));
        assert_ne!(one(Value::I8(5)), one(Value::LongString(b"5".as_slice().into())));
        assert_ne!(one(Value::Void), one(Value::Bool(false)));
    }
}
