//! What the tests of several parts write.

use leveret_model::Name;
use leveret_model::definition::{ExchangeDefinition, ExchangeKind};

use super::Directory;
use super::map::{ObjectName, Op, Record};

pub(super) fn object(name: &str) -> ObjectName {
    ObjectName::new(&Name::new("/"), &Name::new(name))
}

/// The register of a direct exchange that is there now, or is not any more.
pub(super) fn exchange(directory: &mut Directory, name: &str, there: bool) -> Op {
    let stamp = directory.stamp();
    let deleted = if there { directory.deleted(&object(name)) } else { stamp.lamport };
    let value = there.then(|| ExchangeDefinition::new(Name::new("/"), Name::new(name), ExchangeKind::Direct));
    Op::Put(Record::Exchange { name: object(name), stamp, deleted, value })
}
