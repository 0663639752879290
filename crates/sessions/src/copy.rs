//! A state as bytes: what goes to a replicator, to whoever loads it, and into the image.

use alloc::vec::Vec;

use crate::attributes::Attributes;
use crate::content::Content;
use crate::fields::{Damage, Put, Take};
use crate::hid::{Hid, Place};
use crate::list::Flags;
use crate::stamp::{Epoch, StateId, Version};
use crate::states::{NewState, StateKey, States};
use crate::time::{Deadline, Ms};

/// What of a state is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// Value and attributes are what they were.
    Unchanged,
    /// All of it.
    Whole(Content<'a>),
    /// Attributes that were changed since `follows`.
    Changed(Attributes<'a>),
}

const UNCHANGED: u8 = 0;
const STRING: u8 = 1;
const ATTRIBUTES: u8 = 2;
const CHANGED: u8 = 3;

/// A state, or what changed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CopyOf<'a> {
    pub(crate) hid: Hid,
    pub(crate) id: StateId,
    /// What the change was made to; zero if the body is whole.
    pub(crate) follows: (Epoch, Version),
    /// ms, −1 without a deadline.
    pub(crate) left: i64,
    pub(crate) flags: Flags,
    pub(crate) place: Place<'a>,
    pub(crate) body: Body<'a>,
}

impl<'a> CopyOf<'a> {
    /// A state as it is, whole.
    pub(crate) fn whole(states: &'a States, key: StateKey, now: Ms) -> Self {
        let state = states.get(key);
        Self {
            hid: state.hid(),
            id: states.id(key),
            follows: (Epoch(0), Version(0)),
            left: state.deadline().left(now),
            flags: state.flags(),
            place: state.place(),
            body: Body::Whole(state.content()),
        }
    }

    /// As it is kept here. `None` if it is no whole state.
    pub(crate) fn to_state(self, now: Ms) -> Option<NewState<'a>> {
        let Body::Whole(content) = self.body else { return None };
        Some(self.kept_as(content.bytes(), now))
    }

    /// As it is kept with this value.
    pub(crate) fn kept_as<'b>(&self, value: &'b [u8], now: Ms) -> NewState<'b>
    where
        'a: 'b,
    {
        let deadline = Deadline::from_left(now, self.left);
        NewState { place: self.place, id: self.id, flags: self.flags, deadline, value }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.hid(self.hid);
        out.state(self.id);
        out.u32(self.follows.0.0);
        out.u64(self.follows.1.0);
        out.i64(self.left);
        out.u8(self.flags.byte());
        out.place(self.place);
        match self.body {
            Body::Unchanged => out.u8(UNCHANGED),
            Body::Whole(Content::String(value)) => {
                out.u8(STRING);
                out.long(value);
            }
            Body::Whole(Content::Attributes(attributes)) => {
                out.u8(ATTRIBUTES);
                out.long(attributes.bytes());
            }
            Body::Changed(attributes) => {
                out.u8(CHANGED);
                out.long(attributes.bytes());
            }
        }
        // ids of writes with their answers: none yet go with a copy
        out.u8(0);
    }

    pub(crate) fn take(take: &mut Take<'a>) -> Result<Self, Damage> {
        let hid = take.hid()?;
        let id = take.state()?;
        let follows = (Epoch(take.u32()?), Version(take.u64()?));
        let left = take.i64()?;
        let flags = Flags::from_byte(take.u8()?);
        let place = take.place()?;
        if place.hid() != hid {
            return Err(Damage::Value("hid"));
        }
        // a state keeps its database among its flags
        if place.database != flags.database() {
            return Err(Damage::Value("flags"));
        }
        let body = match take.u8()? {
            UNCHANGED => Body::Unchanged,
            STRING => Body::Whole(Content::String(take.long()?)),
            ATTRIBUTES => Body::Whole(Content::Attributes(Attributes::take(take.long()?)?)),
            CHANGED => Body::Changed(Attributes::take(take.long()?)?),
            _ => return Err(Damage::Value("body")),
        };
        let has_attributes = matches!(body, Body::Whole(Content::Attributes(_)) | Body::Changed(_));
        if flags.has_attributes() != has_attributes && body != Body::Unchanged {
            return Err(Damage::Value("kind of value"));
        }
        if take.u8()? != 0 {
            return Err(Damage::Value("count of writes"));
        }
        Ok(Self { hid, id, follows, left, flags, place, body })
    }
}
