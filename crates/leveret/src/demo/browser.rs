//! A browser of `leveret demo sessions`: it uses sessions of its own through any node, and remembers what it
//! was answered.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use leveret_model::{Seed, SplitMix};

/// Sessions of one browser.
pub(super) const SESSIONS: usize = 100;
/// Requests between two reports.
pub(super) const REPORT_EVERY: u64 = 50;
/// Each request goes to another node, as a load balancer without sticky sessions has it; a connection is used
/// so often.
const USES: u64 = 5;
/// A request that is refused or cut off is sent again, so long at most.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What two tabs change of one session.
const ATTRIBUTES: [&str; 2] = ["cart", "theme"];

/// What all browsers share.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    /// Where requests go.
    nodes: Mutex<Vec<SocketAddr>>,
    over: AtomicBool,
}

impl Balancer {
    pub(super) fn set(&self, nodes: &[SocketAddr]) {
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes.to_vec();
    }

    fn draw(&self, number: u64) -> Option<SocketAddr> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.get(number as usize % nodes.len().max(1)).copied()
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What a browser saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) logouts: u64,
    /// Writes of requests that were under way at a logout and ended after it.
    pub(super) late_writes: u64,
    /// A session was missing, or had not what was written last.
    pub(super) lost: u64,
    /// A session was there after its logout.
    pub(super) undone: u64,
    /// Sessions that two requests changed at the same time, each another attribute.
    pub(super) merges: u64,
    /// Changes of these that were not there afterwards.
    pub(super) changes_lost: u64,
    /// Refused with TRYAGAIN, and sent again.
    pub(super) refused: u64,
    /// Cut off, and sent again to another node.
    pub(super) cut_off: u64,
    pub(super) slowest: Duration,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.logouts += other.logouts;
        self.late_writes += other.late_writes;
        self.lost += other.lost;
        self.undone += other.undone;
        self.merges += other.merges;
        self.changes_lost += other.changes_lost;
        self.refused += other.refused;
        self.cut_off += other.cut_off;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// One browser.
pub(super) struct Browser<'a> {
    number: usize,
    balancer: &'a Balancer,
    connection: Option<BufReader<TcpStream>>,
    /// Of each session what was answered last; `None`: it is logged out.
    values: Vec<Option<u64>>,
    random: SplitMix,
    pub(super) seen: Seen,
}

impl<'a> Browser<'a> {
    pub(super) fn new(number: usize, balancer: &'a Balancer) -> Self {
        let random = SplitMix::new(Seed(number as u64));
        let values = vec![None; SESSIONS];
        Self { number, balancer, connection: None, values, random, seen: Seen::default() }
    }

    /// Logs in everywhere, then goes on until the balancer ends.
    pub(super) fn browse(mut self, report: &Sender<()>) -> io::Result<Seen> {
        for session in 0..SESSIONS {
            self.write(session)?;
        }
        let mut reported = 0;
        while !self.balancer.over.load(Ordering::Relaxed) {
            let session = self.random.below(SESSIONS as u64) as usize;
            match (self.random.below(50), self.values[session]) {
                (0, Some(_)) => self.log_out(session)?,
                (1..20, Some(_)) => self.write(session)?,
                (20..23, Some(_)) => self.change_in_two_tabs()?,
                _ => self.check(session)?,
            }
            if self.seen.requests - reported >= REPORT_EVERY {
                reported = self.seen.requests;
                // nobody listens any more at the end
                let _ = report.send(());
            }
        }
        for session in 0..SESSIONS {
            self.check(session)?;
        }
        Ok(self.seen)
    }

    fn key(&self, session: usize) -> String {
        format!("sess:{}-{session}", self.number)
    }

    fn write(&mut self, session: usize) -> io::Result<()> {
        let value = self.seen.requests;
        self.ask(&format!("SET {} {value} EX 600", self.key(session)))?;
        self.values[session] = Some(value);
        Ok(())
    }

    fn check(&mut self, session: usize) -> io::Result<()> {
        let read = self.ask(&format!("GET {}", self.key(session)))?;
        match (self.values[session], read) {
            (None, Some(_)) => self.seen.undone += 1,
            (Some(value), read) if read.as_deref() != Some(&value.to_string()) => self.seen.lost += 1,
            _ => {}
        }
        Ok(())
    }

    /// A request that was under way writes the session back, through another node.
    fn log_out(&mut self, session: usize) -> io::Result<()> {
        self.ask(&format!("DEL {}", self.key(session)))?;
        self.seen.logouts += 1;
        self.values[session] = None;
        self.connection = None;
        self.ask(&format!("SET {} late EX 600", self.key(session)))?;
        self.seen.late_writes += 1;
        self.check(session)
    }

    /// Two tabs change one session at the same time, each another attribute, through whichever nodes.
    fn change_in_two_tabs(&mut self) -> io::Result<()> {
        let (key, value) = (format!("tabs:{}", self.number), self.seen.requests);
        let commands = ATTRIBUTES.map(|attribute| format!("HSET {key} {attribute} {value}"));
        let tabs = commands.each_ref().map(|command| {
            let mut tab = self.connect()?;
            send(&mut tab, command).map(|()| tab)
        });
        // both are under way by now
        for (tab, command) in tabs.into_iter().zip(&commands) {
            let answered: io::Result<_> = tab.and_then(|mut tab| receive(&mut tab));
            if !matches!(answered, Ok(Ok(_))) {
                self.seen.cut_off += 1;
                self.ask(command)?;
            }
        }
        self.seen.merges += 1;
        self.seen.requests += 2;
        for attribute in ATTRIBUTES {
            let read = self.ask(&format!("HGET {key} {attribute}"))?;
            self.seen.changes_lost += u64::from(read != Some(value.to_string()));
        }
        Ok(())
    }

    /// Gives what was read, if it was a read. Sent again to another node after a refusal, or a connection that
    /// ended.
    fn ask(&mut self, command: &str) -> io::Result<Option<String>> {
        self.seen.requests += 1;
        let began = Instant::now();
        loop {
            match self.try_ask(command) {
                Ok(Ok(answer)) => {
                    self.seen.slowest = self.seen.slowest.max(began.elapsed());
                    return Ok(answer);
                }
                Ok(Err(refusal)) if refusal.starts_with("-TRYAGAIN") && began.elapsed() < GIVE_UP => {
                    self.seen.refused += 1;
                }
                Ok(Err(refusal)) => return Err(io::Error::other(format!("{command}: {refusal}"))),
                Err(error) if began.elapsed() > GIVE_UP => return Err(error),
                Err(_) => {
                    self.seen.cut_off += 1;
                    self.connection = None;
                }
            }
        }
    }

    fn try_ask(&mut self, command: &str) -> io::Result<Result<Option<String>, String>> {
        if self.seen.requests.is_multiple_of(USES) {
            self.connection = None;
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        send(&mut connection, command)?;
        let answer = receive(&mut connection)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn connect(&mut self) -> io::Result<BufReader<TcpStream>> {
        let node = self.balancer.draw(self.random.next_u64() >> 32);
        let stream = TcpStream::connect(node.ok_or(io::ErrorKind::NotConnected)?)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GIVE_UP))?;
        Ok(BufReader::new(stream))
    }
}

fn send(connection: &mut BufReader<TcpStream>, command: &str) -> io::Result<()> {
    connection.get_mut().write_all(format!("{command}\r\n").as_bytes())
}

/// The answer: what was read, if it was a read, or a refusal.
fn receive(connection: &mut BufReader<TcpStream>) -> io::Result<Result<Option<String>, String>> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    if line.starts_with('-') {
        return Ok(Err(line.to_owned()));
    }
    let Some(Ok(length)) = line.strip_prefix('$').map(str::parse::<usize>) else { return Ok(Ok(None)) };
    let mut bytes = vec![0; length + 2];
    connection.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(Ok(Some(String::from_utf8_lossy(&bytes).into_owned())))
}
