//! The directory: the maps of all nodes, and what follows from them for the shards of this node.
//!
//! Read first: [`map`] (records) and [`register`] (what has no owner), then `effective` (maps and verdicts →
//! changes). Invariants: only this node writes its own map; what the shards were told is a pure function of
//! the maps, the verdicts, the order in which proposals came, and nothing else; a change is emitted exactly
//! when that function's value changes; a record of a kind that this version does not know is kept and handed
//! on, and routes nothing (P8).

mod apply;
mod bindings;
mod bounds;
mod choice;
mod contested;
mod effective;
mod forget;
mod indices;
pub(crate) mod known_registers;
pub(crate) mod lookup;
pub(crate) mod map;
pub(crate) mod merge;
mod moved;
pub(crate) mod names;
pub(crate) mod proposal;
pub(crate) mod published_state;
pub(crate) mod register;
#[cfg(test)]
mod samples;
pub(crate) mod size;
pub(crate) mod state;
pub(crate) mod unknown;
pub(crate) mod visible;

pub(crate) use effective::is_reserved;
