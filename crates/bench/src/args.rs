//! The command line of `leveret bench`. Each option is declared once, here, with meaning, unit, default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Subcommand, ValueEnum};

use super::payload::BODY_BYTES_MIN;
use super::url::Url;

/// Largest body that is offered.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Measure a broker, or compare two.
///
/// Works against any AMQP 0-9-1 broker. Given two URLs, rounds are interleaved (A, B, relay, A, B, relay, …)
/// and medians and ratios printed. The relay is a server without queues in a process of its own: the floor of
/// this machine. Every message is accounted for; the exit code is 1 if any was lost, duplicated, reordered or
/// damaged.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub(super) scenario: Scenario,
}

#[derive(Subcommand, Clone, Debug)]
pub(super) enum Scenario {
    /// As many messages as the broker takes, from publishers to queues of their own.
    Throughput(ThroughputArgs),
    /// Messages at a given rate; delays count from the intended send time.
    Latency(LatencyArgs),
    /// One publisher to many queues through a fanout exchange.
    Fanout(FanoutArgs),
    /// Connections with a channel that do nothing: memory of each, CPU of all.
    Idle(IdleArgs),
    /// Connect, open a channel, close both, again and again.
    Churn(ChurnArgs),
    /// Start a broker's process again and again: time until the first completed handshake, and its memory.
    Start(StartArgs),
    /// Append and sync, without a broker: what a disk can do, in the batches of a node's log.
    Disk(DiskArgs),
    /// Serve as the relay.
    Relay(RelayArgs),
}

/// Whom to measure, and how to report.
#[derive(Args, Clone, Debug)]
pub(super) struct PeerArgs {
    /// Broker, as amqp://user:password@host:port/vhost; a second one (B) is compared with the first (A).
    #[arg(long, value_name = "URL", default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    pub(super) url: Vec<Url>,
    /// Node to which publishers connect, the n-th for the n-th --url where queues and consumers are: the way
    /// of a message through a cluster. Default: --url itself. Name the --pid of both nodes.
    #[arg(long, value_name = "URL")]
    pub(super) publish_url: Vec<Url>,
    /// Server process whose CPU and memory are read, children and threads included; the n-th belongs to the
    /// n-th --url. Several nodes of one broker are joined by commas: 101,102.
    #[arg(long, value_name = "PID[,PID…]", value_parser = parse_pids)]
    pub(super) pid: Vec<Pids>,
    /// Leave the relay out.
    #[arg(long)]
    pub(super) no_relay: bool,
    /// Data directory of a leveret node, the n-th for the n-th --url: the share of messages that crossed
    /// shards is read there (`leveret status --json`).
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) reporting: Reporting,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Reporting {
    /// Rounds for each peer; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub(super) json: bool,
    /// Show progress even if stderr is not a terminal.
    #[arg(long)]
    pub(super) progress: bool,
}

/// How long, how much at once.
#[derive(Args, Clone, Debug)]
pub(super) struct FlowArgs {
    /// Measured seconds of a round.
    #[arg(long, default_value = "4", value_parser = parse_seconds, value_name = "S")]
    pub(super) seconds: Duration,
    /// Measured messages of a round, instead of --seconds.
    #[arg(long, conflicts_with = "seconds", value_name = "N")]
    pub(super) messages: Option<u64>,
    /// Seconds at the start of each round that do not count.
    #[arg(long, default_value = "1", value_parser = parse_seconds, value_name = "S")]
    pub(super) warmup: Duration,
    /// Messages published and not received at most, so that a fast publisher does not turn the test into a
    /// fill. Default: as many as lead to 50000 deliveries or 32 MiB of bodies, whichever is less, but at
    /// least 64.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_backlog: Option<u64>,
    /// `confirm`: publisher confirms and manual acknowledgements; `auto`: neither.
    #[arg(long, value_enum, default_value_t = AckMode::Auto)]
    pub(super) ack: AckMode,
    /// Unconfirmed publishes of a publisher at most (only with --ack confirm).
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) in_flight: u64,
    /// Unacknowledged deliveries of a consumer at most (only with --ack confirm: a broker bounds nothing that
    /// is acknowledged as it is sent).
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(super) prefetch: u16,
    /// Deliveries acknowledged by one basic.ack (only with --ack confirm); 1 is one by one.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) ack_every: u32,
    /// Durable queues and persistent messages.
    #[arg(long)]
    pub(super) persistent: bool,
    /// Idle connections opened between the consumers and the publishers, which moves the publishers to other
    /// shards of a broker that deals connections out: one number for all, or one for each --url, joined by
    /// commas.
    #[arg(long, value_delimiter = ',', default_values_t = [0_u32], value_name = "N")]
    pub(super) shift: Vec<u32>,
    /// Seconds without a delivery after which what has not come is lost.
    #[arg(long, default_value = "10", value_parser = parse_seconds, value_name = "S")]
    pub(super) drain: Duration,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AckMode {
    Auto,
    Confirm,
}

/// An option of a scenario that was given and would do nothing: nobody is to take what it says for measured.
pub fn given_in_vain(scenario: &ArgMatches) -> Option<String> {
    let acks = scenario.try_get_one::<AckMode>("ack").ok()??;
    let given = |id: &&str| scenario.value_source(id) == Some(ValueSource::CommandLine);
    let in_vain = ["prefetch", "in_flight", "ack_every"].into_iter().find(given)?;
    (*acks == AckMode::Auto).then(|| {
        let flag = in_vain.replace('_', "-");
        format!("--{flag} has no effect with automatic acknowledgement (--ack auto); add --ack confirm, or leave it out")
    })
}

#[derive(Args, Clone, Debug)]
pub(super) struct ThroughputArgs {
    #[command(flatten)]
    pub(super) peers: PeerArgs,
    #[command(flatten)]
    pub(super) flow: FlowArgs,
    /// Body sizes, one after the other; 16 B at least.
    #[arg(long, value_delimiter = ',', default_values = ["16", "1KiB", "64KiB"], value_parser = parse_size, value_name = "SIZE")]
    pub(super) body: Vec<usize>,
    /// Publishers, each with a queue and a consumer of its own; several numbers are measured one after the
    /// other.
    #[arg(long, value_delimiter = ',', default_values_t = [1_u32], value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub(super) pairs: Vec<u32>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct LatencyArgs {
    #[command(flatten)]
    pub(super) peers: PeerArgs,
    #[command(flatten)]
    pub(super) flow: FlowArgs,
    /// Body size.
    #[arg(long, default_value = "16", value_parser = parse_size, value_name = "SIZE")]
    pub(super) body: usize,
    /// Messages per second; several rates are measured one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [5000_u32, 20_000], value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(super) rate: Vec<u32>,
    /// Put client, relay and the --pid processes under SCHED_RR while measuring, so that p99 does not measure
    /// the neighbours. Needs root.
    #[arg(long)]
    pub(super) realtime: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct FanoutArgs {
    #[command(flatten)]
    pub(super) peers: PeerArgs,
    #[command(flatten)]
    pub(super) flow: FlowArgs,
    /// Body sizes, one after the other.
    #[arg(long, value_delimiter = ',', default_values = ["16"], value_parser = parse_size, value_name = "SIZE")]
    pub(super) body: Vec<usize>,
    /// Queues, each with a consumer.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2000), value_name = "N")]
    pub(super) queues: u32,
    /// Connections that the consumers share. Default: one each.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) connections: Option<u32>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct IdleArgs {
    #[command(flatten)]
    pub(super) peers: PeerArgs,
    /// Connections, each with a channel.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(super) connections: u32,
    /// Seconds during which CPU is counted.
    #[arg(long, default_value = "10", value_parser = parse_seconds, value_name = "S")]
    pub(super) seconds: Duration,
    /// Seconds to come to rest before memory is read and CPU counted.
    #[arg(long, default_value = "2", value_parser = parse_seconds, value_name = "S")]
    pub(super) settle: Duration,
    /// Heartbeat that is asked for, in seconds; 0 is none.
    #[arg(long, default_value_t = 60, value_name = "S")]
    pub(super) heartbeat: u16,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ChurnArgs {
    #[command(flatten)]
    pub(super) peers: PeerArgs,
    /// Connections of a round, one after the other.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub(super) connections: u32,
}

#[derive(Args, Clone, Debug)]
pub(super) struct StartArgs {
    /// Command that serves at --url until it gets SIGTERM; a second one (B) is compared with the first (A).
    /// Words are split at spaces, without quoting; {dir} stands for a new empty directory each time.
    #[arg(long, required = true, value_name = "COMMAND")]
    pub(super) exec: Vec<String>,
    /// Where the n-th command serves.
    #[arg(long, value_name = "URL", default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    pub(super) url: Vec<Url>,
    /// A node that the command joins: a queue is declared there, and the time counts until a message
    /// published to it at --url is confirmed and delivered to a consumer at --url.
    #[arg(long, value_name = "URL")]
    pub(super) joins: Option<Url>,
    /// Seconds to wait for a handshake.
    #[arg(long, default_value = "60", value_parser = parse_seconds, value_name = "S")]
    pub(super) patience: Duration,
    /// Leave the relay out.
    #[arg(long)]
    pub(super) no_relay: bool,
    /// Starts of each command.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub(super) json: bool,
    /// Show progress even if stderr is not a terminal.
    #[arg(long)]
    pub(super) progress: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct DiskArgs {
    /// Directory on the disk; a file of 64 MiB is made there, and removed.
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// Data directory of a leveret node: what its log has is written again in the same batches, beside 4 KiB
    /// at a time. The log keeps the newest 128 MiB or so.
    #[arg(long, value_name = "DATA_DIR")]
    pub(super) like: Option<PathBuf>,
    /// Seconds of a round.
    #[arg(long, default_value = "2", value_parser = parse_seconds, value_name = "S")]
    pub(super) seconds: Duration,
    #[command(flatten)]
    pub(super) reporting: Reporting,
}

#[derive(Args, Clone, Debug)]
pub(super) struct RelayArgs {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5670")]
    pub(super) listen: SocketAddr,
    /// End when standard input ends: so the relay does not outlive the run that started it.
    #[arg(long, hide = true)]
    pub(super) with_parent: bool,
}

/// Processes of one broker.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Pids(pub(super) Vec<u32>);

fn parse_pids(text: &str) -> Result<Pids, String> {
    let mut pids = Vec::new();
    for word in text.split(',') {
        let pid = word.parse().map_err(|_| "process ids are numbers, joined by commas".to_owned())?;
        // Named twice, it still is one process.
        if !pids.contains(&pid) {
            pids.push(pid);
        }
    }
    Ok(Pids(pids))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "seconds are a number, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        _ => return Err("a size is a number of bytes, KiB or MiB".to_owned()),
    };
    let size = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    match size {
        Some(size) if (BODY_BYTES_MIN..=BODY_BYTES_MAX).contains(&size) => Ok(size),
        Some(_) => Err(format!("a body takes {BODY_BYTES_MIN} B to {} MiB", BODY_BYTES_MAX >> 20)),
        None => Err("a size is a number of bytes, KiB or MiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_size("16"), Ok(16));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1m"), Ok(1 << 20));
        for bad in ["15", "1 GiB", "x", "65MiB", ""] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pids_of_several_nodes_are_joined_by_commas() {
        assert_eq!(parse_pids("7,8"), Ok(Pids(vec![7, 8])));
        assert_eq!(parse_pids("7,8,7"), Ok(Pids(vec![7, 8])), "one process counts once");
        assert!(parse_pids("7,x").is_err());
    }
}
