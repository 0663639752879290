//! The shards of a node and its log, from what the disk holds to threads that run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use leveret_cluster::stored_shard;
use leveret_link::handshake::Hello;
use leveret_model::{Name, Seed, ShardAddress, ShardId};
use leveret_sessions::Home;
use leveret_shard::{SessionConfig, SessionShared, Shard, ShardConfig, Store};
use leveret_store::Effect;

use crate::accept::ClientCounts;
use crate::busy::BusyShares;
use crate::control_thread::ToControl;
use crate::default_user::users_of_shard;
use crate::disk::{
    FoundQueue, LogOutput, LogThread, NodeStore, SenderNumber, StoreGate, StoreReports, of_shard,
};
use crate::half_open::HalfOpen;
use crate::mailbox::MailTo;
use crate::memory::NodeMemory;
use crate::node_config::{NodeConfig, SessionSettings};
use crate::passwords::Passwords;
use crate::session_sockets::SessionSockets;
use crate::shard_thread::{self, ShardThread, ToShardThread, Ways};
use crate::source_network::SourceNetwork;
use crate::start_error::StartError;

/// Shards that run, and the log that keeps what they hand to it.
pub(crate) struct Started {
    pub(crate) shards: Vec<MailTo<ToShardThread>>,
    pub(crate) threads: Vec<JoinHandle<u64>>,
    pub(crate) log: LogThread,
    /// Control's way to the log.
    pub(crate) gate: StoreGate,
    pub(crate) restored: (Vec<FoundQueue>, Vec<Vec<u8>>),
    pub(crate) reports: StoreReports,
}

/// Each hears how far its own turns are on the disk, and all that the disk is nearly full.
fn tell_stored(
    shards: Vec<MailTo<ToShardThread>>,
    control: MailTo<ToControl>,
    memory: Arc<NodeMemory>,
    on_failure: fn(&str),
) -> impl FnMut(LogOutput) + Send + 'static {
    move |output| match output {
        LogOutput::Synced(SenderNumber(sender), turns) if sender == shards.len() => {
            control.send(ToControl::Stored(turns));
        }
        // a sender behind these is the store's own
        LogOutput::Synced(SenderNumber(sender), turns) => {
            shards.iter().skip(sender).take(1).for_each(|shard| shard.send(ToShardThread::Stored(turns)));
        }
        LogOutput::Effect(Effect::Fatal { what }) => on_failure(&what),
        LogOutput::Effect(Effect::DiskLow(low)) => {
            memory.note_disk(low);
            shards.iter().for_each(|shard| shard.send(ToShardThread::MemoryChanged));
        }
        LogOutput::Effect(Effect::Read(answer)) => {
            let shard = usize::from(of_shard(answer.id).0.0);
            shards.iter().skip(shard).take(1).for_each(|to| to.send(ToShardThread::Read(answer.clone())));
        }
        LogOutput::Effect(_) => {}
    }
}

/// Starts the shards' threads; all addresses are there before the first one runs.
pub(crate) fn start_shards(
    config: &NodeConfig,
    (hello, session_listen): (&Hello, Option<SocketAddr>),
    control: &MailTo<ToControl>,
    (memory, busy): (&Arc<NodeMemory>, &Arc<BusyShares>),
) -> Result<Started, StartError> {
    let mut prepared = Vec::new();
    let mut shards = Vec::new();
    for _ in 0..config.shards {
        let (event_loop, address) = shard_thread::prepare()?;
        prepared.push(event_loop);
        shards.push(address);
    }
    let passwords = Passwords::new();
    let half_open = Arc::new(HalfOpen::default());
    let clients = Arc::new(ClientCounts::new(config.shards));
    passwords.answer_to(shards.clone());
    let proxies: Arc<[SourceNetwork]> = config.proxy_protocol_from.as_slice().into();
    let shared = config.sessions.as_ref();
    let shared = shared.map(|sessions| Arc::new(SessionShared::new(config.shards, sessions.memory_bytes)));
    let mut store =
        NodeStore::open(&config.data_dir, (hello.node, &config.group), Seed(u64::from_le_bytes(random())))?;
    let (reports, clock) = (store.reports.clone(), store.clock());
    let restored = store.definitions();
    let sessions = config.sessions.as_ref().zip(shared.as_ref());
    let sessions =
        sessions.map(|(settings, shared)| session_config(settings, (hello, session_listen), shared));
    let recover_within = memory.recovered_part();
    let machines = machines(config, hello, sessions.as_ref(), (&mut store, &restored.0, recover_within))?;
    let senders = machines.len() + 1;
    let output =
        tell_stored(shards.clone(), control.clone(), Arc::clone(memory), config.process.on_disk_failure);
    let log = store.start(senders, output)?;
    let gate = |sender| StoreGate { sender: SenderNumber(sender), inputs: log.inputs(), clock };
    let mut threads = Vec::new();
    for (index, (event_loop, (shard, own))) in prepared.into_iter().zip(machines).enumerate() {
        let sessions = SessionSockets::new(shared.clone());
        let ways = Ways {
            shards: shards.clone(),
            control: control.clone(),
            passwords: passwords.clone(),
            memory: Arc::clone(memory),
            half_open: Arc::clone(&half_open),
            clients: Arc::clone(&clients),
            busy: Arc::clone(busy),
            proxies: Arc::clone(&proxies),
            store: gate(index),
        };
        let boot = hello.boot;
        let work = move || ShardThread::new(event_loop, (shard, own), boot, ways, sessions).run();
        threads.push(thread::Builder::new().name(format!("shard-{index}")).spawn(work)?);
    }
    let gate = gate(senders - 1);
    Ok(Started { shards, threads, log, gate, restored, reports })
}

/// The machines, each with what the disk has of its queues.
fn machines(
    config: &NodeConfig,
    hello: &Hello,
    sessions: Option<&SessionConfig>,
    (store, queues, recover_within): (&mut NodeStore, &[FoundQueue], u64),
) -> Result<Vec<(Shard, ShardAddress)>, StartError> {
    let mut protocol = leveret_amqp::Config::new(env!("CARGO_PKG_VERSION"), &config.group);
    protocol.substitute_queue_types = config.clients.substitute_queue_types;
    protocol.consumer_timeout = config.clients.consumer_timeout;
    let protocol = Arc::new(protocol);
    let process_key: [u8; 32] = random();
    let user = config.default_user.to_user(&random(), &config.loopback_users);
    let mut machines = Vec::new();
    for index in 0..config.shards {
        let own = ShardAddress { node: hello.node, shard: ShardId(index) };
        let mut shard = Shard::new(ShardConfig {
            own,
            boot: hello.boot,
            seed: Seed(u64::from_le_bytes(random())),
            protocol: Arc::clone(&protocol),
            users: users_of_shard(process_key, user.clone()),
            store: Store::Driver,
            reply_key: random(),
        });
        if let Some(sessions) = sessions {
            shard.open_sessions(Seed(u64::from_le_bytes(random())), sessions);
        }
        shard.recover_within(recover_within);
        for queue in queues {
            if stored_shard(&queue.definition, config.shards) == Some(own.shard) {
                store.give(queue.id, &mut shard)?;
            }
        }
        machines.push((shard, own));
    }
    Ok(machines)
}

fn session_config(
    settings: &SessionSettings,
    (hello, listen): (&Hello, Option<SocketAddr>),
    shared: &Arc<SessionShared>,
) -> SessionConfig {
    SessionConfig {
        home: Home { node: hello.node, boot: hello.boot },
        name: hello.name.clone(),
        address: Name::new(&session_address(hello, listen.unwrap_or(settings.listen)).to_string()),
        shards: hello.shards,
        memory_bytes: settings.memory_bytes,
        value_bytes_max: settings.value_bytes_max,
        gone_for_ms: settings.gone_for.as_millis() as u64,
        rules: settings.rules.clone(),
        copies: settings.copies,
        shared: Arc::clone(shared),
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes: without them no identity is unique");
    bytes
}

/// Where clients reach the session listener. One that listens on all addresses is reached where other nodes
/// reach this one.
fn session_address(hello: &Hello, mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified()
        && let Ok(cluster) = hello.address.parse::<SocketAddr>()
    {
        listen.set_ip(cluster.ip());
    }
    listen
}
