//! `leveret door`: runs a front door, and asks a running one.

mod table;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};
use leveret_door::{Door, Status, ask_admin};
use leveret_services::{InstanceName, ServiceName};
use listenfd::ListenFd;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::door::OPTIONS;
use crate::config::{self, augment, given};
use crate::output::print;
use crate::{allocator, logging};

/// Flags of `leveret door`, or one of its commands.
#[derive(Debug)]
pub(crate) struct DoorArgs {
    given: Vec<(&'static str, Vec<String>)>,
    command: Option<DoorCommand>,
}

#[derive(Debug, Subcommand)]
enum DoorCommand {
    /// Show services and instances of a running door
    Status(StatusArgs),
    /// Tell an instance to take no new requests
    Drain(InstanceArgs),
    /// Tell a drained instance to take requests again
    Ready(InstanceArgs),
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Print the JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Print again each second until interrupted
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Args)]
struct AdminArgs {
    /// Admin address of the door [default: 127.0.0.1:8081] [env: LEVERET_DOOR_ADMIN]
    #[arg(long, value_name = "ADDR:PORT")]
    admin: Option<String>,
}

#[derive(Debug, Args)]
struct InstanceArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Its service
    #[arg(value_parser = |text: &str| ServiceName::new(text))]
    service: ServiceName,
    /// Its name there
    #[arg(value_parser = |text: &str| InstanceName::new(text))]
    instance: InstanceName,
}

impl AdminArgs {
    /// By the rules of the door's own option.
    fn address(&self) -> anyhow::Result<SocketAddr> {
        let given: Vec<_> = self.admin.iter().map(|admin| ("admin", vec![admin.clone()])).collect();
        Ok(config::door::load(&given, &config::environment())?.admin)
    }
}

impl Args for DoorArgs {
    fn augment_args(command: Command) -> Command {
        let command = augment(command, OPTIONS.iter()).args_conflicts_with_subcommands(true);
        DoorCommand::augment_subcommands(command).subcommand_required(false)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DoorArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let command = match matches.subcommand_name() {
            Some(_) => Some(DoorCommand::from_arg_matches(matches)?),
            None => None,
        };
        Ok(Self { given: given(matches, OPTIONS.iter()), command })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Runs a door until SIGTERM or SIGINT, or asks one.
pub(crate) fn run(args: &DoorArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        None => {
            let result = serve(args);
            logging::flush();
            result
        }
        Some(DoorCommand::Status(status)) => show(status),
        Some(DoorCommand::Drain(instance)) => tell(instance, "drain"),
        Some(DoorCommand::Ready(instance)) => tell(instance, "ready"),
    }
}

fn serve(args: &DoorArgs) -> anyhow::Result<ExitCode> {
    allocator::give_large_memory_back();
    let settings = config::door::load(&args.given, &config::environment())?;
    logging::start(settings.log_format, settings.log_level.clone())?;
    logging::end_on_panic();
    let (listen, admin) = (settings.listen, settings.admin);
    let mut door = settings.into_config(&args.given)?;
    door.sockets = inherited()?;
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("signals cannot be handled")?;
    let door = Door::start(door).with_context(|| {
        format!("cannot listen on {listen} and {admin}; is a door running there already?")
    })?;
    print(&format!("listening for HTTP on {}\n", door.listen()))?;
    if let Some(address) = door.tls_listen() {
        print(&format!("listening for HTTPS on {address}\n"))?;
    }
    if let Some(address) = door.dns_listen() {
        print(&format!("listening for DNS on {address}\n"))?;
    }
    print(&format!("admin on {}\nready\n", door.admin()))?;
    // Ends with a signal only.
    let _ = signals.forever().next();
    tracing::info!("stopping: no more connections, requests are finished");
    door.stop();
    Ok(ExitCode::SUCCESS)
}

/// Listeners of systemd's socket activation: LISTEN_FDS, if LISTEN_PID is this process.
fn inherited() -> anyhow::Result<Vec<Arc<TcpListener>>> {
    let mut from_env = ListenFd::from_env();
    let all = (0..from_env.len()).map(|number| from_env.take_tcp_listener(number));
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.context("LISTEN_FDS names something that is no TCP listener")?;
    Ok(all.into_iter().flatten().map(Arc::new).collect())
}

fn show(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let admin = args.admin.address()?;
    loop {
        let body = ask_admin(admin, "GET", "/status")?;
        let text = if args.json {
            let document: serde_json::Value =
                serde_json::from_slice(&body).context("the answer is not JSON")?;
            format!("{document:#}\n")
        } else {
            let status: Status =
                serde_json::from_slice(&body).context("the answer is not a door's status")?;
            table::render(&status)
        };
        if !args.watch {
            print(&text)?;
            return Ok(ExitCode::SUCCESS);
        }
        // Clears the screen and goes to its top.
        print(&format!("\u{1b}[2J\u{1b}[H{text}"))?;
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

fn tell(args: &InstanceArgs, verb: &str) -> anyhow::Result<ExitCode> {
    let path = format!("/services/{}/instances/{}/{verb}", args.service, args.instance);
    ask_admin(args.admin.address()?, "POST", &path)?;
    print(&format!("told {}/{}: {verb}\n", args.service, args.instance))?;
    Ok(ExitCode::SUCCESS)
}
