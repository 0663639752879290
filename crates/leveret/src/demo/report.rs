//! What the demonstration says: its story, line by line, and the table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::ledger::Tally;
use crate::output;

/// Tells the story, each line with the time since its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrator {
    began: Instant,
    /// Steps may take so many times as long as they should.
    patience: u32,
}

impl Narrator {
    pub(super) fn begin(patience: u32) -> Self {
        Self { began: Instant::now(), patience }
    }

    pub(super) fn say(self, sentence: &str) -> Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        output::print(&format!("{seconds:6.2} s  {sentence}\n"))
    }

    /// In so much time, and before the whole takes too long.
    pub(super) fn within(self, time: Duration) -> Instant {
        (Instant::now() + self.patient(time)).min(self.began + self.patient(WHOLE_MAX))
    }

    /// How long a step may take that should take no longer than this.
    pub(super) fn patient(self, time: Duration) -> Duration {
        time * self.patience
    }
}

/// Milliseconds, for people.
pub(super) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// Prints the table of all messages.
///
/// # Errors
/// A promise was broken.
pub(super) fn judge(tallies: &[Tally]) -> Result<()> {
    output::print(&format!("\n{}\n{LEGEND}", render(&COLUMNS, tallies, row)))?;
    let sums = total(tallies);
    ensure!(sums.lost == 0, "{} messages that were promised are lost", sums.lost);
    let wrong = sums.wrong;
    ensure!(wrong == 0, "{wrong} deliveries were out of order, unmarked duplicates, or never sent");
    Ok(())
}

/// The same for a story in which nobody dies: nothing is gone with a node.
///
/// # Errors
/// A promise was broken.
pub(super) fn judge_elastic(tallies: &[Tally]) -> Result<()> {
    let columns =
        ["queue", "sent", "confirmed", "again", "delivered", "redelivered", "lost", "reordered", "twice"];
    let row = |tally: &Tally| {
        let counts = [
            tally.sent,
            tally.confirmed,
            tally.sent_again,
            tally.delivered,
            tally.redelivered,
            tally.lost,
            tally.reordered,
            tally.twice,
        ];
        std::iter::once(tally.name.to_owned()).chain(counts.map(|count| count.to_string())).collect()
    };
    let rows = by_name(tallies);
    output::print(&format!("\n{}\n{ELASTIC_LEGEND}", render(&columns, &rows, row)))?;
    let sums = total(tallies);
    ensure!(sums.lost == 0, "{} messages that were promised are lost", sums.lost);
    ensure!(
        sums.wrong == 0,
        "{} deliveries were out of order, unmarked duplicates, or never sent",
        sums.wrong
    );
    Ok(())
}

/// One row for the streams of one name.
fn by_name(tallies: &[Tally]) -> Vec<Tally> {
    let mut rows: Vec<Tally> = Vec::new();
    for tally in tallies {
        match rows.iter_mut().find(|row| row.name == tally.name) {
            Some(row) => *row = Tally { name: tally.name, ..total(&[*row, *tally]) },
            None => rows.push(*tally),
        }
    }
    rows
}

/// The table of all messages.
fn render(columns: &[&str], tallies: &[Tally], row: impl Fn(&Tally) -> Vec<String>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns);
    for tally in tallies {
        table.add_row(row(tally));
    }
    table.add_row(row(&total(tallies)));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// Ends the table of the story in which nobody dies.
const ELASTIC_LEGEND: &str = "\
confirmed: the broker promised them. again: published once more over another connection, because a node that left closed the
first one before the answer; only these may come twice. delivered: different messages that arrived; redelivered: deliveries
marked as perhaps a second one. lost: confirmed, and never seen again. reordered, twice: delivered out of order, or a second
time without the mark.
";

/// Ends the table: what the columns mean.
const LEGEND: &str = "\
confirmed: the broker promised them. refused: nacked or returned, nothing was promised. delivered: different messages
that arrived; redelivered: deliveries marked as perhaps a second one. gone: in the memory of the node that was killed,
and confirmed before the others knew of its death (these queues are transient). lost: confirmed, and never seen
again.
";

const COLUMNS: [&str; 8] =
    ["queue", "sent", "confirmed", "refused", "delivered", "redelivered", "gone", "lost"];
/// The demonstration is not longer than this.
const WHOLE_MAX: Duration = Duration::from_secs(20);

/// The sums of all streams.
fn total(tallies: &[Tally]) -> Tally {
    tallies.iter().fold(Tally { name: "all", ..Tally::default() }, |sum, one| Tally {
        name: sum.name,
        sent: sum.sent + one.sent,
        confirmed: sum.confirmed + one.confirmed,
        refused: sum.refused + one.refused,
        awaited: sum.awaited + one.awaited,
        delivered: sum.delivered + one.delivered,
        redelivered: sum.redelivered + one.redelivered,
        gone: sum.gone + one.gone,
        lost: sum.lost + one.lost,
        sent_again: sum.sent_again + one.sent_again,
        reordered: sum.reordered + one.reordered,
        twice: sum.twice + one.twice,
        wrong: sum.wrong + one.wrong,
    })
}

fn row(tally: &Tally) -> Vec<String> {
    let Tally { name, sent, confirmed, refused, delivered, redelivered, gone, lost, .. } = *tally;
    let [sent, confirmed, refused] = [sent, confirmed, refused].map(|count| count.to_string());
    let [delivered, redelivered, gone, lost] =
        [delivered, redelivered, gone, lost].map(|count| count.to_string());
    vec![name.to_owned(), sent, confirmed, refused, delivered, redelivered, gone, lost]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_is_the_sum() {
        let one = Tally { name: "meadow", sent: 3, confirmed: 2, lost: 1, ..Tally::default() };
        let text = render(&COLUMNS, &[one, one], row);
        let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["all", "6", "4", "0", "0", "0", "0", "2"]);
    }
}
