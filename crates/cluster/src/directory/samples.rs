//! What the tests of several parts write.

use leveret_model::Name;
use leveret_model::definition::{ExchangeDefinition, ExchangeKind};

use super::known_registers;
use super::map::{Op, Record};
use super::names::ObjectName;
use super::state::Directory;

pub(super) fn object(name: &str) -> ObjectName {
    ObjectName::new(&Name::new("/"), &Name::new(name))
}

/// The register of a direct exchange that is there now, or is not any more.
pub(super) fn exchange(directory: &mut Directory, name: &str, there: bool) -> Op {
    let stamp = directory.stamp();
    let deleted = if there { directory.deleted(&object(name)) } else { stamp.lamport };
    let value = there.then(|| ExchangeDefinition::new(Name::new("/"), Name::new(name), ExchangeKind::Direct));
    Op::Put(Record::Register(known_registers::exchange(&object(name), stamp, deleted, value.as_ref())))
}
