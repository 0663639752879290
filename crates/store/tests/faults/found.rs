//! What a directory contains, as somebody sees it who only looks, and whether that is what it should be.

use std::collections::BTreeMap;

use leveret_model::{Position, QueueId};
use leveret_store::simdisk::SimDisk;
use leveret_store::{
    ColdMessage, Inspection, Planted, ReadAnswer, ReadId, ReadRequest, Recovered, Recovery, RecoveryTerms,
    Refusal, Report,
};

use crate::model::{Content, Model};

pub(crate) fn is_content(message: &ColdMessage, content: Content) -> bool {
    message.address == content.address()
        && message.header == content.header()
        && message.body == content.body()
        && message.terms == content.terms()
}

/// What a directory contains.
pub(crate) struct Found {
    pub(crate) model: Model,
    pub(crate) messages: BTreeMap<(QueueId, u64), ColdMessage>,
    pub(crate) reports: Vec<Report>,
}

/// Recovers; `None` if it was cut off after so many operations.
pub(crate) fn recover(
    disk: &mut SimDisk,
    terms: RecoveryTerms,
    read_only: bool,
    planted: Option<Planted>,
    steps: Option<usize>,
) -> Option<Result<Recovered, Refusal>> {
    let mut recovery = Recovery::new(terms, read_only);
    if let Some(bug) = planted {
        recovery.plant(bug);
    }
    let (mut ops, mut executed) = (Vec::new(), 0);
    loop {
        recovery.take_ops(&mut ops);
        assert!(!ops.is_empty(), "a recovery that waits for nothing");
        for op in std::mem::take(&mut ops) {
            if steps.is_some_and(|steps| executed >= steps) {
                return None;
            }
            executed += 1;
            let done = disk.execute(&op);
            if let Some(outcome) = recovery.advance(&done) {
                return Some(outcome);
            }
        }
    }
}

/// Reads every message.
pub(crate) fn read_all(disk: &mut SimDisk, recovered: Recovered) -> Found {
    let mut inspection = Inspection::new(recovered);
    let mut model = Model::default();
    let mut messages = BTreeMap::new();
    let mut reports: Vec<Report> = inspection.contents().reports().cloned().collect();
    for register in inspection.contents().registers() {
        let value = register.value.map(|value| value.to_vec());
        model.registers.insert((register.kind, register.key.to_vec()), value);
    }
    model.marks = inspection.contents().marks().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    for id in inspection.contents().queues() {
        let on_disk = inspection.contents().queue(id).expect("listed");
        let queue = model.queues.entry(id).or_default();
        queue.definition = on_disk.definition.map(|definition| definition.to_vec()).unwrap_or_default();
        queue.marks = on_disk.marks.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        queue.last = on_disk.last.0;
        let mut next = Some(Position(0));
        while let Some(first) = next {
            let answer = read_once(disk, &mut inspection, id, first);
            for message in answer.messages {
                messages.insert((id, message.position.0), message);
            }
            for (first, last) in answer.damaged {
                reports.push(Report::DamagedMessages { queue: id, first, last });
            }
            next = answer.next;
        }
    }
    Found { model, messages, reports }
}

fn read_once(disk: &mut SimDisk, inspection: &mut Inspection, queue: QueueId, first: Position) -> ReadAnswer {
    let last = Position(u64::MAX);
    inspection.read(ReadRequest { id: ReadId(1), queue, spilled: false, first, last });
    let mut ops = Vec::new();
    loop {
        inspection.poll(&mut ops);
        for op in std::mem::take(&mut ops) {
            let done = disk.execute(&op);
            inspection.on_done(&done);
        }
        if let Some(answer) = inspection.take_answers().pop() {
            return answer;
        }
    }
}

/// What was lost by that cannot be told.
pub(crate) fn is_unknown(report: &Report, rots: bool) -> bool {
    match report {
        Report::DamagedRecords { .. }
        | Report::MissingBatches { .. }
        | Report::LogCut(_)
        | Report::KeptLog(_) => true,
        Report::Torn { .. } => rots,
        _ => false,
    }
}

/// The first difference between a state and what was found that no report explains.
pub(crate) fn difference(
    state: &Model,
    found: &Found,
    ever: &BTreeMap<(QueueId, u64), Content>,
    rots: bool,
) -> Option<String> {
    // what such a record said is unknown: anything may be missing, or be there again
    let unknown = found.reports.iter().any(|report| is_unknown(report, rots));
    for ((queue, position), message) in &found.messages {
        let content = ever.get(&(*queue, *position)).copied();
        if !content.is_some_and(|content| is_content(message, content)) {
            return Some(format!("message {position} of {queue:?} is another one"));
        }
        let expected = state.queues.get(queue).and_then(|queue| queue.messages.get(position));
        match expected {
            None if !unknown => return Some(format!("message {position} of {queue:?} is back")),
            Some((_, deliveries)) if *deliveries != message.deliveries && !unknown => {
                return Some(format!("message {position} of {queue:?} was delivered {deliveries} times"));
            }
            _ => {}
        }
    }
    for (id, queue) in &state.queues {
        for position in queue.messages.keys().filter(|at| !found.messages.contains_key(&(*id, **at))) {
            let reported = found.reports.iter().any(|report| {
                matches!(report, Report::DamagedMessages { queue, first, last }
                    if queue == id && (first.0..=last.0).contains(position))
            });
            if !reported && !unknown {
                return Some(format!("message {position} of {id:?} is not there"));
            }
        }
        let Some(there) = found.model.queues.get(id) else {
            if unknown {
                continue;
            }
            return Some(format!("{id:?} is not there"));
        };
        if !unknown && (&there.definition, &there.marks) != (&queue.definition, &queue.marks) {
            return Some(format!("{id:?} has another definition or other marks"));
        }
        if !unknown && there.last != queue.last {
            return Some(format!("{id:?} ends at {}, not {}", there.last, queue.last));
        }
    }
    if unknown {
        return None;
    }
    if let Some(id) = found.model.queues.keys().find(|id| !state.queues.contains_key(id)) {
        return Some(format!("{id:?} is back"));
    }
    if found.model.registers != state.registers {
        return Some("the registers are others".into());
    }
    (found.model.marks != state.marks).then(|| "the marks of the node are others".into())
}
