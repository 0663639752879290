//! `SESSION.LOAD` and `SESSION.COMMIT` (S4), and the steps of a rename at the two homes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::session::{ByteList, CommitOrder, Expiry, KeptAnswer, Restored, SessionRefusal};

use crate::attributes::{Attributes, Changed, Edits, USER, check_name, is_hidden};
use crate::content::Content;
use crate::draft::fields::View;
use crate::draft::{Draft, Found, Now, Value, WRONG_TYPE};
use crate::stamp::StateId;
use crate::time::Deadline;
use crate::token;

impl<'s, 'c: 's> Draft<'s, 'c> {
    /// What a load shows: token, time, user, whether it is all, attributes, removed names.
    pub(super) fn load(&self, since: &[u8], touch_ms: Option<i64>) -> KeptAnswer {
        let (Found::Alive { id, .. }, Now::Alive { value, deadline }) = (self.before, &self.now) else {
            return KeptAnswer::Nil;
        };
        let Value::Old(Content::Attributes(attributes)) = value else { return WRONG_TYPE.keep() };
        let base = match since {
            [] => None,
            text => match token::parse(text) {
                Some(base) => Some(base),
                None => return KeptAnswer::Refused(SessionRefusal::Token),
            },
        };
        let since = base.filter(|base| knows_changes(*attributes, id, *base)).map(Changed::of);
        let is_later = |changed: Changed| since.is_none_or(|since| changed > since);
        let user = attributes.get(USER).map_or(KeptAnswer::Nil, |user| bytes(user.value));
        let changed = attributes.visible().filter(|attribute| is_later(attribute.changed));
        let pairs = changed.flat_map(|attribute| [bytes(attribute.name), bytes(attribute.value)]).collect();
        let removed = match since {
            Some(since) => {
                let later = attributes.removed().filter(|removed| removed.changed > since);
                later.filter(|removed| !is_hidden(removed.name)).map(|removed| bytes(removed.name)).collect()
            }
            None => Vec::new(),
        };
        let left = deadline.left(self.clock.ms());
        // the home hears of the touch in the same turn
        let left = touch_ms.filter(|_| left >= 0).map_or(left, |touch| touch.max(left));
        KeptAnswer::List(Vec::from([
            KeptAnswer::Bytes(token::text(id)),
            KeptAnswer::Integer(left),
            user,
            KeptAnswer::Word(if since.is_some() { "since" } else { "full" }),
            KeptAnswer::Map(pairs),
            KeptAnswer::List(removed),
        ]))
    }

    /// Answers with a place for the token, which is known once the commit is made, and the conflicts.
    pub(super) fn commit(&mut self, arguments: ByteList<'c>, redirected: bool) -> KeptAnswer {
        // the connection has read them once; other shards and nodes are trusted with that
        let Ok(order) = CommitOrder::parse(arguments) else {
            return KeptAnswer::Refused(SessionRefusal::Token);
        };
        let base = match order.base {
            [] => StateId::default(),
            text => match token::parse(text) {
                Some(base) => base,
                None => return KeptAnswer::Refused(SessionRefusal::Token),
            },
        };
        let (mut view, before) = match (&self.now, self.view()) {
            (Now::Gone { may_begin: false }, _) if order.is_new => return refused(SessionRefusal::Exists),
            (Now::Gone { may_begin: false }, _) => {
                self.dropped = true;
                return refused(SessionRefusal::Gone);
            }
            (Now::Alive { .. }, _) if order.is_new => return refused(SessionRefusal::Exists),
            (Now::Alive { deadline, .. }, Ok(Some(view))) => (view, *deadline),
            (Now::Alive { .. }, Ok(None) | Err(_)) => return WRONG_TYPE.keep(),
            _ if !order.is_new => return KeptAnswer::Nil,
            _ => (View { base: Attributes::NONE, edits: Edits::default() }, Deadline::NEVER),
        };
        let seen = match self.before {
            Found::Alive { id, .. } if id.life == base.life => Changed::of(base),
            _ => Changed::default(),
        };
        let known = Known::of(view.base);
        let conflicts = known.conflicts(&order, seen);
        self.conflicts += conflicts.len();
        let names = || conflicts.iter().map(|name| bytes(name)).collect::<Vec<_>>();
        if order.reject && !conflicts.is_empty() {
            return KeptAnswer::Conflict(names());
        }
        let deadline = order.left_ms.map_or(before, |left| Deadline::after(self.arrived, left));
        let done = self.edit(core::mem::replace(&mut view, nothing()), deadline, |view| {
            apply(view, &order, seen, redirected)
        });
        match done {
            Ok(()) => KeptAnswer::List(Vec::from([KeptAnswer::Nil, KeptAnswer::List(names())])),
            Err(why) => KeptAnswer::Refused(why),
        }
    }

    /// The state for another key: kind, time that is left, token, then its string or its attributes.
    pub(super) fn export(&self) -> KeptAnswer {
        let (id, content, deadline) = match (self.before, &self.now) {
            (Found::Alive { id, content, .. }, Now::Alive { deadline, .. }) => (id, content, *deadline),
            (Found::Gone { .. }, _) => return refused(SessionRefusal::Gone),
            _ => return KeptAnswer::Nil,
        };
        let kind = if matches!(content, Content::String(_)) { "string" } else { "hash" };
        let mut items = Vec::from([
            KeptAnswer::Word(kind),
            KeptAnswer::Integer(deadline.left(self.clock.ms())),
            KeptAnswer::Bytes(token::text(id)),
        ]);
        match content {
            Content::String(value) => items.push(bytes(value)),
            Content::Attributes(attributes) => {
                items.extend(attributes.all().flat_map(|one| [bytes(one.name), bytes(one.value)]));
            }
        }
        KeptAnswer::List(items)
    }

    /// What another key had is here from now on.
    pub(super) fn restore(
        &mut self,
        content: Restored<'c>,
        expiry: Expiry,
        only_missing: bool,
    ) -> KeptAnswer {
        if matches!(self.now, Now::Gone { may_begin: false })
            || only_missing && matches!(self.now, Now::Alive { .. })
        {
            return refused(SessionRefusal::Exists);
        }
        let deadline = match expiry {
            Expiry::In(left) => Deadline::after(self.arrived, left),
            _ => Deadline::NEVER,
        };
        let value = match content {
            Restored::String(value) => Value::String(value),
            Restored::Fields(fields) => {
                let view = self.view().ok().flatten().unwrap_or_else(nothing);
                let View { base, mut edits } = view;
                for attribute in base.all() {
                    edits.set(attribute.name, None);
                }
                for (name, value) in fields.iter().step_by(2).zip(fields.iter().skip(1).step_by(2)) {
                    edits.set(name, Some(value));
                }
                Value::Edited { base, edits }
            }
        };
        self.now = Now::Alive { value, deadline };
        KeptAnswer::List(Vec::from([KeptAnswer::Nil]))
    }

    /// The old key of a rename ends, unless somebody has changed it since it was exported.
    pub(super) fn end_renamed(&mut self, expected: &[u8]) -> KeptAnswer {
        match self.before {
            Found::Alive { id, .. } if token::parse(expected) == Some(id) => {
                KeptAnswer::Integer(self.destroy().into())
            }
            Found::Alive { .. } => KeptAnswer::Integer(0),
            _ => KeptAnswer::Nil,
        }
    }
}

fn nothing<'s>() -> View<'s> {
    View { base: Attributes::NONE, edits: Edits::default() }
}

fn refused(why: SessionRefusal) -> KeptAnswer {
    KeptAnswer::Refused(why)
}

fn bytes(bytes: &[u8]) -> KeptAnswer {
    KeptAnswer::Bytes(bytes.into())
}

/// True if all that was changed and removed since `base` is known by name.
fn knows_changes(attributes: Attributes<'_>, id: StateId, base: StateId) -> bool {
    (base.life, base.epoch) == (id.life, id.epoch)
        && base.version <= id.version
        && Changed::of(base) >= attributes.forgotten()
}

/// Stamps and values by name, so that a thousand names are not looked for one by one.
struct Known<'s> {
    alive: BTreeMap<&'s [u8], (Changed, &'s [u8])>,
    removed: BTreeMap<&'s [u8], Changed>,
    forgotten: Changed,
}

impl<'s> Known<'s> {
    fn of(base: Attributes<'s>) -> Self {
        Self {
            alive: base.all().map(|one| (one.name, (one.changed, one.value))).collect(),
            removed: base.removed().map(|one| (one.name, one.changed)).collect(),
            forgotten: base.forgotten(),
        }
    }

    /// Names that the order changes and that somebody else has changed since its base.
    fn conflicts<'c>(&self, order: &CommitOrder<'c>, seen: Changed) -> Vec<&'c [u8]> {
        let set = order.set.iter().filter(|(name, value)| match self.alive.get(name) {
            Some((changed, now)) => now != value && *changed > seen,
            None => self.removed.get(name).copied().unwrap_or(self.forgotten) > seen,
        });
        let removed = order
            .remove
            .iter()
            .filter(|name| self.alive.get(name).is_some_and(|(changed, _)| *changed > seen));
        set.map(|(name, _)| name).chain(removed).collect()
    }
}

fn apply<'s>(
    view: &mut View<'s>,
    order: &CommitOrder<'s>,
    seen: Changed,
    redirected: bool,
) -> Result<(), SessionRefusal> {
    if order.replace {
        // what the base did not have stays: its author has not seen it
        let set: BTreeSet<&[u8]> = order.set.iter().map(|(name, _)| name).collect();
        let stale = view.base.visible().filter(|one| one.changed <= seen && !set.contains(one.name));
        for name in stale.map(|one| one.name) {
            view.edits.set(name, None);
        }
    }
    for (name, value) in order.set.iter() {
        check_name(name)?;
        view.edits.set(name, Some(value));
    }
    for name in order.remove.iter() {
        check_name(name)?;
        view.edits.set(name, None);
    }
    // a commit that began before a rename must not log anybody in under the new key
    if let Some(user) = order.user.filter(|_| !redirected) {
        view.edits.set(USER, Some(user).filter(|user| !user.is_empty()));
    }
    Ok(())
}
