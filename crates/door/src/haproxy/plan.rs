//! From what HAProxy has and what it should have to the commands in between.

use std::io;

use leveret_services::Candidate;

use super::replies::Server;
use crate::driver::{Mode, Wanted};

/// Servers of ours; others are never touched.
const PREFIX: &str = "lv_";
/// HAProxy's largest weight (configuration manual, "weight").
const WEIGHT_MAX: u32 = 256;

/// By the route, so that the user's own line for cookies finds it.
pub(super) fn server_name(candidate: &Candidate) -> String {
    let name = candidate.route.as_deref().unwrap_or(candidate.instance.as_str());
    format!("{PREFIX}{name}")
}

/// The commands, in order. Names and addresses are made of letters, digits, `-`, `_`, `.` and `:`: nothing
/// that ends a command.
pub(super) fn plan(backend: &str, servers: &[Server], wanted: &[Wanted]) -> Vec<String> {
    let mut commands = Vec::new();
    for Wanted { name, mode, .. } in wanted {
        let path = format!("{backend}/{name}");
        let server = servers.iter().find(|server| server.name == *name);
        match (server, mode) {
            (None, Mode::Serve { address, weight }) => {
                let weight = (*weight).clamp(1, WEIGHT_MAX);
                commands.push(format!(
                    "add server {path} {address} check inter 500ms fall 2 rise 1 weight {weight}"
                ));
                commands.push(format!("enable health {path}"));
                commands.push(format!("enable server {path}"));
            }
            (Some(server), Mode::Serve { address, .. }) if server.address != *address => {
                // Another process under the name: it is added when the old one is gone.
                commands.extend(removal(&path, server));
            }
            (Some(server), Mode::Serve { .. }) if server.maint || server.drain => {
                commands.push(format!("set server {path} state ready"));
            }
            (Some(server), Mode::Sessions) if !server.drain => {
                commands.push(format!("set server {path} state drain"));
            }
            (Some(server), Mode::Stop) if !server.maint => {
                commands.push(format!("set server {path} state maint"));
            }
            (Some(_), _) | (None, Mode::Sessions | Mode::Stop) => {}
        }
    }
    let unwanted =
        |server: &&Server| is_ours(&server.name) && !wanted.iter().any(|wanted| wanted.name == server.name);
    for server in servers.iter().filter(unwanted) {
        commands.extend(removal(&format!("{backend}/{}", server.name), server));
    }
    commands
}

/// A name that a driver could have given. Another one could end a command and begin the next.
fn is_ours(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    name.starts_with(PREFIX) && name.bytes().all(plain)
}

/// `del server` works only in maintenance and without sessions: it is said again until it does.
fn removal(path: &str, server: &Server) -> Vec<String> {
    let maint = (!server.maint).then(|| format!("set server {path} state maint"));
    maint.into_iter().chain([format!("del server {path}")]).collect()
}

/// Whether a reply is one of success, or of something that the next turn does again.
pub(super) fn check(command: &str, reply: &str) -> io::Result<()> {
    let reply = reply.trim();
    let fine = reply.is_empty()
        || reply.starts_with("New server registered")
        || reply.starts_with("Server deleted")
        // Sessions or idle connections are still there.
        || command.starts_with("del server");
    if fine {
        return Ok(());
    }
    let hint = if reply.contains("Permission denied") {
        "; the stats socket needs `level admin`"
    } else if reply.contains("must use a dynamic load balancing") {
        "; use `balance leastconn` in that backend"
    } else if reply.contains("Unknown command") {
        "; HAProxy 2.6 or later is needed"
    } else {
        ""
    };
    let reply = reply.lines().next().unwrap_or_default().escape_debug();
    Err(io::Error::other(format!("{command}: {reply}{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, port: u16) -> Server {
        Server {
            name: name.to_owned(),
            address: ([127, 0, 0, 1], port).into(),
            maint: false,
            drain: false,
            sessions: 0,
        }
    }

    fn serve(name: &str, port: u16) -> Wanted {
        let mode = Mode::Serve { address: ([127, 0, 0, 1], port).into(), weight: 100 };
        Wanted { name: name.to_owned(), mode, route: None }
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_right_is_left_alone() {
        let wanted = [serve("lv_a", 1), serve("lv_b", 2)];
        let commands = plan("be", &[server("lv_a", 1), server("door", 9)], &wanted);
        assert_eq!(
            commands,
            [
                "add server be/lv_b 127.0.0.1:2 check inter 500ms fall 2 rise 1 weight 100",
                "enable health be/lv_b",
                "enable server be/lv_b",
            ]
        );
        assert!(plan("be", &[server("lv_a", 1), server("lv_b", 2)], &wanted).is_empty());
    }

    #[test]
    fn a_server_that_stops_is_put_into_maintenance_and_deleted_when_nobody_wants_it() {
        let wanted = |mode| [Wanted { name: "lv_a".to_owned(), mode, route: None }];
        let mut one = [server("lv_a", 1)];
        assert_eq!(plan("be", &one, &wanted(Mode::Sessions)), ["set server be/lv_a state drain"]);
        assert_eq!(plan("be", &one, &wanted(Mode::Stop)), ["set server be/lv_a state maint"]);
        one[0].maint = true;
        assert!(plan("be", &one, &wanted(Mode::Stop)).is_empty());
        assert_eq!(plan("be", &one, &[]), ["del server be/lv_a"]);
        assert_eq!(plan("be", &one, &[serve("lv_a", 1)]), ["set server be/lv_a state ready"]);
    }

    #[test]
    fn another_address_under_the_name_takes_the_place_of_the_old_one() {
        let commands = plan("be", &[server("lv_a", 1)], &[serve("lv_a", 2)]);
        assert_eq!(commands, ["set server be/lv_a state maint", "del server be/lv_a"]);
    }

    #[test]
    fn an_error_says_what_to_do() {
        assert!(check("add server be/a", "New server registered.\n").is_ok());
        assert!(check("del server be/a", "Server still has connections attached to it.").is_ok());
        let error = check("add server be/a", "Permission denied\n").expect_err("refused").to_string();
        assert!(error.contains("level admin"), "{error}");
    }
}
