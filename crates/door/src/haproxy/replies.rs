//! What HAProxy's Runtime API answers, as text of a stranger.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A server of the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// Forced maintenance.
    pub(super) maint: bool,
    /// Forced drain.
    pub(super) drain: bool,
    /// Current sessions.
    pub(super) sessions: u64,
}

/// Of `srv_admin_state` (management guide, "show servers state").
const FORCED_MAINTENANCE: u32 = 0x01;
const FORCED_DRAIN: u32 = 0x08;

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("its answer cannot be read: {what}"))
}

/// Of `show info`.
pub(super) fn pid(info: &str) -> io::Result<u32> {
    let line = info.lines().find_map(|line| line.strip_prefix("Pid: "));
    line.and_then(|pid| pid.trim().parse().ok()).ok_or_else(|| unreadable("show info has no Pid"))
}

/// Of `show servers state BACKEND` and `show stat BACKEND 4 -1` together.
pub(super) fn servers(states: &str, stats: &str) -> io::Result<Vec<Server>> {
    if states.contains("Can't find backend") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has no backend of that name"));
    }
    let sessions = sessions(stats)?;
    let mut lines = states.lines().skip_while(|line| !line.starts_with("# "));
    let header: Vec<&str> =
        lines.next().ok_or_else(|| unreadable("show servers state has no header"))?[2..].split(' ').collect();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| unreadable("show servers state lacks a column"))
    };
    let (name, address, port, admin) =
        (column("srv_name")?, column("srv_addr")?, column("srv_port")?, column("srv_admin_state")?);
    let mut servers = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(' ').collect();
        let field = |at: usize| fields.get(at).copied().ok_or_else(|| unreadable("a short line"));
        let admin: u32 = field(admin)?.parse().map_err(|_| unreadable("srv_admin_state"))?;
        // A server whose name is not resolved yet has `-`; it is none of ours.
        let (Ok(ip), Ok(port)) = (field(address)?.parse::<IpAddr>(), field(port)?.parse::<u16>()) else {
            continue;
        };
        let name = field(name)?.to_owned();
        servers.push(Server {
            sessions: sessions.get(&name).copied().unwrap_or(0),
            name,
            address: (ip, port).into(),
            maint: admin & FORCED_MAINTENANCE != 0,
            drain: admin & FORCED_DRAIN != 0,
        });
    }
    Ok(servers)
}

/// Current sessions by server.
fn sessions(stats: &str) -> io::Result<BTreeMap<String, u64>> {
    let mut lines = stats.lines();
    let header = lines.next().and_then(|line| line.strip_prefix("# "));
    let header: Vec<&str> = header.ok_or_else(|| unreadable("show stat has no header"))?.split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name);
    let (Some(name), Some(current)) = (column("svname"), column("scur")) else {
        return Err(unreadable("show stat lacks svname or scur"));
    };
    let pair = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        Some(((*fields.get(name)?).to_owned(), fields.get(current)?.parse().ok()?))
    };
    Ok(lines.filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
        srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
        bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
        srv_agent_addr srv_agent_port\n\
        3 shop 1 door 127.0.0.1 2 0 1 1 10 1 0 1 0 0 0 0 - 8000 - 0 0 - - 0\n\
        3 shop 2 lv_a ::1 2 8 100 100 3 6 3 4 6 0 0 0 - 9001 - 0 0 - - 0\n\
        3 shop 3 lv_b 10.0.0.2 0 1 100 100 3 6 3 4 6 0 0 0 - 9002 - 0 0 - - 0\n\n";
    const STATS: &str = "# pxname,svname,qcur,qmax,scur,smax,\nshop,door,0,0,7,9,\nshop,lv_a,0,0,2,5,\n\n";

    #[test]
    fn servers_are_read_by_the_names_of_columns() {
        let servers = servers(STATES, STATS).expect("readable");
        let seen: Vec<_> = servers
            .iter()
            .map(|server| {
                (server.name.as_str(), server.address.port(), server.maint, server.drain, server.sessions)
            })
            .collect();
        assert_eq!(
            seen,
            [("door", 8000, false, false, 7), ("lv_a", 9001, false, true, 2), ("lv_b", 9002, true, false, 0)]
        );
        assert_eq!(pid("Name: HAProxy\nPid: 77\n").expect("a pid"), 77);
    }

    #[test]
    fn damaged_answers_are_errors() {
        for (states, stats) in
            [("", STATS), (STATES, ""), ("Can't find backend.\n", STATS), (&STATES[..300], STATS)]
        {
            assert!(servers(states, stats).is_err() || states.len() == 300, "{states:?}");
        }
        let short = STATES.replace(" 9001 - 0 0 - - 0", "");
        assert!(servers(&short, STATS).is_err());
        assert!(pid("").is_err());
    }
}
