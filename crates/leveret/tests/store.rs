//! `leveret store` on a directory that a store wrote, sound and damaged.

use std::path::Path;
use std::process::{Command, Output};

use crossbeam_channel::unbounded;
use leveret_model::{Position, QueueId, Seed, SplitMix, Ulid};
use leveret_server::disk::{Files, LogInput, LogOutput, LogThread, SenderNumber, open, recover};
use leveret_store::{Effect, MessageTerms, RecoveryTerms, StoreConfig, StoreId, Turn, TurnBody};

const ORDERS: QueueId = QueueId { generation: 0, ulid: Ulid(7) };
const PRICES: QueueId = QueueId { generation: 0, ulid: Ulid(8) };

/// A data directory with two queues of ten messages.
fn write(data_dir: &Path) {
    let files = Files::open(&data_dir.join("store"), false).expect("a directory");
    let config = StoreConfig { log_segment_bytes: 256 * 1024, ballast_bytes: 0, ..StoreConfig::new(0) };
    let terms =
        RecoveryTerms { store: Some(StoreId(1)), seed: Seed(1), log_segment_bytes: config.log_segment_bytes };
    let recovered = recover(&files, terms, false).expect("a new directory");
    let (sender, outputs) = unbounded();
    let store = open(recovered, config, SplitMix::new(Seed(9)));
    let log = LogThread::start(store, files, 1, move |output| drop(sender.send(output))).expect("threads");
    let mut turn = Turn::new();
    turn.queue_created(ORDERS, b"\x01/\x06orders");
    turn.queue_created(PRICES, b"\x01/\x06prices");
    turn.register(1, b"user", b"stamp", b"value");
    for position in 1..=10 {
        let targets = [(ORDERS, Position(position)), (PRICES, Position(position))];
        let body =
            if position == 10 { b"\xff\xfe".to_vec() } else { format!("body {position}").into_bytes() };
        let terms = MessageTerms { priority: 4, ..MessageTerms::default() };
        turn.message(&terms, &targets, b"\x02ex\x03key", b"header", TurnBody::Flat(&body));
    }
    turn.acked(ORDERS, Position(1));
    log.inputs().send(LogInput::Turn(SenderNumber(0), turn.seal())).expect("the log runs");
    log.inputs().send(LogInput::Close).expect("the log runs");
    while !matches!(outputs.recv().expect("the log runs"), LogOutput::Effect(Effect::Closed)) {}
    log.join();
}

fn store(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret"))
        .arg("store")
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_sound_store_is_checked_and_a_queue_exported() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data_dir = directory.path().to_str().expect("UTF-8");
    write(directory.path());
    let checked = store(&["check", data_dir]);
    let report = text(&checked.stdout);
    assert!(checked.status.success(), "{report}{}", text(&checked.stderr));
    assert!(report.contains("queues: 2, messages: 19, MiB: 0, registers: 1; sound"), "{report}");
    assert!(report.contains(&ORDERS.ulid.to_string()) && report.contains("orders"), "{report}");

    for queue in ["orders", &ORDERS.ulid.to_string()] {
        let exported = store(&["export", data_dir, "--queue", queue]);
        assert!(exported.status.success());
        let lines: Vec<serde_json::Value> = text(&exported.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect();
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[0]["position"], 2);
        assert_eq!(lines[0]["body"], "body 2");
        assert_eq!(lines[0]["exchange"], "ex");
        assert_eq!(lines[0]["routing_key"], "key");
        assert_eq!(lines[0]["priority"], 4);
        assert_eq!(lines[8]["body_base64"], "//4=");
    }
    let unknown = store(&["export", data_dir, "--queue", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("no queue is called nobody"), "{}", text(&unknown.stderr));
}

#[test]
fn damage_is_named_by_queue_and_position_and_nothing_is_changed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data_dir = directory.path().to_str().expect("UTF-8");
    write(directory.path());
    let log = directory.path().join("store/log-0000000000000001");
    let mut bytes = std::fs::read(&log).expect("the log is there");
    let at = bytes.windows(6).position(|window| window == b"body 5").expect("the message is there");
    bytes[at] ^= 1;
    std::fs::write(&log, &bytes).expect("the log is written");

    let checked = store(&["check", data_dir]);
    let report = text(&checked.stdout);
    assert_eq!(checked.status.code(), Some(1), "{report}");
    for queue in [ORDERS, PRICES] {
        let line = format!("messages 5..=5 of queue {} cannot be read", queue.ulid);
        assert!(report.contains(&line), "{report}");
    }
    let exported = store(&["export", data_dir, "--queue", "prices"]);
    assert_eq!(exported.status.code(), Some(1));
    let lines: Vec<String> = text(&exported.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[4], r#"{"damaged":{"first":5,"last":5}}"#);
    assert_eq!(std::fs::read(&log).expect("the log is there"), bytes);
}

#[test]
fn a_directory_without_a_store_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let checked = store(&["check", directory.path().to_str().expect("UTF-8")]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stderr).contains("holds no store"), "{}", text(&checked.stderr));
}
