//! What membership tells each node of the others, and its lease.

use leveret_sessions::{Member, MemberState};

use super::{AWAITED_MS, KILLED_MS, LATE_MS, LEASE_MS, NODES, Nodes, home};

impl Nodes {
    pub(super) fn membership(&mut self, at: usize) {
        let now = self.now;
        if now - self.nodes[at].ran > LATE_MS {
            self.nodes[at].gave = [now; NODES];
        }
        self.nodes[at].ran = now;
        let others = (0..NODES).filter(|&other| other != at);
        let members: Vec<Member> = others
            .map(|other| {
                let died = self.nodes[other].sessions.is_none() && !self.is_cut(at);
                let killed = died && now - self.nodes[other].died_at >= KILLED_MS;
                let silent = now - self.nodes[at].gave[other] >= AWAITED_MS;
                let state = match killed || silent {
                    true => MemberState::Down,
                    false if self.leaves(other) => MemberState::Leaving,
                    false => MemberState::Counted,
                };
                // what it last said its boot is
                let known =
                    self.nodes[at].members.iter().find(|member| member.home.node.0 == other as u128 + 1);
                let fresh = self.linked(at, other) && self.runs(other);
                let boot = match known {
                    Some(member) if !fresh => member.home.boot.0,
                    _ => self.nodes[other].boot,
                };
                Member { home: home(other, boot), state }
            })
            .collect();
        let counted = |member: &&Member| member.state != MemberState::Down;
        let lease = members
            .iter()
            .filter(counted)
            .all(|member| now - self.nodes[at].heard[member.home.node.0 as usize - 1] < LEASE_MS);
        let clock = self.clock(at);
        let node = &mut self.nodes[at];
        let Some(sessions) = &mut node.sessions else { return };
        if lease != node.lease && !lease {
            node.lease = false;
            sessions.on_lease(clock, false, &mut node.effects);
        }
        if members != node.members {
            sessions.on_members(clock, &members, &mut node.effects);
            node.members = members;
        }
        if lease != node.lease {
            node.lease = lease;
            sessions.on_lease(clock, lease, &mut node.effects);
        }
        self.flush(at);
    }
}
