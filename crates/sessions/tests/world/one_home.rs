//! Of one life at most one node says that it is home and may answer.

use crate::clients::Clients;
use crate::nodes::Nodes;

pub(crate) fn check(nodes: &Nodes, clients: &Clients) -> Result<(), String> {
    for hid in clients.hids() {
        let homes: Vec<_> = nodes
            .sessions()
            // who is cut off for 2 s goes on alone (S8); who is cut off for less has no lease
            .filter(|(at, _)| nodes.runs(*at) && !nodes.is_cut(*at))
            .filter_map(|(at, sessions)| Some((at, sessions.look(hid).filter(|seen| seen.may_answer)?.life)))
            .collect();
        if let [(a, life), (b, other), ..] = homes[..]
            && life == other
        {
            return Err(format!("at {} ms nodes {a} and {b} are home of {hid}", nodes.now_ms()));
        }
    }
    Ok(())
}
