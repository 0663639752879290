//! A redis-server of its own, and connections to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Ended with this value.
pub(crate) struct Server {
    child: Child,
    port: u16,
    /// Where it would write, if it wrote.
    _directory: tempfile::TempDir,
}

impl Server {
    /// Starts it on a free port of the loopback, and waits until it says that it is ready.
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("redis-server: is the Debian package installed?")?;
        let output = child.stdout.take().context("piped")?;
        let mut lines = BufReader::new(output).lines();
        let mut version = None;
        loop {
            let line = lines.next().context("redis-server ended before it was ready")??;
            if let Some((_, behind)) = line.split_once("Redis version=") {
                version = behind.split(',').next().map(str::to_owned);
            }
            if line.contains("Ready to accept connections") {
                break;
            }
        }
        // whatever else it says is not kept, but must be taken
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let version = version.unwrap_or_default();
        let server = Self { child, port, _directory: directory };
        ensure!(version.starts_with("7.0."), "redis-server is of version {version:?}, the oracle is 7.0");
        Ok(server)
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        Client::connect(&format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to it.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends one command, gives the bytes of its answer.
    pub(crate) fn ask(&mut self, command: &[u8]) -> Result<Vec<u8>> {
        self.send(command)?;
        self.answer()
    }

    /// Sends commands.
    pub(crate) fn send(&mut self, commands: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(commands)?)
    }

    /// The bytes of the next answer.
    pub(crate) fn answer(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = answer_end(&self.received, 0)? {
                return Ok(self.received.drain(..end).collect());
            }
            let mut block = [0; 16 * 1024];
            let read = self.stream.read(&mut block)?;
            ensure!(read > 0, "the server closed the connection");
            self.received.extend_from_slice(&block[..read]);
        }
    }

    /// Its `CLIENT ID`.
    pub(crate) fn number(&mut self) -> Result<u64> {
        let answer = String::from_utf8(self.ask(b"CLIENT ID\r\n")?)?;
        answer.trim().trim_start_matches(':').parse().context("CLIENT ID")
    }
}

/// Where the answer that begins at `at` ends, once all of it is there.
fn answer_end(bytes: &[u8], at: usize) -> Result<Option<usize>> {
    let Some(line) = bytes.get(at..).and_then(|rest| rest.windows(2).position(|pair| pair == b"\r\n")) else {
        return Ok(None);
    };
    let behind = at + line + 2;
    let number = || std::str::from_utf8(&bytes[at + 1..at + line])?.parse::<i64>().context("a number");
    match bytes[at] {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' => Ok(Some(behind)),
        b'$' | b'=' => match usize::try_from(number()?) {
            Ok(length) => Ok((bytes.len() >= behind + length + 2).then_some(behind + length + 2)),
            Err(_) => Ok(Some(behind)),
        },
        kind @ (b'*' | b'%' | b'~') => {
            let count = usize::try_from(number()?).unwrap_or(0) * if kind == b'%' { 2 } else { 1 };
            let mut end = behind;
            for _ in 0..count {
                let Some(next) = answer_end(bytes, end)? else { return Ok(None) };
                end = next;
            }
            Ok(Some(end))
        }
        other => bail!("an answer of kind {:?}", char::from(other)),
    }
}
