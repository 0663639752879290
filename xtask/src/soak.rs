//! `cargo xtask soak NAME`: tests that take longer than continuous integration may, run before a claim is made.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// A long test.
struct Soak {
    /// On the command line.
    name: &'static str,
    /// Program and arguments; what [`Length`] adds follows.
    command: &'static [&'static str],
    length: Length,
}

/// How a long test is told how long it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Length {
    /// `--hours N` behind its arguments.
    Hours,
    /// A number of what it tries, in a variable of its environment.
    Count { variable: &'static str, usual: u32 },
}

impl Length {
    /// The option that gives it, with its usual value.
    fn option(self) -> (&'static str, String) {
        match self {
            Self::Hours => ("--hours", "1".to_owned()),
            Self::Count { usual, .. } => ("--count", usual.to_string()),
        }
    }

    /// Tells a command.
    fn apply(self, command: &mut Command, value: &str) -> Result<()> {
        match self {
            Self::Hours => {
                let number: f64 =
                    value.parse().with_context(|| format!("--hours {value}: is not a number"))?;
                ensure!(number > 0.0 && number <= 1_000.0, "--hours {value}: is not between 0 and 1000");
                command.args(["--hours", value]);
            }
            Self::Count { variable, .. } => {
                let number: u32 =
                    value.parse().with_context(|| format!("--count {value}: is not a number"))?;
                ensure!(number > 0, "--count 0: tries nothing");
                command.env(variable, value);
            }
        }
        Ok(())
    }
}

const CRASHES: Length = Length::Count { variable: "CRASHES", usual: 200 };

const SOAKS: &[Soak] = &[
    Soak {
        name: "sim",
        command: &["cargo", "run", "--release", "--package", "leveret-sim", "--", "soak"],
        length: Length::Hours,
    },
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
        length: Length::Hours,
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
        length: Length::Hours,
    },
    // nodes leave and join under load from pika; not as root
    Soak { name: "leaves", command: &["tests/chaos/leaves"], length: Length::Hours },
    Soak { name: "chaos", command: &["tests/chaos/run"], length: Length::Hours },
    // As root, for the user that apache2 runs its children as.
    Soak { name: "door", command: &["tests/door/run"], length: Length::Hours },
    // As root: it records what RabbitMQ answers, which the comparison in continuous integration reads.
    Soak { name: "side-by-side", command: &["tests/conformance/side-by-side/record"], length: Length::Hours },
    // a disk that loses what was not synced, under a client that counts; needs /dev/fuse
    Soak {
        name: "powercut",
        command: &[
            "cargo",
            "test",
            "--package",
            "leveret",
            "--test",
            "crashes",
            "--",
            "--nocapture",
            "power_cuts",
        ],
        length: CRASHES,
    },
    Soak {
        name: "kill",
        command: &[
            "cargo",
            "test",
            "--package",
            "leveret",
            "--test",
            "crashes",
            "--",
            "--nocapture",
            "kills_under_load",
        ],
        length: CRASHES,
    },
    // of the store's directories
    Soak {
        name: "mutations",
        command: &[
            "cargo",
            "test",
            "--package",
            "leveret-store",
            "--test",
            "faults",
            "--",
            "--nocapture",
            "--ignored",
            "no_mutation",
        ],
        length: Length::Count { variable: "MUTATIONS", usual: 100_000 },
    },
];

pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    let [name, length @ ..] = arguments else { bail!("usage: cargo xtask soak NAME [--hours N|--count N]") };
    let names = SOAKS.iter().map(|soak| soak.name).collect::<Vec<_>>().join(", ");
    let soak = SOAKS
        .iter()
        .find(|soak| soak.name == *name)
        .with_context(|| format!("{name:?} is none of {names}"))?;
    let (option, usual) = soak.length.option();
    let value = match length {
        [] => usual.as_str(),
        [given, value] if *given == option => *value,
        _ => bail!("usage: cargo xtask soak {name} [{option} N]"),
    };
    let [program, arguments @ ..] = soak.command else { bail!("{name} has no command") };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root);
    soak.length.apply(&mut command, value)?;
    let result = process::demand(&mut command);
    let commit =
        process::output(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root))?;
    let date = process::output(Command::new("date").arg("+%F"))?;
    let verdict = if result.is_ok() { "green" } else { "RED" };
    println!(
        "for docs/proof: `cargo xtask soak {name} {option} {value}`, commit {}, {}: {verdict}",
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
