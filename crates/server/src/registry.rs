//! Where to look for other nodes: addresses that were given, and a DNS name that is looked up for ever.
//!
//! A registry gives seeds, never truth: who answers there, authenticated, decides. Addresses that were given
//! are tried at once, whatever DNS does; that a node without any answer serves alone waits for the first
//! look-up to end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use leveret_model::limits;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::control_thread::ToControl;
use crate::mailbox::MailTo;
use crate::node_config::NodeConfig;

/// Tells the control thread of seeds: once if they were given, for ever if DNS has them.
pub(crate) fn start(config: &NodeConfig, control: MailTo<ToControl>) -> io::Result<()> {
    let mut given = config.seeds.clone();
    given.truncate(limits::SEEDS_MAX);
    let Some((name, port)) = config.dns.clone() else {
        control.send(ToControl::Seeds(given));
        return Ok(());
    };
    control.send(ToControl::FirstSeeds(given.clone()));
    let mut names = Names { name, server: config.dns_server, resolver: None };
    let work = move || {
        let seeds = Seeds { port, given, found: None, failing: false };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(look_up_for_ever(
                seeds,
                names.name.clone(),
                async || names.look_up().await,
                &control,
            )),
            Err(error) => {
                warn!(%error, "no DNS look-ups: the system gives no event loop");
                control.send(ToControl::Seeds(seeds.given));
            }
        }
    };
    thread::Builder::new().name("dns".into()).spawn(work)?;
    Ok(())
}

async fn look_up_for_ever(
    mut seeds: Seeds,
    name: String,
    mut look_up: impl AsyncFnMut() -> Result<Vec<IpAddr>, String>,
    control: &MailTo<ToControl>,
) {
    loop {
        let found = match timeout(limits::LOOK_UP_WAIT, look_up()).await {
            Ok(found) => found,
            Err(late) => Err(late.to_string()),
        };
        control.send(ToControl::Seeds(seeds.on_found(&name, found)));
        sleep(limits::LOOK_UP_EVERY).await;
    }
}

/// What is known of other nodes' addresses.
#[derive(Debug)]
struct Seeds {
    port: u16,
    given: Vec<String>,
    /// By the last look-up that found some: a running cluster needs no registry, and they are still tried.
    found: Option<Vec<String>>,
    failing: bool,
}

impl Seeds {
    /// All that is to be tried now. That DNS fails is said once, until it does not.
    fn on_found(&mut self, name: &str, found: Result<Vec<IpAddr>, String>) -> Vec<String> {
        match found {
            Ok(found) => {
                let seed = |ip: IpAddr| SocketAddr::new(ip, self.port).to_string();
                let mut seeds: Vec<String> = found.into_iter().map(seed).collect();
                seeds.sort();
                if std::mem::take(&mut self.failing) || self.found.as_ref() != Some(&seeds) {
                    info!(name, seeds = seeds.join(", "), "DNS names these seeds");
                }
                self.found = Some(seeds);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(name, %error, "DNS gives no seeds; looked up again each second");
                }
            }
        }
        let mut all = self.given.clone();
        all.extend(self.found.iter().flatten().cloned());
        all.truncate(limits::SEEDS_MAX);
        all
    }
}

/// Asks for a name.
struct Names {
    name: String,
    server: Option<SocketAddr>,
    resolver: Option<TokioResolver>,
}

impl Names {
    /// After a failure the resolver is made anew: the system's settings may be other ones by then, or readable
    /// again.
    async fn look_up(&mut self) -> Result<Vec<IpAddr>, String> {
        let resolver = match self.resolver.take() {
            Some(resolver) => resolver,
            None => {
                resolver(self.server).map_err(|error| format!("the resolver cannot be set up: {error}"))?
            }
        };
        let found = resolver.lookup_ip(self.name.as_str()).await.map_err(|error| error.to_string())?;
        self.resolver = Some(resolver);
        Ok(found.iter().collect())
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use mio::{Poll, Token};

    use super::*;
    use crate::mailbox::mailbox;

    #[test]
    fn a_resolver_that_cannot_be_used_is_tried_again_and_what_was_given_is_tried_meanwhile() {
        let poll = Poll::new().unwrap();
        let (mailbox, control) = mailbox(poll.registry(), Token(0)).unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let mut look_ups = 0;
        let look_up = async || {
            look_ups += 1;
            match look_ups {
                1 => Err("no /etc/resolv.conf".to_owned()),
                2 => std::future::pending().await,
                _ => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            }
        };
        let given = vec!["10.0.0.1:7".to_owned()];
        let seeds = Seeds { port: 9, given, found: None, failing: false };
        let time = limits::LOOK_UP_EVERY * 2 + limits::LOOK_UP_WAIT + limits::LOOK_UP_EVERY / 2;
        let work = look_up_for_ever(seeds, "cluster.test".to_owned(), look_up, &control);
        runtime.block_on(async { timeout(time, work).await }).expect_err("it goes on for ever");
        let mut told = Vec::new();
        while let Some(mail) = mailbox.take() {
            let ToControl::Seeds(seeds) = mail else { panic!("{mail:?}") };
            told.push(seeds.join(" "));
        }
        assert_eq!(told, ["10.0.0.1:7", "10.0.0.1:7", "10.0.0.1:7 127.0.0.1:9"]);
    }
}
