//! What clients speak: TLS by name, HTTP/2, the PROXY protocol; and what they may not: slow heads.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use leveret_door::{Affinity, CertificateConfig, DoorConfig, Timeouts, TlsConfig};
use leveret_services::{ServiceName, State};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;

use crate::house::{Client, Deed, House, PATIENCE, Toy, config};

/// Writes a new certificate of these names; gives it.
fn certificate(path: &Path, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let mut file = std::fs::File::create(path).expect("a file");
    file.write_all(made.cert.pem().as_bytes()).expect("written");
    file.write_all(made.signing_key.serialize_pem().as_bytes()).expect("written");
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).expect("PEM")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

/// A handshake that trusts these; gives the certificate that the door showed and what was agreed on.
async fn shake(
    address: SocketAddr,
    name: &str,
    trusted: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[test]
fn the_name_chooses_the_certificate_and_a_changed_file_is_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (first, second) = (directory.path().join("first.pem"), directory.path().join("second.pem"));
    let (of_first, of_second) =
        (certificate(&first, &["shop.example"]), certificate(&second, &["*.example.org"]));
    let certificates =
        [&first, &second].map(|path| CertificateConfig { chain: path.clone(), key: path.clone() });
    let house = House::open(DoorConfig {
        tls: Some(TlsConfig { listen: ([127, 0, 0, 1], 0).into(), certificates: certificates.to_vec() }),
        ..config()
    });
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    let tls = house.door.as_ref().and_then(leveret_door::Door::tls_listen).expect("it listens");
    block_on(async {
        shake(tls, "shop.example", &of_first, &[]).await.expect("its certificate");
        shake(tls, "www.example.org", &of_second, &[]).await.expect("its certificate");
        shake(tls, "www.example.org", &of_first, &[]).await.expect_err("the other's");
        let stream = shake(tls, "shop.example", &of_first, &[b"http/1.1"]).await.expect("TLS");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let request = Request::get("/").header("host", "shop.example").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.expect("a request")).await.expect("an answer");
        assert_eq!(response.status(), 200);
    });
    assert!(toy.next().head.to_lowercase().contains("x-forwarded-proto: https"));
    let renewed = certificate(&first, &["shop.example"]);
    while block_on(shake(tls, "shop.example", &renewed, &[])).is_err() {}
    // A file that cannot be used changes nothing.
    std::fs::write(&first, "nothing").expect("written");
    block_on(async { shake(tls, "shop.example", &renewed, &[]).await.expect("the old one") });
}

#[test]
fn a_certificate_that_changes_while_the_door_starts_is_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.pem");
    certificate(&file, &["shop.example"]);
    let certificates = vec![CertificateConfig { chain: file.clone(), key: file.clone() }];
    let tls = Some(TlsConfig { listen: ([127, 0, 0, 1], 0).into(), certificates });
    let (sender, renewed) = std::sync::mpsc::channel();
    let house = House::open_late(DoorConfig { tls, ..config() }, move || {
        sender.send(certificate(&file, &["shop.example"])).expect("the test waits");
    });
    let tls = house.door.as_ref().and_then(leveret_door::Door::tls_listen).expect("it listens");
    let renewed = renewed.recv_timeout(PATIENCE).expect("a certificate");
    while block_on(shake(tls, "shop.example", &renewed, &[])).is_err() {}
}

#[test]
fn http2_comes_by_tls_and_without_and_goes_on_as_http1() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shop.pem");
    let trusted = certificate(&file, &["shop.example"]);
    let house = House::open(DoorConfig {
        tls: Some(TlsConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            certificates: vec![CertificateConfig { chain: file.clone(), key: file }],
        }),
        ..config()
    });
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    let tls = house.door.as_ref().and_then(leveret_door::Door::tls_listen).expect("it listens");
    block_on(async {
        let stream = shake(tls, "shop.example", &trusted, &[b"h2", b"http/1.1"]).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        two_requests(TokioIo::new(stream), "https").await;
        let plain = TcpStream::connect(house.listen).await.expect("a connection");
        two_requests(TokioIo::new(plain), "http").await;
    });
    let head = toy.next().head.to_lowercase();
    assert!(head.starts_with("get /x http/1.1\r\n"), "{head}");
    assert!(head.contains("host: shop.example\r\n") && head.contains("cookie: a=1; b=2\r\n"), "{head}");
    assert!(head.contains("via: 2.0 leveret-"), "{head}");
}

async fn two_requests<I>(io: I, scheme: &str)
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = || {
        let request = Request::get(format!("{scheme}://shop.example/x"))
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        request.body(Empty::<Bytes>::new()).expect("a request")
    };
    let (one, two) = (sender.send_request(request()), sender.clone().send_request(request()));
    for response in [one.await, two.await] {
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "a");
    }
}

#[test]
fn a_trusted_proxy_says_who_the_client_is_and_a_stranger_does_not() {
    let request = "PROXY TCP4 192.0.2.7 127.0.0.1 5000 80\r\nGET / HTTP/1.1\r\nHost: s\r\n\r\n";
    let trust = vec!["127.0.0.0/8".parse().expect("a network")];
    let house = House::open(DoorConfig { trust, ..config() });
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    assert_eq!(house.client().ask(request).status, 200);
    let head = toy.next().head.to_lowercase();
    assert!(head.contains("x-forwarded-for: 192.0.2.7\r\n"), "{head}");
    // Without a header it is itself.
    assert_eq!(house.get("/").status, 200);
    assert!(toy.next().head.to_lowercase().contains("x-forwarded-for: 127.0.0.1\r\n"));
    let strange = House::open(config());
    strange.announce("a", 1, toy.address, State::Ready);
    assert_eq!(strange.client().ask(request).status, 400);
}

#[test]
fn a_head_that_takes_too_long_ends_its_connection_and_idle_ones_stay() {
    let timeouts = Timeouts { client_head: Duration::from_millis(300), ..config().timeouts };
    let house = House::open(DoorConfig { timeouts, ..config() });
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    let mut idle = house.client();
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: s\r\n\r\n").status, 200);
    let mut silent = house.client();
    let mut slow = house.client();
    assert_eq!(slow.ask("GET / HTTP/1.1\r\nHost: s\r\n\r\n").status, 200);
    slow.write("GET / HTTP/1.1\r\nHost:");
    assert!(silent.is_closed() && slow.is_closed(), "both had their time");
    // By now the idle one has been idle for longer than a head may take.
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: s\r\n\r\n").status, 200);
}

/// After 101 no head is due, however long the client is silent between two of its messages.
#[test]
fn a_tunnel_outlives_the_time_of_a_head() {
    let timeouts = Timeouts { client_head: Duration::from_millis(300), ..config().timeouts };
    let house = House::open(DoorConfig { timeouts, ..config() });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    house.announce("a", 1, listener.local_addr().expect("an address"), State::Ready);
    let mut client = house.client();
    client.write("GET /ws HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (instance, _) = listener.accept().expect("the door connects");
    let mut instance = Client::over(instance);
    instance.head();
    instance.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.head();
    client.write("one\r\n");
    assert_eq!(instance.line(), "one\r\n");
    // each of them has as long as a head may take, one after the other
    assert!(house.client().is_closed() && house.client().is_closed());
    client.write("two\r\n");
    assert_eq!(instance.line(), "two\r\n");
}

#[test]
fn a_client_of_http2_that_asks_for_nothing_has_the_time_of_a_head() {
    let timeouts = Timeouts { client_head: Duration::from_millis(300), ..config().timeouts };
    let house = House::open(DoorConfig { timeouts, ..config() });
    let mut silent = house.client();
    // its preface, and settings that change nothing
    silent.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    assert!(silent.is_closed());
}

#[test]
fn a_door_of_its_own_cookie_brings_a_session_back_to_its_instance() {
    let shop = ServiceName::new("shop").expect("a name");
    let house = House::open(DoorConfig { affinity: vec![(shop, Affinity::Cookie)], ..config() });
    let (a, b) = (Toy::start("a"), Toy::start("b"));
    house.announce("a", 1, a.address, State::Ready);
    house.announce("b", 2, b.address, State::Ready);
    let first = house.get("/");
    let cookie =
        first.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie").to_owned();
    assert!(cookie.starts_with("leveret_route=") && cookie.ends_with("HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().expect("its value").to_owned();
    let ask =
        |cookie: &str| house.client().ask(&format!("GET / HTTP/1.1\r\nHost: s\r\nCookie: {cookie}\r\n\r\n"));
    for _ in 0..10 {
        let answer = ask(&cookie);
        assert_eq!(answer.body, first.body);
        assert!(!answer.head.contains("set-cookie"), "the client knows its place");
    }
    let (gone, heir) = if first.body == "a" { (&a, "b") } else { (&b, "a") };
    house.announce(&first.body, if first.body == "a" { 1 } else { 2 }, gone.address, State::Left);
    let moved = ask(&cookie);
    assert_eq!(moved.body, heir);
    assert!(moved.head.contains(&format!(".{heir}; Path=/")), "{}", moved.head);
}

#[test]
fn a_second_door_takes_over_without_a_lost_connection() {
    let mut house = House::open(config());
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    let mut busy = house.client();
    toy.set(Deed::Wait);
    busy.write("GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    toy.next();
    toy.set(Deed::Answer);
    let second = House::open(DoorConfig { listen: house.listen, ..config() });
    second.announce("a", 1, toy.address, State::Ready);
    let old = house.door.take().expect("it runs");
    let stopping = std::thread::spawn(move || old.stop());
    // The old one still has a request, so it is there all the while.
    for _ in 0..500 {
        assert_eq!(second.get("/").status, 200);
    }
    toy.go.send(()).expect("it waits");
    let last = busy.answer();
    assert_eq!(last.status, 200);
    assert!(last.head.to_lowercase().contains("connection: close"), "{}", last.head);
    stopping.join().expect("it ends");
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn numbers_are_there_for_prometheus() {
    let house = House::open(config());
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    assert_eq!(house.get("/").status, 200);
    let page = leveret_door::ask_admin(house.admin, "GET", "/metrics").expect("a page");
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("leveret_door_requests_total{service=\"shop\"} 1\n"), "{page}");
    assert!(page.contains("leveret_door_link_up 1\n") && page.ends_with("# EOF\n"), "{page}");
    assert_eq!(leveret_door::ask_admin(house.admin, "GET", "/healthz").expect("a page"), b"ok\n");
}

#[test]
fn nothing_that_could_be_read_in_two_ways_reaches_an_instance() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: s\r\n{fields}\r\n");
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    for (what, request) in [
        ("two encodings", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + chunked),
        ("an unknown encoding", head("Transfer-Encoding: xchunked\r\n") + chunked),
        ("two lengths", head("Content-Length: 5\r\nContent-Length: 6\r\n") + "hello!"),
        ("a signed length", head("Content-Length: +5\r\n") + "hello"),
        ("a space before the colon", head("Content-Length : 5\r\n") + "hello"),
        ("a folded line", head("X-A: 1\r\n Content-Length: 5\r\n") + "hello"),
        ("a NUL", head("X-A: a\0b\r\n")),
        ("a bad chunk", head("Transfer-Encoding: chunked\r\n") + "5 x\r\nhello\r\n0\r\n\r\n"),
        ("a chunk with a sign", head("Transfer-Encoding: chunked\r\n") + "+5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let mut client = house.client();
        client.write(&request);
        client.write("GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n");
        let _ = client.read_all();
        for received in toy.received.try_iter() {
            assert!(!received.head.contains("smuggled"), "{what}: {received:?}");
        }
    }
    // What is kept has one reading: the encoding wins, and the length does not pass (RFC 9112 §6.3).
    let both = head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + chunked;
    let mut client = house.client();
    client.write(&both);
    let _ = client.read_all();
    for received in toy.received.try_iter() {
        let head = received.head.to_lowercase();
        assert!(!(head.contains("content-length") && head.contains("transfer-encoding")), "{head}");
        assert_eq!(received.body, "hello");
    }
    // An absolute target names the host.
    let answer = Client::connect(house.listen).ask("GET http://one/ HTTP/1.1\r\nHost: two\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(toy.next().head.to_lowercase().contains("host: one\r\n"));
}

#[test]
fn a_crowd_of_half_open_clients_harms_nobody() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    let crowd: Vec<Client> = (0..500)
        .map(|_| {
            let mut client = house.client();
            client.write("GET / HTTP/1.1\r\nHost: s\r\nX-Slow: ");
            client
        })
        .collect();
    for _ in 0..100 {
        assert_eq!(house.get("/").status, 200);
    }
    assert!(house.status().connections >= crowd.len());
}

#[test]
fn an_http2_client_that_resets_its_requests_is_cut_off_and_harms_nobody() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    let mut attacker = house.client();
    attacker.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // SETTINGS, empty.
    attacker.write_bytes(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for stream in (1_u32..20_000).step_by(2) {
        // HEADERS with END_STREAM and END_HEADERS: `:method GET`, `:scheme http`, `:path /`, `:authority s`.
        let block = [0x82, 0x86, 0x84, 0x41, 0x01, b's'];
        let mut frames = vec![0, 0, block.len() as u8, 1, 5];
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&block);
        // RST_STREAM, CANCEL.
        frames.extend_from_slice(&[0, 0, 4, 3, 0]);
        frames.extend_from_slice(&stream.to_be_bytes());
        frames.extend_from_slice(&[0, 0, 0, 8]);
        if !attacker.try_write(&frames) {
            break;
        }
    }
    assert!(attacker.is_closed(), "the door has enough");
    for _ in 0..100 {
        assert_eq!(house.get("/").status, 200);
    }
}
