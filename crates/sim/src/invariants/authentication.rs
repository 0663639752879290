//! Who is believed on a link is who is there: a process of the cluster, and the one that it says.

use leveret_link::handshake::Hello;

use crate::event::End;
use crate::network::Owner;
use crate::world::Ways;

/// Judges a link whose handshake is over.
pub(crate) fn check(end: End, hello: &Hello, ways: &mut Ways<'_>) {
    let there = match ways.network.other_owner(end) {
        Some(Owner::Thread(process, _) | Owner::Unclaimed(process)) => ways.hellos.get(&process),
        Some(Owner::Client(_) | Owner::Stranger(_)) | None => None,
    };
    if there.is_none_or(|there| (there.node, there.boot) != (hello.node, hello.boot)) {
        let text = format!("{end:?} is believed to be {} of {:?}, and is {there:?}", hello.node, hello.boot);
        ways.oracle.violation(ways.schedule.now, "authentication", text);
    }
}
