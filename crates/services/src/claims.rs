//! T8: which service answers a request.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use compact_str::CompactString;

use crate::announcement::{is_host, is_path};
use crate::name::ServiceName;

/// A host and a path prefix. Ordered so that conflicts are listed steadily.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Exact, or `*.` and a domain; `None`: any.
    pub host: Option<CompactString>,
    /// By whole segments.
    pub path: CompactString,
}

impl Claim {
    /// Reads `HOST/PATH`, `/PATH` or `HOST`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let path = if path.is_empty() { "/" } else { path };
        let host = match host {
            "" | "*" => None,
            host if is_host(host) => Some(CompactString::new(host)),
            _ => return None,
        };
        is_path(path).then(|| Self { host, path: CompactString::new(path) })
    }
}

/// Two services want the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What they want.
    pub claim: Claim,
    /// Who has it: the smaller name.
    pub winner: ServiceName,
    /// Who has it not.
    pub loser: ServiceName,
}

/// All claims, ready for look-ups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// By host: paths and services, the longest path first.
    hosts: BTreeMap<CompactString, Vec<(CompactString, ServiceName)>>,
    any: Vec<(CompactString, ServiceName)>,
    /// For people.
    pub conflicts: Vec<Conflict>,
}

impl Claims {
    /// Settles who has what.
    pub fn new(wanted: impl Iterator<Item = (ServiceName, Claim)>) -> Self {
        let mut held: BTreeMap<Claim, ServiceName> = BTreeMap::new();
        let mut conflicts = Vec::new();
        for (service, claim) in wanted {
            match held.get_mut(&claim) {
                None => {
                    held.insert(claim, service);
                }
                Some(holder) if *holder == service => {}
                Some(holder) => {
                    let (winner, loser) =
                        if *holder < service { (holder.clone(), service) } else { (service, holder.clone()) };
                    *holder = winner.clone();
                    conflicts.push(Conflict { claim, winner, loser });
                }
            }
        }
        conflicts.sort_by(|a, b| (&a.claim, &a.loser).cmp(&(&b.claim, &b.loser)));
        conflicts.dedup();
        let mut claims = Self { conflicts, ..Self::default() };
        for (Claim { host, path }, service) in held {
            let list = host.map_or(&mut claims.any, |host| claims.hosts.entry(host).or_default());
            list.push((path, service));
        }
        for list in claims.hosts.values_mut().chain([&mut claims.any]) {
            list.sort_by_key(|(path, _)| core::cmp::Reverse(path.len()));
        }
        claims
    }

    /// The service that answers. `host` is in lower case and without a port.
    #[must_use]
    pub fn lookup(&self, host: &str, path: &str) -> Option<&ServiceName> {
        let in_list = |list: &'_ Vec<(CompactString, ServiceName)>| {
            list.iter().position(|(prefix, _)| covers(prefix, path))
        };
        let named = |key: &str| {
            let list = self.hosts.get(key)?;
            in_list(list).map(|at| &list[at].1)
        };
        if let Some(service) = named(host) {
            return Some(service);
        }
        // `*.example.org` for `a.b.example.org`: the nearest domain first.
        if !self.hosts.is_empty() {
            let mut wildcard = CompactString::const_new("");
            for (at, _) in host.match_indices('.') {
                wildcard.clear();
                wildcard.push('*');
                wildcard.push_str(&host[at..]);
                if let Some(service) = named(&wildcard) {
                    return Some(service);
                }
            }
        }
        in_list(&self.any).map(|at| &self.any[at].1)
    }
}

/// `/app` covers `/app`, `/app/` and `/app/x`, not `/apple`.
fn covers(prefix: &str, path: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        || prefix.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).expect("a name")
    }

    fn claims(texts: &[(&str, &str)]) -> Claims {
        Claims::new(texts.iter().map(|(name, claim)| (service(name), Claim::parse(claim).expect("a claim"))))
    }

    #[test]
    fn exact_hosts_come_before_wildcards_before_any_then_the_longest_path() {
        let claims = claims(&[
            ("any", "/"),
            ("any-app", "/app"),
            ("wild", "*.example.org"),
            ("deep", "*.b.example.org"),
            ("exact", "a.example.org/app/"),
        ]);
        for (host, path, expected) in [
            ("a.example.org", "/app", "exact"),
            ("a.example.org", "/app/x", "exact"),
            ("a.example.org", "/apple", "wild"),
            ("x.b.example.org", "/", "deep"),
            ("example.org", "/app/1", "any-app"),
            ("example.org", "/apple", "any"),
            ("", "*", "any"),
        ] {
            assert_eq!(claims.lookup(host, path), Some(&service(expected)), "{host}{path}");
        }
        assert_eq!(claims.lookup("a.example.org", "/app?x=1").map(ServiceName::as_str), Some("exact"));
    }

    #[test]
    fn the_smaller_name_wins_a_conflict_in_either_order() {
        for texts in [[("b", "/x"), ("a", "/x")], [("a", "/x"), ("b", "/x")]] {
            let claims = claims(&texts);
            assert_eq!(claims.lookup("h", "/x"), Some(&service("a")));
            assert_eq!(claims.conflicts.len(), 1);
            assert_eq!(
                (&claims.conflicts[0].winner, &claims.conflicts[0].loser),
                (&service("a"), &service("b"))
            );
        }
        assert_eq!(claims(&[("a", "/x")]).lookup("h", "/y"), None);
    }

    #[test]
    fn a_claim_is_a_host_a_path_or_both() {
        for bad in ["a;b", "UPPER", "a/b c", ""] {
            assert_eq!(Claim::parse(bad).is_some(), bad.is_empty(), "{bad:?}");
        }
    }
}
