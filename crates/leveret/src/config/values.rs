//! Text to value, one function per kind of value. An error says what was expected, with an example.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use leveret_model::limits;
use leveret_server::{SessionRules, SourceNetwork};
use tracing_subscriber::filter::Targets;

use super::Environment;

/// A name to look up, and the port of what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DnsName {
    /// Host name.
    pub(crate) name: String,
    /// Cluster port of every address found.
    pub(crate) port: u16,
}

/// What a stop means for what a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// It comes back with it.
    Persistent,
    /// Others get it.
    Ephemeral,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people, with colours on a terminal.
    Auto,
    /// For people, without colours.
    Human,
    /// One JSON object a line.
    Json,
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let what = "is not ADDR:PORT with a numeric address, such as 127.0.0.1:5672 or [::1]:5672";
        // as the variable is written
        let several = if text.contains(',') { "; give the flag once for each of several" } else { "" };
        format!("{what}{several}")
    })
}

pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("is not a path".to_owned());
    }
    Ok(PathBuf::from(text))
}

pub(crate) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ':');
    if text.is_empty() || text.len() > 255 || !text.chars().all(fits) {
        return Err("is not a name: 1 to 255 letters, digits or . _ - @ :".to_owned());
    }
    Ok(text.to_owned())
}

/// A user's name, which is a short string on the wire.
pub(crate) fn user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err("is not the name of a user: 1 to 255 bytes without control characters".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn source_network(text: &str) -> Result<SourceNetwork, String> {
    text.parse().map_err(str::to_owned)
}

/// A zone, or a host name in it: letters, digits and hyphens.
pub(crate) fn zone(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let bare = text.strip_suffix('.').unwrap_or(text);
    // with room for the names of nodes before it
    if bare.len() > 180 || !bare.split('.').all(label) {
        return Err(
            "is not a DNS name of letters, digits, hyphens and dots, such as cloud.example".to_owned()
        );
    }
    Ok(bare.to_ascii_lowercase())
}

pub(crate) fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified()).ok_or_else(|| {
        "is not a numeric address that others can reach, such as 10.0.0.5 or fd00::5".to_owned()
    })
}

pub(crate) fn dns_ttl(text: &str) -> Result<u32, String> {
    let ttl = text.parse().ok().filter(|ttl| (1..=86_400).contains(ttl));
    ttl.ok_or_else(|| "is not a number of seconds from 1 to 86400".to_owned())
}

pub(crate) fn dns_name(text: &str) -> Result<DnsName, String> {
    let wrong = || "is not NAME or NAME:PORT, such as nodes.example.org:25672".to_owned();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
        None => (text, limits::CLUSTER_PORT),
    };
    // RFC 1035 §2.3.4: 255 bytes in all, 63 a label; underscores occur in service names.
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && !label.starts_with('-')
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    if bare.len() > 253 || !bare.split('.').all(label) {
        return Err(wrong());
    }
    Ok(DnsName { name: host.to_owned(), port })
}

pub(crate) fn shards(text: &str) -> Result<u8, String> {
    let max = limits::SHARDS_MAX;
    text.parse()
        .ok()
        .filter(|n| (1..=max).contains(n))
        .ok_or_else(|| format!("is not a number from 1 to {max}"))
}

pub(crate) fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes < limits::MEMORY_BYTES_MIN {
        return Err(format!("is less than {}", show_bytes(limits::MEMORY_BYTES_MIN)));
    }
    Ok(bytes)
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || "is not a size, such as 2GiB, 500MB or a number of bytes".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        // RabbitMQ reads sizes so: a bare letter is a power of 1024, with B a power of 1000.
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "k" | "K" | "kiB" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a time, such as 500ms, 30s, 10m or 2h".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim() {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3_600),
        _ => return Err(wrong()),
    };
    Ok(unit * number)
}

pub(crate) fn session_bytes(text: &str) -> Result<u64, String> {
    let most = limits::SESSION_BYTES_CEILING as u64;
    let bytes = size(text)?;
    if (1..=most).contains(&bytes) { Ok(bytes) } else { Err(format!("is not 1 to {}", show_bytes(most))) }
}

pub(crate) fn session_copies(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|copies| *copies <= 1).ok_or_else(|| "is neither 0 nor 1".to_owned())
}

pub(crate) fn session_gone_for(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let fits = (limits::SESSION_GONE_FOR_MIN..=limits::SESSION_GONE_FOR_MAX).contains(&time);
    if fits { Ok(time) } else { Err("is not 10s to 1h".to_owned()) }
}

pub(crate) fn session_rule(text: &str) -> Result<String, String> {
    SessionRules::with(&[text]).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "it is `true` or `false`".to_owned())
}

pub(crate) fn lifetime(text: &str) -> Result<Lifetime, String> {
    match text {
        "persistent" => Ok(Lifetime::Persistent),
        "ephemeral" => Ok(Lifetime::Ephemeral),
        _ => Err("is none of persistent, ephemeral".to_owned()),
    }
}

pub(crate) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("is none of auto, human, json".to_owned()),
    }
}

pub(crate) fn log_level(text: &str) -> Result<Targets, String> {
    // A bare word that is no level would count as a target at every level; nobody means that.
    let bare_level = |part: &str| {
        part.contains('=') || ["off", "error", "warn", "info", "debug", "trace"].contains(&part.trim())
    };
    let wrong =
        "is none of off, error, warn, info, debug, trace, nor a list such as info,leveret_cluster=debug";
    if !text.split(',').all(bare_level) {
        return Err(wrong.to_owned());
    }
    text.parse().map_err(|_| wrong.to_owned())
}

/// Where XDG puts a user's data.
pub(crate) fn user_data_dir(environment: &Environment) -> Result<String, String> {
    let directory = |key: &str| {
        let value =
            environment.iter().find(|(name, _)| name == key).map(|(_, value)| PathBuf::from(value))?;
        value.is_absolute().then_some(value)
    };
    let base = directory("XDG_DATA_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/share")));
    let path =
        base.ok_or("is not given, and neither HOME nor XDG_DATA_HOME is set; say where data may be")?;
    path.join("leveret")
        .into_os_string()
        .into_string()
        .map_err(|_| "is not given, and HOME is not UTF-8".to_owned())
}

/// One per core that this process may use.
pub(crate) fn shards_of_machine(_: &Environment) -> Result<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(cores.min(usize::from(limits::SHARDS_DEFAULT_MAX)).to_string())
}

/// A size in the largest unit that divides it.
pub(crate) fn show_bytes(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}
