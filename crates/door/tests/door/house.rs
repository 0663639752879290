//! A door over a bus of channels, and toy application servers on loopback. Nothing sleeps: what is waited for
//! is an answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use leveret_bus::{Broker, Brokers, Bus, Incoming, Outgoing};
use leveret_door::{Door, DoorConfig, Timeouts};
use leveret_model::Boot;
use leveret_services::{Ack, Announcement, DoorName, DoorReport, InstanceName, Message, ServiceName, State};
use tokio::sync::mpsc;

/// Longer than any answer may take, even on a machine that does ten other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A door, its bus, and how it looks from outside.
pub(crate) struct House {
    pub(crate) door: Option<Door>,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    to_door: mpsc::Sender<Incoming>,
    from_door: Mutex<mpsc::Receiver<Outgoing>>,
    seqs: Mutex<u64>,
}

pub(crate) fn config() -> DoorConfig {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    DoorConfig {
        name: DoorName::new("front").expect("a name"),
        listen: any_port,
        admin: any_port,
        brokers: Brokers::new(vec![Broker::parse("amqp://127.0.0.1").expect("a broker")]).expect("one"),
        allow: Vec::new(),
        claims: Vec::new(),
        trust: Vec::new(),
        haproxy: Vec::new(),
        httpd: Vec::new(),
        cookies: vec!["JSESSIONID".to_owned()],
        threads: 2,
        tls: None,
        sockets: Vec::new(),
        affinity: Vec::new(),
        dns: None,
        timeouts: Timeouts { response: PATIENCE, ..Timeouts::default() },
    }
}

impl House {
    pub(crate) fn open(config: DoorConfig) -> Self {
        Self::open_late(config, || {})
    }

    /// Something happens while the door starts: after it opened its files, before it follows them.
    pub(crate) fn open_late(config: DoorConfig, meanwhile: impl FnOnce() + Send + 'static) -> Self {
        let (to_door, incoming) = mpsc::channel(100);
        let (outgoing, from_door) = mpsc::channel(1_000);
        let link = |_| {
            meanwhile();
            Bus { outgoing, incoming }
        };
        let door = Door::start_on(config, link).expect("a door");
        let up = Incoming::Up { broker: "channels".to_owned(), user: "guest".to_owned() };
        to_door.blocking_send(up).expect("the door listens");
        let (listen, admin) = (door.listen(), door.admin());
        Self {
            door: Some(door),
            listen,
            admin,
            to_door,
            from_door: Mutex::new(from_door),
            seqs: Mutex::new(0),
        }
    }

    /// Announces an instance and waits until the door acts on it.
    pub(crate) fn announce(&self, name: &str, boot: u64, address: SocketAddr, state: State) -> Announcement {
        let service = ServiceName::new("shop").expect("a name");
        let instance = InstanceName::new(name).expect("a name");
        let mut announcement = Announcement::new(service, instance, Boot(boot), state);
        announcement.address = Some(address);
        self.send(announcement)
    }

    pub(crate) fn send(&self, mut announcement: Announcement) -> Announcement {
        {
            let mut seq = self.seqs.lock().expect("no panic");
            *seq += 1;
            announcement.seq = *seq;
        }
        let message = Message::Announcement(Box::new(announcement.clone()));
        let incoming = Incoming::Message(message, Some("guest".to_owned()));
        self.to_door.blocking_send(incoming).expect("the door listens");
        let known = |status: &leveret_door::Status| {
            let mut instances = status.services.iter().flat_map(|service| &service.instances);
            let found = instances.find(|instance| instance.name == announcement.instance.as_str());
            match announcement.state {
                State::Left => found.is_none(),
                state => found.is_some_and(|found| found.state == state.to_string()),
            }
        };
        while !known(&self.status()) {}
        announcement
    }

    pub(crate) fn link(&self, up: bool) {
        let event = if up {
            Incoming::Up { broker: "channels".to_owned(), user: "guest".to_owned() }
        } else {
            Incoming::Down { why: "cut".to_owned() }
        };
        self.to_door.blocking_send(event).expect("the door listens");
        while self.status().link.up != up {}
    }

    pub(crate) fn status(&self) -> leveret_door::Status {
        let body = leveret_door::ask_admin(self.admin, "GET", "/status").expect("the door answers");
        serde_json::from_slice(&body).expect("a status")
    }

    /// The next acknowledgement of that announcement or a later one.
    pub(crate) fn ack(&self, of: &Announcement) -> Ack {
        let mut from_door = self.from_door.lock().expect("no panic");
        loop {
            let outgoing = from_door.blocking_recv().expect("the door reports");
            let Ok(report) = DoorReport::parse(&outgoing.body) else { continue };
            if let Some(ack) = report.acks.into_iter().find(|ack| ack.boot == of.boot && ack.seq >= of.seq) {
                return ack;
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.listen)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().ask(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.stop();
        }
    }
}

/// A client's connection.
pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self(BufReader::new(stream))
    }

    pub(crate) fn head(&mut self) -> String {
        read_head(&mut self.0).expect("a head")
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }

    pub(crate) fn write(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).expect("written");
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("written");
    }

    /// False if the other side is gone.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// What comes until the other side has no more to say.
    pub(crate) fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // No more requests, so the other side ends too.
        let _ = self.0.get_mut().shutdown(std::net::Shutdown::Write);
        let _ = self.0.read_to_end(&mut all);
        all
    }

    pub(crate) fn read_exactly(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).expect("so many bytes");
        read
    }

    /// Waits until the other side closes.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.write(request);
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let head = read_head(&mut self.0).expect("an answer");
        let status = head[9..12].parse().expect("a status");
        let body = read_body(&mut self.0, &head);
        Answer { status, head, body }
    }
}

/// Everything up to the empty line; `None` at the end of the stream.
fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if &head[before..] == "\r\n" {
            return Some(head);
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then(|| value.trim()))
}

fn read_body(stream: &mut BufReader<TcpStream>, head: &str) -> String {
    let mut body = Vec::new();
    if field(head, "transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).expect("a chunk");
            let size = usize::from_str_radix(size.trim(), 16).expect("its size");
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).expect("its bytes");
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = field(head, "content-length") {
        body.resize(length.parse().expect("a length"), 0);
        stream.read_exact(&mut body).expect("the body");
    }
    String::from_utf8(body).expect("text")
}

/// What a toy server got.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What it does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// 200 with its name.
    Answer,
    /// Closes the connection without a word.
    Reset,
    /// Waits for a word of the test, then answers.
    Wait,
    /// Answers and closes the connection behind its keep-alive.
    AnswerAndClose,
}

/// A server with a thread for each connection.
pub(crate) struct Toy {
    pub(crate) address: SocketAddr,
    pub(crate) received: Receiver<Received>,
    /// Lets a waiting request go on.
    pub(crate) go: Sender<()>,
    /// Connections that it accepted.
    pub(crate) connections: Arc<AtomicUsize>,
    deed: Arc<Mutex<Deed>>,
}

impl Toy {
    pub(crate) fn start(name: &'static str) -> Self {
        Self::at(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn at(name: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, received) = channel();
        let (go, wait) = channel();
        let (deed, wait) = (Arc::new(Mutex::new(Deed::Answer)), Arc::new(Mutex::new(wait)));
        let of_thread = Arc::clone(&deed);
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                accepted.fetch_add(1, Ordering::SeqCst);
                let stream = BufReader::new(stream.expect("a connection"));
                let (sender, deed, wait) = (sender.clone(), Arc::clone(&of_thread), Arc::clone(&wait));
                thread::spawn(move || answer_all(name, stream, &sender, &deed, &wait));
            }
        });
        Self { address, received, go, connections, deed }
    }

    pub(crate) fn set(&self, deed: Deed) {
        *self.deed.lock().expect("no panic") = deed;
    }

    pub(crate) fn next(&self) -> Received {
        self.received.recv_timeout(PATIENCE).expect("a request")
    }
}

fn answer_all(
    name: &str,
    mut stream: BufReader<TcpStream>,
    sender: &Sender<Received>,
    deed: &Mutex<Deed>,
    wait: &Mutex<Receiver<()>>,
) {
    while let Some(head) = read_head(&mut stream) {
        let deed = *deed.lock().expect("no panic");
        let body = read_body(&mut stream, &head);
        let head_only = head.starts_with("HEAD");
        let _ = sender.send(Received { head, body });
        match deed {
            Deed::Reset => return,
            Deed::Wait => {
                let _ = wait.lock().expect("no panic").recv();
            }
            Deed::Answer | Deed::AnswerAndClose => {}
        }
        let body = if head_only { "" } else { name };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", name.len());
        if stream.get_mut().write_all(answer.as_bytes()).is_err() || deed == Deed::AnswerAndClose {
            return;
        }
    }
}
