//! What an instance says about itself, as JSON (`docs/formats/services.md`, 2).
//!
//! [`Announcement::parse`] takes bytes of strangers: it bounds them first, and every field after.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use compact_str::CompactString;
use leveret_model::Boot;
use leveret_model::limits::{
    ANNOUNCEMENT_BYTES_MAX, CLAIM_BYTES_MAX, CLAIMED_HOSTS_MAX, INSTANCE_LABELS_MAX, INSTANCE_TTL,
    INSTANCE_TTL_RANGE, INSTANCE_WEIGHT_MAX,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::name::{InstanceName, ServiceName};

/// Version of the texts. Fields are added without raising it.
pub(crate) const VERSION: u32 = 1;

/// An instance at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Version of the text.
    pub v: u32,
    /// The service that it belongs to.
    pub service: ServiceName,
    /// Its name there.
    pub instance: InstanceName,
    /// Random, of this start of the process.
    #[serde(with = "boot_text")]
    pub boot: Boot,
    /// Rises with each announcement of this boot.
    pub seq: u64,
    /// What it can do now.
    pub state: State,
    /// Where requests go; `None` for a [`Kind::Worker`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// What it offers to doors.
    #[serde(flatten)]
    pub terms: Terms,
    /// What `draining` still takes.
    #[serde(default)]
    pub drain: Drain,
    /// Valid for so long from receipt, milliseconds.
    #[serde(default = "usual_ttl")]
    pub ttl_ms: u32,
    /// What it is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// For people and the scaler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<CompactString, CompactString>,
    /// Whether it takes requests at all.
    #[serde(default)]
    pub kind: Kind,
}

/// What an instance offers to doors; it changes rarely, and then requests go other ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How requests are spoken there.
    #[serde(default)]
    pub scheme: Scheme,
    /// Hosts that it claims, exact or `*.` and a domain; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<CompactString>,
    /// Prefix of the paths that it claims, by whole segments.
    #[serde(default = "root")]
    pub path: CompactString,
    /// Suffix of session ids that belong here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<CompactString>,
    /// Share of the requests, relative to the others.
    #[serde(default = "usual_weight")]
    pub weight: u32,
    /// Requests at a time from one door; 0: no bound.
    #[serde(default)]
    pub max_inflight: u32,
    /// The application closes connections that were idle for this, milliseconds.
    #[serde(default = "usual_keep_alive")]
    pub keep_alive_ms: u32,
    /// Time from `ready` to the full weight, milliseconds.
    #[serde(default)]
    pub warm_up_ms: u32,
    /// Path that a door asks when it doubts the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<CompactString>,
}

/// What an instance can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its port is not open yet.
    Starting,
    /// Takes requests.
    Ready,
    /// Its own health check fails.
    Unready,
    /// Wants to stop: finishes what it has.
    Draining,
    /// Gone; its last word.
    Left,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Draining => "draining",
            Self::Left => "left",
        })
    }
}

/// What a draining instance still takes (T2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// Nothing new.
    #[default]
    Requests,
    /// Requests of its own sessions.
    Sessions,
}

/// Whether requests are sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An HTTP server.
    #[default]
    Http,
    /// A consumer of queues: it has no port, and no door sends it anything.
    Worker,
}

/// How requests are spoken to an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP/1.1 without TLS.
    #[default]
    Http,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Thousandths of the cores that it may use.
    pub cpu: u32,
    /// Requests that it works on, if it knows.
    pub inflight: u32,
    /// Resident bytes.
    pub rss: u64,
}

/// Why a text is no announcement. Its sender is to blame; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// Longer than the bound.
    #[error("has {0} bytes, more than {ANNOUNCEMENT_BYTES_MAX}")]
    Long(usize),
    /// Not JSON of this shape.
    #[error("{0}")]
    Text(String),
    /// A field that parsed and cannot be.
    #[error("{field}: {what}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is expected.
        what: &'static str,
    },
}

impl Announcement {
    /// A ready-made one with the defaults of the format.
    #[must_use]
    pub fn new(service: ServiceName, instance: InstanceName, boot: Boot, state: State) -> Self {
        Self {
            v: VERSION,
            service,
            instance,
            boot,
            seq: 0,
            state,
            address: None,
            terms: Terms {
                scheme: Scheme::Http,
                hosts: Vec::new(),
                path: root(),
                route: None,
                weight: usual_weight(),
                max_inflight: 0,
                keep_alive_ms: usual_keep_alive(),
                warm_up_ms: 0,
                health: None,
            },
            drain: Drain::Requests,
            ttl_ms: usual_ttl(),
            load: None,
            labels: BTreeMap::new(),
            kind: Kind::Http,
        }
    }

    /// Reads the text of a stranger.
    ///
    /// # Errors
    /// [`AnnouncementError`] says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, AnnouncementError> {
        if body.len() > ANNOUNCEMENT_BYTES_MAX {
            return Err(AnnouncementError::Long(body.len()));
        }
        let read: Self = serde_json::from_slice(body)
            .map_err(|error| AnnouncementError::Text(alloc::format!("{error}")))?;
        read.check()?;
        Ok(read)
    }

    /// As it is sent.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an announcement has only types that JSON has")
    }

    /// How long it is valid.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms.into())
    }

    /// Whether every field is within its range.
    ///
    /// # Errors
    /// [`AnnouncementError::Field`] names the first that is not.
    pub fn check(&self) -> Result<(), AnnouncementError> {
        let demand = |holds: bool, field: &'static str, what: &'static str| {
            if holds { Ok(()) } else { Err(AnnouncementError::Field { field, what }) }
        };
        let ms = |duration: Duration| duration.as_millis();
        let (shortest, longest) = INSTANCE_TTL_RANGE;
        demand(self.v >= 1, "v", "is a version from 1")?;
        demand(self.kind == Kind::Worker || self.address.is_some(), "address", "is missing")?;
        demand(self.terms.hosts.len() <= CLAIMED_HOSTS_MAX, "hosts", "are too many")?;
        demand(self.terms.hosts.iter().all(|host| is_host(host)), "hosts", "holds what is no host")?;
        demand(is_path(&self.terms.path), "path", "starts with / and holds printable ASCII")?;
        demand(self.terms.health.as_deref().is_none_or(is_path), "health", "is a path")?;
        demand(
            self.terms.route.as_deref().is_none_or(is_route),
            "route",
            "is 1 to 63 letters, digits, - or _",
        )?;
        demand((1..=INSTANCE_WEIGHT_MAX).contains(&self.terms.weight), "weight", "is out of range")?;
        let ttl = u128::from(self.ttl_ms);
        demand((ms(shortest)..=ms(longest)).contains(&ttl), "ttl_ms", "is out of range")?;
        demand(self.labels.len() <= INSTANCE_LABELS_MAX, "labels", "are too many")
    }
}

/// An exact host in lower case, or `*.` and a domain.
pub(crate) fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:[]".contains(&byte);
    !name.is_empty() && text.len() <= CLAIM_BYTES_MAX && name.bytes().all(fits)
}

pub(crate) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= CLAIM_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_route(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

fn root() -> CompactString {
    CompactString::const_new("/")
}

fn usual_weight() -> u32 {
    100
}

/// gunicorn closes an idle connection after 2 s; other servers keep them for longer.
fn usual_keep_alive() -> u32 {
    2_000
}

fn usual_ttl() -> u32 {
    INSTANCE_TTL.as_millis() as u32
}

/// A boot as hexadecimal digits: JSON's numbers are floating point in most languages.
pub(crate) mod boot_text {
    use super::{Boot, CompactString, Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(boot: &Boot, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:x}", boot.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Boot, D::Error> {
        let text = CompactString::deserialize(deserializer)?;
        let digits = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        number.map(Boot).ok_or_else(|| de::Error::custom("boot is 1 to 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use super::*;

    const SHORTEST: &str = r#"{"v":1,"service":"shop","instance":"a","boot":"ff","seq":1,"state":"ready","address":"10.0.0.7:80"}"#;

    fn with(fields: &str) -> Result<Announcement, AnnouncementError> {
        Announcement::parse(format!("{},{fields}}}", SHORTEST.trim_end_matches('}')).as_bytes())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut announcement = Announcement::parse(SHORTEST.as_bytes()).expect("the shortest one");
        assert_eq!(Announcement::parse(&announcement.to_body()).as_ref(), Ok(&announcement));
        announcement.terms.hosts = [CompactString::from("*.example.org")].into();
        announcement.terms.route = Some("n1".into());
        announcement.load = Some(Load { cpu: 1, inflight: 2, rss: 3 });
        announcement.labels.insert("zone".into(), "a\n\u{1b}".into());
        assert_eq!(Announcement::parse(&announcement.to_body()).as_ref(), Ok(&announcement));
    }

    #[test]
    fn unknown_fields_are_ignored_and_wrong_ones_named() {
        assert!(with(r#""colour":{"of":[1,2]}"#).is_ok());
        for (fields, name) in [
            (r#""weight":0"#, "weight"),
            (r#""weight":1001"#, "weight"),
            (r#""ttl_ms":499"#, "ttl_ms"),
            (r#""ttl_ms":60001"#, "ttl_ms"),
            (r#""path":"x""#, "path"),
            (r#""path":"/a b""#, "path"),
            (r#""health":"up""#, "health"),
            (r#""hosts":["a;b"]"#, "hosts"),
            (r#""hosts":["*."]"#, "hosts"),
            (r#""route":"a.b""#, "route"),
            (r#""scheme":"https""#, "https"),
        ] {
            let error = with(fields).expect_err(fields).to_string();
            assert!(error.contains(name) && !error.contains('\n'), "{fields}: {error}");
        }
    }

    #[test]
    fn a_hostile_text_is_refused_before_it_costs_anything() {
        let long = format!("{SHORTEST}{}", " ".repeat(ANNOUNCEMENT_BYTES_MAX));
        assert_eq!(Announcement::parse(long.as_bytes()), Err(AnnouncementError::Long(long.len())));
        let deep = "[".repeat(ANNOUNCEMENT_BYTES_MAX);
        assert!(Announcement::parse(deep.as_bytes()).is_err());
        let hosts = ["\"a\""; CLAIMED_HOSTS_MAX + 1].join(",");
        assert!(with(&format!("\"hosts\":[{hosts}]")).is_err());
        for body in [&b""[..], b"null", b"{}", b"\xff\xfe", &SHORTEST.as_bytes()[..40]] {
            assert!(Announcement::parse(body).is_err());
        }
        let no_address = SHORTEST.replace(r#","address":"10.0.0.7:80""#, "");
        assert!(Announcement::parse(no_address.as_bytes()).is_err());
        let worker = no_address.replace('}', r#","kind":"worker"}"#);
        assert!(Announcement::parse(worker.as_bytes()).is_ok());
    }

    #[test]
    fn a_boot_is_hexadecimal_text_of_one_spelling() {
        for bad in ["", "+1", "-1", "0x1", "g", "00000000000000001"] {
            let body = SHORTEST.replace(r#""ff""#, &format!("{bad:?}"));
            assert!(Announcement::parse(body.as_bytes()).is_err(), "{bad}");
        }
        assert!(Announcement::parse(SHORTEST.replace(r#""ff""#, "255").as_bytes()).is_err());
    }
}
