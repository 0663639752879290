//! Text to value for those who take part on the exchange of services: doors and instances.

use leveret_bus::{Broker, Brokers};
use leveret_door::{Affinity, CertificateConfig, HaproxyConfig, HttpdConfig, ZoneName};
use leveret_services::{Claim, DoorName, InstanceName, Network, ServiceName};

use super::file::read_at_most;
use super::sources::{ConfigError, Environment};
pub(super) use super::values::duration;

/// Bytes of a file with broker URLs.
const AMQP_FILE_BYTES_MAX: usize = 64 * 1024;

pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

pub(super) fn service(text: &str) -> Result<ServiceName, String> {
    ServiceName::new(text).map_err(|error| error.to_string())
}

pub(super) fn instance(text: &str) -> Result<InstanceName, String> {
    InstanceName::new(text).map_err(|error| error.to_string())
}

pub(super) fn door(text: &str) -> Result<DoorName, String> {
    DoorName::new(text).map_err(|error| error.to_string())
}

pub(super) fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(str::to_owned)
}

pub(super) fn claim(text: &str) -> Result<(ServiceName, Claim), String> {
    let wrong = || "is not SERVICE=HOST/PATH, such as shop=shop.example.org/ or shop=/app".to_owned();
    let (name, claim) = text.split_once('=').ok_or_else(wrong)?;
    Ok((service(name)?, Claim::parse(claim).ok_or_else(wrong)?))
}

pub(super) fn haproxy(text: &str) -> Result<HaproxyConfig, String> {
    let wrong = || "is not SOCKET=BACKEND:SERVICE, such as /run/haproxy/admin.sock=web:shop".to_owned();
    let (socket, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (backend, name) = rest.rsplit_once(':').ok_or_else(wrong)?;
    // The name goes into command lines: what HAProxy takes for a name, and nothing that ends a command.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if socket.is_empty() || backend.is_empty() || !backend.bytes().all(fits) {
        return Err(wrong());
    }
    Ok(HaproxyConfig { socket: socket.into(), backend: backend.to_owned(), service: service(name)? })
}

pub(super) fn httpd(text: &str) -> Result<HttpdConfig, String> {
    let wrong =
        || "is not URL=BALANCER:SERVICE, such as http://127.0.0.1/balancer-manager=web:shop".to_owned();
    let (url, rest) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (balancer, name) = rest.rsplit_once(':').ok_or_else(wrong)?;
    if balancer.is_empty() {
        return Err(wrong());
    }
    HttpdConfig::new(url, balancer, service(name)?).map_err(str::to_owned)
}

pub(super) fn certificate(text: &str) -> Result<CertificateConfig, String> {
    let (chain, key) = text.split_once(':').unwrap_or((text, text));
    if chain.is_empty() || key.is_empty() {
        return Err("is not CHAIN:KEY, such as /etc/ssl/shop.pem:/etc/ssl/shop.key".to_owned());
    }
    Ok(CertificateConfig { chain: chain.into(), key: key.into() })
}

pub(super) fn zone(text: &str) -> Result<ZoneName, String> {
    let name = ZoneName::from_ascii(text).map_err(|error| format!("is no name of a zone: {error}"))?;
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    if name.num_labels() == 0 { Err("is the root".to_owned()) } else { Ok(name) }
}

pub(super) fn affinity(text: &str) -> Result<(ServiceName, Affinity), String> {
    let (name, how) = text.split_once('=').unwrap_or((text, ""));
    let how = match how {
        "route" => Affinity::Route,
        "cookie" => Affinity::Cookie,
        "none" => Affinity::None,
        _ => return Err("is not SERVICE=route, SERVICE=cookie or SERVICE=none".to_owned()),
    };
    Ok((service(name)?, how))
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| "is not a number from 1 to 64".to_owned())
}

pub(super) fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "is not a number".to_owned())
}

/// Where the brokers are: flags, then the variable, then the file, then this machine. A password may come by
/// the last three only, because `ps` shows the first to everybody.
pub(super) fn brokers(
    given: &[(&'static str, Vec<String>)],
    listed: &[String],
    file: Option<&std::path::Path>,
) -> Result<Brokers, ConfigError> {
    let visible = given.iter().any(|(key, _)| *key == "amqp");
    let mut urls = listed.to_vec();
    if let (true, Some(path)) = (urls.is_empty(), file) {
        let bytes = read_at_most(path, AMQP_FILE_BYTES_MAX)
            .map_err(|what| ConfigError::new(format!("--amqp-file {}: {what}", path.display())))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        urls.extend(lines.map(str::to_owned));
    }
    if urls.is_empty() {
        urls.push("amqp://127.0.0.1:5672".to_owned());
    }
    let parse = |url: &String| {
        let parsed = if visible { Broker::parse_visible(url) } else { Broker::parse(url) };
        // The URL itself is not shown: it may hold a password.
        parsed.map_err(|error| ConfigError::new(format!("a URL of --amqp {error}")))
    };
    let brokers = urls.iter().map(parse).collect::<Result<_, _>>()?;
    Brokers::new(brokers).map_err(|error| ConfigError::new(format!("--amqp {error}")))
}

/// Part of a name from whatever the machine is called.
pub(super) fn host_label(_: &Environment) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().to_ascii_lowercase();
    let label: String =
        host.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if label.is_empty() { "host".to_owned() } else { label }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "5", "s", "-1s", "1d", "1.5s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_backend_is_named_with_its_socket_and_its_service() {
        let driver = haproxy("/run/h.sock=web:shop").expect("all three");
        assert_eq!((driver.backend.as_str(), driver.service.as_str()), ("web", "shop"));
        for bad in ["", "/s=web", "web:shop", "=web:shop", "/s=a;b:shop", "/s=web:Shop", "/s=:shop"] {
            assert!(haproxy(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_balancer_is_named_with_its_page_and_its_service() {
        let driver = httpd("http://127.0.0.1:81/balancer-manager=web:shop").expect("all three");
        assert_eq!((driver.balancer.as_str(), driver.url.path()), ("web", "/balancer-manager"));
        for bad in [
            "",
            "http://h/=web",
            "web:shop",
            "https://h/=web:shop",
            "http://u:p@h/=web:shop",
            "http://h/=:shop",
        ] {
            assert!(httpd(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_may_come_by_the_environment_and_not_by_a_flag() {
        let url = "amqp://a:secret@h".to_owned();
        let by_flag = brokers(&[("amqp", vec![url.clone()])], std::slice::from_ref(&url), None);
        let error = by_flag.expect_err("refused").to_string();
        assert!(error.contains("ps") && !error.contains("secret"), "{error}");
        assert!(brokers(&[], &[url], None).is_ok());
    }
}
