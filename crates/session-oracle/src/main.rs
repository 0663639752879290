//! Redis as oracle: the same random commands, on two connections, go to redis-server 7.0 and to our machines.
//!
//! ```console
//! $ cargo run -p leveret-session-oracle -- --seeds 200
//! $ cargo run -p leveret-session-oracle -- --at 127.0.0.1:6379
//! ```
//! With `--at` the second side is a running node, started with `--session-rule '*=free'`, and commands that
//! follow each other on one connection go out in one write. Answers must be equal byte for byte, but for
//! [`differences`], each with its reason. Every key has the rule `free`, under which a key may come back after
//! a delete as in Redis; what the other rules change is tested in `crates/sessions`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

mod differences;
mod node;
mod redis;
mod script;

use anyhow::{Context as _, Result, bail, ensure};
use leveret_model::{Seed, limits};

/// Commands of one seed.
const STEPS: usize = 300;
/// Commands that go to a node in one write at most.
const PIPELINE: usize = 8;

/// Whom the answers of Redis are compared with.
enum Ours {
    Machines(Box<node::Node>),
    Process([redis::Client; 2]),
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut process = None;
    if let Some(at) = words.iter().position(|word| *word == "--at") {
        process = Some(words.drain(at..).nth(1).context("--at ADDR:PORT, as the last option")?);
    }
    let (first, seeds) = match words[..] {
        [] => (0, 50),
        ["--seeds", count] => (0, count.parse().context("--seeds")?),
        ["--seed", one] => (one.parse().context("--seed")?, 1),
        _ => bail!("usage: leveret-session-oracle [--seeds COUNT | --seed NUMBER] [--at ADDR:PORT]"),
    };
    let server = redis::Server::start()?;
    // Numbers of its connections are then too large for a number of anything else in an answer.
    let _unused = (0..12).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    let (mut compared, mut explained) = (0, 0);
    for seed in first..first + seeds {
        let (same, different) = run(&server, process, seed).with_context(|| format!("--seed {seed}"))?;
        compared += same + different;
        explained += different;
    }
    ensure!(compared > 0, "nothing was compared");
    println!("{compared} answers of {seeds} seeds compared, {explained} differ for a reason, 0 without");
    Ok(())
}

/// Gives how many answers were equal, and how many differed for a reason.
fn run(server: &redis::Server, process: Option<&str>, seed: u64) -> Result<(u64, u64)> {
    let mut theirs = [server.connect()?, server.connect()?];
    theirs[0].ask(b"FLUSHALL\r\n")?;
    let mut ours = match process {
        Some(address) => Ours::Process(connect(address)?),
        None => Ours::Machines(Box::new(machines(&mut theirs, seed)?)),
    };
    let is_process = process.is_some();
    let mut script = script::Script::new(Seed(seed));
    let (mut same, mut different) = (0, 0);
    let mut steps = (0..STEPS).map(|_| script.next()).peekable();
    while let Some((at, first)) = steps.next() {
        let mut commands = vec![first];
        while is_process && commands.len() < PIPELINE {
            let Some((_, command)) = steps.next_if(|(next, _)| *next == at) else { break };
            commands.push(command);
        }
        for (command, expected, said) in ask(&mut theirs[at], &mut ours, at, commands)? {
            if said == expected {
                same += 1;
            } else if differences::reason(&command, &expected, &said, is_process).is_some() {
                different += 1;
                if differences::diverges(&said) {
                    return Ok((same, different));
                }
            } else {
                bail!(
                    "connection {at}: {:?}\n  redis says {:?}\n  we say     {:?}",
                    String::from_utf8_lossy(&command.bytes),
                    String::from_utf8_lossy(&expected),
                    String::from_utf8_lossy(&said)
                );
            }
        }
    }
    Ok((same, different))
}

/// A command, the answer of Redis, and ours.
type Compared = (script::Command, Vec<u8>, Vec<u8>);

/// Both sides are asked the same; gives each command with the answer of Redis and with ours.
fn ask(
    theirs: &mut redis::Client,
    ours: &mut Ours,
    at: usize,
    commands: Vec<script::Command>,
) -> Result<Vec<Compared>> {
    let bytes = commands.iter().flat_map(|command| command.bytes.iter().copied()).collect::<Vec<u8>>();
    theirs.send(&bytes)?;
    if let Ours::Process(clients) = ours {
        clients[at].send(&bytes)?;
    }
    commands
        .into_iter()
        .map(|command| {
            let expected = theirs.answer()?;
            let said = match ours {
                Ours::Machines(node) => node.ask(at, &command.bytes),
                Ours::Process(clients) => clients[at].answer()?,
            };
            Ok((command, expected, said))
        })
        .collect()
}

fn machines(theirs: &mut [redis::Client; 2], seed: u64) -> Result<node::Node> {
    let mut node = node::Node::new(Seed(seed));
    for client in theirs {
        node.connect(client.number()?);
    }
    Ok(node)
}

/// Two connections to a node whose databases are empty.
fn connect(address: &str) -> Result<[redis::Client; 2]> {
    let mut clients = [redis::Client::connect(address)?, redis::Client::connect(address)?];
    for database in 0..limits::SESSION_DATABASES {
        clients[0].ask(format!("SELECT {database}\r\n").as_bytes())?;
        let said = clients[0].ask(b"FLUSHDB\r\n")?;
        ensure!(said == b"+OK\r\n", "FLUSHDB: {}", String::from_utf8_lossy(&said));
    }
    clients[0].ask(b"SELECT 0\r\n")?;
    Ok(clients)
}
