//! Dialogues with a cluster of shards: frames in, frames out, with rings, links, mail and time in the hands of
//! the test.
#![allow(missing_docs, reason = "a test's name is its sentence")]

mod bounds;
mod confirms;
mod consuming;
mod copying;
mod dead_letters;
mod declaring;
mod deduplication;
mod early;
mod exchanges;
mod flow;
mod holding;
mod homes_away;
mod kept;
mod lifetimes;
mod limits;
mod links;
mod many;
mod memory;
mod merging;
mod moving;
mod paging;
mod pauses;
mod policies;
mod random;
mod refusals;
mod repeats;
mod replies;
mod report;
#[path = "../rig/mod.rs"]
mod rig;
mod stopping;
mod storing;
mod superseded;
mod topology;
