//! Requests through a door to toy application servers.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use leveret_services::{Claim, ServiceName, State};

use crate::house::{Deed, House, Toy, config};

#[test]
fn a_request_reaches_a_ready_instance_with_what_it_should_know() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    let answer = house.client().ask(
        "GET /cart?x=1 HTTP/1.1\r\nHost: Shop.example\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "a"));
    assert!(answer.head.contains("via: 1.1 leveret-"), "{}", answer.head);
    let head = toy.next().head.to_lowercase();
    assert!(head.starts_with("get /cart?x=1 http/1.1\r\n"), "{head}");
    for expected in [
        "host: shop.example\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: shop.example\r\n",
        "via: 1.1 leveret-",
    ] {
        assert!(head.contains(expected), "{expected} is not in {head}");
    }
    assert!(!head.contains("x-hop") && !head.contains("6.6.6.6"), "{head}");
}

#[test]
fn requests_on_one_connection_share_a_connection_to_the_instance() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    let mut client = house.client();
    for body in ["one", "two"] {
        let length = body.len();
        let post = format!("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: {length}\r\n\r\n{body}");
        assert_eq!(client.ask(&post).body, "a");
        assert_eq!(toy.next().body, body);
    }
    let chunked = "POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).status, 200);
    assert_eq!(toy.next().body, "abc");
    assert_eq!(toy.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn head_and_http_1_0_and_expect_work() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    let mut client = house.client();
    client.write("HEAD / HTTP/1.1\r\nHost: s\r\n\r\n");
    client.write("POST / HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    // Of a HEAD only the head comes; `answer` would wait for a body.
    let head = client.head();
    assert!(head.contains("content-length: 1") || head.contains("Content-Length: 1"), "{head}");
    assert!(client.head().starts_with("HTTP/1.1 100"));
    client.write("ok");
    assert_eq!(client.answer().status, 200);
    toy.next();
    assert_eq!(toy.next().body, "ok");
    let old = house.client().ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.body.as_str()), (200, "a"));
    assert!(toy.next().head.contains("HTTP/1.1\r\n"));
}

#[test]
fn a_drain_is_acknowledged_with_zero_only_when_the_last_request_has_ended() {
    let (house, slow, other) = (House::open(config()), Toy::start("slow"), Toy::start("other"));
    slow.set(Deed::Wait);
    house.announce("slow", 1, slow.address, State::Ready);
    let mut waiting = house.client();
    waiting.write("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n");
    slow.next();
    house.announce("other", 2, other.address, State::Ready);
    let draining = house.announce("slow", 1, slow.address, State::Draining);
    assert_eq!(house.ack(&draining).inflight, 1);
    for _ in 0..20 {
        assert_eq!(house.get("/").body, "other");
    }
    slow.go.send(()).expect("it waits");
    assert_eq!(waiting.answer().body, "slow");
    assert_eq!(house.ack(&draining).inflight, 0);
}

#[test]
fn a_dead_instance_is_tried_once_and_the_request_succeeds_elsewhere() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    house.announce("dead", 1, nobody, State::Ready);
    house.announce("a", 2, toy.address, State::Ready);
    for _ in 0..20 {
        let answer = house.client().ask("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((answer.status, answer.body.as_str()), (200, "a"));
    }
}

#[test]
fn a_request_that_died_at_an_instance_is_repeated_only_if_that_is_safe() {
    let (house, one, two) = (House::open(config()), Toy::start("one"), Toy::start("two"));
    one.set(Deed::Reset);
    two.set(Deed::Reset);
    house.announce("one", 1, one.address, State::Ready);
    house.announce("two", 2, two.address, State::Ready);
    let received = || one.received.try_iter().chain(two.received.try_iter()).count();
    assert_eq!(house.client().ask("POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\nx").status, 502);
    assert_eq!(received(), 1, "a POST is sent once");
    assert_eq!(house.get("/").status, 502);
    assert_eq!(received(), 2, "a GET is sent to each");
    two.set(Deed::Answer);
    let put = house.client().ask("PUT / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!((put.status, put.body.as_str()), (200, "two"));
    assert!(two.received.try_iter().all(|received| received.body == "body"));
}

#[test]
fn a_connection_that_the_application_closed_does_not_fail_a_request() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    toy.set(Deed::AnswerAndClose);
    house.announce("a", 1, toy.address, State::Ready);
    let mut client = house.client();
    for _ in 0..30 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: s\r\n\r\n").status, 200);
    }
}

#[test]
fn requests_wait_in_order_until_an_instance_is_ready() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Starting);
    let waiting = |count: u32| while house.status().services[0].waiting != count {};
    let mut clients = Vec::new();
    for number in 0..3 {
        let mut client = house.client();
        client.write(&format!("GET /{number} HTTP/1.1\r\nHost: s\r\n\r\n"));
        waiting(number + 1);
        clients.push(client);
    }
    let mut one_at_a_time = house.announce("a", 1, toy.address, State::Starting);
    one_at_a_time.state = State::Ready;
    one_at_a_time.terms.max_inflight = 1;
    house.send(one_at_a_time);
    for number in 0..3 {
        assert!(toy.next().head.starts_with(&format!("GET /{number} ")));
    }
    for mut client in clients {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(house.status().services[0].waiting, 0);
}

#[test]
fn a_cookie_leads_to_its_instance() {
    let (house, one, two) = (House::open(config()), Toy::start("one"), Toy::start("two"));
    for (name, boot, toy) in [("one", 1, &one), ("two", 2, &two)] {
        let mut announcement = house.announce(name, boot, toy.address, State::Starting);
        announcement.terms.route = Some(name.into());
        announcement.state = State::Ready;
        house.send(announcement);
    }
    for name in ["two", "one", "two", "two"] {
        let request = format!("GET / HTTP/1.1\r\nHost: s\r\nCookie: a=b; JSESSIONID=x.{name}\r\n\r\n");
        assert_eq!(house.client().ask(&request).body, name);
    }
}

#[test]
fn bad_requests_and_loops_reach_nobody() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ] {
        assert_eq!(house.client().ask(bad).status, 400, "{bad:?}");
    }
    assert_eq!(toy.received.try_iter().count(), 0);
    let answer = house.get("/");
    let via = answer.head.lines().find_map(|line| line.strip_prefix("via: ")).expect("a via").to_owned();
    let looped = house.client().ask(&format!("GET / HTTP/1.1\r\nHost: s\r\nVia: {via}\r\n\r\n"));
    assert_eq!(looped.status, 508);
}

#[test]
fn only_the_claimed_paths_are_served() {
    let service = ServiceName::new("shop").expect("a name");
    let claims = vec![(service, Claim::parse("shop.example/app").expect("a claim"))];
    let house = House::open(leveret_door::DoorConfig { claims, ..config() });
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    for (host, path, status) in
        [("shop.example", "/app/x", 200), ("shop.example", "/apple", 503), ("other", "/app", 503)]
    {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(house.client().ask(&request).status, status, "{host}{path}");
    }
}

#[test]
fn an_upgraded_connection_carries_bytes_both_ways_and_delays_no_drain() {
    let house = House::open(config());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    house.announce("a", 1, listener.local_addr().expect("an address"), State::Ready);
    let mut client = house.client();
    client.write("GET /ws HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n");
    let (instance, _) = listener.accept().expect("the door connects");
    let mut instance = crate::house::Client::over(instance);
    let head = instance.head().to_lowercase();
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-key: k"), "{head}");
    instance.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\r\n",
    );
    let head = client.head().to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    assert_eq!(client.line(), "hello\r\n");
    client.write("and back\r\n");
    assert_eq!(instance.line(), "and back\r\n");
    let draining = house.announce("a", 1, listener.local_addr().expect("an address"), State::Draining);
    assert_eq!(house.ack(&draining).inflight, 0);
    assert_eq!(house.status().services[0].instances[0].tunnels, 1);
}

#[test]
fn requests_go_on_while_the_door_is_deaf() {
    let (house, toy) = (House::open(config()), Toy::start("a"));
    house.announce("a", 1, toy.address, State::Ready);
    house.link(false);
    for _ in 0..5 {
        assert_eq!(house.get("/").status, 200);
    }
    house.link(true);
    assert_eq!(house.get("/").status, 200);
}

#[test]
fn a_door_that_stops_finishes_what_it_has() {
    let (mut house, toy) = (House::open(config()), Toy::start("a"));
    toy.set(Deed::Wait);
    house.announce("a", 1, toy.address, State::Ready);
    let mut client = house.client();
    client.write("GET / HTTP/1.1\r\nHost: s\r\n\r\n");
    toy.next();
    let door = house.door.take().expect("it runs");
    let stopping = std::thread::spawn(move || door.stop());
    toy.go.send(()).expect("it waits");
    assert_eq!(client.answer().status, 200);
    stopping.join().expect("it ends");
}
