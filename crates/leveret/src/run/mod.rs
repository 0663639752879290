//! `leveret run` and `leveret announce`: the driver of one supervised instance.
//!
//! Read first: `crates/services/src/supervised.rs`, the machine. Here are its clock, its link
//! ([`leveret_bus`]), its process ([`child`]), its probes and its figures ([`load`]). All of it is one
//! thread.

mod child;
mod load;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgMatches, Args, Command, FromArgMatches};
use leveret_bus::{Brokers, Bus, BusConfig, Incoming, Outgoing};
use leveret_model::limits::{ANNOUNCE_EVERY, DOOR_TTL, STOP_WITHOUT_BROKER};
use leveret_model::{Boot, Instant, Seed};
use leveret_services::{
    ASK_KEY, Effect, Event, Kind, Note, Settings, StopSignal, Supervised, announce_key, command_key,
};
use tokio::sync::mpsc;

pub(crate) use self::child::exec;
use self::child::{Child, Signals, Woken};
use crate::config::instance::{self, InstanceSettings, OPTIONS};
use crate::config::{self, augment, given};
use crate::logging;

/// Words and flags of `leveret run`.
#[derive(Debug)]
pub(crate) struct RunArgs {
    given: Vec<(&'static str, Vec<String>)>,
    worker: bool,
    command: Vec<OsString>,
}

/// Flags of `leveret announce`.
#[derive(Debug)]
pub(crate) struct AnnounceArgs {
    given: Vec<(&'static str, Vec<String>)>,
    pid: Option<i32>,
    pidfile: Option<std::path::PathBuf>,
}

impl Args for RunArgs {
    fn augment_args(command: Command) -> Command {
        let worker = clap::Arg::new("worker").long("worker").action(clap::ArgAction::SetTrue);
        let words = clap::Arg::new("command").value_name("COMMAND").num_args(1..).required(true).last(true);
        augment(command, OPTIONS.iter())
            .arg(worker.help("The process has no port: it consumes from queues"))
            .arg(words.value_parser(clap::value_parser!(OsString)).help("Program and its arguments"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = matches.get_many::<OsString>("command").into_iter().flatten().cloned().collect();
        Ok(Self { given: given(matches, OPTIONS.iter()), worker: matches.get_flag("worker"), command })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for AnnounceArgs {
    fn augment_args(command: Command) -> Command {
        let pid = clap::Arg::new("pid").long("pid").value_name("PID").conflicts_with("pidfile");
        let pidfile = clap::Arg::new("pidfile").long("pidfile").value_name("FILE");
        augment(command, OPTIONS.iter())
            .arg(pid.value_parser(clap::value_parser!(i32).range(1..)).help("Leave when this process ends"))
            .arg(
                pidfile
                    .value_parser(clap::value_parser!(std::path::PathBuf))
                    .help("The same, with its process id in a file"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AnnounceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            given: given(matches, OPTIONS.iter()),
            pid: matches.get_one("pid").copied(),
            pidfile: matches.get_one("pidfile").cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs a command, announces it, and passes its end on.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = instance::load(&args.given, &config::environment())?;
    let brokers = settings.brokers(&args.given)?;
    let kind = if args.worker { Kind::Worker } else { Kind::Http };
    let port = match kind {
        Kind::Http => free_port(settings.address, settings.port)?,
        Kind::Worker => 0,
    };
    let supervision = settings.supervision(kind, true, boot(), port, &brokers)?;
    let command = child::filled(&args.command, port)?;
    carry(&settings, supervision, brokers, |signals| Child::start(&command, port, signals))
}

/// Announces a process that something else started.
pub(crate) fn announce(args: &AnnounceArgs) -> anyhow::Result<ExitCode> {
    let settings = instance::load(&args.given, &config::environment())?;
    let brokers = settings.brokers(&args.given)?;
    if settings.port == 0 {
        bail!(config::ConfigError::new(
            "--port must be given: the application listens there already".to_owned()
        ));
    }
    let supervision = settings.supervision(Kind::Http, false, boot(), settings.port, &brokers)?;
    let pid = match (&args.pid, &args.pidfile) {
        (Some(pid), _) => Some(*pid),
        (None, Some(file)) => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("--pidfile {}", file.display()))?;
            Some(
                text.trim()
                    .parse()
                    .with_context(|| format!("--pidfile {} holds no number", file.display()))?,
            )
        }
        (None, None) => None,
    };
    carry(&settings, supervision, brokers, |_| Child::watch(pid))
}

fn boot() -> Boot {
    Boot(getrandom::u64().unwrap_or_else(|_| std::process::id().into()))
}

/// A port that nobody has now. Between here and the application another process may take it: then the
/// application says so.
fn free_port(address: IpAddr, wanted: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((address, wanted))).with_context(|| {
        format!("port {wanted} of {address} cannot be used; give another --port, or 0 for a free one")
    })?;
    Ok(listener.local_addr()?.port())
}

/// Everything about one instance until it has ended.
fn carry(
    settings: &InstanceSettings,
    supervision: Settings,
    brokers: Brokers,
    start: impl FnOnce(Signals) -> anyhow::Result<Child>,
) -> anyhow::Result<ExitCode> {
    logging::start(settings.log_format, settings.log_level.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        // Before the process: its first signal must find its handler.
        let child = start(Signals::catch()?)?;
        let mut driver = Driver::new(supervision, brokers, child);
        anyhow::Ok(driver.drive().await)
    });
    logging::flush();
    let code = code?;
    // The system keeps eight bits of it.
    Ok(ExitCode::from(code as u8))
}

struct Driver {
    machine: Supervised,
    child: Child,
    bus: Option<Bus>,
    link_up: bool,
    origin: std::time::Instant,
    probed: (mpsc::Sender<bool>, mpsc::Receiver<bool>),
    address: Option<SocketAddr>,
    health: Option<String>,
    meter: load::Meter,
}

impl Driver {
    fn new(supervision: Settings, brokers: Brokers, child: Child) -> Self {
        let announcement = &supervision.announcement;
        let (service, instance) = (&announcement.service, &announcement.instance);
        let bus = leveret_bus::start(BusConfig {
            brokers,
            name: format!("instance {service}/{instance}"),
            bindings: vec![ASK_KEY.to_owned(), "door.*".to_owned(), command_key(service, instance)],
            ask: None,
        });
        let seed = Seed(announcement.boot.0);
        Self {
            address: announcement.address,
            health: announcement.health.as_ref().map(ToString::to_string),
            machine: Supervised::new(supervision, Instant::ZERO, seed),
            meter: load::Meter::new(child.pid()),
            child,
            bus: Some(bus),
            link_up: false,
            origin: std::time::Instant::now(),
            probed: mpsc::channel(1),
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Until the instance has left; gives the exit code.
    async fn drive(&mut self) -> i32 {
        let mut effects = Vec::new();
        let mut figures = tokio::time::interval(ANNOUNCE_EVERY);
        figures.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = self.now();
            self.machine.poll(now, &mut effects);
            if let Some(code) = self.carry_out(&mut effects).await {
                return code;
            }
            let wait = self.machine.deadline(now).since(now).min(MOST);
            let bus = self.bus.as_mut().expect("the link lives as long as the instance");
            tokio::select! {
                event = bus.incoming.recv() => self.on_incoming(event, &mut effects),
                woken = self.child.woken() => self.on_woken(woken, &mut effects),
                Some(answered) = self.probed.1.recv() => {
                    self.machine.on_event(self.now(), Event::Probed(answered), &mut effects);
                }
                _ = figures.tick() => {
                    if let Some(load) = self.meter.read() {
                        self.machine.on_event(self.now(), Event::Load(load), &mut effects);
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn on_incoming(&mut self, event: Option<Incoming>, effects: &mut Vec<Effect>) {
        let now = self.now();
        match event {
            Some(Incoming::Up { broker, .. }) => {
                tracing::info!(broker, "linked to a broker");
                self.link_up = true;
                self.machine.on_event(now, Event::LinkUp, effects);
            }
            Some(Incoming::Down { why }) => {
                if self.link_up || now.since(Instant::ZERO) < FIRST_DIALS {
                    tracing::warn!(why, "no broker: the process runs on, and is announced when there is one");
                }
                self.link_up = false;
                self.machine.on_event(now, Event::LinkDown, effects);
            }
            Some(Incoming::Message(message, user)) => {
                self.machine.on_event(now, Event::Message(&message, user.as_deref()), effects);
            }
            Some(Incoming::Settled { number, routed }) => {
                self.machine.on_event(now, Event::Settled { seq: number, routed }, effects);
            }
            // Others' mistakes are the doors' to tell.
            Some(Incoming::Unreadable { .. }) | None => {}
        }
    }

    fn on_woken(&mut self, woken: Woken, effects: &mut Vec<Effect>) {
        match woken {
            Woken::Terminate => self.machine.on_event(self.now(), Event::Terminate, effects),
            Woken::Exited(code) => self.machine.on_event(self.now(), Event::Exited(code), effects),
            Woken::Nothing => {}
        }
    }

    async fn carry_out(&mut self, effects: &mut Vec<Effect>) -> Option<i32> {
        for effect in std::mem::take(effects) {
            match effect {
                Effect::Announce { announcement, change } => {
                    let outgoing = Outgoing {
                        key: announce_key(&announcement.service, &announcement.instance),
                        body: announcement.to_body(),
                        ttl: announcement.ttl(),
                        confirm: change.then_some(announcement.seq),
                    };
                    let bus = self.bus.as_ref().expect("the link lives as long as the instance");
                    // With a full queue the next announcement says the same.
                    let _ = bus.outgoing.try_send(outgoing);
                }
                Effect::Probe => self.probe(),
                Effect::Signal(StopSignal::Terminate) => self.child.terminate(),
                Effect::Signal(StopSignal::Kill) => self.child.kill(),
                Effect::Finish(code) => {
                    self.say_good_bye().await;
                    return Some(code);
                }
                Effect::Note(note) => log(&note),
            }
        }
        None
    }

    fn probe(&self) {
        let (answer, health) = (self.probed.0.clone(), self.health.clone());
        let Some(address) = self.address else { return };
        tokio::spawn(async move {
            let answered = leveret_door::probe(address, health.as_deref()).await;
            // The instance may have ended.
            let _ = answer.send(answered).await;
        });
    }

    /// `left` is on its way: the link closes behind it.
    async fn say_good_bye(&mut self) {
        let Some(Bus { outgoing, mut incoming }) = self.bus.take() else { return };
        drop(outgoing);
        if self.link_up {
            let end = async { while incoming.recv().await.is_some() {} };
            // A broker that does not answer now is not waited for longer.
            let _ = tokio::time::timeout(STOP_WITHOUT_BROKER, end).await;
        }
    }
}

/// Longest sleep; any deadline that is further away is looked at again.
const MOST: Duration = DOOR_TTL;
/// A broker that is not there at the start is told of once: the first round of dials is over by then.
const FIRST_DIALS: Duration = Duration::from_millis(50);

fn log(note: &Note) {
    match note {
        Note::Ready(after) => tracing::info!(?after, "ready"),
        Note::NotReady => {
            tracing::error!("not ready in time: stopped; see its own output, and --ready-timeout");
        }
        Note::Unready => tracing::warn!("the health path fails: no new requests"),
        Note::NoDoorListens => tracing::info!("announced; no door listens yet"),
        Note::Draining(doors) => {
            tracing::info!(doors, "draining: waiting for every door to have nothing in flight");
        }
        Note::Drained(after) => tracing::info!(?after, "drained"),
        Note::DrainTimedOut(inflight) => tracing::warn!(inflight, "time for draining is over; see --drain"),
        Note::DrainUntold => tracing::warn!("no broker to tell the doors by: stopping without them"),
        Note::Killed => tracing::warn!("did not end after SIGTERM: SIGKILL; see --stop-timeout"),
        Note::CommandRefused(user) => {
            tracing::warn!(user = %user.escape_debug(), "command refused: the user is not in --commander");
        }
        Note::Commanded(command) => tracing::info!(?command, "commanded"),
    }
}
