//! Fanout exchanges (AMQP 0-9-1 §3.1.3.2): every binding matches, so the exchange's own list is the index.

use crate::bindings::Bound;
use crate::slots::Slot;

/// hot: all of them.
pub(crate) fn route(from: &[Slot<Bound>], found: &mut impl FnMut(Slot<Bound>)) {
    from.iter().copied().for_each(found);
}
