//! Rounds against the relay in this process: the whole instrument, without a broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clap::Parser;

use super::args::{Scenario, ThroughputArgs};
use super::peer::Peer;
use super::progress::Progress;
use super::relay::Relay;
use super::rounds::{CaseResult, Console};
use super::url::Url;
use super::{BenchArgs, scenarios};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    bench: BenchArgs,
}

fn scenario(words: &str) -> Scenario {
    Line::try_parse_from(["bench"].into_iter().chain(words.split(' '))).unwrap().bench.scenario
}

fn throughput_args(words: &str) -> ThroughputArgs {
    let Scenario::Throughput(args) = scenario(words) else { panic!("{words} is not throughput") };
    args
}

/// A relay on a thread; ends when dropped.
struct Served {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    peers: [Peer; 1],
}

impl Served {
    fn start() -> Self {
        let relay = Relay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = Url::loopback(relay.address().unwrap().port());
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = Some(std::thread::spawn(move || relay.run(Some(&seen)).unwrap()));
        let peers = [Peer::new("A", url, vec![std::process::id()], None, None).unwrap()];
        Self { stop, thread, peers }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn console() -> Console {
    Console::new(Progress::new(false)).unwrap()
}

fn figure(results: &[CaseResult], name: &str) -> f64 {
    let metrics = &results[0].rounds[0].1[0].metrics;
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} is missing")).value
}

#[test]
fn every_message_through_the_relay_arrives_once_and_in_order() {
    let served = Served::start();
    for more in [
        "--body 16,1000,70000",
        "--body 16 --pairs 4",
        "--ack confirm --body 1KiB --in-flight 100 --persistent",
    ] {
        let args = throughput_args(&format!("throughput --messages 2000 --warmup 0 --rounds 2 {more}"));
        let results = scenarios::throughput::run(&args, &served.peers, &mut console()).unwrap();
        assert!(!results.iter().any(CaseResult::any_fault), "{more}");
        assert!(figure(&results, "messages/s") > 0.0);
    }
}

#[test]
fn fan_out_counts_each_delivery() {
    let served = Served::start();
    let Scenario::Fanout(args) =
        scenario("fanout --messages 300 --warmup 0 --rounds 1 --queues 5 --connections 2")
    else {
        panic!("not fanout")
    };
    let results = scenarios::fanout::run(&args, &served.peers, &mut console()).unwrap();
    assert!(!results[0].any_fault());
}

#[test]
fn latency_counts_every_message_after_the_warm_up() {
    let served = Served::start();
    let Scenario::Latency(args) =
        scenario("latency --rate 2000 --messages 400 --warmup 0.1 --rounds 1 --ack confirm")
    else {
        panic!("not latency")
    };
    let results = scenarios::latency::run(&args, &served.peers, &mut console()).unwrap();
    assert!(!results[0].any_fault());
    assert!(figure(&results, "delivery p50, µs") > 0.0);
    assert!(figure(&results, "confirm p99, µs") >= figure(&results, "confirm p50, µs"));
}

#[test]
fn churn_and_idle_leave_the_relay_serving() {
    let served = Served::start();
    let Scenario::Churn(args) = scenario("churn --connections 50 --rounds 1") else { panic!("not churn") };
    scenarios::churn::run(&args, &served.peers, &mut console()).unwrap();
    let Scenario::Idle(args) = scenario("idle --connections 50 --seconds 0.2 --settle 0.1 --rounds 1") else {
        panic!("not idle")
    };
    scenarios::idle::run(&args, &served.peers, &mut console()).unwrap();
    assert!(Peer::new("A", served.peers[0].url.clone(), Vec::new(), None, None).is_ok());
}

#[test]
fn a_port_where_nobody_listens_is_named_with_advice() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = Peer::new("A", Url::loopback(port), Vec::new(), None, None).err().unwrap();
    let text = format!("{error:#}");
    assert!(text.contains(&port.to_string()) && text.contains("--url"), "{text}");
}
