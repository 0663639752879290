//! What must be true, whatever the weather.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::Instant;
use leveret_model::limits::{
    DOOR_ACKS_MAX, DOOR_TTL, HELD_REQUESTS_MAX, INSTANCES_MAX, LINK_BACK_GRACE, RETIRED_BOOTS_MAX,
    SERVICES_MAX,
};
use leveret_services::TableNote;

use super::doors::Request;
use super::{Participant, STORM, World};

/// Promised after the last fault.
const ROUTED_WITHIN: Duration = Duration::from_secs(2);

/// The time of late messages, of a ttl, of a probe and of an announcement after that.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) violations: Vec<String>,
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    /// Where each POST was executed.
    posts: BTreeMap<u64, u64>,
    liveness_checks: usize,
}

impl Judge {
    pub(crate) fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }
}

impl World {
    /// A drain ended well: no door that counts has a request there, and none will send one.
    pub(crate) fn judge_drained(&mut self, at: usize) {
        let (now, link) = (self.now, self.links[at]);
        let Some(process) = self.process(at) else { return };
        let boot = process.boot;
        // Heard over this link, so that the instance must count it.
        let counts = |heard: &Instant| now.since(*heard) < DOOR_TTL && *heard >= link.since && link.is_up();
        let heard = process.doors_heard.iter().filter(|(_, heard)| counts(heard));
        let waited_for: Vec<_> = heard.map(|(name, _)| name.clone()).collect();
        process.waited_for = waited_for.clone();
        for participant in &self.participants {
            if let Participant::Door(door) = participant
                && waited_for.contains(&door.name)
            {
                let there = door.at_boots.get(&boot).copied().unwrap_or(0);
                self.judge.demand(there == 0, || {
                    format!("drained: {} still has {there} at boot {boot}", door.name)
                });
            }
        }
    }

    /// A drain may time out only if a request is there, or a door that counts cannot be heard.
    pub(crate) fn judge_drain_timeout(&mut self, at: usize) {
        let since_storm = self.now.since(Instant::ZERO).saturating_sub(STORM);
        let Some(process) = self.process(at) else { return };
        let boot = process.boot;
        let there = self.participants.iter().any(|participant| match participant {
            Participant::Door(door) => door.at_boots.get(&boot).is_some_and(|count| *count > 0),
            Participant::Process(_) => false,
        });
        // In the storm acknowledgements get lost.
        let settled = since_storm > Duration::from_secs(20);
        self.judge.demand(there || !settled, || {
            format!("waits end: boot {boot} drained in vain with nothing in flight")
        });
    }

    pub(crate) fn judge_sent(&mut self, door: usize, boot: u64) {
        let Some(name) = self.door(door).map(|door| door.name.clone()) else { return };
        let Some(process) = self.process(boot as usize) else { return };
        let late = process.waited_for.contains(&name);
        self.judge
            .demand(!late, || format!("drained: {name} sends to boot {boot} behind its acknowledgement"));
    }

    pub(crate) fn judge_executed(&mut self, request: &Request, boot: u64) {
        if request.method == "POST"
            && let Some(other) = self.judge.posts.insert(request.number, boot)
        {
            self.judge.violations.push(format!("post: {} at boots {other} and {boot}", request.number));
        }
    }

    pub(crate) fn judge_answered(&mut self, _request: &Request) {
        self.judge.answered += 1;
    }

    /// In the calm nothing fails while somebody serves.
    pub(crate) fn judge_failed(&mut self, door: usize, number: u64, tries: u32) {
        let calm = self.now.since(Instant::ZERO) > STORM + Duration::from_secs(12);
        let now = self.now;
        let steady = self.participants.iter().filter(|participant| match participant {
            Participant::Process(process) => {
                process.listens(now) && !process.stopping && now.since(process.opens) >= ROUTED_WITHIN
            }
            Participant::Door(_) => false,
        });
        let served = steady.count() > 0;
        self.judge.demand(!calm || !served, || {
            format!("calm: request {number} failed at door {door} after {tries} tries")
        });
    }

    /// T3.
    pub(crate) fn judge_note(&mut self, at: usize, note: &TableNote) {
        let link = self.links[at];
        if let TableNote::Gone(key) = note {
            let deaf = !link.is_up() || self.now.since(link.since) < LINK_BACK_GRACE;
            self.judge
                .demand(!deaf, || format!("stale: {key:?} removed by door {at} while its link was down"));
        }
    }

    pub(crate) fn judge_door(&mut self, at: usize) {
        let Some(door) = self.door(at) else { return };
        let [rows, services, retired, owed] = door.table.sizes();
        let held = door.held.len();
        let acks = door.table.acks().len();
        let bounded = rows <= INSTANCES_MAX
            && services <= SERVICES_MAX
            && retired <= RETIRED_BOOTS_MAX
            && owed <= INSTANCES_MAX
            && acks <= DOOR_ACKS_MAX
            && held <= HELD_REQUESTS_MAX;
        self.judge.demand(bounded, || format!("bounds: {rows} {services} {retired} {owed} {acks} {held}"));
        self.judge_ghosts(at);
        let (calm_for, checks) =
            (self.now.since(Instant::ZERO).saturating_sub(STORM), self.judge.liveness_checks);
        if checks < 2 && calm_for >= [ROUTED_WITHIN, SETTLED_WITHIN][checks] {
            self.judge.liveness_checks += 1;
            self.judge_liveness(checks == 0);
        }
    }

    /// A ready and reachable instance is chosen two seconds after the last fault. `steady`: only names that
    /// one process had in the last seconds, because a late word of a dead process may hold a living one's
    /// name for as long as its ttl.
    fn judge_liveness(&mut self, steady: bool) {
        let now = self.now;
        let recent = Instant::ZERO + (STORM - Duration::from_secs(5));
        let names: Vec<(usize, bool)> = self
            .participants
            .iter()
            .filter_map(|participant| match participant {
                Participant::Process(process) => Some((process.name, process.lived_after(recent))),
                Participant::Door(_) => None,
            })
            .collect();
        let lives = |participant: &&Participant, name: usize| match participant {
            Participant::Process(process) => process.name == name && !process.ended,
            Participant::Door(_) => false,
        };
        // Of two living processes under one name one is served (T1).
        let alone = |name: usize| self.participants.iter().filter(|other| lives(other, name)).count() == 1;
        let contested =
            |name: usize| names.iter().filter(|(other, recent)| *other == name && *recent).count() > 1;
        let expected = |participant: &Participant| match participant {
            Participant::Process(process) => {
                // It may only just have started, which is no fault of the doors.
                let ready = process.announces_ready()
                    && process.listens(now)
                    && !process.stopping
                    && now.since(process.opens) >= ROUTED_WITHIN;
                let judged = alone(process.name) && !(steady && contested(process.name));
                (ready && judged).then_some(process.boot)
            }
            Participant::Door(_) => None,
        };
        let expected: Vec<u64> = self.participants.iter().filter_map(expected).collect();
        let mut missing = Vec::new();
        for participant in &self.participants {
            let Participant::Door(door) = participant else { continue };
            let candidates = &door.snapshot.services[0].candidates;
            let chosen = |boot: &u64| {
                candidates.iter().any(|candidate| candidate.boot.0 == *boot && !candidate.slot.is_suspect())
            };
            missing
                .extend(expected.iter().filter(|boot| !chosen(boot)).map(|boot| (door.name.clone(), *boot)));
        }
        self.judge.demand(missing.is_empty(), || format!("liveness: not routed: {missing:?}"));
    }

    /// T2: whoever was heard to leave is not routed to.
    fn judge_ghosts(&mut self, at: usize) {
        let Some(door) = self.door(at) else { return };
        let routed = |boot: &&u64| door.snapshot.services[0].candidates.iter().any(|c| c.boot.0 == **boot);
        let ghost = door.heard_left.iter().find(routed).copied();
        self.judge
            .demand(ghost.is_none(), || format!("ghost: door {at} routes to boot {ghost:?}, which left"));
    }

    pub(crate) fn judge_end(&mut self) {
        let overdue = self.overdue();
        self.judge.demand(overdue.is_empty(), || format!("waits end: boots {overdue:?} still run"));
    }
}
