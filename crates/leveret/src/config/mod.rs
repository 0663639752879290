//! Configuration of `leveret serve`: one declaration per option, three sources, one answer.
//!
//! Read first: [`options`], where every option is declared once. From that table come the flags and `--help`
//! ([`flags`]), the environment, the file ([`file`]), and the page `docs/configuration.md` ([`page`]).
//! Invariants: file < environment < flag; a list from a higher source replaces the lower one; only the
//! winning value is parsed, so a flag also overrides a value that is wrong in the file; every error is one
//! line that names the option, the value, where it came from and what to do.

mod default_user;
pub(crate) mod door;
mod file;
mod flags;
pub(crate) mod instance;
mod options;
mod page;
mod participant;
mod sources;
mod values;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use leveret_model::limits::{
    LINK_SECRET_BYTES_MIN, LISTENERS_MAX, PROXY_NETWORKS_MAX, SECRET_BYTES_MAX, SECRET_FILE_BYTES_MAX,
};
use leveret_server::{DefaultUser, DnsUpdate, TsigKey};

pub(crate) use flags::{ServeArgs, augment, given};
pub(crate) use options::Settings;
pub(crate) use page::render as render_page;
pub(crate) use sources::{ConfigError, Environment};
pub(crate) use values::{Lifetime, LogFormat, duration};

/// Variables of every command: one that another command reads is no typing error.
fn every_variable() -> Vec<String> {
    options::all().chain(door::OPTIONS).chain(instance::OPTIONS).map(options::Declared::variable).collect()
}

/// Settings, and what the operator should hear about them.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What holds.
    pub(crate) settings: Settings,
    /// Environment variables that look like ours and are none: a typing error, or a container platform's own.
    pub(crate) unknown_variables: Vec<String>,
    /// The user that the node has at its start.
    pub(crate) default_user: DefaultUser,
    /// The path of the secret file as it was given, and where.
    secret_place: String,
    /// The same of the key file for DNS updates.
    dns_key_place: String,
}

/// Reads the three sources.
pub(crate) fn load(args: &ServeArgs, environment: &Environment) -> Result<Loaded, ConfigError> {
    let sources = sources::Sources::open(&args.given, environment)?;
    let mut settings = Settings::from_sources(&sources)?;
    if settings.loopback_users == [NOBODY] {
        settings.loopback_users.clear();
    }
    check_exposure(&settings, &sources)?;
    check_dns(&settings, &sources)?;
    check_ports(&settings, &sources)?;
    check_counts(&settings, &sources)?;
    let default_user = default_user::default_user(&settings, &sources, environment)?;
    let secret = settings.secret_file.as_deref().unwrap_or(Path::new("")).display().to_string();
    let secret_place = sources.place("secret_file", &secret);
    let key = settings.dns_key_file.as_deref().unwrap_or(Path::new("")).display().to_string();
    let dns_key_place = sources.place("dns_key_file", &key);
    let unknown_variables = sources.unknown_variables(&every_variable());
    Ok(Loaded { settings, unknown_variables, default_user, secret_place, dns_key_place })
}

/// The data directory for a command that talks to a running node: flag, environment, or the user's own.
pub(crate) fn data_dir(flag: Option<&str>, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let given: Vec<(&str, Vec<String>)> =
        flag.map(|value| ("data_dir", vec![value.to_owned()])).into_iter().collect();
    let sources = sources::Sources::without_file(&given, environment);
    sources.one(options::declared("data_dir"), values::path)
}

/// The bytes of the secret file, without the line end that an editor leaves.
pub(crate) fn read_secret(loaded: &Loaded) -> Result<Option<Vec<u8>>, ConfigError> {
    let Some(path) = &loaded.settings.secret_file else { return Ok(None) };
    let wrong = |what: String| ConfigError::new(format!("{}: {what}", loaded.secret_place));
    let bytes = file::read_at_most(path, SECRET_FILE_BYTES_MAX).map_err(|what| {
        wrong(format!("{what}; name a file that this user may read, or make one with {MAKE_SECRET}"))
    })?;
    if bytes.is_empty() {
        return Err(wrong(format!("is empty; make a secret with {MAKE_SECRET}")));
    }
    // counted as the handshake uses it
    let bytes = bytes.trim_ascii();
    let (min, max) = (LINK_SECRET_BYTES_MIN, SECRET_BYTES_MAX);
    if bytes.len() < min || bytes.len() > max {
        return Err(wrong(format!(
            "holds {} bytes, a secret has {min} to {max}; make one with {MAKE_SECRET}",
            bytes.len()
        )));
    }
    Ok(Some(bytes.to_vec()))
}

/// How a secret comes into a file.
const MAKE_SECRET: &str = "`head -c 48 /dev/urandom | base64 -w 0 > FILE`";

/// A setting that would do nothing is a mistake that is found last.
fn check_dns(settings: &Settings, sources: &sources::Sources<'_>) -> Result<(), ConfigError> {
    match settings.dns_server {
        Some(server) if settings.dns.is_none() && settings.dns_update.is_none() => {
            let what =
                "is there to be asked for --dns, which is not given; add --dns NAME, or leave this out";
            return Err(sources.wrong("dns_server", &server.to_string(), what));
        }
        _ => {}
    }
    let Some(zone) = &settings.dns_update else {
        let given = [
            ("dns_key_file", settings.dns_key_file.as_ref().map(|path| path.display().to_string())),
            ("dns_primary", settings.dns_primary.map(|primary| primary.to_string())),
            ("dns_client_name", settings.dns_client_name.clone()),
            ("dns_address", settings.dns_address.first().map(ToString::to_string)),
        ];
        let vain = given.into_iter().find_map(|(key, value)| Some((key, value?)));
        return vain.map_or(Ok(()), |(key, value)| {
            let what = "is for --dns-update, which is not given; add --dns-update ZONE, or leave this out";
            Err(sources.wrong(key, &value, what))
        });
    };
    if settings.dns_key_file.is_none() {
        let what = "needs --dns-key-file: updates are signed; make one with `tsig-keygen NAME > FILE`";
        return Err(sources.wrong("dns_update", zone, what));
    }
    let label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if settings.group.len() > DNS_GROUP_BYTES_MAX || !settings.group.chars().all(label) {
        let what = "is part of DNS names with --dns-update: letters, digits and hyphens, 60 at most";
        return Err(sources.wrong("group", &settings.group, what));
    }
    Ok(())
}

/// With what stands before it a label of 63 bytes.
const DNS_GROUP_BYTES_MAX: usize = 60;

/// The registration that `--dns-update` asks for, with its key.
pub(crate) fn read_dns_update(loaded: &Loaded) -> Result<Option<DnsUpdate>, ConfigError> {
    let settings = &loaded.settings;
    let (Some(zone), Some(path)) = (&settings.dns_update, &settings.dns_key_file) else { return Ok(None) };
    let wrong = |what: String| ConfigError::new(format!("{}: {what}", loaded.dns_key_place));
    let bytes = file::read_at_most(path, SECRET_FILE_BYTES_MAX)
        .map_err(|what| wrong(format!("{what}; name a file that this user may read")))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not text".to_owned()))?;
    Ok(Some(DnsUpdate {
        zone: zone.clone(),
        key: TsigKey::parse(&text).map_err(wrong)?,
        primary: settings.dns_primary,
        client_name: settings.dns_client_name.clone(),
        addresses: settings.dns_address.clone(),
        ttl_s: settings.dns_ttl,
    }))
}

/// Two listeners cannot have one port; port 0 is another one for each.
fn check_ports(settings: &Settings, sources: &sources::Sources<'_>) -> Result<(), ConfigError> {
    let clients = settings.listen.iter().map(|&address| ("--listen", address));
    let mut others = clients.chain([("--cluster-listen", settings.cluster_listen)]);
    if let Some(sessions) = settings.session_listen.filter(|address| address.port() != 0)
        && let Some((flag, _)) = others.find(|(_, other)| *other == sessions)
    {
        let what = format!("is the address of {flag} too; each listener needs a port, so change one of them");
        return Err(sources.wrong("session_listen", &sessions.to_string(), &what));
    }
    if settings.cluster_listen.port() == 0 || !settings.listen.contains(&settings.cluster_listen) {
        return Ok(());
    }
    let what = "is the address of --listen too; clients and nodes need a port each, so change one of them";
    Err(sources.wrong("cluster_listen", &settings.cluster_listen.to_string(), what))
}

/// Each listener and each network has its place in a table that is not large.
fn check_counts(settings: &Settings, sources: &sources::Sources<'_>) -> Result<(), ConfigError> {
    let counts = [
        ("listen", settings.listen.len(), LISTENERS_MAX),
        ("proxy_protocol_from", settings.proxy_protocol_from.len(), PROXY_NETWORKS_MAX),
    ];
    for (key, count, most) in counts {
        if count > most {
            return Err(sources.wrong(key, &format!("{count} values"), &format!("are more than {most}")));
        }
    }
    if settings.listen.is_empty() {
        return Err(sources.wrong("listen", "[]", "is no address; clients need one"));
    }
    let twice = |(at, address): &(usize, &SocketAddr)| {
        address.port() != 0 && settings.listen[..*at].contains(address)
    };
    match settings.listen.iter().enumerate().find(twice) {
        Some((_, address)) => Err(sources.wrong("listen", &address.to_string(), "is given twice")),
        None => Ok(()),
    }
}

/// A list of users that has nobody in it (RabbitMQ: `loopback_users = none`).
const NOBODY: &str = "none";

/// The cluster port fails closed: without a secret, links stay on this machine.
fn check_exposure(settings: &Settings, sources: &sources::Sources<'_>) -> Result<(), ConfigError> {
    if settings.secret_file.is_some() {
        return Ok(());
    }
    let needs = "is not on loopback, and without a secret links stay on this machine; set --secret-file";
    if !settings.cluster_listen.ip().is_loopback() {
        return Err(sources.wrong("cluster_listen", &settings.cluster_listen.to_string(), needs));
    }
    match settings.seed.iter().find(|seed| !seed.ip().is_loopback()) {
        Some(seed) => Err(sources.wrong("seed", &seed.to_string(), needs)),
        None => Ok(()),
    }
}

/// A snapshot of the process's environment.
pub(crate) fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(key, value): (OsString, OsString)| Some((key.into_string().ok()?, value)))
        .collect()
}
