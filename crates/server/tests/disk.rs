//! The store on a real directory: what was said to be on the disk is read back after a clean stop, and after
//! none.

use std::path::Path;

use crossbeam_channel::{Receiver, unbounded};
use leveret_model::{Position, QueueId, Seed, SplitMix, Ulid};
use leveret_server::disk::{Files, LogInput, LogOutput, LogThread, SenderNumber, open, recover};
use leveret_store::{
    Effect, MessageTerms, ReadId, ReadRequest, RecoveryTerms, Spill, SpillId, StoreConfig, StoreId, Turn,
    TurnBody,
};

const QUEUE: QueueId = QueueId { generation: 0, ulid: Ulid(7) };
const TERMS: RecoveryTerms =
    RecoveryTerms { store: Some(StoreId(1)), seed: Seed(1), log_segment_bytes: 256 * 1024 };
const CONFIG: StoreConfig = StoreConfig {
    log_segment_bytes: TERMS.log_segment_bytes,
    segment_bytes: 256 * 1024,
    disk_low_bytes: 0,
    ballast_bytes: 64 * 1024,
};

fn start(path: &Path) -> (LogThread, Receiver<LogOutput>) {
    let files = Files::open(path, false).expect("a directory");
    let recovered = recover(&files, TERMS, false).expect("a sound directory");
    assert_eq!(recovered.reports().count(), 0);
    let (sender, outputs) = unbounded();
    let store = open(recovered, CONFIG, SplitMix::new(Seed(9)));
    let log = LogThread::start(store, files, 2, move |output| drop(sender.send(output))).expect("threads");
    (log, outputs)
}

fn body(position: u64) -> Vec<u8> {
    vec![position as u8; 3000]
}

/// Waits until so many turns of the sender are on the disk.
fn wait_synced(outputs: &Receiver<LogOutput>, sender: SenderNumber, turns: u64) {
    while !matches!(outputs.recv().expect("the log runs"), LogOutput::Synced(of, synced) if of == sender && synced >= turns)
    {
    }
}

fn publish(log: &LogThread, positions: std::ops::RangeInclusive<u64>) {
    for position in positions {
        let mut turn = Turn::new();
        let targets = [(QUEUE, Position(position))];
        turn.message(
            &MessageTerms::default(),
            &targets,
            b"\0\x01q",
            b"header",
            TurnBody::Flat(&body(position)),
        );
        log.inputs().send(LogInput::Turn(SenderNumber(1), turn.seal())).expect("the log runs");
    }
}

fn read_all(log: &LogThread, outputs: &Receiver<LogOutput>, spilled: bool) -> Vec<u64> {
    let (mut found, mut next) = (Vec::new(), Some(Position(0)));
    while let Some(first) = next {
        let last = Position(u64::MAX);
        let request = ReadRequest { id: ReadId(first.0), queue: QUEUE, spilled, first, last };
        log.inputs().send(LogInput::Read(request)).expect("the log runs");
        let answer = loop {
            if let LogOutput::Effect(Effect::Read(answer)) = outputs.recv().expect("the log runs") {
                break answer;
            }
        };
        assert_eq!(answer.damaged, []);
        for message in answer.messages {
            assert_eq!(message.body, body(message.position.0));
            found.push(message.position.0);
        }
        next = answer.next;
    }
    found
}

#[test]
fn what_was_synced_is_read_back_after_a_stop_of_any_kind() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let (log, outputs) = start(&path);
    let mut turn = Turn::new();
    turn.queue_created(QUEUE, b"definition");
    log.inputs().send(LogInput::Turn(SenderNumber(0), turn.seal())).expect("the log runs");
    wait_synced(&outputs, SenderNumber(0), 1);
    // several segments of the log, so that some are moved
    publish(&log, 1..=400);
    wait_synced(&outputs, SenderNumber(1), 400);
    let mut turn = Turn::new();
    turn.acked_range(QUEUE, Position(1), Position(100));
    turn.hurry();
    log.inputs().send(LogInput::Turn(SenderNumber(0), turn.seal())).expect("the log runs");
    wait_synced(&outputs, SenderNumber(0), 2);
    assert_eq!(read_all(&log, &outputs, false), (101..=400).collect::<Vec<_>>());
    // nobody closes it: as if it were killed
    log.join();

    let (log, outputs) = start(&path);
    assert_eq!(read_all(&log, &outputs, false), (101..=400).collect::<Vec<_>>());
    publish(&log, 401..=410);
    log.inputs().send(LogInput::Close).expect("the log runs");
    while !matches!(outputs.recv().expect("the log runs"), LogOutput::Effect(Effect::Closed)) {}
    log.join();

    let (log, outputs) = start(&path);
    assert_eq!(read_all(&log, &outputs, false), (101..=410).collect::<Vec<_>>());
    log.join();
}

#[test]
fn spilled_messages_come_back_until_the_process_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let (log, outputs) = start(&path);
    let mut spill = Spill::new(SpillId(1), QUEUE);
    for position in 1..=50 {
        let (terms, body) = (MessageTerms::default(), body(position));
        spill.message(Position(position), &terms, b"\0\x01q", b"header", TurnBody::Flat(&body));
    }
    log.inputs().send(LogInput::Spill(spill)).expect("the log runs");
    while !matches!(outputs.recv(), Ok(LogOutput::Effect(Effect::Spilled { id: SpillId(1), written: true })))
    {
    }
    assert_eq!(read_all(&log, &outputs, true), (1..=50).collect::<Vec<_>>());
    log.inputs().send(LogInput::DropSpilled(QUEUE, Position(1), Position(20))).expect("the log runs");
    assert_eq!(read_all(&log, &outputs, true), (21..=50).collect::<Vec<_>>());
    log.join();
    let (log, outputs) = start(&path);
    assert!(read_all(&log, &outputs, true).is_empty());
    log.join();
}
