//! Once all faults are over every node has the same list.

use crate::clients::Clients;
use crate::nodes::Nodes;

pub(crate) fn check(nodes: &Nodes, clients: &Clients) -> Result<(), String> {
    let lists: Vec<_> =
        nodes.sessions().map(|(at, sessions)| (at, sessions.sizes().list, sessions.list_digest())).collect();
    let same = lists.iter().all(|list| (list.1, list.2) == (lists[0].1, lists[0].2));
    if same {
        return Ok(());
    }
    let mut text = format!("lists differ: {lists:?}");
    for (key, hid) in clients.all_hids() {
        let seen: Vec<_> = nodes.sessions().map(|(_, sessions)| sessions.look(hid)).collect();
        if seen.iter().any(|one| *one != seen[0]) {
            text += &format!("\nkey {key}: {seen:#?}");
        }
    }
    Err(text)
}
