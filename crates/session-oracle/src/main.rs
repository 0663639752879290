//! Redis as oracle: the same random commands, on two connections, go to redis-server 7.0 and to our machines.
//!
//! ```console
//! $ cargo run -p leveret-session-oracle -- --seeds 200
//! ```
//! Answers must be equal byte for byte, but for [`differences`], each with its reason. Every key has the rule
//! `free`, under which a key may come back after a delete as in Redis; what the other rules change is tested
//! in `crates/sessions`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

mod differences;
mod node;
mod redis;
mod script;

use anyhow::{Context as _, Result, bail, ensure};
use leveret_model::Seed;

/// Commands of one seed.
const STEPS: usize = 300;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (first, seeds) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (0, 50),
        ["--seeds", count] => (0, count.parse().context("--seeds")?),
        ["--seed", one] => (one.parse().context("--seed")?, 1),
        _ => bail!("usage: leveret-session-oracle [--seeds COUNT | --seed NUMBER]"),
    };
    let server = redis::Server::start()?;
    let (mut compared, mut explained) = (0, 0);
    for seed in first..first + seeds {
        let (same, different) = run(&server, seed).with_context(|| format!("--seed {seed}"))?;
        compared += same + different;
        explained += different;
    }
    ensure!(compared > 0, "nothing was compared");
    println!("{compared} answers of {seeds} seeds compared, {explained} differ for a reason, 0 without");
    Ok(())
}

/// Gives how many answers were equal, and how many differed for a reason.
fn run(server: &redis::Server, seed: u64) -> Result<(u64, u64)> {
    let mut theirs = [server.connect()?, server.connect()?];
    theirs[0].ask(b"FLUSHALL\r\n")?;
    let mut node = node::Node::new(Seed(seed));
    for client in &mut theirs {
        node.connect(client.number()?);
    }
    let mut script = script::Script::new(Seed(seed));
    let (mut same, mut different) = (0, 0);
    for step in 0..STEPS {
        let (at, command) = script.next();
        let expected = theirs[at].ask(&command.bytes)?;
        let said = node.ask(at, &command.bytes);
        if said == expected {
            same += 1;
        } else if differences::reason(&command, &expected, &said).is_some() {
            different += 1;
            if differences::diverges(&said) {
                break;
            }
        } else {
            bail!(
                "step {step}, connection {at}: {:?}\n  redis says {:?}\n  we say     {:?}",
                String::from_utf8_lossy(&command.bytes),
                String::from_utf8_lossy(&expected),
                String::from_utf8_lossy(&said)
            );
        }
    }
    Ok((same, different))
}
