//! Starting a broker: from exec until a client has completed its first handshake (and until a queue of
//! another node is served there: a consumer of it at the new node got what was published and confirmed
//! there).

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::args::StartArgs;
use crate::client::Client;
use crate::clock;
use crate::peer::RELAY;
use crate::process::Usage;
use crate::report::Roll;
use crate::rounds::{CaseResult, Console, Labelled, Outcome, interleave};
use crate::url::Url;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_micros(200);
/// Until a process that got SIGTERM gets SIGKILL.
const GRACE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

/// A command that serves.
pub(crate) struct Starter {
    label: &'static str,
    words: Vec<String>,
    url: Url,
}

impl Labelled for Starter {
    fn label(&self) -> &'static str {
        self.label
    }
}

/// The commands that were asked for, and the relay.
pub(crate) fn starters(args: &StartArgs) -> Result<Vec<Starter>> {
    ensure!(args.exec.len() <= 2, "one or two --exec can be compared, not {}", args.exec.len());
    ensure!(args.exec.len() == args.url.len(), "each --exec needs its --url, in the same order");
    let mut starters = Vec::new();
    for ((exec, url), label) in args.exec.iter().zip(&args.url).zip(["A", "B"]) {
        let words: Vec<String> = exec.split_whitespace().map(str::to_owned).collect();
        ensure!(!words.is_empty(), "--exec needs a command");
        starters.push(Starter { label, words, url: url.clone() });
    }
    if !args.no_relay && args.joins.is_none() {
        // a port that is free now; the relay takes it at each start
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        let listen = format!("127.0.0.1:{port}");
        let words = [program.as_str(), "bench", "relay", "--listen", &listen].map(str::to_owned).to_vec();
        starters.push(Starter { label: RELAY, words, url: Url::loopback(port) });
    }
    Ok(starters)
}

/// Who takes part.
pub(crate) fn roll(starters: &[Starter]) -> Roll {
    starters.iter().map(|one| (one.label, one.url.to_string(), one.words.join(" "))).collect()
}

/// Measures one case.
pub(crate) fn run(args: &StartArgs, starters: &[Starter], console: &mut Console) -> Result<Vec<CaseResult>> {
    let name = if args.joins.is_some() {
        "exec until it serves a queue of the other node"
    } else {
        "exec until the first handshake"
    };
    let marker = match &args.joins {
        Some(url) => Some(Marker::declare(url)?),
        None => None,
    };
    let results =
        interleave(vec![(name.to_owned(), ())], starters, args.rounds, console, |(), starter, console| {
            round(args, starter, marker.as_ref(), console)
        });
    if let Some(marker) = marker {
        marker.delete()?;
    }
    results
}

fn round(
    args: &StartArgs,
    starter: &Starter,
    marker: Option<&Marker>,
    console: &mut Console,
) -> Result<Outcome> {
    ensure!(
        Client::connect(&starter.url, 0).is_err(),
        "{} is served already; choose another port for --exec and --url",
        starter.url
    );
    let mut process = Process::spawn(&starter.words)?;
    let deadline = process.started + args.patience;
    let client = process.retry(deadline, console, || Client::connect(&starter.url, 0))?;
    let handshake = process.started.elapsed();
    let usage = Usage::of(&[process.child.id()])?;
    let mut outcome = Outcome::default();
    client.close()?;
    if let Some(marker) = marker {
        let client = process.retry(deadline, console, || marker.use_from(&starter.url))?;
        outcome.push("exec to serving the queue, ms", process.started.elapsed().as_secs_f64() * 1e3);
        client.close()?;
    }
    outcome.push("exec to handshake, ms", handshake.as_secs_f64() * 1e3);
    outcome.push("CPU until then, ms", usage.cpu_since(&Usage::default()).as_secs_f64() * 1e3);
    outcome.push("RSS then, MiB", usage.rss_bytes as f64 / f64::from(1 << 20));
    outcome.push("SIGTERM to exit, ms", process.stop()?.as_secs_f64() * 1e3);
    Ok(outcome)
}

/// The process that is being measured, in a process group and a directory of its own. Both end with it.
struct Process {
    child: Child,
    started: Instant,
    directory: PathBuf,
}

impl Process {
    fn spawn(words: &[String]) -> Result<Self> {
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let number = ROUND.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("leveret-bench-{}-{number}", std::process::id()));
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let place = directory.to_string_lossy();
        let words: Vec<String> = words.iter().map(|word| word.replace("{dir}", &place)).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {:?}; check --exec", words[0]))?;
        Ok(Self { child, started, directory })
    }

    /// Tries until it works, the process ends, or time is up.
    fn retry<T>(
        &mut self,
        deadline: Instant,
        console: &mut Console,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        loop {
            let error = match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("the command ended ({status}) before it served; run it by hand to see why");
            }
            if Instant::now() > deadline {
                return Err(error.context("the command did not serve in time; see --patience"));
            }
            console.go_on()?;
            console.progress.show(format_args!("{:.1} s", self.started.elapsed().as_secs_f64()));
            clock::wait(RETRY);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // gone already is as good
            _ = kill_process_group(group, signal);
        }
    }

    /// Ends it by SIGTERM and tells how long that took.
    fn stop(mut self) -> Result<Duration> {
        let asked = Instant::now();
        self.signal(Signal::TERM);
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > GRACE {
                bail!("the command did not end within {} s of SIGTERM", GRACE.as_secs());
            }
            clock::wait(LOOK);
        }
        Ok(asked.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            _ = self.child.wait();
        }
        // what cannot be removed lies in the system's directory for temporary files
        _ = fs::remove_dir_all(&self.directory);
    }
}

/// A queue on the node that is joined.
struct Marker {
    client: Client,
    queue: String,
}

impl Marker {
    fn declare(url: &Url) -> Result<Self> {
        let queue = format!("bench.{}.joined", std::process::id());
        let mut client = Client::connect(url, 0)?;
        client.open_channel(1)?;
        client.declare_queue(1, &queue, false)?;
        Ok(Self { client, queue })
    }

    /// Consumes the queue and publishes to it at `url`, which is another node; done once confirmed and
    /// delivered.
    fn use_from(&self, url: &Url) -> Result<Client> {
        static ATTEMPT: AtomicU32 = AtomicU32::new(0);
        let mut client = Client::connect(url, 0)?;
        client.open_channel(1)?;
        client.confirm_select(1)?;
        client.consume(1, &self.queue, true)?;
        let body = format!("attempt {}", ATTEMPT.fetch_add(1, Ordering::Relaxed));
        client.publish_to_ourselves(1, &self.queue, body.as_bytes())?;
        Ok(client)
    }

    fn delete(mut self) -> Result<()> {
        self.client.delete_queue(1, &self.queue)?;
        self.client.close()
    }
}
