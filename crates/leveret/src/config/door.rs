//! Every option of `leveret door`, declared once as those of `serve` are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leveret_door::{
    Affinity, CertificateConfig, DnsConfig, DoorConfig, HaproxyConfig, HttpdConfig, Timeouts, TlsConfig,
    ZoneName,
};
use leveret_services::{Claim, DoorName, Network, ServiceName};
use tracing_subscriber::filter::Targets;

use super::options::{Fallback, options};
use super::sources::{ConfigError, Environment, Sources};
use super::{participant, values};

options! {
    /// Every option of `leveret door` with the value that holds.
    DoorSettings in "DOOR_";

    /// Address and port for HTTP clients.
    ///
    /// Port 0 takes a free one; the line `listening for HTTP on ADDR:PORT` says which.
    listen: SocketAddr = one(values::address), "ADDR:PORT", Fallback::Is("127.0.0.1:8080");

    /// Address and port for HTTPS clients, with HTTP/2 for those that know it.
    ///
    /// Needs `cert`.
    tls_listen: Option<SocketAddr> = maybe(values::address), "ADDR:PORT", Fallback::Absent("none");

    /// Certificate with its issuers, and its key, as two PEM files CHAIN:KEY or one; may be given several
    /// times.
    ///
    /// The client's name (SNI) chooses by the names in the certificates; the first is for the others. The files
    /// are read again when they change.
    cert: Vec<CertificateConfig> = many(participant::certificate), "CHAIN:KEY", Fallback::Absent("none");

    /// Address and port for `door status`, `/healthz` and `/status`.
    ///
    /// Keep it on loopback: whoever reaches it may drain instances.
    admin: SocketAddr = one(values::address), "ADDR:PORT", Fallback::Is("127.0.0.1:8081");

    /// Broker on which instances announce themselves, as amqp://HOST:PORT/VHOST; may be given several times.
    ///
    /// A host name is looked up again for each connection. Without a user `guest`. A URL with a password may
    /// stand in the environment or in `amqp-file`, not on the command line.
    amqp: Vec<String> = many(participant::text), "URL", Fallback::Absent("amqp://127.0.0.1:5672");

    /// File with broker URLs, one a line.
    ///
    /// Read if `amqp` is not given. Lines that start with # are comments.
    amqp_file: Option<PathBuf> = maybe(values::path), "FILE", Fallback::Absent("none");

    /// Name of this door among doors.
    ///
    /// 1 to 63 of a-z, 0-9 and -.
    name: DoorName = one(participant::door), "NAME", Fallback::From("host name and `-door`", door_name);

    /// Network that instances may be in; may be given several times.
    ///
    /// Announcements are claims: an address outside is refused. Link-local and multicast addresses and the
    /// door's own always are.
    allow: Vec<Network> = many(participant::network), "ADDR/PREFIX",
        Fallback::Absent("loopback, RFC 1918 and fc00::/7");

    /// What a service answers, as SERVICE=HOST/PATH; may be given several times.
    ///
    /// Once one is given only these hold, and what instances claim does not count.
    claim: Vec<(ServiceName, Claim)> = many(participant::claim), "SERVICE=HOST/PATH",
        Fallback::Absent("what the instances claim");

    /// Network of proxies whose X-Forwarded-* are kept; may be given several times.
    trust: Vec<Network> = many(participant::network), "ADDR/PREFIX", Fallback::Absent("none");

    /// Cookie whose value ends in `.ROUTE`; may be given several times.
    ///
    /// Looked at once an instance announces a route.
    cookie: Vec<String> = many(participant::text), "NAME", Fallback::Absent("JSESSIONID");

    /// How sessions of a service find their instance, as SERVICE=route, SERVICE=cookie or SERVICE=none; may be
    /// given several times.
    ///
    /// `route`: by the suffix of the application's cookie. `cookie`: the door sets leveret_route. `none`: not
    /// at all.
    affinity: Vec<(ServiceName, Affinity)> = many(participant::affinity), "SERVICE=HOW",
        Fallback::Absent("route, where routes are announced");

    /// HAProxy backend whose servers follow a service, as SOCKET=BACKEND:SERVICE; may be given several times.
    ///
    /// SOCKET is a stats socket at level admin of HAProxy 2.6 or later. Only servers called lv_... are
    /// touched.
    haproxy: Vec<HaproxyConfig> = many(participant::haproxy), "SOCKET=BACKEND:SERVICE", Fallback::Absent("none");

    /// Apache httpd balancer whose members follow a service, as URL=BALANCER:SERVICE; may be given several
    /// times.
    ///
    /// URL is the page of balancer-manager, such as http://127.0.0.1/balancer-manager, of httpd 2.4.
    httpd: Vec<HttpdConfig> = many(participant::httpd), "URL=BALANCER:SERVICE", Fallback::Absent("none");

    /// Address and port for resolvers, by UDP and TCP.
    ///
    /// Answers SERVICE.ZONE with A and AAAA, _http._tcp.SERVICE.ZONE with SRV records of ready instances.
    dns_listen: Option<SocketAddr> = maybe(values::address), "ADDR:PORT", Fallback::Absent("none");

    /// Zone of the names that resolvers ask for.
    dns_zone: ZoneName = one(participant::zone), "ZONE", Fallback::Is("door.internal");

    /// What a service without a ready instance resolves to, mostly the door.
    ///
    /// With one, a name never vanishes while instances are changed.
    dns_fallback: Option<SocketAddr> = maybe(values::address), "ADDR:PORT", Fallback::Absent("no record");

    /// Threads that serve requests.
    ///
    /// 1 to 64.
    threads: usize = one(participant::threads), "N", Fallback::From("one per core, 16 at most", values::shards_of_machine);

    /// Longest time for a connection to an instance.
    connect_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("1s");

    /// Longest pause inside a body, either way.
    body_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("60s");

    /// Longest time for the head of a request, and for a TLS handshake.
    client_head_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("10s");

    /// A client's connection without a request for this is closed.
    client_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("60s");

    /// A tunnel (WebSocket) without a byte for this is closed.
    tunnel_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("60m");

    /// Longest time until the head of a response.
    ///
    /// Then 504.
    response_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("60s");

    /// How log lines look: `auto`, `human` or `json`.
    log_format: values::LogFormat = one(values::log_format), "FORMAT", Fallback::Is("auto");

    /// Which log lines are written.
    log_level: Targets = one(values::log_level), "LEVEL", Fallback::Is("info,lapin=off,hickory_server=warn");
}

fn door_name(environment: &Environment) -> Result<String, String> {
    Ok(format!("{}-door", participant::host_label(environment)))
}

/// Reads flags and environment.
pub(crate) fn load(
    given: &[(&'static str, Vec<String>)],
    environment: &Environment,
) -> Result<DoorSettings, ConfigError> {
    let sources = Sources::without_file(given, environment);
    let settings = DoorSettings::from_sources(&sources)?;
    if !settings.admin.ip().is_loopback() {
        let what = "is not on loopback, and whoever reaches it may drain instances; use a loopback address";
        return Err(ConfigError::new(format!("--admin {}: {what}", settings.admin)));
    }
    Ok(settings)
}

impl DoorSettings {
    /// What the door itself wants to know.
    pub(crate) fn into_config(
        self,
        given: &[(&'static str, Vec<String>)],
    ) -> Result<DoorConfig, ConfigError> {
        if self.tls_listen.is_some() && self.cert.is_empty() {
            return Err(ConfigError::new("--tls-listen needs a --cert".to_owned()));
        }
        let brokers = participant::brokers(given, &self.amqp, self.amqp_file.as_deref())?;
        let cookies = if self.cookie.is_empty() { vec!["JSESSIONID".to_owned()] } else { self.cookie };
        Ok(DoorConfig {
            name: self.name,
            listen: self.listen,
            admin: self.admin,
            brokers,
            allow: self.allow,
            claims: self.claim,
            trust: self.trust,
            haproxy: self.haproxy,
            httpd: self.httpd,
            cookies,
            threads: self.threads,
            tls: self.tls_listen.map(|listen| TlsConfig { listen, certificates: self.cert }),
            sockets: Vec::new(),
            dns: self.dns_listen.map(|listen| DnsConfig {
                listen,
                zone: self.dns_zone,
                fallback: self.dns_fallback,
            }),
            affinity: self.affinity,
            timeouts: Timeouts {
                connect: self.connect_timeout,
                response: self.response_timeout,
                body_idle: self.body_timeout,
                client_head: self.client_head_timeout,
                client_idle: self.client_timeout,
                tunnel_idle: self.tunnel_timeout,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_limits() {
        let settings = load(&[], &Vec::new()).expect("the defaults");
        assert!(settings.name.as_str().ends_with("-door"));
        let config = settings.into_config(&[]).expect("a configuration");
        assert_eq!(config.cookies, ["JSESSIONID"]);
        assert_eq!(config.timeouts, Timeouts::default());
    }

    #[test]
    fn tls_needs_a_certificate() {
        let given = [("tls_listen", vec!["127.0.0.1:0".to_owned()])];
        let settings = load(&given, &Vec::new()).expect("settings");
        assert!(settings.into_config(&given).expect_err("refused").to_string().contains("--cert"));
    }

    #[test]
    fn an_admin_listener_for_everybody_is_refused() {
        let given = [("admin", vec!["0.0.0.0:1".to_owned()])];
        assert!(load(&given, &Vec::new()).expect_err("refused").to_string().contains("loopback"));
    }
}
