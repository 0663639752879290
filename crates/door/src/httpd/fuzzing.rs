//! Any bytes as the page of an httpd.

use super::{page, plan};
use crate::driver::{Mode, Wanted};

/// The page of the balancer `web`. Forms that follow from it are plain fields, and a member that is not read
/// well ends no drain.
pub fn httpd_page(bytes: &[u8]) {
    let Ok(balancer) = page::read(&String::from_utf8_lossy(bytes), "web") else { return };
    assert!(!balancer.nonce.is_empty());
    let wanted = |mode| [Wanted { name: "127.0.0.1:9001".to_owned(), mode, route: Some("n1".to_owned()) }];
    let serve = Mode::Serve { address: ([127, 0, 0, 1], 9_001).into(), weight: 100 };
    for mode in [serve, Mode::Sessions, Mode::Stop] {
        for command in plan::plan(&balancer, &wanted(mode)) {
            let form = plan::form("web", &balancer.nonce, &command);
            let fields = form.bytes().filter(|byte| *byte == b'=').count();
            let between = form.bytes().filter(|byte| *byte == b'&').count();
            assert!(form.is_ascii() && fields == between + 1, "{form:?} has more fields than were meant");
        }
    }
    for name in plan::quiet(&balancer, &wanted(Mode::Stop)) {
        let member = balancer.members.iter().find(|member| member.address == name.parse().ok());
        assert!(member.is_none_or(|member| member.disabled && member.busy == 0), "{name} has requests");
    }
}
