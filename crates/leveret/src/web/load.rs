//! Clients that send numbered requests and account for every one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{COOKIE, HOST, SET_COOKIE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The header that numbers a request; the applications of a test write down the numbers that they serve.
pub(super) const NUMBER: &str = "x-request-number";
/// Time for one request. Past it the request has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest times that are kept to the microsecond; more requests are counted and not timed.
const TIMES_MAX: usize = 20_000_000;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As it was given.
    pub(super) text: String,
    address: SocketAddr,
    host: String,
    path: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not http://ADDR:PORT/PATH with a numeric address");
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = host.parse().map_err(|_| wrong())?;
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { text: text.to_owned(), address, host: host.to_owned(), path: path.to_owned() })
    }
}

/// How requests are sent.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) connections: usize,
    /// POST requests of a hundred.
    pub(super) post_percent: u32,
    /// Bytes of a POST's body.
    pub(super) body_bytes: usize,
    /// One connection for each request.
    pub(super) close: bool,
    /// Clients keep the cookies that they get.
    pub(super) cookies: bool,
    /// Requests a second of all clients together; `None`: each sends its next when it has its answer.
    pub(super) rate: Option<u32>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// Kind of failure and method.
    pub(super) failed: BTreeMap<String, u64>,
    /// Microseconds of those that were answered.
    pub(super) micros: Vec<u32>,
    /// Answers by their bodies, if those are short: the names of toy servers.
    pub(super) by_body: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// So many thousandths of the answers came within this.
    pub(super) fn permille(&mut self, permille: usize) -> u32 {
        self.micros.sort_unstable();
        let last = self.micros.len().saturating_sub(1);
        self.micros.get(self.micros.len() * permille / 1_000).or(self.micros.get(last)).copied().unwrap_or(0)
    }
}

/// What the clients of one target share.
pub(super) struct Load {
    target: Target,
    plan: Plan,
    pub(super) tally: RefCell<Tally>,
    next: Cell<u64>,
    pub(super) stopping: Cell<bool>,
}

impl Load {
    /// Numbers go on from `first`.
    pub(super) fn new(target: Target, plan: Plan, first: u64) -> Rc<Self> {
        Rc::new(Self {
            target,
            plan,
            tally: RefCell::default(),
            next: Cell::new(first),
            stopping: Cell::new(false),
        })
    }

    /// The number of the next request.
    pub(super) fn next_number(&self) -> u64 {
        self.next.get()
    }

    /// Sends until [`Load::stopping`] is set and every request has its answer. Runs in a `LocalSet`.
    pub(super) async fn run(self: &Rc<Self>) {
        let began = Instant::now();
        let clients: Vec<_> = (0..self.plan.connections)
            .map(|number| tokio::task::spawn_local(Client::new(Rc::clone(self), number).run(began)))
            .collect();
        for client in clients {
            client.await.expect("a client does not panic");
        }
    }
}

struct Client {
    load: Rc<Load>,
    /// Among the clients, for the pace.
    place: usize,
    sender: Option<SendRequest<Full<Bytes>>>,
    cookies: BTreeMap<String, String>,
}

impl Client {
    fn new(load: Rc<Load>, place: usize) -> Self {
        Self { load, place, sender: None, cookies: BTreeMap::new() }
    }

    async fn run(mut self, began: Instant) {
        let plan = self.load.plan.clone();
        let mut turn: u64 = 0;
        while !self.load.stopping.get() {
            let mut since = Instant::now();
            if let Some(rate) = plan.rate {
                // A time counts from when the request should have been sent, so that a stalled server is not
                // spared.
                let nth = turn * plan.connections as u64 + self.place as u64;
                since = began + Duration::from_secs_f64(nth as f64 / f64::from(rate.max(1)));
                tokio::time::sleep_until(since.into()).await;
            }
            turn += 1;
            let number = self.load.next.get();
            self.load.next.set(number + 1);
            let post = number % 100 < u64::from(plan.post_percent);
            let method = if post { Method::POST } else { Method::GET };
            self.load.tally.borrow_mut().sent += 1;
            let outcome = tokio::time::timeout(REQUEST_TIMEOUT, self.request(number, &method)).await;
            let mut tally = self.load.tally.borrow_mut();
            match outcome {
                Ok(Ok(body)) => {
                    tally.answered += 1;
                    if tally.micros.len() < TIMES_MAX {
                        let micros = since.elapsed().as_micros();
                        tally.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    }
                    if let Some(body) = body {
                        *tally.by_body.entry(body).or_default() += 1;
                    }
                    if plan.close {
                        self.sender = None;
                    }
                }
                Ok(Err(why)) => {
                    *tally.failed.entry(format!("{method} {why}")).or_default() += 1;
                    self.sender = None;
                }
                Err(_) => {
                    *tally.failed.entry(format!("{method} no answer in {REQUEST_TIMEOUT:?}")).or_default() +=
                        1;
                    self.sender = None;
                }
            }
        }
    }

    async fn request(&mut self, number: u64, method: &Method) -> Result<Option<String>, String> {
        let target = &self.load.target;
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream =
                TcpStream::connect(target.address).await.map_err(|error| error.kind().to_string())?;
            stream.set_nodelay(true).map_err(|error| error.kind().to_string())?;
            let (sender, connection) =
                handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
            tokio::task::spawn_local(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().expect("there is a connection now");
        let bytes = if *method == Method::POST { vec![b'x'; self.load.plan.body_bytes] } else { Vec::new() };
        let mut request = Request::builder()
            .method(method)
            .uri(&target.path)
            .header(HOST, &target.host)
            .header(NUMBER, number.to_string());
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let request = request.body(Full::new(Bytes::from(bytes))).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if self.load.plan.cookies {
            for cookie in response.headers().get_all(SET_COOKIE) {
                let pair = cookie.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='));
                if let Some((name, value)) = pair {
                    self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
        }
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        if !status.is_success() {
            return Err(format!("status {}", status.as_u16()));
        }
        Ok((body.len() <= 64).then(|| String::from_utf8_lossy(&body).trim().to_owned()))
    }
}

/// Numbers that stand twice in these files, one number a line.
pub(super) fn served_twice(directory: &std::path::Path) -> std::io::Result<u64> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let text = std::fs::read_to_string(entry?.path())?;
        numbers.extend(text.lines().filter_map(|line| line.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_http_url_with_an_address() {
        let target: Target = "http://127.0.0.1:80/a?b=1".parse().expect("a target");
        assert_eq!((target.host.as_str(), target.path.as_str()), ("127.0.0.1:80", "/a?b=1"));
        for bad in ["127.0.0.1:80", "https://127.0.0.1:80", "http://localhost:80", "http://127.0.0.1"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_that_two_servers_wrote_down_are_found() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a"), "1\n2\n3\n").expect("written");
        std::fs::write(directory.path().join("b"), "4\n2\n\n").expect("written");
        assert_eq!(served_twice(directory.path()).expect("read"), 1);
    }

    #[test]
    fn a_percentile_is_the_value_at_its_place() {
        let mut tally = Tally { micros: (1..=1_000).rev().collect(), ..Tally::default() };
        assert_eq!((tally.permille(500), tally.permille(1_000)), (501, 1_000));
        assert_eq!(Tally::default().permille(500), 0);
    }
}
