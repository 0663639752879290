//! `leveret store check`: reads every record, and gives a table of the queues.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use leveret_model::Position;

use super::directory::{Directory, name_of};
use crate::output;

/// How often progress is shown on a terminal.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Characters of a name in the table.
const NAME_CHARACTERS: usize = 60;

/// What was read so far.
#[derive(Default)]
struct Progress {
    messages: u64,
    bytes: u64,
    shown: Option<Instant>,
}

pub(super) fn run(mut directory: Directory) -> anyhow::Result<ExitCode> {
    let mut reports = directory.reports();
    let queues = directory.queues();
    let expected: u64 = queues.iter().map(|queue| queue.messages).sum();
    let mut progress = Progress::default();
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(["queue", "vhost", "name", "messages", "MiB", "first", "last", "damaged"]);
    for queue in &queues {
        let (mut messages, mut bytes, mut damaged) = (0u64, 0u64, 0u64);
        let mut next = queue.first;
        while let Some(first) = next {
            let answer = directory.read(queue.queue, first);
            messages += answer.messages.len() as u64;
            let weight =
                answer.messages.iter().map(|one| one.address.len() + one.header.len() + one.body.len());
            bytes += weight.sum::<usize>() as u64;
            for (first, last) in &answer.damaged {
                damaged += last.0 - first.0 + 1;
                reports.push(range("cannot be read", *first, *last, &queue.queue.ulid.to_string()));
            }
            progress.show(answer.messages.len() as u64, expected);
            next = answer.next;
        }
        // what an earlier start found is out of the queue already
        damaged += queue.damaged.iter().map(|(first, last)| last.0 - first.0 + 1).sum::<u64>();
        progress.bytes += bytes;
        let (vhost, name) = name_of(queue);
        let first = queue.first.map_or_else(String::new, |first| first.0.to_string());
        table.add_row([
            queue.queue.ulid.to_string(),
            vhost,
            name.chars().take(NAME_CHARACTERS).collect(),
            messages.to_string(),
            (bytes >> 20).to_string(),
            first,
            queue.last.0.to_string(),
            damaged.to_string(),
        ]);
    }
    progress.end();
    let verdict = if reports.is_empty() { "sound".to_owned() } else { format!("{} reports", reports.len()) };
    let mut text = format!(
        "queues: {}, messages: {}, MiB: {}, registers: {}; {verdict}\n",
        queues.len(),
        progress.messages,
        progress.bytes >> 20,
        directory.registers()
    );
    if !queues.is_empty() {
        text.push_str(&format!("\n{}\n", table.trim_fmt()));
    }
    for report in &reports {
        text.push_str(&format!("\nreport: {report}"));
    }
    if !reports.is_empty() {
        text.push('\n');
    }
    output::print(&text)?;
    Ok(if reports.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn range(what: &str, first: Position, last: Position, queue: &str) -> String {
    format!("messages {}..={} of queue {queue} {what}", first.0, last.0)
}

impl Progress {
    /// Counts, and says so on a terminal now and then.
    fn show(&mut self, messages: u64, expected: u64) {
        self.messages += messages;
        let due = self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_EVERY);
        if due && std::io::stderr().is_terminal() {
            self.shown = Some(Instant::now());
            // progress that cannot be shown is no reason to end
            let _ = write!(std::io::stderr(), "\r{} of {expected} messages read", self.messages);
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
