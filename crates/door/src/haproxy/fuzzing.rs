//! Any bytes as the answers of an HAProxy.

use super::{plan, replies};
use crate::driver::{Mode, Wanted};

/// Two answers with a line `--` between them: servers and their counters. Commands that follow from them are
/// one line and one command each.
pub fn haproxy_replies(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (states, stats) = text.split_once("\n--\n").unwrap_or((&text, ""));
    // A number or an error; there is nothing to hold it against.
    let _ = replies::pid(&text);
    let Ok(servers) = replies::servers(states, stats) else { return };
    let serve = Mode::Serve { address: ([127, 0, 0, 1], 1).into(), weight: 100 };
    for mode in [serve, Mode::Sessions, Mode::Stop] {
        let wanted = [Wanted { name: "lv_a".to_owned(), mode, route: None }];
        for command in plan::plan("web", &servers, &wanted) {
            assert!(!command.contains([';', '\n', '\r', '\0']), "{command:?} is more than one command");
            assert!(command.contains(" web/lv_"), "{command:?} touches somebody else's server");
        }
    }
}
