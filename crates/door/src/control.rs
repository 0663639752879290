//! The thread that keeps the table: it hears instances, acknowledges drains, probes, and gives the others new
//! snapshots.
//!
//! Invariant: an acknowledgement is read from the slots after the announcement that closed them was applied:
//! both happen here, in this order, in one thread.

mod probe;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use leveret_bus::{Bus, BusConfig, Incoming, Outgoing};
use leveret_model::limits::{
    DOOR_FIRST_ROUTE_AFTER, DOOR_QUESTIONS_MAX, DOOR_REPORT_EVERY, DOOR_REPORT_GAP, DOOR_TICK_EVERY, DOOR_TTL,
};
use leveret_model::{Boot, Instant};
use leveret_services::{
    DoorReport, Fence, Message, RowKey, Table, TableConfig, TableEffect, TableNote, command_key, door_key,
};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

pub use self::probe::probe;
use crate::dns::{self, DnsSockets};
use crate::haproxy::Haproxy;
use crate::httpd::Httpd;
use crate::question::Question;
use crate::shared::{Shared, stopped};
use crate::status::{LinkStatus, Status};
use crate::tls::Keyring;
use crate::{admin, driver};

/// A probe's answer.
struct Probed {
    key: RowKey,
    boot: Boot,
    answered: bool,
}

struct Control {
    shared: Arc<Shared>,
    table: Table,
    boot: Boot,
    outgoing: mpsc::Sender<Outgoing>,
    probed: mpsc::UnboundedSender<Probed>,
    link: LinkStatus,
    /// No snapshot before this; `None` until the first link.
    routes_from: Option<Instant>,
    routes: bool,
    next_report: Instant,
    last_report: Instant,
    /// Messages that nobody can read; said once for each power of two.
    unreadable: u64,
}

/// What a door has besides the proxy, if it is asked for.
pub(crate) struct Parts {
    pub(crate) keyring: Option<Arc<Keyring>>,
    pub(crate) dns: Option<DnsSockets>,
}

/// Runs until the door ends.
pub(crate) fn run(
    shared: &Arc<Shared>,
    admin_listener: TcpListener,
    parts: Parts,
    link: impl FnOnce(BusConfig) -> Bus,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the door's control cannot run"),
    };
    LocalSet::new().block_on(&runtime, async move {
        let (questions, asked) = mpsc::channel(DOOR_QUESTIONS_MAX);
        tokio::task::spawn_local(admin::serve(admin_listener, questions, shared.stopping()));
        if let Some(keyring) = parts.keyring {
            tokio::task::spawn_local(keyring.follow(Arc::clone(shared)));
        }
        if let Some((config, sockets)) = shared.config.dns.clone().zip(parts.dns) {
            tokio::task::spawn_local(dns::serve(config, sockets, Arc::clone(shared)));
        }
        for config in shared.config.haproxy.clone() {
            let service = config.service.clone();
            tokio::task::spawn_local(driver::drive(Haproxy::new(config), service, Arc::clone(shared)));
        }
        for config in shared.config.httpd.clone() {
            let service = config.service.clone();
            tokio::task::spawn_local(driver::drive(Httpd::new(config), service, Arc::clone(shared)));
        }
        let bus = link(BusConfig {
            brokers: shared.config.brokers.clone(),
            name: format!("door {}", shared.config.name),
            bindings: vec!["announce.#".to_owned()],
            ask: Some(shared.config.name.clone()),
        });
        carry(shared, bus, asked).await;
    });
}

/// Carries events until the door ends. The last report says so, by being the last.
async fn carry(shared: &Arc<Shared>, bus: Bus, mut asked: mpsc::Receiver<Question>) {
    let Bus { outgoing, mut incoming } = bus;
    // At most one probe for each row is under way, so the table bounds it.
    let (probed, mut probes) = mpsc::unbounded_channel();
    let mut control = Control::new(Arc::clone(shared), outgoing, probed);
    let mut ticks = tokio::time::interval(DOOR_TICK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = stopped(shared.stopping());
    tokio::pin!(stop);
    let mut stopping = false;
    loop {
        let mut effects = Vec::new();
        let report_in = shared.clock.until(control.next_report);
        tokio::select! {
            event = incoming.recv() => match event {
                Some(event) => {
                    control.on_incoming(event, &mut effects);
                    // What came together changes the snapshot once.
                    while let Ok(event) = incoming.try_recv() {
                        control.on_incoming(event, &mut effects);
                    }
                }
                None => return,
            },
            Some(Probed { key, boot, answered }) = probes.recv() => {
                control.table.on_probe(shared.clock.now(), &key, boot, answered, &mut effects);
            }
            Some(question) = asked.recv() => control.on_question(question),
            () = shared.drained.notified() => control.report_soon(),
            _ = ticks.tick() => control.table.poll(shared.clock.now(), &mut effects),
            () = tokio::time::sleep(report_in) => control.report(),
            () = &mut stop, if !stopping => stopping = true,
        }
        control.carry_out(effects);
        control.refresh();
        // Requests that the serving threads finish are acknowledged to the end.
        if stopping && Arc::strong_count(shared) <= LAST_HOLDERS {
            return;
        }
    }
}

/// Of [`Shared`] when every serving thread has ended: the door's handle, this thread and its control.
const LAST_HOLDERS: usize = 3;

impl Control {
    fn new(
        shared: Arc<Shared>,
        outgoing: mpsc::Sender<Outgoing>,
        probed: mpsc::UnboundedSender<Probed>,
    ) -> Self {
        let now = shared.clock.now();
        let mut own = vec![shared.config.listen, shared.config.admin];
        own.extend(shared.config.tls.as_ref().map(|tls| tls.listen));
        let fence = Fence::new(shared.config.allow.clone(), own);
        let table = Table::new(TableConfig { fence, claims: shared.config.claims.clone() }, now);
        let boot = Boot(getrandom::u64().unwrap_or_else(|_| std::process::id().into()));
        Self {
            shared,
            table,
            boot,
            outgoing,
            probed,
            link: LinkStatus::default(),
            routes_from: None,
            routes: false,
            next_report: now + DOOR_REPORT_EVERY,
            last_report: now,
            unreadable: 0,
        }
    }

    fn on_incoming(&mut self, event: Incoming, effects: &mut Vec<TableEffect>) {
        let now = self.shared.clock.now();
        match event {
            Incoming::Up { broker, user } => {
                tracing::info!(broker, "linked to a broker");
                self.link = LinkStatus { up: true, broker, user, why: String::new() };
                self.table.on_link(now, true);
                self.routes_from.get_or_insert(now + DOOR_FIRST_ROUTE_AFTER);
                if !self.table.acks().is_empty() {
                    self.report_soon();
                }
            }
            Incoming::Down { why } => {
                // Each round of vain dials says so; people hear it once.
                if self.link.up || self.link.why.is_empty() {
                    tracing::warn!(why, "no broker: requests go on to the instances that are known");
                    self.table.on_link(now, false);
                }
                self.link = LinkStatus { up: false, why, ..LinkStatus::default() };
            }
            Incoming::Message(Message::Announcement(announcement), user) => {
                let user = user.unwrap_or_default();
                self.table.on_announcement(now, *announcement, &user, effects);
            }
            Incoming::Message(..) | Incoming::Settled { .. } => {}
            Incoming::Unreadable { key, why } => {
                self.unreadable += 1;
                if self.unreadable.is_power_of_two() {
                    tracing::warn!(key = %key.escape_debug(), why = %why.escape_debug(), times = self.unreadable, "message ignored");
                }
            }
        }
    }

    fn on_question(&mut self, question: Question) {
        match question {
            Question::Status(answer) => {
                let status = Status::of(&self.shared, &self.table, &self.link);
                // Who asked may be gone.
                let _ = answer.send(status);
            }
            Question::Command(service, instance, command, answer) => {
                let outgoing = Outgoing {
                    key: command_key(&service, &instance),
                    body: command.to_body(),
                    ttl: DOOR_TTL,
                    confirm: None,
                };
                let known = self.table.rows().any(|(key, _)| *key == (service.clone(), instance.clone()));
                let sent = match (known, self.link.up) {
                    (false, _) => Err("this door knows no such instance"),
                    (_, false) => Err("this door has no broker to send it by"),
                    _ => self.outgoing.try_send(outgoing).map_err(|_| "too much waits for the broker"),
                };
                let _ = answer.send(sent);
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<TableEffect>) {
        for effect in effects {
            match effect {
                TableEffect::Probe { key, boot, address, health } => {
                    let probed = self.probed.clone();
                    tokio::task::spawn_local(async move {
                        let answered = probe(address, health.as_deref()).await;
                        // Control ends with the door.
                        let _ = probed.send(Probed { key, boot, answered });
                    });
                }
                TableEffect::Report => self.report_soon(),
                TableEffect::Note(note) => log(&note),
            }
        }
    }

    /// Gives the serving threads a new snapshot, if there is one.
    fn refresh(&mut self) {
        if !self.routes {
            let now = self.shared.clock.now();
            if self.routes_from.is_none_or(|from| now < from) {
                return;
            }
            self.routes = true;
        } else if !self.table.take_changed() {
            return;
        }
        self.shared.publish(self.table.snapshot());
    }

    fn report_soon(&mut self) {
        self.next_report = self.next_report.min(self.last_report + DOOR_REPORT_GAP);
    }

    fn report(&mut self) {
        let now = self.shared.clock.now();
        self.last_report = now;
        self.next_report = now + DOOR_REPORT_EVERY;
        let door = self.shared.config.name.clone();
        let report = DoorReport {
            v: 1,
            door: door.clone(),
            boot: self.boot,
            services: self.table.counts(),
            acks: self.table.acks(),
        };
        let ttl: Duration = DOOR_TTL;
        // Without a link or with a full queue the next report says the same.
        let _ = self.outgoing.try_send(Outgoing {
            key: door_key(&door),
            body: report.to_body(),
            ttl,
            confirm: None,
        });
    }
}

fn log(note: &TableNote) {
    let name = |(service, instance): &RowKey| format!("{service}/{instance}");
    match note {
        TableNote::Joined(key, address) => tracing::info!(instance = name(key), %address, "instance joined"),
        TableNote::Changed(key, state) => tracing::info!(instance = name(key), %state, "instance changed"),
        TableNote::Replaced(key) => {
            tracing::info!(instance = name(key), "another process took the name of an instance");
        }
        TableNote::Left(key) => tracing::info!(instance = name(key), "instance left"),
        TableNote::Gone(key) => {
            tracing::warn!(
                instance = name(key),
                "instance removed: it is silent and its address does not answer"
            );
        }
        TableNote::SilentButServing(key) => {
            tracing::warn!(
                instance = name(key),
                "instance is silent, and its address answers: served for 60 s more"
            );
        }
        TableNote::Refused(key, why) => tracing::warn!(instance = name(key), why, "announcement refused"),
    }
}
