//! What the operator decided.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name;
use hyper::Uri;
use leveret_bus::Brokers;
use leveret_model::limits::{
    BODY_IDLE_TIMEOUT, CLIENT_HEAD_TIMEOUT, CLIENT_IDLE_TIMEOUT, RESPONSE_TIMEOUT, TUNNEL_IDLE_TIMEOUT,
    UPSTREAM_CONNECT_TIMEOUT,
};
use leveret_services::{Claim, DoorName, Network, ServiceName};

/// A door's settings.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Its name among doors.
    pub name: DoorName,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// HTTPS, if it is spoken.
    pub tls: Option<TlsConfig>,
    /// Listeners that somebody else opened (socket activation): for HTTP, then for TLS.
    pub sockets: Vec<Arc<TcpListener>>,
    /// Where `door status` asks; loopback.
    pub admin: SocketAddr,
    /// Where instances announce themselves.
    pub brokers: Brokers,
    /// Networks that instances may be in; empty: the local ones.
    pub allow: Vec<Network>,
    /// T8: only these hold, if there are any.
    pub claims: Vec<(ServiceName, Claim)>,
    /// Networks of clients whose `X-Forwarded-*` are kept.
    pub trust: Vec<Network>,
    /// Cookies whose suffix is a route.
    pub cookies: Vec<String>,
    /// HAProxies that follow the door's table.
    pub haproxy: Vec<HaproxyConfig>,
    /// Apache httpds that follow the door's table.
    pub httpd: Vec<HttpdConfig>,
    /// Threads that serve requests.
    pub threads: usize,
    /// Names for resolvers.
    pub dns: Option<DnsConfig>,
    /// How sessions find their instance, of services where it is not the default.
    pub affinity: Vec<(ServiceName, Affinity)>,
    /// How long each step may take.
    pub timeouts: Timeouts,
}

/// A zone of names for the services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Where resolvers ask, by UDP and TCP.
    pub listen: SocketAddr,
    /// Above `SERVICE` and `_http._tcp.SERVICE`.
    pub zone: Name,
    /// What a service without a ready instance is.
    pub fallback: Option<SocketAddr>,
}

/// Where HTTPS is spoken, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The first one is for clients that name nobody.
    pub certificates: Vec<CertificateConfig>,
}

/// A certificate with those that signed it, and its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// File of the certificate and its issuers.
    pub chain: PathBuf,
    /// File of its key; may be the same.
    pub key: PathBuf,
}

/// How a session finds its instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// By the suffix of the application's own cookie, where instances announce routes.
    #[default]
    Route,
    /// By a cookie of the door.
    Cookie,
    /// Not at all.
    None,
}

/// How long each step of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection to an instance.
    pub connect: Duration,
    /// The head of a response.
    pub response: Duration,
    /// A pause inside a body.
    pub body_idle: Duration,
    /// The head of a client's request.
    pub client_head: Duration,
    /// A client's connection between requests.
    pub client_idle: Duration,
    /// A tunnel without a byte.
    pub tunnel_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: UPSTREAM_CONNECT_TIMEOUT,
            response: RESPONSE_TIMEOUT,
            body_idle: BODY_IDLE_TIMEOUT,
            client_head: CLIENT_HEAD_TIMEOUT,
            client_idle: CLIENT_IDLE_TIMEOUT,
            tunnel_idle: TUNNEL_IDLE_TIMEOUT,
        }
    }
}

/// A backend of an HAProxy, and the service whose instances are its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaproxyConfig {
    /// The stats socket, at level admin.
    pub socket: PathBuf,
    /// The backend.
    pub backend: String,
    /// The service.
    pub service: ServiceName,
}

/// A balancer of an Apache httpd, and the service whose instances are its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpdConfig {
    /// The page of balancer-manager.
    pub url: Uri,
    /// The balancer, without `balancer://`.
    pub balancer: String,
    /// The service.
    pub service: ServiceName,
}

impl HttpdConfig {
    /// Reads `http://HOST:PORT/PATH`.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(url: &str, balancer: &str, service: ServiceName) -> Result<Self, &'static str> {
        let url: Uri = url.parse().map_err(|_| "is no URL")?;
        if url.scheme_str() != Some("http") || url.query().is_some() {
            return Err("must be the page of balancer-manager by http, without a query");
        }
        if url.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err("must have no user or password; `Require ip` in its <Location> lets the door in");
        }
        Ok(Self { url, balancer: balancer.to_owned(), service })
    }
}
