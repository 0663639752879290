//! `leveret serve`: runs a node until it is told to stop, and hands what it holds to other nodes before it
//! does.
//!
//! Standard output gets one line for each fact that another program may wait for, the last of them `ready`;
//! people and log collectors read standard error.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, bounded, select};
use leveret_model::limits;
use leveret_server::{
    ClientRules, DefaultUser, Discovery, DnsUpdate, Ending, JoinReport, LeaveBy, Left, Node, NodeConfig,
    Peer, ProcessWays, SessionRules, SessionSettings,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::{self, Lifetime, ServeArgs, Settings};
use crate::output::print;
use crate::{allocator, logging};

/// Messages went with the node, because nobody was there to take them.
const LEFT_ALONE: u8 = 3;
/// The time was over before every queue had gone to another node.
const LEFT_LATE: u8 = 4;

/// A write or a sync failed.
const DISK_FAILED: i32 = 5;

/// Loads the settings, starts the node, and waits for SIGTERM, SIGINT or `leveret leave`. The exit code says
/// what became of its queues (docs/elasticity.md).
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let result = serve(args);
    logging::flush();
    result
}

fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    allocator::give_large_memory_back();
    let loaded = config::load(args, &config::environment())?;
    let secret = config::read_secret(&loaded)?;
    let dns_update = config::read_dns_update(&loaded)?;
    let config::Loaded { settings, unknown_variables, default_user, .. } = loaded;
    // Before any other thread, and the log has one.
    let raised = raise_descriptors();
    make_room_for_descriptors();
    logging::start(settings.log_format, settings.log_level.clone())?;
    logging::end_on_panic();
    for name in unknown_variables {
        tracing::warn!("{name} is no setting of leveret: see docs/configuration.md");
    }
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is; connections beyond it will wait");
    }
    if !settings.cluster_listen.ip().is_loopback() {
        tracing::warn!(
            "links between nodes are authenticated but readable, they have no TLS yet: use a network that you trust"
        );
    }
    let data_dir = absolute(&settings.data_dir);
    let (seeds, lifetime) = (settings.seed.clone(), settings.lifetime);
    // Before any other thread: a signal must find its handler from the first moment.
    let stop = stop_signal().context("signals cannot be handled")?;
    let leave_window = settings.leave_window;
    let node = Node::start(&node_config(settings, default_user, secret, dns_update))?;
    let mut served = serve_until_left(&node, &data_dir, &seeds, lifetime, &stop);
    if let Ok(Served::Left(Some(_))) = served {
        node.close_clients(leave_window, &stop);
    }
    if let Ok(Served::Left(Some(Left::Empty))) = served {
        served = Ok(Served::Left(node.leave_rest(&stop)));
    }
    let waiters = node.waiters();
    // also after an error: the node's threads log nothing any more when its reason is said
    let lost = node.stop();
    let ending = ending(&served?, lost);
    log_ending(&ending);
    let code = ExitCode::from(ending.code);
    waiters.tell(ending);
    Ok(code)
}

/// What became of what the node held. `lost` are messages that went with it.
fn ending(served: &Served, lost: u64) -> Ending {
    let alone = if lost > 0 { LEFT_ALONE } else { 0 };
    let Served::Left(left) = *served else {
        let text = "stopped: durable queues and their persistent messages are on the disk and come back with this node";
        return Ending { code: 0, text, queues: 0, lost };
    };
    let (code, queues, text) = match left {
        Some(Left::Empty | Left::TakenBack { .. }) => (0, 0, "stopped: no queue is left here"),
        Some(Left::Alone { queues: 0 }) => (0, 0, "stopped"),
        Some(Left::Alone { queues }) => {
            (alone, queues, "stopped: no other node was there to take the queues over")
        }
        Some(Left::Late { queues }) => {
            (LEFT_LATE, queues, "stopped: the time was over before these queues had gone to others")
        }
        None => (alone, 0, "stopped at once"),
    };
    Ending { code, text, queues, lost }
}

/// For people and supervisors.
fn log_ending(&Ending { code, text, queues, lost }: &Ending) {
    match code {
        0 => tracing::info!(lost, "{text}"),
        LEFT_ALONE | LEFT_LATE => tracing::warn!(queues, lost, "{text}"),
        _ => tracing::error!(queues, lost, "{text}"),
    }
}

/// How a node that served ends.
enum Served {
    /// It has left; `None`: it is to stop at once.
    Left(Option<Left>),
    /// It comes back with its disk.
    ComesBack,
}

/// Serves until the node has left, or is to stop at once. A leave that was taken back changes nothing.
fn serve_until_left(
    node: &Node,
    data_dir: &Path,
    seeds: &[SocketAddr],
    lifetime: Lifetime,
    stop: &Receiver<()>,
) -> anyhow::Result<Served> {
    if !tell_where(node, data_dir, seeds, stop)? {
        return Ok(Served::Left(None));
    }
    loop {
        // both senders live as long as the node
        let (within, by) = select! {
            recv(stop) -> _ => match lifetime {
                Lifetime::Persistent => return Ok(Served::ComesBack),
                Lifetime::Ephemeral => (limits::LEAVE_WITHIN, LeaveBy::Signal),
            },
            recv(node.leave_asked()) -> within => (within?, LeaveBy::Operator),
        };
        let seconds = within.as_secs();
        tracing::info!(seconds, "leaving: queues go to other nodes; a second signal stops at once");
        match node.leave(within, by, stop) {
            Some(Left::TakenBack { queues }) => {
                tracing::info!(queues, "the leave was taken back: clients are let in again");
            }
            left => return Ok(Served::Left(left)),
        }
    }
}

/// Says where the node is, once it is ready. False if it is to stop before.
fn tell_where(
    node: &Node,
    data_dir: &Path,
    seeds: &[SocketAddr],
    stop: &Receiver<()>,
) -> anyhow::Result<bool> {
    for address in node.listen() {
        print(&format!("listening for AMQP on {address}\n"))?;
    }
    print(&format!("listening for cluster on {}\n", node.cluster_listen()))?;
    if let Some(address) = node.session_listen() {
        print(&format!("listening for sessions on {address}\n"))?;
    }
    print(&format!("admin socket {}\n", absolute(node.admin()).display()))?;
    print(&format!(
        "data in {}; durable queues and their persistent messages are kept there\n",
        data_dir.display()
    ))?;
    let Some(found) = node.wait_ready(stop)? else { return Ok(false) };
    print(&others(&found.peers, found.why_alone.as_deref()))?;
    tell_of_seeds(seeds, node.cluster_listen(), &found);
    print("ready\n")?;
    Ok(true)
}

/// For people: who reads it may be in another directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Who the node's peers are, in a line.
fn others(peers: &[Peer], why_alone: Option<&str>) -> String {
    if peers.is_empty() {
        return format!("alone: {}\n", why_alone.unwrap_or("no other node answered"));
    }
    let named = peers.iter().take(limits::NAMES_SAID);
    let named: Vec<String> = named.map(|Peer { name, address }| format!("{name} ({address})")).collect();
    let count = if peers.len() == 1 { "1 other node" } else { &format!("{} other nodes", peers.len()) };
    match peers.len() - named.len() {
        0 => format!("joined {count}: {}\n", named.join(", ")),
        more => format!("joined {count}: {} and {more} more\n", named.join(", ")),
    }
}

/// Seeds that led to nobody.
#[derive(Debug, PartialEq, Eq)]
enum Vain {
    /// They are silent: a wrong address looks like that, and so does a first node.
    Silent(String),
    /// Each is this node itself, under this or another address.
    Own(String),
}

fn tell_of_seeds(seeds: &[SocketAddr], own: SocketAddr, found: &JoinReport) {
    match vain(seeds, own, found) {
        Some(Vain::Silent(seeds)) => {
            tracing::warn!(
                seeds,
                "no seed let this node in (nobody is there, or of another group): it serves alone, and keeps dialling them"
            );
        }
        Some(Vain::Own(seeds)) => {
            tracing::info!(seeds, "the only seed is this node itself: it serves as a node without seeds");
        }
        None => {}
    }
}

/// The seeds of a node that found nobody.
fn vain(seeds: &[SocketAddr], own: SocketAddr, found: &JoinReport) -> Option<Vain> {
    if !found.peers.is_empty() {
        return None;
    }
    let named = |seeds: Vec<String>| {
        (!seeds.is_empty()).then(|| seeds.into_iter().take(limits::NAMES_SAID).collect::<Vec<_>>().join(", "))
    };
    let is_own = |seed: &SocketAddr| *seed == own || found.own_seeds.contains(&seed.to_string());
    let (selves, others): (Vec<&SocketAddr>, Vec<&SocketAddr>) = seeds.iter().partition(|seed| is_own(seed));
    let [selves, others] = [selves, others].map(|seeds| seeds.iter().map(ToString::to_string).collect());
    named(others).map(Vain::Silent).or_else(|| named(selves).map(Vain::Own))
}

/// As many connections as the system allows: the soft limit is for programs that use `select`.
fn raise_descriptors() -> rustix::io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        Ok(())
    } else {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    }
}

/// Once there are threads, whoever needs a descriptor beyond the process's table waits until the kernel has
/// heard of all CPUs (Linux: `expand_files` calls `synchronize_rcu`): 0.1 to 1 s on a busy machine. The table
/// never shrinks.
fn make_room_for_descriptors() {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = most.min(limits::DESCRIPTORS_READY).saturating_sub(1);
    // without it there is only the wait
    if let Ok((end, _)) = std::io::pipe() {
        drop(rustix::io::fcntl_dupfd_cloexec(end, last as RawFd));
    }
}

/// Tells when to stop.
fn stop_signal() -> std::io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, receiver) = bounded(1);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            // one that is told already stops
            let _ = sender.try_send(());
        }
    })?;
    Ok(receiver)
}

fn node_config(
    settings: Settings,
    default_user: DefaultUser,
    secret: Option<Vec<u8>>,
    dns_update: Option<DnsUpdate>,
) -> NodeConfig {
    NodeConfig {
        sessions: session_settings(&settings),
        name: settings.name.unwrap_or_else(|| default_name(settings.listen[0])),
        listen: settings.listen,
        default_user,
        loopback_users: settings.loopback_users,
        proxy_protocol_from: settings.proxy_protocol_from,
        cluster_listen: settings.cluster_listen,
        data_dir: settings.data_dir,
        group: settings.group,
        discovery: Discovery {
            seeds: settings.seed.iter().map(SocketAddr::to_string).collect(),
            dns: settings.dns.map(|dns| (dns.name, dns.port)),
            seed_file: settings.seed_file,
            dns_update,
            dns_server: settings.dns_server,
        },
        secret,
        shards: settings.shards,
        memory_bytes: settings.memory,
        rebalance: settings.rebalance,
        clients: ClientRules {
            substitute_queue_types: settings.substitute_queue_types,
            consumer_timeout: Some(settings.consumer_timeout).filter(|timeout| !timeout.is_zero()),
        },
        process: ProcessWays {
            give_memory_back: allocator::give_free_memory_back,
            on_disk_failure: end_at_once,
        },
    }
}

/// What the disk has is not known any more, so nothing is done again and nothing is cleaned up.
fn end_at_once(what: &str) {
    tracing::error!(
        "the disk failed: {what}; this process ends at once, and what it confirmed is on the disk"
    );
    logging::flush();
    std::process::exit(DISK_FAILED);
}

fn session_settings(settings: &Settings) -> Option<SessionSettings> {
    let lines: Vec<&str> = settings.session_rule.iter().map(String::as_str).collect();
    Some(SessionSettings {
        listen: settings.session_listen?,
        memory_bytes: settings.session_memory.unwrap_or(settings.memory / 4),
        value_bytes_max: settings.session_bytes_max as usize,
        gone_for: settings.session_gone_for,
        rules: SessionRules::with(&lines).expect("each line was checked where it was read"),
        copies: settings.session_copies,
    })
}

/// Host name and client port; without the port if the system is to choose it.
fn default_name(listen: SocketAddr) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_str().ok().filter(|name| !name.is_empty()).unwrap_or("leveret");
    match listen.port() {
        0 => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_named_and_of_many_it_is_said_how_many_more_there_are() {
        let peer = |number: usize| Peer { name: format!("n{number}"), address: format!("10.0.0.{number}:7") };
        let peers: Vec<Peer> = (1..=limits::NAMES_SAID + 3).map(peer).collect();
        assert_eq!(others(&[], None), "alone: no other node answered\n");
        assert_eq!(others(&[], Some("nobody of group 'x'")), "alone: nobody of group 'x'\n");
        assert_eq!(others(&peers[..2], None), "joined 2 other nodes: n1 (10.0.0.1:7), n2 (10.0.0.2:7)\n");
        assert_eq!(others(&peers[2..3], None), "joined 1 other node: n3 (10.0.0.3:7)\n");
        assert!(others(&peers, None).ends_with("n20 (10.0.0.20:7) and 3 more\n"), "{}", others(&peers, None));
    }

    #[test]
    fn seeds_that_led_to_nobody_are_silent_or_this_node_itself() {
        let [own, other]: [SocketAddr; 2] =
            ["10.0.0.1:7", "10.0.0.2:7"].map(|a| a.parse().expect("an address"));
        let peer = Peer { name: "n2".into(), address: other.to_string() };
        let nobody = JoinReport::default();
        assert_eq!(vain(&[own, other], own, &nobody), Some(Vain::Silent("10.0.0.2:7".into())));
        assert_eq!(
            vain(&[own, other], own, &JoinReport { peers: vec![peer], ..JoinReport::default() }),
            None
        );
        assert_eq!(vain(&[own], own, &nobody), Some(Vain::Own("10.0.0.1:7".into())));
        assert_eq!(vain(&[], own, &nobody), None);
        // one that listens on every address knows itself by none of them
        let everywhere = "0.0.0.0:7".parse().expect("an address");
        let itself = JoinReport { own_seeds: vec![own.to_string()], ..JoinReport::default() };
        assert_eq!(vain(&[own], everywhere, &itself), Some(Vain::Own("10.0.0.1:7".into())));
        assert_eq!(vain(&[own, other], everywhere, &itself), Some(Vain::Silent("10.0.0.2:7".into())));
    }

    #[test]
    fn a_node_without_a_name_is_called_after_host_and_port() {
        let name = |address: &str| default_name(address.parse().expect("an address"));
        assert!(name("127.0.0.1:5672").ends_with(":5672"));
        assert!(!name("127.0.0.1:0").contains(":0") && !name("127.0.0.1:0").is_empty());
    }
}
