//! Where to look for other nodes: addresses that were given, and a DNS name that is looked up for ever.
//!
//! A registry gives seeds, never truth: who answers there, authenticated, decides.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use leveret_model::limits;
use tracing::{info, warn};

use crate::control_thread::ToControl;
use crate::mailbox::MailTo;
use crate::node::NodeConfig;

/// Tells the control thread of seeds: once if they were given, for ever if DNS has them.
pub(crate) fn start(config: &NodeConfig, control: MailTo<ToControl>) -> io::Result<()> {
    let mut given = config.seeds.clone();
    given.truncate(limits::SEEDS_MAX);
    let Some((name, port)) = config.dns.clone() else {
        control.send(ToControl::Seeds(given));
        return Ok(());
    };
    let server = config.dns_server;
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(look_up_for_ever(&name, port, server, &given, &control)),
            Err(error) => warn!(%error, "no DNS look-ups: the system gives no event loop"),
        }
    };
    thread::Builder::new().name("dns".into()).spawn(work)?;
    Ok(())
}

async fn look_up_for_ever(
    name: &str,
    port: u16,
    server: Option<SocketAddr>,
    given: &[String],
    control: &MailTo<ToControl>,
) {
    let resolver = match resolver(server) {
        Ok(resolver) => resolver,
        Err(error) => return warn!(%error, "no DNS look-ups: the resolver cannot be set up"),
    };
    let mut before: Option<Vec<String>> = None;
    let mut failing = false;
    loop {
        match resolver.lookup_ip(name).await {
            Ok(found) => {
                let mut seeds: Vec<String> =
                    found.iter().map(|ip: IpAddr| SocketAddr::new(ip, port).to_string()).collect();
                seeds.sort();
                seeds.extend_from_slice(given);
                seeds.truncate(limits::SEEDS_MAX);
                if failing || before.as_ref() != Some(&seeds) {
                    info!(name, seeds = seeds.join(", "), "DNS names these seeds");
                }
                failing = false;
                control.send(ToControl::Seeds(seeds.clone()));
                before = Some(seeds);
            }
            Err(error) => {
                // A running cluster needs no registry: what was found last is still tried.
                if !std::mem::replace(&mut failing, true) {
                    warn!(name, %error, "DNS gives no seeds; looked up again each second");
                }
                if before.is_none() {
                    control.send(ToControl::Seeds(given.to_vec()));
                }
            }
        }
        tokio::time::sleep(limits::LOOK_UP_EVERY).await;
    }
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, hickory_resolver::net::NetError> {
    let mut builder = match server {
        Some(address) => {
            let mut udp = ConnectionConfig::udp();
            let mut tcp = ConnectionConfig::tcp();
            udp.port = address.port();
            tcp.port = address.port();
            let servers = vec![NameServerConfig::new(address.ip(), true, vec![udp, tcp])];
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio()?,
    };
    let options = builder.options_mut();
    // every look-up asks: a cached answer would hide a node for its time to live
    options.cache_size = 0;
    options.timeout = Duration::from_secs(1);
    options.attempts = 2;
    builder.build()
}
