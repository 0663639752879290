//! `cargo xtask soak NAME`: tests that take longer than continuous integration may, run before a claim is made.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// A long test.
struct Soak {
    /// On the command line.
    name: &'static str,
    /// Program and arguments; `--hours N` follows.
    command: &'static [&'static str],
}

const SOAKS: &[Soak] = &[
    Soak { name: "sim", command: &["cargo", "run", "--release", "--package", "leveret-sim", "--", "soak"] },
    Soak {
        name: "planted",
        command: &[
            "cargo",
            "run",
            "--release",
            "--package",
            "leveret-sim",
            "--features",
            "planted",
            "--",
            "planted",
        ],
    },
    // one node becomes five and one again, a hundred times
    Soak {
        name: "cycles",
        command: &[
            "cargo",
            "run",
            "--release",
            "--package",
            "leveret",
            "--",
            "demo",
            "--patience",
            "4",
            "--times",
            "100",
        ],
    },
    // nodes leave and join under load from pika; not as root
    Soak { name: "leaves", command: &["tests/chaos/leaves"] },
    Soak { name: "chaos", command: &["tests/chaos/run"] },
    // As root, for the user that apache2 runs its children as.
    Soak { name: "door", command: &["tests/door/run"] },
    // As root: it records what RabbitMQ answers, which the comparison in continuous integration reads.
    Soak { name: "side-by-side", command: &["tests/conformance/side-by-side/record"] },
];

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let (name, hours) = match arguments {
        [name] => (name, "1"),
        [name, "--hours", hours] => (name, *hours),
        _ => bail!("usage: cargo xtask soak NAME [--hours N]"),
    };
    let names = SOAKS.iter().map(|soak| soak.name).collect::<Vec<_>>().join(", ");
    let soak = SOAKS
        .iter()
        .find(|soak| soak.name == *name)
        .with_context(|| format!("{name:?} is none of {names}"))?;
    let number: f64 = hours.parse().with_context(|| format!("--hours {hours}: is not a number"))?;
    ensure!(number > 0.0 && number <= 1_000.0, "--hours {hours}: is not between 0 and 1000");
    let [program, arguments @ ..] = soak.command else { bail!("{name} has no command") };
    let result =
        process::demand(Command::new(program).args(arguments).args(["--hours", hours]).current_dir(root));
    let commit =
        process::output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root))?;
    let date = process::output(Command::new("date").arg("+%F"))?;
    let verdict = if result.is_ok() { "green" } else { "RED" };
    println!(
        "for docs/proof: `cargo xtask soak {name} --hours {hours}`, commit {}, {}: {verdict}",
        commit.trim(),
        date.trim()
    );
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_lists_every_long_test() {
        let names = SOAKS.iter().map(|soak| soak.name).collect::<Vec<_>>().join(", ");
        assert!(crate::USAGE.contains(&format!("run a long test; names: {names}\n")), "{}", crate::USAGE);
    }
}
