//! Verdicts: one detector, the echoes that the lease needs anyway.
//!
//! Down = not heard (for 1.2 s, or the links are reset and the redials refused or answered by another process)
//! *and* not listed by any node that is heard. Listed but not heard is unreachable, and still counts: without
//! this veto a verdict cancels the very lease rule that it serves.

use alloc::collections::{BTreeMap, BTreeSet};

use leveret_model::{Instant, NodeId, limits};

use super::Standing;
use super::member::Member;

/// Whom the members that are heard hear themselves; none of them is a witness for itself.
pub(crate) fn listed(now: Instant, members: &BTreeMap<NodeId, Member>) -> BTreeSet<NodeId> {
    let witnesses = members.iter().filter(|(_, witness)| witness.is_heard(now));
    witnesses
        .flat_map(|(&witness, member)| member.hears.iter().copied().filter(move |node| *node != witness))
        .collect()
}

/// How a member stands now. `listed`: a node that is heard hears it. `patient`: this thread was late, so
/// silence proves nothing yet.
pub(crate) fn verdict(now: Instant, member: &Member, listed: bool, patient: bool) -> Standing {
    if member.is_heard(now) {
        return Standing::Alive;
    }
    if listed {
        return Standing::Unreachable;
    }
    if member.standing.is_down() {
        return member.standing;
    }
    let silent_since = member.heard_at.map_or(member.since, |at| at.max(member.since));
    if patient || (!member.is_refused() && now < silent_since + limits::HEARD_WITHIN) {
        return member.standing;
    }
    Standing::Down { since: now }
}

#[cfg(test)]
mod tests {
    use super::super::member::PeerHello;
    use super::*;
    use core::time::Duration;
    use leveret_link::handshake::Capabilities;
    use leveret_model::{Boot, Incarnation, Name};
    use std::string::String;
    use std::vec;

    const H: NodeId = NodeId(1);
    const M: NodeId = NodeId(2);

    fn verdict(now: Instant, members: &BTreeMap<NodeId, Member>, node: NodeId, patient: bool) -> Standing {
        super::verdict(now, &members[&node], listed(now, members).contains(&node), patient)
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Both were heard at 0; M lists H.
    fn members() -> BTreeMap<NodeId, Member> {
        let member = |node| {
            let (incarnation, boot) = (Incarnation(1), Boot(1));
            let hello = PeerHello {
                node,
                incarnation,
                boot,
                shards: 1,
                address: String::new(),
                name: Name::new("n"),
                capabilities: Capabilities::default(),
            };
            let mut member = Member::new(at(0), hello);
            member.heard_at = Some(at(0));
            member.standing = Standing::Alive;
            (node, member)
        };
        let mut members = BTreeMap::from([member(H), member(M)]);
        members.get_mut(&M).expect("is there").hears = vec![H];
        members
    }

    #[test]
    fn a_silent_node_is_down_after_its_time_unless_a_witness_lists_it() {
        let mut members = members();
        assert_eq!(verdict(at(1_199), &members, H, false), Standing::Alive);
        members.get_mut(&M).expect("is there").heard_at = Some(at(1_200));
        assert_eq!(verdict(at(1_300), &members, H, false), Standing::Unreachable);
        members.get_mut(&M).expect("is there").hears.clear();
        assert_eq!(verdict(at(1_300), &members, H, false), Standing::Down { since: at(1_300) });
        assert_eq!(verdict(at(1_300), &members, H, true), Standing::Alive);
    }

    #[test]
    fn a_witness_that_is_not_heard_vetoes_nothing() {
        assert_eq!(verdict(at(1_300), &members(), H, false), Standing::Down { since: at(1_300) });
    }

    #[test]
    fn refused_redials_need_no_silence_but_bow_to_the_veto() {
        let mut members = members();
        members.get_mut(&H).expect("is there").refusals = 2;
        assert_eq!(verdict(at(50), &members, H, false), Standing::Unreachable);
        members.get_mut(&M).expect("is there").hears.clear();
        assert_eq!(verdict(at(50), &members, H, false), Standing::Down { since: at(50) });
    }

    #[test]
    fn a_node_that_was_only_told_of_gets_its_time_too() {
        let mut members = members();
        let told = members.get_mut(&H).expect("is there");
        (told.heard_at, told.since, told.standing) = (None, at(5_000), Standing::Unreachable);
        members.get_mut(&M).expect("is there").hears.clear();
        assert_eq!(verdict(at(6_199), &members, H, false), Standing::Unreachable);
        assert!(verdict(at(6_200), &members, H, false).is_down());
    }
}
