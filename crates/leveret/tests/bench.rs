//! `leveret bench` against real nodes: what the relay, which has no cluster, cannot show.

mod node;

use std::net::TcpListener;
use std::process::Command;

use node::{LEVERET, Node, unless_falsely_dead};
use serde_json::Value;

/// Runs a scenario and returns its document.
fn bench(arguments: &[&str]) -> Value {
    let output = Command::new(LEVERET).arg("bench").args(arguments).arg("--json").output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a document")
}

fn median(document: &Value, peer: &str, figure: &str) -> f64 {
    let value = &document["cases"][0]["peers"][peer]["figures"][figure]["median"];
    value.as_f64().unwrap_or_else(|| panic!("no {figure} of {peer}: {document:#}"))
}

#[test]
fn messages_published_on_one_node_are_proved_on_another() {
    unless_falsely_dead(publishes_on_one_and_consumes_on_another);
}

fn publishes_on_one_and_consumes_on_another() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = Node::start(&directory.path().join("home"), &[]);
    let other = Node::start(&directory.path().join("other"), &["--seed", home.cluster()]);
    let pids = format!("{},{}", home.pid(), other.pid());
    let (home_url, other_url, data) = (home.url(), other.url(), directory.path().join("other"));
    let document = bench(&[
        "throughput",
        "--body",
        "1KiB",
        "--messages",
        "3000",
        "--warmup",
        "0",
        "--rounds",
        "1",
        "--no-relay",
        "--url",
        &home_url,
        "--publish-url",
        &other_url,
        "--pid",
        &pids,
        "--data-dir",
        data.to_str().expect("UTF-8"),
    ]);
    assert!(median(&document, "A", "server CPU, s per million") > 0.0);
    let faults = document["cases"][0]["peers"]["A"]["faults"].as_object().expect("faults");
    assert!(faults.values().all(|count| count == 0), "{faults:?}");
    // the publisher's node routed them all, and none stayed on its shard
    assert_eq!(median(&document, "A", "crossed shards, %"), 100.0);
}

#[test]
fn a_node_that_joins_is_measured_until_it_serves_the_first_ones_queue() {
    unless_falsely_dead(measures_a_join);
}

fn measures_a_join() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let listen = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let exec = format!(
        "{LEVERET} serve --listen {listen} --cluster-listen 127.0.0.1:0 --data-dir {{dir}}/d --seed {}",
        first.cluster()
    );
    let (url, first_url) = (format!("amqp://guest:guest@{listen}/"), first.url());
    let document = bench(&["start", "--rounds", "2", "--exec", &exec, "--url", &url, "--joins", &first_url]);
    let (handshake, serving) = (
        median(&document, "A", "exec to handshake, ms"),
        median(&document, "A", "exec to serving the queue, ms"),
    );
    assert!(0.0 < handshake && handshake < serving, "{handshake} {serving}");
}

#[test]
fn the_batches_of_a_nodes_log_are_written_again_as_the_floor_of_its_disk() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data_dir = directory.path().join("data");
    let node = Node::start(&data_dir, &["--lifetime", "persistent"]);
    let url = node.url();
    let load = ["--ack", "confirm", "--persistent", "--body", "1KiB", "--messages", "500", "--warmup", "0"];
    bench(&[&["throughput", "--rounds", "1", "--no-relay", "--url", &url], &load[..]].concat());
    let [place, like] = [directory.path(), &data_dir].map(|path| path.to_str().expect("UTF-8"));
    let document = bench(&["disk", place, "--like", like, "--seconds", "0.05", "--rounds", "1"]);
    let figure = |name| median(&document, "disk", name);
    // several messages share a batch
    assert!(figure("messages/s") > figure("batches/s"), "{document:#}");
    assert!(figure("append and sync p99, µs") > 0.0);
    let left = std::fs::read_dir(directory.path()).expect("it is there").count();
    assert_eq!(left, 1, "only the data directory is left");
}
