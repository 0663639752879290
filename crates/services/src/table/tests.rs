use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use alloc::string::String;
use leveret_model::limits::{
    EMPTY_SERVICE_KEPT, INSTANCES_PER_USER_MAX, LINK_BACK_GRACE, RETIRED_BOOT_KEPT, STALE_GRACE,
    SUSPECT_PROBE_EVERY,
};
use leveret_model::{Boot, Instant, Seed, SplitMix};
use std::format;

use super::*;
use crate::announcement::Drain;
use crate::choice::{Choice, Wanted};
use crate::fence::Fence;
use crate::name::{InstanceName, ServiceName};

struct Door {
    table: Table,
    now: Instant,
    effects: Vec<TableEffect>,
}

fn key(instance: &str) -> RowKey {
    (ServiceName::new("shop").expect("a name"), InstanceName::new(instance).expect("a name"))
}

fn announced(instance: &str, boot: u64, seq: u64, state: State) -> Announcement {
    let (service, instance) = key(instance);
    let mut announcement = Announcement::new(service, instance, Boot(boot), state);
    announcement.seq = seq;
    announcement.address = Some(([127, 0, 0, 1], 8_000 + boot as u16).into());
    announcement
}

impl Door {
    fn new() -> Self {
        Self::with_claims(Vec::new())
    }

    fn with_claims(claims: Vec<(ServiceName, Claim)>) -> Self {
        let config = TableConfig { fence: Fence::new(Vec::new(), Vec::new()), claims };
        let mut table = Table::new(config, Instant::ZERO);
        table.on_link(Instant::ZERO, true);
        let mut door = Self { table, now: Instant::ZERO, effects: Vec::new() };
        door.later(LINK_BACK_GRACE);
        door
    }

    fn hears(&mut self, instance: &str, boot: u64, seq: u64, state: State) {
        self.hears_this(announced(instance, boot, seq, state));
    }

    fn hears_this(&mut self, announcement: Announcement) {
        self.table.on_announcement(self.now, announcement, "guest", &mut self.effects);
    }

    fn later(&mut self, by: Duration) {
        self.now = self.now + by;
        self.table.poll(self.now, &mut self.effects);
    }

    /// Probes that were asked for since the last look.
    fn probes(&mut self) -> Vec<RowKey> {
        let probe = |effect| match effect {
            TableEffect::Probe { key, .. } => Some(key),
            _ => None,
        };
        core::mem::take(&mut self.effects).into_iter().filter_map(probe).collect()
    }

    fn probed(&mut self, instance: &str, boot: u64, answered: bool) {
        self.table.on_probe(self.now, &key(instance), Boot(boot), answered, &mut self.effects);
    }

    /// Names of the instances that get new requests.
    fn routed(&self) -> Vec<String> {
        let snapshot = self.table.snapshot();
        let candidates = snapshot.services.iter().flat_map(|service| &service.candidates);
        candidates.filter(|c| !c.sessions_only).map(|c| c.instance.to_string()).collect()
    }

    fn slot(&self, instance: &str) -> Arc<Slot> {
        Arc::clone(self.table.rows[&key(instance)].slot())
    }
}

#[test]
fn t1_only_a_higher_seq_or_a_new_boot_replaces_a_row() {
    let mut door = Door::new();
    door.hears("a", 1, 5, State::Ready);
    door.hears("a", 1, 4, State::Unready);
    door.hears("a", 1, 5, State::Unready);
    assert_eq!(door.routed(), ["a"]);
    door.hears("a", 1, 6, State::Unready);
    assert!(door.routed().is_empty());
    door.hears("a", 2, 1, State::Ready);
    assert_eq!(door.routed(), ["a"]);
    let address = door.table.snapshot().services[0].candidates[0].address;
    assert_eq!(address.port(), 8_002);
}

#[test]
fn t1_a_replaced_boot_is_ignored_for_a_minute() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    door.hears("a", 2, 1, State::Ready);
    door.hears("a", 1, 9, State::Ready);
    assert_eq!(door.table.rows[&key("a")].announcement().boot, Boot(2));
    door.later(RETIRED_BOOT_KEPT);
    door.hears("a", 1, 10, State::Ready);
    assert_eq!(door.table.rows[&key("a")].announcement().boot, Boot(1));
}

#[test]
fn t1_a_replaced_boot_has_its_name_back_when_the_other_is_gone() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    door.hears("a", 2, 1, State::Ready);
    door.hears("a", 2, 2, State::Left);
    door.hears("a", 1, 2, State::Ready);
    assert_eq!(door.table.rows[&key("a")].announcement().boot, Boot(1));
    door.hears("a", 3, 1, State::Ready);
    door.later(Duration::from_millis(3_001));
    door.probed("a", 3, false);
    door.hears("a", 1, 3, State::Ready);
    assert_eq!(door.table.rows[&key("a")].announcement().boot, Boot(1));
}

#[test]
fn t2_left_removes_the_row_and_a_late_ready_does_not_bring_it_back() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    door.hears("a", 1, 3, State::Left);
    door.hears("a", 1, 2, State::Ready);
    door.hears("b", 7, 3, State::Left);
    door.hears("b", 7, 2, State::Ready);
    assert!(door.routed().is_empty());
    assert_eq!(door.table.sizes()[0], 0);
}

#[test]
fn t2_only_ready_instances_get_new_requests_and_sessions_go_on_if_asked_for() {
    let mut door = Door::new();
    for (number, state) in
        [State::Starting, State::Ready, State::Unready, State::Draining].into_iter().enumerate()
    {
        door.hears(&format!("i{number}"), number as u64, 1, state);
    }
    assert_eq!(door.routed(), ["i1"]);
    let mut sessions = announced("i1", 1, 2, State::Draining);
    sessions.drain = Drain::Sessions;
    sessions.terms.route = Some("r1".into());
    door.hears_this(sessions);
    assert!(door.routed().is_empty());
    let snapshot = door.table.snapshot();
    let wanted = Wanted { session: Some(("r1", "s")), ..Wanted::default() };
    let choice = snapshot.services[0].choose(&wanted, &mut SplitMix::new(Seed(0)));
    assert_eq!(choice, Choice::Candidate { at: 0, own_session: true });
    assert!(
        door.table.acks().iter().all(|ack| ack.instance.as_str() == "i3"),
        "sessions are not acknowledged"
    );
}

#[test]
fn t3_a_silent_row_is_asked_then_served_or_removed() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    door.hears("b", 2, 1, State::Ready);
    door.later(Duration::from_millis(3_001));
    assert_eq!(door.probes(), [key("a"), key("b")]);
    let slot = door.slot("b");
    door.probed("a", 1, true);
    door.probed("b", 2, false);
    assert_eq!(door.routed(), ["a"]);
    assert!(slot.is_cut() && !slot.enter(false, 0));
    door.later(STALE_GRACE - Duration::from_millis(1));
    assert_eq!(door.routed(), ["a"]);
    door.later(Duration::from_millis(1));
    assert!(door.routed().is_empty());
}

#[test]
fn t3_nobody_becomes_stale_while_the_link_is_down_and_two_seconds_after() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    door.table.on_link(door.now, false);
    door.later(Duration::from_secs(600));
    door.table.on_link(door.now, true);
    door.later(LINK_BACK_GRACE - Duration::from_millis(1));
    assert!(door.probes().is_empty());
    door.later(Duration::from_millis(1));
    assert_eq!(door.probes(), [key("a")]);
    // Deaf again before the answer.
    door.table.on_link(door.now, false);
    door.probed("a", 1, false);
    assert_eq!(door.routed(), ["a"]);
}

#[test]
fn t4_a_suspect_is_probed_until_it_answers() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    let slot = door.slot("a");
    slot.unreachable();
    door.later(Duration::from_millis(50));
    assert_eq!(door.probes(), [key("a")]);
    door.later(SUSPECT_PROBE_EVERY);
    assert!(door.probes().is_empty(), "one at a time");
    door.probed("a", 1, false);
    door.later(Duration::ZERO);
    assert_eq!(door.probes(), [key("a")]);
    door.probed("a", 1, true);
    assert!(!slot.is_suspect());
}

#[test]
fn a_drain_is_acknowledged_with_what_is_still_there() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    let slot = door.slot("a");
    assert!(slot.enter(false, 0));
    door.effects.clear();
    door.hears("a", 1, 2, State::Draining);
    assert!(door.effects.contains(&TableEffect::Report));
    assert!(!slot.enter(false, 0), "a thread with an older snapshot finds it closed");
    let ack = |door: &Door| door.table.acks().iter().map(|ack| (ack.seq, ack.inflight)).collect::<Vec<_>>();
    assert_eq!(ack(&door), [(2, 1)]);
    assert!(slot.leave());
    door.hears("a", 1, 3, State::Draining);
    assert_eq!(ack(&door), [(3, 0)]);
    door.hears("a", 1, 4, State::Ready);
    assert!(ack(&door).is_empty() && slot.enter(false, 0), "a drain can be called off");
}

#[test]
fn a_boot_without_a_row_is_acknowledged_too() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    let slot = door.slot("a");
    assert!(slot.enter(false, 0));
    door.hears("a", 2, 1, State::Ready);
    door.hears("a", 1, 2, State::Draining);
    let mut foreign = announced("b", 3, 1, State::Draining);
    foreign.address = Some(([8, 8, 8, 8], 80).into());
    door.hears_this(foreign);
    let acks: Vec<(u64, u32)> = door.table.acks().iter().map(|ack| (ack.boot.0, ack.inflight)).collect();
    assert_eq!(acks, [(1, 1), (3, 0)]);
    door.hears("a", 1, 3, State::Left);
    door.later(Duration::from_secs(4));
    assert!(door.table.acks().is_empty());
}

#[test]
fn one_user_cannot_fill_the_table() {
    let mut door = Door::new();
    for number in 0..=INSTANCES_PER_USER_MAX {
        door.hears(&format!("i{number}"), number as u64, 1, State::Ready);
    }
    assert_eq!(door.table.sizes()[0], INSTANCES_PER_USER_MAX);
    let refused = |effect: &&TableEffect| matches!(effect, TableEffect::Note(TableNote::Refused(_, why)) if why.contains("1000"));
    assert_eq!(door.effects.iter().filter(refused).count(), 1);
    door.table.on_announcement(door.now, announced("other", 1, 1, State::Ready), "eve", &mut door.effects);
    assert_eq!(door.table.sizes()[0], INSTANCES_PER_USER_MAX + 1);
}

#[test]
fn a_refusal_is_shown_until_its_instance_is_taken() {
    let mut door = Door::new();
    let mut far = announced("a", 1, 1, State::Ready);
    far.address = Some(([8, 8, 8, 8], 80).into());
    door.hears_this(far);
    let shown = |door: &Door| door.table.refusals().map(|(_, key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(shown(&door), [key("a")]);
    door.hears("a", 1, 2, State::Ready);
    assert!(shown(&door).is_empty());
}

#[test]
fn a_full_instance_says_why_it_gets_nothing() {
    let mut door = Door::new();
    let mut small = announced("a", 1, 1, State::Ready);
    small.terms.max_inflight = 1;
    door.hears_this(small);
    let why = |door: &Door| door.table.rows().next().and_then(|(_, row)| row.why_not());
    assert_eq!(why(&door), None);
    let slot = door.table.rows().next().map(|(_, row)| row.slot().clone()).expect("a row");
    assert!(slot.enter(false, 1));
    assert_eq!(why(&door), Some(WhyNot::Full));
}

#[test]
fn a_service_without_instances_keeps_its_claims_for_a_while() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    door.hears("a", 1, 2, State::Left);
    assert!(door.table.snapshot().route("any", "/").is_some());
    door.later(EMPTY_SERVICE_KEPT);
    assert!(door.table.snapshot().route("any", "/").is_none());
    let claim = Claim::parse("/x").expect("a claim");
    let mut door = Door::with_claims([(key("a").0, claim)].into());
    door.later(EMPTY_SERVICE_KEPT * 2);
    assert!(door.table.snapshot().route("any", "/x").is_some());
    door.hears("a", 1, 1, State::Ready);
    assert!(door.table.snapshot().route("any", "/y").is_none(), "only the operator's claims hold");
}

#[test]
fn a_periodic_announcement_changes_nothing_for_requests() {
    let mut door = Door::new();
    door.hears("a", 1, 1, State::Ready);
    assert!(door.table.take_changed());
    let mut again = announced("a", 1, 2, State::Ready);
    again.load = Some(crate::announcement::Load { cpu: 10, inflight: 1, rss: 5 });
    door.hears_this(again);
    assert!(!door.table.take_changed());
    let mut heavier = announced("a", 1, 3, State::Ready);
    heavier.terms.weight = 200;
    door.hears_this(heavier);
    assert!(door.table.take_changed());
}
