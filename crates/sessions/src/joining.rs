//! States of attributes on their way: what a copy lacks (S3), and two states of one life that become one (S8).

use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::attributes::{Attributes, Changed, Merged, merge};
use crate::content::Content;
use crate::copy::{Body, CopyOf};
use crate::effects::Effects;
use crate::hid::Hid;
use crate::record::{Record, put_writes};
use crate::sessions::Sessions;
use crate::stamp::{Epoch, StateId, Version};
use crate::states::{NewState, StateKey};
use crate::time::{Deadline, Ms};

impl Sessions {
    /// Attributes that this state has, if it is of the life of `copy` and has another version.
    fn ours_beside(&self, key: StateKey, copy: &CopyOf<'_>) -> Option<Attributes<'_>> {
        let id = self.states.id(key);
        let joins = id.life == copy.id.life && id != copy.id;
        match self.states.get(key).content() {
            Content::Attributes(attributes) if joins => Some(attributes),
            _ => None,
        }
    }

    /// Joins what two homes of one life wrote, attribute by attribute. False if there is nothing to join: the
    /// later state stands as it is. What differed gets a version of `epoch` that neither side has given out.
    pub(crate) fn join_attributes(&mut self, copy: &CopyOf<'_>, epoch: Epoch, now: Ms) -> bool {
        let Body::Whole(Content::Attributes(theirs)) = copy.body else { return false };
        let Some(key) = self.states.find(copy.hid) else { return false };
        let Some(ours) = self.ours_beside(key, copy) else { return false };
        let own = self.states.id(key);
        let version = Version(own.version.0.max(copy.id.version.0) + 1);
        let epoch = epoch.max(own.epoch).max(copy.id.epoch);
        let Merged { is_ours, is_theirs, bytes } = merge(ours, theirs, Changed { epoch, version });
        // A deadline alone makes a version too, so the later state need not be the one that knows more.
        match own.cmp(&copy.id) {
            _ if is_ours && is_theirs => return false,
            core::cmp::Ordering::Greater if is_ours => return true,
            core::cmp::Ordering::Less if is_theirs => return false,
            _ => {}
        }
        let state = self.states.get(key);
        let (vhost, key_bytes) = (Vec::from(state.vhost()), Vec::from(state.key()));
        let deadline = state.deadline().max(Deadline::from_left(now, copy.left));
        let place = crate::hid::Place {
            vhost: core::str::from_utf8(&vhost).expect("it came as text"),
            database: state.database(),
            key: &key_bytes,
        };
        let id = StateId { epoch, version, ..own };
        let new = NewState { place, id, flags: state.flags(), deadline, value: &bytes };
        self.put_state(copy.hid, new, now);
        true
    }

    /// A commit goes to whoever keeps copies: of attributes only what changed since `before`.
    pub(crate) fn copy_out_since(
        &mut self,
        hid: Hid,
        before: Option<StateId>,
        now: Ms,
        effects: &mut Effects,
    ) {
        let Some(before) = before else { return self.copy_out(hid, now, effects) };
        let Some(key) = self.states.find(hid) else { return };
        let Content::Attributes(attributes) = self.states.get(key).content() else {
            return self.copy_out(hid, now, effects);
        };
        let changed = attributes.later_than(Changed::of(before));
        let keepers = self.cluster.copies.keepers(hid.bucket());
        self.cluster.copies.begin(hid, self.states.id(key), keepers.clone());
        for keeper in keepers {
            let copy = CopyOf {
                follows: (before.epoch, before.version),
                body: Body::Changed(Attributes::trusted(&changed)),
                ..CopyOf::whole(&self.states, key, now)
            };
            self.send_copy_of(copy, keeper, effects);
        }
    }

    pub(crate) fn send_copy_of(&self, copy: CopyOf<'_>, to: NodeId, effects: &mut Effects) {
        let hid = copy.hid;
        let mut writes = Vec::new();
        put_writes(&mut writes, self.cluster.writes.of(hid));
        let keeps = self.cluster.copies.current(hid.bucket()) == Some(to);
        let epoch = self.list.get(hid).map_or(Epoch(1), |row| row.epoch);
        effects.send(to, hid.bucket(), &Record::Copy { copy, writes: &writes, keeps, epoch });
    }

    /// A copy as it would be kept: whole, or the state that is here with what changed. `None`: the change was
    /// made to another state than the one that is here.
    pub(crate) fn complete(&self, copy: &CopyOf<'_>) -> Option<Vec<u8>> {
        match copy.body {
            Body::Whole(content) => Some(content.bytes().into()),
            Body::Changed(later) => {
                let key = self.states.find(copy.hid)?;
                let id = self.states.id(key);
                let follows = id.life == copy.id.life && (id.epoch, id.version) == copy.follows;
                match self.states.get(key).content() {
                    Content::Attributes(attributes) if follows => Some(attributes.with(later)),
                    _ => None,
                }
            }
            Body::Unchanged => None,
        }
    }

    /// The replicator lacks the state to which a change was made: it gets it whole.
    pub(crate) fn on_lacks(&self, hid: Hid, from: NodeId, now: Ms, effects: &mut Effects) {
        // of a session that has gone to another home the new one sends copies
        let own = self.list.get(hid).is_some_and(|row| row.home == self.config.own);
        if own && self.cluster.copies.owed_by(from).contains(&hid) {
            self.send_copy(hid, from, now, effects);
        }
    }
}
