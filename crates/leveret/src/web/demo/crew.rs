//! The processes of the demonstration: a door and servers under `leveret run`, all made of this program.
//!
//! Invariant: none outlives the demonstration. Each is ended by the handle that started it, never by name; a
//! server dies with its `run`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for anything that should happen at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer of a toy server, so that requests overlap with stops.
const WORK_MS: &str = "2";

pub(super) struct Crew {
    amqp: String,
    directory: PathBuf,
    service: String,
    door: Option<Child>,
    servers: Vec<Option<Child>>,
}

impl Crew {
    pub(super) fn new(amqp: &str) -> Result<Self> {
        let service = format!("demo-{}", std::process::id());
        let directory = std::env::temp_dir().join(format!("leveret-{service}"));
        std::fs::create_dir_all(directory.join("served")).with_context(|| directory.display().to_string())?;
        Ok(Self { amqp: amqp.to_owned(), directory, service, door: None, servers: Vec::new() })
    }

    /// Where the servers write down what they served.
    pub(super) fn served(&self) -> PathBuf {
        self.directory.join("served")
    }

    fn command(&self, log: &str) -> Result<Command> {
        let mut command =
            Command::new(std::env::current_exe().context("cannot find this program's own file")?);
        let log = std::fs::File::create(self.directory.join(log))?;
        // Passed on by the environment, where a password may stand.
        command.env("LEVERET_AMQP", &self.amqp).env("LEVERET_DOOR_AMQP", &self.amqp).stderr(log);
        Ok(command)
    }

    pub(super) fn start_door(&mut self) -> Result<SocketAddr> {
        let mut command = self.command("door.log")?;
        command.args(["door", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--name", &self.service]);
        command.args(["--claim", &format!("{}=/", self.service)]).stdout(Stdio::piped());
        let mut door = command.spawn().context("the door cannot be started")?;
        let lines = BufReader::new(door.stdout.take().expect("it is piped")).lines();
        self.door = Some(door);
        for line in lines {
            if let Some(address) = line?.strip_prefix("listening for HTTP on ") {
                return address.parse().context("the door's address");
            }
        }
        bail!("the door did not start: {}", self.last_words())
    }

    pub(super) fn start_server(&mut self) -> Result<()> {
        let name = format!("toy-{}", self.servers.len() + 1);
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = self.command(&format!("{name}.log"))?;
        command.args(["run", "--service", &self.service, "--instance", &name, "--"]).arg(program);
        command.args([
            "toy-web",
            "--listen",
            "127.0.0.1:{port}",
            "--work-ms",
            WORK_MS,
            "--name",
            &name,
            "--served",
        ]);
        command.arg(self.served().join(&name)).stdout(Stdio::null());
        self.servers.push(Some(command.spawn().context("a server cannot be started")?));
        Ok(())
    }

    /// SIGTERM to its `run`, which drains it first.
    pub(super) async fn stop_server(&mut self, number: usize) -> Result<()> {
        if let Some(server) = &self.servers[number - 1] {
            signal(server.id(), Signal::TERM)?;
        }
        self.ended(number).await
    }

    /// SIGKILL to the server itself.
    pub(super) async fn kill_server(&mut self, number: usize, pid: i32) -> Result<()> {
        signal(u32::try_from(pid)?, Signal::KILL)?;
        self.ended(number).await
    }

    async fn ended(&mut self, number: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let server = self.servers[number - 1].as_mut().context("it was started")?;
        while server.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("server {number} does not end; {}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.servers[number - 1] = None;
        Ok(())
    }

    /// The ends of all logs, for an error.
    pub(super) fn last_words(&self) -> String {
        let logs = ["door.log".to_owned()]
            .into_iter()
            .chain((1..=self.servers.len()).map(|n| format!("toy-{n}.log")));
        let last = |name: String| {
            let text = std::fs::read_to_string(self.directory.join(&name)).ok()?;
            Some(format!("{name}: {}", text.lines().last()?))
        };
        logs.filter_map(last).collect::<Vec<_>>().join("; ")
    }

    /// Ends everything.
    pub(super) fn end(&mut self) {
        let processes: Vec<Child> =
            self.servers.iter_mut().filter_map(Option::take).chain(self.door.take()).collect();
        for mut process in processes {
            // One that has ended already is what is wanted.
            let _ = signal(process.id(), Signal::TERM);
            let _ = process.wait();
        }
        remove(&self.directory);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.end();
    }
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process has an id")?;
    kill_process(pid, signal).context("the process cannot be signalled")
}

fn remove(directory: &Path) {
    // What cannot be removed is left in the directory for temporary files.
    let _ = std::fs::remove_dir_all(directory);
}
