//! Every option of `leveret run` and `leveret announce`, declared once as those of `serve` are.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use compact_str::CompactString;
use leveret_bus::Brokers;
use leveret_model::Boot;
use leveret_services::{Announcement, InstanceName, Kind, ServiceName, State};
use tracing_subscriber::filter::Targets;

use super::options::{Fallback, options};
use super::sources::{ConfigError, Environment, Sources};
use super::{participant, values};

options! {
    /// Every option of `leveret run` and `leveret announce` with the value that holds.
    InstanceSettings in "";

    /// Service that the process belongs to.
    ///
    /// 1 to 63 of a-z, 0-9 and -.
    service: Option<ServiceName> = maybe(participant::service), "NAME", Fallback::Absent("must be given");

    /// Name of this instance in its service.
    ///
    /// Spelt as `service`. Two processes must not share one.
    instance: Option<InstanceName> = maybe(participant::instance), "NAME", Fallback::Absent("host name, port and process id");

    /// Port of the application; 0 takes a free one.
    ///
    /// `run` gives it to the command as `{port}` and as PORT.
    port: u16 = one(port), "PORT", Fallback::Is("0");

    /// Address under which doors reach the application.
    address: IpAddr = one(address), "ADDR", Fallback::Is("127.0.0.1");

    /// Broker on which to announce, as amqp://HOST:PORT/VHOST; may be given several times.
    ///
    /// A host name is looked up again for each connection. Without a user `guest`. A URL with a password may
    /// stand in the environment or in `amqp-file`, not on the command line.
    amqp: Vec<String> = many(participant::text), "URL", Fallback::Absent("amqp://127.0.0.1:5672");

    /// File with broker URLs, one a line.
    ///
    /// Read if `amqp` is not given. Lines that start with # are comments.
    amqp_file: Option<PathBuf> = maybe(values::path), "FILE", Fallback::Absent("none");

    /// Path that answers 2xx or 3xx while the application is well.
    ///
    /// Asked until the first such answer, then each second; two failures in a row make the instance unready.
    health: Option<String> = maybe(participant::text), "PATH", Fallback::Absent("the port accepts connections");

    /// Host that the service answers, exact or `*.DOMAIN`; may be given several times.
    host: Vec<String> = many(participant::text), "HOST", Fallback::Absent("any host");

    /// Path prefix that the service answers.
    path: String = one(participant::text), "PATH", Fallback::Is("/");

    /// Suffix of session ids that belong to this instance.
    route: Option<String> = maybe(participant::text), "ROUTE", Fallback::Absent("none");

    /// Share of the requests, relative to other instances.
    ///
    /// 1 to 1000.
    weight: u32 = one(participant::number), "N", Fallback::Is("100");

    /// Requests at a time from each door; 0 is no bound.
    max_inflight: u32 = one(participant::number), "N", Fallback::Is("0");

    /// After this the application closes idle connections.
    ///
    /// gunicorn does after 2 s; doors use a connection again within half of it.
    keep_alive: Duration = one(participant::duration), "TIME", Fallback::Is("2s");

    /// Time from the first request to the full share.
    warm_up: Duration = one(participant::duration), "TIME", Fallback::Is("0s");

    /// Longest time from the start to the first answered probe.
    ///
    /// Then the process is stopped, and the exit code is 70.
    ready_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("60s");

    /// Time before the drain in which only the instance's own sessions get in.
    drain_sessions: Duration = one(participant::duration), "TIME", Fallback::Is("0s");

    /// Longest time until every door has nothing in flight here.
    drain: Duration = one(participant::duration), "TIME", Fallback::Is("30s");

    /// Longest time from SIGTERM to SIGKILL.
    stop_timeout: Duration = one(participant::duration), "TIME", Fallback::Is("30s");

    /// User whose commands are obeyed; may be given several times.
    commander: Vec<String> = many(participant::text), "USER", Fallback::Absent("the user of this instance's own link");

    /// How log lines look: `auto`, `human` or `json`.
    log_format: super::LogFormat = one(values::log_format), "FORMAT", Fallback::Is("auto");

    /// Which log lines are written.
    log_level: Targets = one(values::log_level), "LEVEL", Fallback::Is("info,lapin=off");
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "is not a port, 0 to 65535".to_owned())
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "is not a numeric address, such as 127.0.0.1 or ::1".to_owned())
}

/// Reads flags and environment.
pub(crate) fn load(
    given: &[(&'static str, Vec<String>)],
    environment: &Environment,
) -> Result<InstanceSettings, ConfigError> {
    InstanceSettings::from_sources(&Sources::without_file(given, environment))
}

impl InstanceSettings {
    pub(crate) fn brokers(&self, given: &[(&'static str, Vec<String>)]) -> Result<Brokers, ConfigError> {
        participant::brokers(given, &self.amqp, self.amqp_file.as_deref())
    }

    /// What the machine of an instance wants to know.
    pub(crate) fn supervision(
        &self,
        kind: Kind,
        owns_process: bool,
        boot: Boot,
        port: u16,
        brokers: &Brokers,
    ) -> Result<leveret_services::Settings, ConfigError> {
        let service = self.service.clone().ok_or_else(|| {
            ConfigError::new("--service must be given: the name under which doors send requests".to_owned())
        })?;
        let instance = match &self.instance {
            Some(instance) => instance.clone(),
            None => {
                let host = participant::host_label(&Vec::new());
                let name = format!("{host}-{port}-{}", std::process::id());
                InstanceName::new(&name).expect("a label, two numbers")
            }
        };
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let mut announcement = Announcement::new(service, instance, boot, State::Starting);
        announcement.kind = kind;
        announcement.address = (kind == Kind::Http).then(|| (self.address, port).into());
        announcement.hosts = self.host.iter().map(CompactString::from).collect();
        announcement.path = CompactString::from(&self.path);
        announcement.route = self.route.as_ref().map(CompactString::from);
        announcement.weight = self.weight;
        announcement.max_inflight = self.max_inflight;
        announcement.keep_alive_ms = millis(self.keep_alive);
        announcement.warm_up_ms = millis(self.warm_up);
        announcement.health = self.health.as_ref().map(CompactString::from);
        // Doors would refuse it; better said here.
        announcement.check().map_err(|error| ConfigError::new(format!("--{error}")))?;
        let mut commanders: Vec<CompactString> = self.commander.iter().map(CompactString::from).collect();
        if commanders.is_empty() {
            commanders.extend(brokers.users().map(CompactString::from));
        }
        Ok(leveret_services::Settings {
            announcement,
            owns_process,
            ready_timeout: self.ready_timeout,
            drain_sessions: self.drain_sessions,
            drain: self.drain,
            stop_timeout: self.stop_timeout,
            commanders,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_must_be_named_and_a_wrong_field_is_said_before_the_start() {
        let load = |given: &[(&'static str, Vec<String>)]| {
            let settings = load(given, &Vec::new()).expect("options of the right shape");
            let brokers = settings.brokers(given).expect("brokers");
            settings.supervision(Kind::Http, true, Boot(1), 8000, &brokers)
        };
        assert!(load(&[]).expect_err("refused").to_string().contains("--service"));
        let service = ("service", vec!["shop".to_owned()]);
        let settings = load(std::slice::from_ref(&service)).expect("enough");
        assert_eq!(settings.commanders, ["guest"]);
        let wrong = load(&[service, ("weight", vec!["0".to_owned()])]).expect_err("refused");
        assert!(wrong.to_string().contains("weight"), "{wrong}");
    }
}
