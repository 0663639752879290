//! What only a later version knows is kept by every process, and its frames are skipped (P8).

use leveret_cluster::{LATER_KIND, Status, UnknownKind};

/// A process in the end.
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) is_later: bool,
    pub(crate) status: Status,
}

/// A process without a record or a register of some process of the later version that lives, or that did not skip its
/// frames.
pub(crate) fn broken(views: impl Iterator<Item = View>) -> Option<String> {
    let views: Vec<View> = views.collect();
    let written = views.iter().filter(|view| view.is_later).count();
    views.iter().find_map(|View { name, is_later, status }| {
        let count = |kind| {
            let found = status.unknown_records.iter().find(|(known, _)| *known == kind);
            found.map_or(0, |(_, count)| *count)
        };
        let records = count(UnknownKind::Record(LATER_KIND));
        let registers = count(UnknownKind::Register(LATER_KIND));
        let skipped = status.nodes.iter().filter(|node| node.unknown_frames > 0).count();
        let holds = records >= written && registers >= written && skipped + usize::from(*is_later) >= written;
        (!holds).then(|| {
            format!(
                "of {written} nodes of a later version {name} has {records} records and {registers} registers, and \
                 skipped frames of {skipped}"
            )
        })
    })
}
