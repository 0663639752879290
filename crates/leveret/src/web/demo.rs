//! `leveret demo web`: application servers start and stop behind a door, one is killed, and every request is
//! counted.

mod crew;

use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use self::crew::{Crew, PATIENCE};
use super::load::{Load, Plan, Target, served_twice};
use crate::output::print;

/// Clients of the demonstration.
const CONNECTIONS: usize = 8;

/// See a front door at work: application servers start and stop, one is killed, every request is counted.
///
/// Toy servers are made of this program. The broker is one that runs already.
#[derive(Debug, clap::Args)]
pub(crate) struct WebArgs {
    /// Broker on which the servers announce themselves
    #[arg(long, value_name = "URL", default_value = "amqp://127.0.0.1:5672")]
    amqp: String,
}

/// Tells the story and counts.
pub(crate) fn run(args: &WebArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut crew = Crew::new(&args.amqp)?;
    let door = crew.start_door()?;
    print(&format!("a door listens on http://{door}/\n"))?;
    let target: Target = format!("http://{door}/").parse().map_err(anyhow::Error::msg)?;
    let plan = Plan {
        connections: CONNECTIONS,
        post_percent: 50,
        body_bytes: 100,
        close: false,
        cookies: false,
        rate: None,
    };
    let load = Load::new(target, plan, 1);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let story = async {
            let told = tell(&mut crew, &load).await;
            load.stopping.set(true);
            told
        };
        // The clients begin when there is a server to answer them.
        tokio::try_join!(story, async {
            load.run().await;
            Ok(())
        })
        .map(|_| ())
    })?;
    let twice = served_twice(&crew.served())?;
    crew.end();
    verdict(&load, twice)
}

async fn tell(crew: &mut Crew, load: &Rc<Load>) -> Result<()> {
    crew.start_server()?;
    until(crew, load, |names| names >= 1).await?;
    print("server 1 answers; three more start\n")?;
    for number in 2..=4 {
        let since = Instant::now();
        crew.start_server()?;
        until(crew, load, |names| names >= number).await?;
        print(&format!(
            "server {number} has its first request {} ms after its start\n",
            since.elapsed().as_millis()
        ))?;
    }
    for number in [1, 2] {
        let since = Instant::now();
        crew.stop_server(number).await?;
        print(&format!("server {number} drained and stopped in {} ms\n", since.elapsed().as_millis()))?;
    }
    let pid = pid_of(load, 3)?;
    crew.kill_server(3, pid).await?;
    print("server 3 was killed with SIGKILL\n")?;
    // What fails because of it fails now: a hundred requests more.
    let after = load.tally.borrow().sent + 100;
    let deadline = Instant::now() + PATIENCE;
    while load.tally.borrow().sent < after {
        ensure!(Instant::now() < deadline, "requests stopped after the kill");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until so many servers have answered.
async fn until(crew: &mut Crew, load: &Load, wanted: impl Fn(usize) -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(load.tally.borrow().by_body.len()) {
        if Instant::now() > deadline {
            bail!("no answer from a server that was started; {}", crew.last_words());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// From its answers: `toy-3 PID`.
fn pid_of(load: &Load, number: usize) -> Result<i32> {
    let tally = load.tally.borrow();
    let own = |body: &&String| body.split(' ').next() == Some(&format!("toy-{number}"));
    let body = tally.by_body.keys().find(own);
    let pid = body.and_then(|body| body.split(' ').nth(1)?.parse().ok());
    pid.ok_or_else(|| anyhow::anyhow!("server {number} has not answered"))
}

fn verdict(load: &Load, twice: u64) -> Result<ExitCode> {
    let mut tally = load.tally.borrow_mut();
    let posts: u64 =
        tally.failed.iter().filter(|(kind, _)| kind.starts_with("POST")).map(|(_, count)| count).sum();
    let failed = tally.failures();
    let [median, slowest] = [500, 990].map(|permille| tally.permille(permille));
    let mut text = format!(
        "{} requests, half of them POST: {} answered, {failed} failed, {twice} POST served twice; p50 {median} µs, p99 {slowest} µs\n",
        tally.sent, tally.answered,
    );
    for (kind, count) in &tally.failed {
        text.push_str(&format!("  {count} × {kind}\n"));
    }
    if posts > 0 {
        text.push_str("  a POST that the killed server was answering cannot be sent again: nobody knows how far it came\n");
    }
    print(&text)?;
    // Of the killed server each client may have had one.
    let fine =
        failed == posts && posts <= CONNECTIONS as u64 && twice == 0 && tally.answered + failed == tally.sent;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
