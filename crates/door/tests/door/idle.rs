//! Clients and tunnels that are idle, and ones that only look so.

use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use leveret_door::{DoorConfig, Timeouts};
use leveret_services::State;
use tokio::net::TcpStream;

use crate::house::{Client, Deed, House, PATIENCE, Toy, config};

/// hyper's client answers every ping.
#[test]
fn a_client_of_http2_that_only_answers_pings_is_closed_and_one_that_waits_is_not() {
    let timeouts = Timeouts { client_idle: Duration::from_millis(300), ..config().timeouts };
    let house = House::open(DoorConfig { timeouts, ..config() });
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    toy.set(Deed::Wait);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let open = async || {
        let stream = TcpStream::connect(house.listen).await.expect("a connection");
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        (sender, tokio::spawn(connection))
    };
    let request = || Request::get("http://shop/").body(Empty::<Bytes>::new()).expect("a request");
    let (mut busy, _busy_connection) = runtime.block_on(open());
    let answer = runtime.spawn(busy.send_request(request()));
    toy.next();
    toy.set(Deed::Answer);
    runtime.block_on(async {
        let (mut idle, connection) = open().await;
        assert_eq!(idle.send_request(request()).await.expect("an answer").status(), 200);
        let closed = tokio::time::timeout(PATIENCE, connection).await.expect("it is closed");
        closed.expect("no panic").expect("by a farewell, not by a cut");
    });
    // The busy one has had no other request for longer than that.
    toy.go.send(()).expect("it waits");
    assert_eq!(runtime.block_on(answer).expect("no panic").expect("an answer").status(), 200);
}

fn tunnel(house: &House, listener: &std::net::TcpListener) -> (Client, Client) {
    let mut client = house.client();
    client.write("GET /ws HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (instance, _) = listener.accept().expect("the door connects");
    let mut instance = Client::over(instance);
    instance.head();
    instance.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    client.head();
    (client, instance)
}

/// Many applications only send: prices, logs, progress.
#[test]
fn a_tunnel_whose_client_only_listens_stays_and_a_silent_one_is_closed() {
    let timeouts = Timeouts { tunnel_idle: Duration::from_secs(2), ..config().timeouts };
    let house = House::open(DoorConfig { timeouts, ..config() });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    house.announce("a", 1, listener.local_addr().expect("an address"), State::Ready);
    let (mut client, mut instance) = tunnel(&house, &listener);
    // A younger one that is silent is closed while this one is fed.
    let (mut silent, _kept) = tunnel(&house, &listener);
    let closed = std::thread::spawn(move || silent.is_closed());
    while !closed.is_finished() {
        instance.write("tick\r\n");
        assert_eq!(client.line(), "tick\r\n");
    }
    assert!(closed.join().expect("no panic"));
    client.write("I am here\r\n");
    assert_eq!(instance.line(), "I am here\r\n");
}
