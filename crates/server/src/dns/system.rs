//! What the system says about names: `/etc/resolv.conf` and `/etc/hosts`, read again when a file changes.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hickory_proto::rr::Name;
use hickory_resolver::system_conf::parse_resolv_conf;
use leveret_model::limits;

/// What tells two states of a file apart: times, size and inode.
type Mark = (i64, i64, u64, u64);

/// A file and what was made of it.
#[derive(Debug)]
struct Watched<T> {
    path: PathBuf,
    mark: Option<Mark>,
    value: Result<T, String>,
}

impl<T> Watched<T> {
    fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mark: None, value: Err("not read yet".to_owned()) }
    }

    /// What the file says now. A file that cannot be read is tried again each time.
    fn get(&mut self, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<&T, String> {
        let found = mark(&self.path);
        if found.is_none() || found != self.mark {
            let said = |error: std::io::Error| format!("{}: {error}", self.path.display());
            self.value = read_bounded(&self.path).map_err(said).and_then(|bytes| parse(&bytes));
            self.mark = found;
        }
        self.value.as_ref().map_err(Clone::clone)
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let file = fs::metadata(path).ok()?;
    Some((file.mtime(), file.mtime_nsec(), file.size(), file.ino()))
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > limits::DNS_FILE_BYTES_MAX {
        return Err(std::io::Error::other("the file is too large"));
    }
    fs::read(path)
}

/// Whom to ask, and for what.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<Name>,
    ndots: usize,
}

impl Settings {
    pub(super) fn of_server(server: SocketAddr) -> Self {
        Self { servers: vec![server], search: Vec::new(), ndots: 1 }
    }

    /// The names to ask for, in turn, as `resolv.conf(5)` has it: a name with enough dots is tried as it is
    /// first, another with the search list first.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() {
            return vec![whole];
        }
        let searched = self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok());
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let mut names: Vec<Name> = searched.collect();
        names.insert(if dots >= self.ndots { 0 } else { names.len() }, whole);
        names
    }
}

/// The system's files.
#[derive(Debug)]
pub(super) struct System {
    resolv_conf: Watched<Settings>,
    hosts: Watched<Vec<(String, IpAddr)>>,
}

impl System {
    pub(super) fn new() -> Self {
        Self { resolv_conf: Watched::new("/etc/resolv.conf"), hosts: Watched::new("/etc/hosts") }
    }

    pub(super) fn settings(&mut self) -> Result<Settings, String> {
        self.resolv_conf.get(settings).cloned()
    }

    /// Addresses that `/etc/hosts` has for a name; without the file there are none.
    pub(super) fn hosts(&mut self, name: &Name) -> Vec<IpAddr> {
        let wanted = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let hosts = self.hosts.get(|bytes| Ok(hosts(bytes)));
        let hosts = hosts.map(Vec::as_slice).unwrap_or_default();
        hosts.iter().filter(|(name, _)| *name == wanted).map(|(_, address)| *address).collect()
    }
}

fn settings(bytes: &[u8]) -> Result<Settings, String> {
    let (config, options) = parse_resolv_conf(bytes).map_err(|error| format!("/etc/resolv.conf: {error}"))?;
    let servers = config.name_servers().iter().map(|server| SocketAddr::new(server.ip, 53)).collect();
    Ok(Settings { servers, search: config.search().to_vec(), ndots: options.ndots })
}

fn hosts(bytes: &[u8]) -> Vec<(String, IpAddr)> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let entries = lines.flat_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        let named = move |name: &str| Some((name.to_ascii_lowercase(), address?));
        words.filter_map(named).collect::<Vec<_>>()
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn a_short_name_is_searched_for_first_and_one_that_ends_with_a_dot_never() {
        let text = b"nameserver 10.0.0.1\nnameserver ::1\nsearch a.test b.test\noptions ndots:2\n";
        let settings = settings(text).unwrap();
        assert_eq!(settings.servers, ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        let asked = |text: &str| -> Vec<String> {
            settings.candidates(&name(text)).iter().map(Name::to_ascii).collect()
        };
        assert_eq!(asked("pods.x"), ["pods.x.a.test.", "pods.x.b.test.", "pods.x."]);
        assert_eq!(asked("pods.x.y"), ["pods.x.y.", "pods.x.y.a.test.", "pods.x.y.b.test."]);
        assert_eq!(asked("pods."), ["pods."]);
    }

    #[test]
    fn a_file_is_read_again_when_it_changed_or_could_not_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        let mut watched: Watched<Settings> = Watched::new(&path);
        assert!(watched.get(settings).is_err());
        for server in ["10.0.0.1", "10.0.0.23", "10.0.0.4"] {
            // as DHCP clients do; the same time and size would not hide another inode
            fs::write(directory.path().join("new"), format!("nameserver {server}\n")).unwrap();
            fs::rename(directory.path().join("new"), &path).unwrap();
            assert_eq!(watched.get(settings).unwrap().servers, [format!("{server}:53").parse().unwrap()]);
            let read_again = |_: &[u8]| panic!("it has not changed");
            assert_eq!(watched.get(read_again).unwrap().servers.len(), 1);
        }
    }

    #[test]
    fn hosts_are_found_by_any_of_their_names_in_any_case() {
        let text = b"127.0.0.1 localhost\n::1 localhost six # v6\n10.0.0.1\tPods.Test pods\nnonsense here\n10.0.0.2 pods\n";
        let hosts = hosts(text);
        let of = |wanted: &str| -> Vec<String> {
            hosts.iter().filter(|(name, _)| name == wanted).map(|(_, ip)| ip.to_string()).collect()
        };
        assert_eq!(of("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(of("pods.test"), ["10.0.0.1"]);
        assert_eq!(of("pods"), ["10.0.0.1", "10.0.0.2"]);
        assert!(of("v6").is_empty() && of("here").is_empty());
    }
}
