//! What a node is told before it starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use leveret_sessions::Rules as SessionRules;

use crate::default_user::DefaultUser;
use crate::source_network::SourceNetwork;
use crate::tsig_key::TsigKey;

/// Addresses, names and bounds of one node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where clients connect; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Who may log in.
    pub default_user: DefaultUser,
    /// Users that may come from this machine alone.
    pub loopback_users: Vec<String>,
    /// Proxies that say in front of each connection who its client is.
    pub proxy_protocol_from: Vec<SourceNetwork>,
    /// Where other nodes connect.
    pub cluster_listen: SocketAddr,
    /// Where the lock and the admin socket are.
    pub data_dir: PathBuf,
    /// For people.
    pub name: String,
    /// Nodes of one group form a cluster.
    pub group: String,
    /// How the nodes of the group find each other.
    pub discovery: Discovery,
    /// What the nodes of the group share; without one, links run over loopback only.
    pub secret: Option<Vec<u8>>,
    /// Event loops, 1 to `limits::SHARDS_MAX`.
    pub shards: u8,
    /// Memory for messages above which publishers wait, bytes.
    pub memory_bytes: u64,
    /// Queues move to nodes that have fewer of them.
    pub rebalance: bool,
    /// What holds for all clients.
    pub clients: ClientRules,
    /// Sessions, if this node serves them.
    pub sessions: Option<SessionSettings>,
    /// What the node asks of its process.
    pub process: ProcessWays,
}

/// What only the program around a node can do.
#[derive(Clone, Copy, Debug)]
pub struct ProcessWays {
    /// Asks the allocator to give its free memory back to the system.
    pub give_memory_back: fn(),
    /// The disk failed, as the line says: the process ends at once.
    pub on_disk_failure: fn(&str),
}

/// What holds for all clients of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientRules {
    /// Quorum queues and streams are taken as classic queues.
    pub substitute_queue_types: bool,
    /// How long a client may hold a delivery; `None` for ever.
    pub consumer_timeout: Option<Duration>,
}

/// How a node finds the others, and they it.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Addresses of other nodes, looked up for ever.
    pub seeds: Vec<String>,
    /// A DNS name whose A and AAAA records are seeds, and the port to use with them.
    pub dns: Option<(String, u16)>,
    /// A file with seeds, one a line, read again and again.
    pub seed_file: Option<PathBuf>,
    /// The zone in which this node registers itself and finds the others.
    pub dns_update: Option<DnsUpdate>,
    /// Which DNS server to ask; the system's if none is named.
    pub dns_server: Option<SocketAddr>,
}

/// Where a node registers itself, and as what.
#[derive(Clone, Debug)]
pub struct DnsUpdate {
    /// The zone, such as `cloud.example`.
    pub zone: String,
    /// The key that may change it.
    pub key: TsigKey,
    /// The zone's primary; learned from the SOA record if it is not given.
    pub primary: Option<SocketAddr>,
    /// The one name of all nodes for clients; `mq.ZONE` if it is not given.
    pub client_name: Option<String>,
    /// Addresses to register instead of those that the node listens on.
    pub addresses: Vec<IpAddr>,
    /// Time to live of the records, seconds.
    pub ttl_s: u32,
}

/// How a node serves sessions.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Where RESP clients connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Bytes that the sessions of this node may take.
    pub memory_bytes: u64,
    /// Largest value of a session, bytes.
    pub value_bytes_max: usize,
    /// How long a session that ended is remembered.
    pub gone_for: Duration,
    /// Who may be born again.
    pub rules: SessionRules,
    /// Copies of each session on other nodes: 1, or 0.
    pub copies: u8,
}
