//! From what a balancer has and what it should have to the forms in between.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use form_urlencoded::Serializer;
use hyper::StatusCode;
use leveret_services::Candidate;

use super::page::{Balancer, Member};
use crate::driver::{Mode, Wanted};

/// The redirect route of members that a driver has set up. No member has this route, so it redirects nothing;
/// it is the mark by which another run of the door knows them.
const MARK: &str = "leveret";
/// httpd's largest load factor.
const FACTOR_MAX: u32 = 100;
/// A weight of 100 becomes a factor of 10: httpd takes none below 1.
const WEIGHT_OF_A_FACTOR: u32 = 10;

/// One form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A new member; httpd disables it until it is set up.
    Add { url: String },
    /// Health check, route and weight, and the doors open.
    Serve { url: String, route: String, factor: u32 },
    /// No new sessions.
    Drain { url: String },
    /// No requests at all.
    Disable { url: String },
}

impl Command {
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Add { .. })
    }
}

/// A member is its address: httpd cannot give it another one.
pub(super) fn member_name(candidate: &Candidate) -> String {
    candidate.address.to_string()
}

fn address(wanted: &Wanted) -> Option<SocketAddr> {
    wanted.name.parse().ok()
}

fn find<'a>(balancer: &'a Balancer, wanted: &Wanted) -> Option<&'a Member> {
    balancer.members.iter().find(|member| member.address.is_some() && member.address == address(wanted))
}

/// The forms, in order.
pub(super) fn plan(balancer: &Balancer, wanted: &[Wanted]) -> Vec<Command> {
    let mut commands = Vec::new();
    for one in wanted {
        match (find(balancer, one), one.mode) {
            (None, Mode::Serve { address, .. }) => {
                commands.push(Command::Add { url: format!("http://{address}") });
            }
            (Some(member), Mode::Serve { weight, .. }) => {
                let factor = (weight / WEIGHT_OF_A_FACTOR).clamp(1, FACTOR_MAX);
                let route = one.route.clone().unwrap_or_default();
                let right = !member.disabled
                    && !member.draining
                    && member.redirect == MARK
                    && member.route == route
                    && member.factor == factor;
                if !right {
                    commands.push(Command::Serve { url: member.url.clone(), route, factor });
                }
            }
            (Some(member), Mode::Sessions) if !member.draining => {
                commands.push(Command::Drain { url: member.url.clone() });
            }
            // Drain alone still lets sessions in, and one could come after the last look.
            (Some(member), Mode::Stop) if !member.disabled => {
                commands.push(Command::Disable { url: member.url.clone() });
            }
            (Some(_), Mode::Sessions | Mode::Stop) | (None, Mode::Sessions | Mode::Stop) => {}
        }
    }
    let unwanted = |member: &&Member| {
        member.redirect == MARK
            && !member.disabled
            && !wanted.iter().any(|one| address(one) == member.address)
    };
    commands.extend(
        balancer.members.iter().filter(unwanted).map(|member| Command::Disable { url: member.url.clone() }),
    );
    commands
}

/// Members, by name, that are to stop and have neither requests nor a way to get some.
pub(super) fn quiet(balancer: &Balancer, wanted: &[Wanted]) -> BTreeSet<String> {
    let is_quiet = |one: &&Wanted| {
        one.mode == Mode::Stop && find(balancer, one).is_none_or(|member| member.disabled && member.busy == 0)
    };
    wanted.iter().filter(is_quiet).map(|one| one.name.clone()).collect()
}

/// The body of a form. Whatever the values hold is encoded.
pub(super) fn form(balancer: &str, nonce: &str, command: &Command) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("b", balancer).append_pair("nonce", nonce);
    match command {
        Command::Add { url } => form.append_pair("b_nwrkr", url).append_pair("b_wyes", "1"),
        Command::Serve { url, route, factor } => form
            .append_pair("w", url)
            .append_pair("w_wr", route)
            .append_pair("w_rr", MARK)
            .append_pair("w_lf", &factor.to_string())
            // Without a health check a member that comes back after a kill stays in error for a minute.
            .append_pair("w_hm", "TCP")
            .append_pair("w_hi", "1000ms")
            .append_pair("w_hp", "1")
            .append_pair("w_hf", "1")
            .append_pair("w_status_N", "0")
            .append_pair("w_status_D", "0"),
        Command::Drain { url } => {
            form.append_pair("w", url).append_pair("w_status_N", "1").append_pair("w_status_D", "0")
        }
        Command::Disable { url } => form.append_pair("w", url).append_pair("w_status_D", "1"),
    };
    form.finish()
}

/// What an answer to a form means. A 200 means nothing: httpd gives it to forms that it ignores, too.
pub(super) fn check(command: &Command, status: StatusCode) -> io::Result<()> {
    match (command, status) {
        (_, StatusCode::OK) => Ok(()),
        (Command::Add { url }, StatusCode::BAD_REQUEST) => Err(io::Error::other(format!(
            "it has no slot for {url}: a larger `ProxySet growth=` is needed, or a graceful restart, which empties \
             unused slots; the standby carries the rest"
        ))),
        (_, status) => Err(io::Error::other(format!("it refuses a form with {}", status.as_u16()))),
    }
}

/// What the status shows.
pub(super) fn said(balancer: &Balancer, places: usize) -> String {
    let unused = balancer.members.iter().filter(|member| member.redirect == MARK && member.disabled).count();
    let mut said = format!("{places} members");
    if unused > 0 {
        said.push_str(&format!(", {unused} slots of members that are gone"));
    }
    if balancer.max_attempts == 0 {
        said.push_str(
            "; failover is off: `ProxySet maxattempts=3` lets a request of a killed instance go elsewhere",
        );
    }
    if !balancer.members.iter().any(|member| member.standby) {
        said.push_str("; no member has status=+H: while no instance is there, nobody waits for one");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(port: u16) -> Member {
        Member {
            url: format!("http://127.0.0.1:{port}"),
            address: Some(([127, 0, 0, 1], port).into()),
            route: String::new(),
            redirect: MARK.to_owned(),
            factor: 10,
            busy: 0,
            disabled: false,
            draining: false,
            standby: false,
        }
    }

    fn wanted(port: u16, mode: Mode) -> Wanted {
        Wanted { name: format!("127.0.0.1:{port}"), mode, route: None }
    }

    fn serve(port: u16) -> Wanted {
        wanted(port, Mode::Serve { address: ([127, 0, 0, 1], port).into(), weight: 100 })
    }

    fn balancer(members: Vec<Member>) -> Balancer {
        Balancer { nonce: "n".to_owned(), max_attempts: 3, members }
    }

    fn url(port: u16) -> String {
        format!("http://127.0.0.1:{port}")
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_right_is_left_alone() {
        let standby = Member { redirect: String::new(), standby: true, ..member(9) };
        let balancer = balancer(vec![standby, member(1)]);
        assert_eq!(plan(&balancer, &[serve(1), serve(2)]), [Command::Add { url: url(2) }]);
        assert!(plan(&balancer, &[serve(1)]).is_empty());
    }

    #[test]
    fn a_member_that_returns_is_enabled_and_one_that_is_gone_is_disabled() {
        let gone = Member { disabled: true, ..member(1) };
        let balancer = balancer(vec![gone, member(2)]);
        let enable = Command::Serve { url: url(1), route: String::new(), factor: 10 };
        assert_eq!(plan(&balancer, &[serve(1)]), [enable, Command::Disable { url: url(2) }]);
        assert_eq!(plan(&balancer, &[wanted(2, Mode::Sessions)]), [Command::Drain { url: url(2) }]);
    }

    #[test]
    fn a_drain_is_over_when_the_member_is_disabled_and_has_no_request() {
        let stop = [wanted(1, Mode::Stop)];
        assert_eq!(plan(&balancer(vec![member(1)]), &stop), [Command::Disable { url: url(1) }]);
        for (disabled, busy, over) in [(false, 0, false), (true, 1, false), (true, 0, true)] {
            let quiet = quiet(&balancer(vec![Member { disabled, busy, ..member(1) }]), &stop);
            assert_eq!(!quiet.is_empty(), over, "{disabled} {busy}");
        }
        assert!(!quiet(&balancer(Vec::new()), &stop).is_empty(), "a member that httpd forgot gets nothing");
    }

    #[test]
    fn foreign_text_ends_no_field() {
        let command =
            Command::Serve { url: "http://h".to_owned(), route: "a&w_status_D=1\n".to_owned(), factor: 1 };
        let form = form("web", "n&b=x", &command);
        assert!(
            form.starts_with("b=web&nonce=n%26b%3Dx&w=http%3A%2F%2Fh&w_wr=a%26w_status_D%3D1%0A&w_rr="),
            "{form}"
        );
    }
}
