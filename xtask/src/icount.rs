//! `cargo xtask icount`: instructions per message through the shard machine, the steady measure of the hot
//! path.
//!
//! The program `crates/shard/examples/icount.rs` has two uses: `icount list` prints its scenarios, one a line;
//! `icount NAME N` drives N messages through. Each scenario runs twice under callgrind, with N and 2 N, so
//! that what start and end cost falls out: (I(2 N) - I(N)) / N. Counts repeat exactly on one machine and
//! compiler; between compilers they move a little, hence the tolerance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// Where the figures stand.
const RECORD: &str = "docs/proof/icount.md";
/// Around the table.
const BEGIN: &str = "<!-- figures: written by `cargo xtask icount --write` -->";
const END: &str = "<!-- /figures -->";
/// Messages of the shorter run.
const MESSAGES: u64 = 2_000;
/// A figure may differ so much from the record, in either direction, percent.
const TOLERANCE_PERCENT: f64 = 2.0;

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let write = arguments.contains(&"--write");
    let wanted: Vec<&str> = arguments.iter().copied().filter(|argument| *argument != "--write").collect();
    ensure!(!write || wanted.is_empty(), "--write records all scenarios");
    let program = build(root)?;
    let listed = process::output(Command::new(&program).arg("list"))?;
    let names: Vec<&str> = listed.lines().filter(|name| wanted.is_empty() || wanted.contains(name)).collect();
    ensure!(!names.is_empty(), "none of {wanted:?} is a scenario; there are: {}", listed.replace('\n', " "));
    let mut figures = BTreeMap::new();
    for name in names {
        let once = count(root, &program, name, MESSAGES)?;
        let twice = count(root, &program, name, 2 * MESSAGES)?;
        let each = (twice.saturating_sub(once) as f64 / MESSAGES as f64).round() as u64;
        println!("{name:40} {each:>8} instructions per message");
        figures.insert(name.to_owned(), each);
    }
    let page = std::fs::read_to_string(root.join(RECORD)).context(RECORD)?;
    if write {
        let fresh = rewrite(&page, &table(root, &figures)?)?;
        return std::fs::write(root.join(RECORD), fresh).context(RECORD);
    }
    compare(&recorded(&page)?, &figures, wanted.is_empty())
}

/// Builds with the release profile's settings and says where the program is.
fn build(root: &Path) -> Result<PathBuf> {
    let arguments = ["build", "--profile", "bench", "--package", "leveret-shard", "--example", "icount"];
    let messages = process::output(
        Command::new("cargo")
            .args(arguments)
            .arg("--message-format=json-render-diagnostics")
            .current_dir(root),
    )?;
    let artefacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = artefacts.filter(|message| message["target"]["name"] == "icount");
    let path = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.context("cargo built no program")
}

/// Callgrind's total for one run.
fn count(root: &Path, program: &Path, name: &str, messages: u64) -> Result<u64> {
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([name, &messages.to_string()])
        .current_dir(root)
        .output()
        .context("valgrind is needed: apt-get install valgrind")?;
    let log = String::from_utf8_lossy(&valgrind.stderr);
    ensure!(valgrind.status.success(), "{name} failed under callgrind: {log}");
    total(&log).with_context(|| format!("callgrind did not say what it collected: {log}"))
}

/// `==123== Collected : 456`
fn total(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

fn compare(recorded: &BTreeMap<String, u64>, measured: &BTreeMap<String, u64>, all: bool) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, now) in measured {
        match recorded.get(name) {
            None => wrong.push(format!("{name} is not recorded")),
            Some(then) => {
                let percent = (*now as f64 / *then as f64 - 1.0) * 100.0;
                if percent.abs() > TOLERANCE_PERCENT {
                    wrong.push(format!("{name}: {then} recorded, {now} now ({percent:+.1} %)"));
                }
            }
        }
    }
    wrong.extend(
        recorded
            .keys()
            .filter(|name| all && !measured.contains_key(*name))
            .map(|name| format!("{name} is gone")),
    );
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}; say why in the commit and run `cargo xtask icount --write`", wrong.join("; "))
}

fn table(root: &Path, figures: &BTreeMap<String, u64>) -> Result<String> {
    let commit =
        process::output(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root))?;
    let compiler = process::output(Command::new("rustc").arg("--version"))?;
    let date = process::output(Command::new("date").arg("+%F"))?;
    let mut text = format!(
        "Commit {}, {}, {}, {}.\n\n| scenario | instructions per message |\n|---|---|\n",
        commit.trim(),
        date.trim(),
        compiler.trim(),
        std::env::consts::ARCH
    );
    text.extend(figures.iter().map(|(name, each)| format!("| {name} | {each} |\n")));
    Ok(text)
}

fn split(page: &str) -> Result<(&str, &str, &str)> {
    let (before, rest) =
        page.split_once(BEGIN).with_context(|| format!("{RECORD} has lost the mark {BEGIN}"))?;
    let (table, after) = rest.split_once(END).with_context(|| format!("{RECORD} has lost the mark {END}"))?;
    Ok((before, table, after))
}

fn rewrite(page: &str, table: &str) -> Result<String> {
    let (before, _, after) = split(page)?;
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

fn recorded(page: &str) -> Result<BTreeMap<String, u64>> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let name = cells.next()?.to_owned();
        Some((name, cells.next()?.trim_end_matches([' ', '|']).parse().ok()?))
    };
    Ok(split(page)?.1.lines().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrinds_total_is_read() {
        assert_eq!(total("==7== Events    : Ir\n==7== Collected : 123456\n==7==\n"), Some(123_456));
        assert_eq!(total("nothing"), None);
    }

    #[test]
    fn a_record_that_was_written_is_read_back() {
        let page = rewrite(
            &format!("# T\n{BEGIN}\nold\n{END}\nend\n"),
            "| a | instructions |\n|---|---|\n| x 1 | 900 |\n",
        )
        .expect("marks");
        assert_eq!(recorded(&page).expect("marks"), BTreeMap::from([("x 1".to_owned(), 900)]));
        assert!(page.ends_with("\nend\n") && !page.contains("old"));
    }

    #[test]
    fn a_figure_outside_the_tolerance_is_refused_in_both_directions() {
        let of = |each| BTreeMap::from([("x".to_owned(), each)]);
        assert!(compare(&of(1_000), &of(1_015), true).is_ok());
        assert!(compare(&of(1_000), &of(1_030), true).is_err());
        assert!(compare(&of(1_000), &of(970), true).is_err());
        assert!(compare(&BTreeMap::new(), &of(1), true).is_err());
        assert!(compare(&of(1), &BTreeMap::new(), true).is_err());
    }
}
