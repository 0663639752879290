//! What the fuzz target of services does with any bytes: reads them as a message of a stranger.
//!
//! A broken promise panics, and nothing else does. `tests/corpus.rs` replays the seeds without a fuzzer.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::Instant;

use crate::announcement::Announcement;
use crate::fence::Fence;
use crate::message::{Message, parse};
use crate::report::DoorReport;
use crate::table::{Table, TableConfig};

/// A message whose routing key is the first line. What is read is written again as the same, and a table
/// takes it.
pub fn message(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (key, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 1..]);
    match parse(&key, body) {
        Ok(Message::Announcement(read)) => announcement(*read),
        Ok(Message::Report(read)) => assert_eq!(DoorReport::parse(&read.to_body()), Ok(read)),
        Ok(Message::Ask(_) | Message::Command(..)) | Err(_) => {}
    }
}

fn announcement(read: Announcement) {
    read.check().expect("what is read is within its bounds");
    assert_eq!(Announcement::parse(&read.to_body()).as_ref(), Ok(&read), "written and read again");
    let config = TableConfig { fence: Fence::new(Vec::new(), Vec::new()), claims: Vec::new() };
    let mut table = Table::new(config, Instant::ZERO);
    let mut effects = Vec::new();
    table.on_link(Instant::ZERO, true);
    table.on_announcement(Instant::ZERO, read.clone(), "guest", &mut effects);
    table.on_announcement(Instant::ZERO, read, "other", &mut effects);
    // Long after it has become silent: it is probed, and no answer comes.
    for seconds in [1, 4, 70, 700] {
        table.poll(Instant::ZERO + core::time::Duration::from_secs(seconds), &mut effects);
    }
}
