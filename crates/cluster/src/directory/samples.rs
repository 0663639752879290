//! What the tests of several parts write.

use leveret_model::definition::{Exchange, ExchangeKind};
use leveret_model::{Arguments, Name};

use super::Directory;
use super::map::{ObjectName, Op, Record};

pub(super) fn object(name: &str) -> ObjectName {
    ObjectName::new(&Name::new("/"), &Name::new(name))
}

/// The register of a direct exchange that is there now, or is not any more.
pub(super) fn exchange(directory: &mut Directory, name: &str, there: bool) -> Op {
    let stamp = directory.stamp();
    let deleted = if there { directory.deleted(&object(name)) } else { stamp.lamport };
    let value = there.then(|| Exchange {
        vhost: Name::new("/"),
        name: Name::new(name),
        kind: ExchangeKind::Direct,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: Arguments::default(),
    });
    Op::Put(Record::Exchange { name: object(name), stamp, deleted, value })
}
