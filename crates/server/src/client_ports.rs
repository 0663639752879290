//! The addresses at which clients connect: bound at start, opened when the node is ready.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tracing::{info, warn};

use crate::node_config::NodeConfig;
use crate::start_error::StartError;

/// The option that sets them.
const FLAG: &str = "--listen";

/// A socket that is bound and does not listen yet.
#[derive(Debug)]
pub(crate) struct ClientPort {
    pub(crate) socket: Socket,
    /// With the port that the system chose.
    pub(crate) address: SocketAddr,
}

impl ClientPort {
    /// Why that one cannot be opened.
    pub(crate) fn wrong(address: SocketAddr, error: io::Error) -> StartError {
        StartError::Listen { what: "AMQP", address, flag: FLAG, error }
    }
}

/// Where RESP clients come.
#[derive(Debug)]
pub(crate) struct SessionPort {
    pub(crate) socket: Socket,
    pub(crate) address: SocketAddr,
    /// Sessions of an earlier start.
    pub(crate) image: Option<Arc<[u8]>>,
}

/// Binds them all. IPv6's loopback address may be missing as long as another one is there: a machine without
/// IPv6 serves as well, and `localhost` is then IPv4 alone for its clients too.
///
/// # Errors
/// One of them is not free or not ours, or none is given.
pub(crate) fn bind_client_ports(addresses: &[SocketAddr]) -> Result<Vec<ClientPort>, StartError> {
    let mut ports = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind(*address, "AMQP", FLAG, shares_port(*address, addresses)) {
            Ok(socket) => ports.push(ClientPort { address: local(&socket)?, socket }),
            Err(error) if is_without_ipv6(*address, &error) => {
                info!(%address, "no IPv6 here: clients are not let in at this address");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (ports.is_empty(), missing) {
        (false, _) => Ok(ports),
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::Error::other("no address for clients is given").into()),
    }
}

/// An IPv6 socket that takes IPv4 clients too, as it does by default, would be in the way of another one's
/// port.
fn shares_port(address: SocketAddr, all: &[SocketAddr]) -> bool {
    all.iter().any(|other| other.is_ipv4() && other.port() == address.port())
}

/// The system says that it has no such address at all. It is no error of the operator's for `::1`, which is a
/// default.
fn is_without_ipv6(address: SocketAddr, error: &StartError) -> bool {
    // EAFNOSUPPORT and EADDRNOTAVAIL
    let absent =
        matches!(error, StartError::Listen { error, .. } if matches!(error.raw_os_error(), Some(97 | 99)));
    absent && address.is_ipv6() && address.ip().is_loopback()
}

/// Binds without listening: a taken port is known at once, and nobody is let in before the node is ready. Of
/// two that bind a port at the same moment, the second to listen is refused then (Linux: SO_REUSEADDR).
pub(crate) fn bind(
    address: SocketAddr,
    what: &'static str,
    flag: &'static str,
    ipv6_only: bool,
) -> Result<Socket, StartError> {
    let wrong = |error| StartError::Listen { what, address, flag, error };
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map_err(wrong)?;
    if address.is_ipv6() && ipv6_only {
        socket.set_only_v6(true).map_err(wrong)?;
    }
    socket.set_reuse_address(true).map_err(wrong)?;
    socket.set_nonblocking(true).map_err(wrong)?;
    socket.bind(&address.into()).map_err(wrong)?;
    Ok(socket)
}

/// Where a socket is bound.
pub(crate) fn local(socket: &Socket) -> Result<SocketAddr, StartError> {
    let address = socket.local_addr()?;
    address.as_socket().ok_or_else(|| io::Error::other("a TCP socket without an address").into())
}

/// A node that other machines can reach and that lets none of their users in is a mistake that is found last.
pub(crate) fn warn_if_nobody_gets_in(ports: &[ClientPort], config: &NodeConfig) {
    let user = &config.default_user;
    let behind_proxies = !config.proxy_protocol_from.is_empty();
    let is_open = |ip: IpAddr| !ip.to_canonical().is_loopback();
    let outside = ports.iter().map(|port| port.address).find(|address| is_open(address.ip()));
    let reached = outside.map(|address| format!("listens on {address}"));
    let reached = reached.or_else(|| behind_proxies.then(|| "stands behind a proxy".to_owned()));
    let Some(reached) = reached.filter(|_| user.is_loopback_only(&config.loopback_users)) else { return };
    warn!(
        user = user.name(),
        "this node {reached}, but its only user may log in from this machine alone: nobody else gets in; \
         set --default-user with --default-password-file, or --loopback-users none"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses<const N: usize>(texts: [&str; N]) -> [SocketAddr; N] {
        texts.map(|text| text.parse().unwrap())
    }

    #[test]
    fn one_port_serves_both_families_whichever_is_bound_first() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for [first, second] in [["0.0.0.0", "::"], ["::", "0.0.0.0"]] {
            let both = [first, second].map(|ip| SocketAddr::new(ip.parse().unwrap(), free));
            // without IPv6 there is one of them
            let ports = match bind_client_ports(&both) {
                Ok(ports) => ports,
                Err(error) if matches!(&error, StartError::Listen { address, .. } if address.is_ipv6()) => {
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(ports.iter().map(|port| port.address).collect::<Vec<_>>(), both);
        }
    }

    #[test]
    fn only_the_loopback_address_of_ipv6_may_be_missing() {
        let [v6, other, v4] = addresses(["[::1]:7", "[2001:db8::1]:7", "192.0.2.1:7"]);
        let absent = |address, code| StartError::Listen {
            what: "AMQP",
            address,
            flag: FLAG,
            error: io::Error::from_raw_os_error(code),
        };
        assert!(is_without_ipv6(v6, &absent(v6, 97)) && is_without_ipv6(v6, &absent(v6, 99)));
        assert!(!is_without_ipv6(v6, &absent(v6, 98)), "in use");
        assert!(!is_without_ipv6(other, &absent(other, 99)) && !is_without_ipv6(v4, &absent(v4, 99)));
        assert!(bind_client_ports(&[v4]).is_err(), "an address of documentation is nobody's");
        assert!(bind_client_ports(&[]).is_err());
    }
}
