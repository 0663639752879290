//! What a checkpoint should move.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::limits::{COMPACTED_FILES_MAX, LOG_SEALED_KEPT};

use crate::catalog::{Catalog, StoredFile};
use crate::index::{Container, FileNumber};
use crate::log::SealedLog;

/// A file below this share of a segment is small, percent.
const SMALL_PERCENT: u64 = 12;
/// So many small files, and some of them are copied together.
const SMALL_FILES_MAX: usize = 8;

/// Sizes that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct DueTerms {
    pub(super) segment_bytes: u64,
    /// Of the newest snapshot.
    pub(super) snapshot_bytes: u64,
}

/// Log segments that are due; else sparse or small files; `None` if nothing is.
pub(super) fn durable(
    sealed: &VecDeque<SealedLog>,
    catalog: &Catalog,
    terms: DueTerms,
) -> Option<Vec<Container>> {
    // a large snapshot is written less often, so that it never costs more than half of what is logged
    let kept = LOG_SEALED_KEPT.max((4 * terms.snapshot_bytes / terms.segment_bytes) as usize);
    let mut logs: Vec<Container> = sealed
        .iter()
        .filter(|sealed| !catalog.kept_logs.contains_key(&sealed.log))
        .map(|sealed| Container::Log(sealed.log))
        .collect();
    logs.truncate(logs.len().saturating_sub(kept));
    if !logs.is_empty() {
        return Some(logs);
    }
    let files = |spill: bool| catalog.files.iter().filter(move |(_, file)| file.spill == spill && !file.kept);
    sparse(files(false), terms.segment_bytes).or_else(|| small(files(false), terms.segment_bytes))
}

/// Sparse spill files.
pub(super) fn spilled(catalog: &Catalog, segment_bytes: u64) -> Option<Vec<Container>> {
    let files = catalog.files.iter().filter(|(_, file)| file.spill && !file.kept && file.busy == 0);
    sparse(files, segment_bytes)
}

/// The sparsest files, if more than half of all is not needed, and more than a segment.
fn sparse<'a>(
    files: impl Iterator<Item = (&'a FileNumber, &'a StoredFile)> + Clone,
    segment_bytes: u64,
) -> Option<Vec<Container>> {
    let bytes: u64 = files.clone().map(|(_, file)| file.bytes).sum();
    let live: u64 = files.clone().map(|(_, file)| file.live_bytes).sum();
    if bytes <= 2 * live + segment_bytes {
        return None;
    }
    let share = |file: &StoredFile| file.live_bytes * 1000 / file.bytes.max(1);
    // one without messages goes by itself
    let mut some: Vec<_> = files.filter(|(_, file)| file.live > 0 && share(file) < 500).collect();
    some.sort_by_key(|(_, file)| share(file));
    some.truncate(COMPACTED_FILES_MAX);
    (!some.is_empty()).then(|| some.into_iter().map(|(number, _)| Container::File(*number)).collect())
}

fn small<'a>(
    files: impl Iterator<Item = (&'a FileNumber, &'a StoredFile)>,
    segment_bytes: u64,
) -> Option<Vec<Container>> {
    let is_small = |file: &StoredFile| file.live > 0 && file.bytes < segment_bytes / 100 * SMALL_PERCENT;
    let mut some: Vec<_> = files.filter(|(_, file)| is_small(file)).collect();
    if some.len() <= SMALL_FILES_MAX {
        return None;
    }
    some.sort_by_key(|(_, file)| file.bytes);
    some.truncate(COMPACTED_FILES_MAX);
    Some(some.into_iter().map(|(number, _)| Container::File(*number)).collect())
}
