//! Faults happen to the world, and end.

use std::time::Duration;

use leveret_cluster::Left;
use leveret_model::Instant;
use leveret_shard::Pressure;

use crate::client::Client;
use crate::control_host::ControlMail;
use crate::event::{ClientId, Event, HostId, ProcessId};
use crate::faults::{FaultKind, Lasting, cut_shape};
use crate::invariants::left_empty;
use crate::network::{Purpose, SILENCE};
use crate::scheduler::HEAL_AT;
use crate::world::{LAST_CRASH, Ways, World, ways};

/// Longest extra delay; more counts as a cut.
const DELAY_MAX_MS: u64 = 470;

impl World {
    pub(crate) fn next_fault(&mut self) {
        let now = self.schedule.now;
        if now >= Instant::ZERO + HEAL_AT {
            return;
        }
        let pause = self.plan.pause(&mut self.schedule.dice);
        self.schedule.after(pause, Event::Fault);
        let kind = self.plan.next(&mut self.schedule.dice);
        if self.inject(kind) {
            self.count(kind);
        }
    }

    /// Silences that were heard of since.
    pub(crate) fn count_silences(&mut self) {
        for _ in 0..std::mem::take(&mut self.network.silences) {
            self.count(FaultKind::DataSilence);
        }
    }

    pub(crate) fn count(&mut self, kind: FaultKind) {
        let now = self.schedule.now;
        self.trace.event(now, 9, &[kind as u64]);
        *self.counts.entry(kind).or_default() += 1;
    }

    /// True if it hit something already; the others are counted when they do, or when they end and have.
    fn inject(&mut self, kind: FaultKind) -> bool {
        let now = self.schedule.now;
        match kind {
            FaultKind::ControlReset => self.reset(kind, |purpose| purpose == Purpose::Control),
            FaultKind::DataReset => self.reset(kind, |purpose| purpose == Purpose::Data),
            FaultKind::ClientReset => self.reset(kind, |purpose| purpose == Purpose::Client),
            FaultKind::OneWayCut | FaultKind::PartialCut | FaultKind::FullCut => {
                let shape = cut_shape(kind, self.hosts, &mut self.schedule.dice);
                self.trace.say(now, || format!("{kind:?} {shape:?}"));
                for (from, to) in &shape {
                    self.network.cut(&mut self.schedule, *from, *to);
                }
                let before = self.network.hits(&shape);
                self.lasts(Lasting::Cuts(kind, shape, before));
                false
            }
            FaultKind::Delay => {
                let shape = cut_shape(FaultKind::FullCut, self.hosts, &mut self.schedule.dice);
                let extra = self.schedule.dice.millis(20, DELAY_MAX_MS);
                self.trace.say(now, || format!("{extra:?} more for {shape:?}"));
                for (from, to) in &shape {
                    self.network.slow(now, *from, *to, extra);
                }
                let before = self.network.hits(&shape);
                self.lasts(Lasting::Slow(shape, before));
                false
            }
            FaultKind::Crash | FaultKind::SilentCrash => self.crash(kind == FaultKind::SilentCrash),
            FaultKind::Leave => self.leave(),
            FaultKind::Pause => self.pause(),
            FaultKind::Starvation => self.starve(),
            FaultKind::DataSilence => self.silence(),
            FaultKind::TightMemory => self.press(kind, Pressure::Tight),
            FaultKind::FullMemory => self.press(kind, Pressure::Full),
            FaultKind::SlowReader => self.deafen(|_| true),
            FaultKind::Stranger => self.stranger_comes(),
            FaultKind::Crowd => self.crowd(),
            // follow others, and are counted when they happen
            FaultKind::Restart | FaultKind::Eviction | FaultKind::Unread => false,
        }
    }

    fn some_process(&mut self) -> Option<ProcessId> {
        let all: Vec<ProcessId> = self.processes.keys().copied().collect();
        self.schedule.dice.pick(&all)
    }

    fn reset(&mut self, kind: FaultKind, wanted: impl Fn(Purpose) -> bool) -> bool {
        let pipes = self.network.pipes(wanted);
        let Some(pipe) = self.schedule.dice.pick(&pipes) else { return false };
        self.trace.say(self.schedule.now, || format!("{kind:?} of {pipe:?}"));
        self.network.reset(&mut self.schedule, pipe);
        true
    }

    fn silence(&mut self) -> bool {
        if self.schedule.now + SILENCE > Instant::ZERO + HEAL_AT {
            return false;
        }
        let pipes = self.network.pipes(|purpose| purpose == Purpose::Data);
        let Some(pipe) = self.schedule.dice.pick(&pipes) else { return false };
        self.trace.say(self.schedule.now, || format!("{pipe:?} falls silent"));
        self.network.silence(&mut self.schedule, pipe);
        false
    }

    fn press(&mut self, kind: FaultKind, pressure: Pressure) -> bool {
        let Some(process) = self.some_process() else { return false };
        self.trace.say(self.schedule.now, || format!("memory of {process:?} is {pressure:?}"));
        self.set_pressure(process, pressure);
        self.lasts(Lasting::Memory(kind, process));
        false
    }

    fn set_pressure(&mut self, process: ProcessId, pressure: Pressure) {
        let mut ways = ways!(self);
        if let Some(process) = self.processes.get_mut(&process) {
            process.set_pressure(pressure, &mut ways);
        }
    }

    /// Clients of a process stop reading while it has little room for what they leave.
    fn crowd(&mut self) -> bool {
        let Some(id) = self.some_process() else { return false };
        let bytes = self.schedule.dice.pick(&[4_000, 12_000, 40_000]).unwrap_or(4_000);
        self.trace.say(self.schedule.now, || format!("{id:?} has {bytes} bytes for what clients leave"));
        self.set_clients_max(id, bytes);
        self.lasts(Lasting::Crowd(id));
        for _ in 0..3 {
            self.deafen(|client| client.at.is_some_and(|(process, ..)| process == id));
        }
        false
    }

    fn set_clients_max(&mut self, process: ProcessId, bytes: u64) {
        let mut ways = ways!(self);
        if let Some(process) = self.processes.get_mut(&process) {
            process.set_clients_max(bytes, &mut ways);
        }
    }

    /// What happened to clients since the last time.
    pub(crate) fn count_met(&mut self) {
        let hosts = self.processes.values_mut().flat_map(|process| &mut process.shards);
        let met: Vec<FaultKind> = hosts.flat_map(|host| std::mem::take(&mut host.met)).collect();
        met.into_iter().for_each(|kind| self.count(kind));
    }

    fn deafen(&mut self, wanted: impl Fn(&Client) -> bool) -> bool {
        let open = self.clients.iter().filter(|client| client.end.is_some() && !client.deaf);
        let open: Vec<ClientId> = open.filter(|client| wanted(client)).map(|client| client.id).collect();
        let Some(id) = self.schedule.dice.pick(&open) else { return false };
        self.trace.say(self.schedule.now, || format!("client {} does not read", id.0));
        self.clients[id.0 as usize].deaf = true;
        self.lasts(Lasting::Deaf(id));
        false
    }

    fn lasts(&mut self, what: Lasting) {
        let long = self.schedule.dice.chance(300);
        let until = self.schedule.dice.millis(200, if long { 9_000 } else { 3_500 });
        self.lasts_for(what, until);
    }

    fn lasts_for(&mut self, what: Lasting, time: Duration) {
        self.schedule.after(time, Event::FaultEnds(self.lasting.len()));
        self.lasting.push(Some(what));
    }

    fn crash(&mut self, silent: bool) -> bool {
        if self.plan.crashes_left == 0 || self.schedule.now > Instant::ZERO + LAST_CRASH {
            return false;
        }
        // the last process stays: a cluster that is gone promises nothing
        if self.processes.len() < 2 {
            return false;
        }
        let Some(process) = self.some_process() else { return false };
        self.plan.crashes_left -= 1;
        self.end_process(process, silent);
        true
    }

    /// Counted when the node has left.
    fn leave(&mut self) -> bool {
        let too_late = self.schedule.now > Instant::ZERO + LAST_CRASH;
        if self.plan.leaves_left == 0 || too_late || self.processes.len() < 2 {
            return false;
        }
        let Some(id) = self.some_process() else { return false };
        self.plan.leaves_left -= 1;
        self.trace.say(self.schedule.now, || format!("{id:?} is told to leave"));
        let mut ways = ways!(self);
        if let Some(process) = self.processes.get_mut(&id) {
            process.mail_control(ControlMail::Leave, &mut ways);
        }
        false
    }

    /// A leave is over: the process ends, and must hold nothing if it says so.
    pub(crate) fn left(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(&id) else { return };
        let Some(left) = process.control.left else { return };
        left_empty::check(self.schedule.now, process, left, &mut self.oracle);
        if left == Left::Empty {
            self.count(FaultKind::Leave);
        }
        self.end_process(id, false);
    }

    fn pause(&mut self) -> bool {
        let Some(process) = self.some_process() else { return false };
        let left = (Instant::ZERO + HEAL_AT).since(self.schedule.now);
        let time = self.schedule.dice.millis(50, 4_000).min(left);
        let Some(host) = self.set_still(process, time) else { return false };
        self.trace.say(self.schedule.now, || format!("{process:?} on {host:?} stands still for {time:?}"));
        self.lasts_for(Lasting::Still(host, process), time);
        false
    }

    fn starve(&mut self) -> bool {
        let Some(id) = self.some_process() else { return false };
        let time = self.schedule.dice.millis(2_000, 8_000);
        let until = self.schedule.now + time;
        let Some(process) = self.processes.get_mut(&id) else { return false };
        process.starved_until = until;
        self.trace.say(self.schedule.now, || format!("shards of {id:?} are slow for {time:?}"));
        true
    }

    pub(crate) fn end_fault(&mut self, index: usize) {
        let Some(lasting) = self.lasting.get_mut(index).and_then(Option::take) else { return };
        let now = self.schedule.now;
        self.trace.say(now, || format!("ends: {lasting:?}"));
        match lasting {
            Lasting::Cuts(kind, shape, before) => {
                if self.network.hits(&shape) > before {
                    self.count(kind);
                }
                for (from, to) in shape {
                    self.network.heal(&mut self.schedule, from, to);
                }
            }
            Lasting::Slow(shape, before) => {
                if self.network.hits(&shape) > before {
                    self.count(FaultKind::Delay);
                }
                for (from, to) in shape {
                    self.network.slow(now, from, to, Duration::ZERO);
                }
            }
            Lasting::Still(host, process) => {
                let process = self.processes.get_mut(&process);
                if process.is_some_and(|process| std::mem::take(&mut process.was_put_off)) {
                    self.count(FaultKind::Pause);
                }
                self.network.truth.on_pause_end(now, host);
            }
            Lasting::Memory(kind, process) => {
                let shards = self.processes.get_mut(&process).into_iter().flat_map(|p| &mut p.shards);
                let stopped = shards.map(|host| std::mem::take(&mut host.stopped));
                if stopped.fold(false, |any, stopped| any | stopped) {
                    self.count(kind);
                }
                self.set_pressure(process, Pressure::Calm);
            }
            Lasting::Deaf(client) => self.client_reads(client),
            Lasting::Crowd(process) => self.set_clients_max(process, u64::MAX),
        }
    }

    pub(crate) fn set_still(&mut self, id: ProcessId, still_for: Duration) -> Option<HostId> {
        let process = self.processes.get_mut(&id)?;
        process.still_until = process.still_until.max(self.schedule.now + still_for);
        self.network.truth.on_pause(self.schedule.now, process.host);
        Some(process.host)
    }

    /// The last fault is over.
    pub(crate) fn heal_all(&mut self) {
        for index in 0..self.lasting.len() {
            self.end_fault(index);
        }
        for process in self.processes.values_mut() {
            process.starved_until = Instant::ZERO;
        }
        let lost: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|client| client.at.is_some_and(|(process, ..)| !self.processes.contains_key(&process)))
            .map(|client| client.id)
            .collect();
        for client in lost {
            self.client_lost(client);
        }
    }
}
