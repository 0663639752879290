//! Which sessions an operator means, what is to become of them, and what came of that.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put as _, Take};
use leveret_model::{Boot, NodeId, limits};
use leveret_sessions::{HeldSession, Hid, Home};

use super::questions::{put_optional, take_database, take_name, take_optional};

/// Which sessions an operator means: those for which every part that is there holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSelection {
    /// This one.
    pub hid: Option<Hid>,
    /// Keys that begin so, up to their first colon.
    pub prefix: Option<Box<[u8]>>,
    /// Whom `SESSION.COMMIT … USER` named.
    pub user: Option<Box<[u8]>>,
    /// Not used for so long at least, ms.
    pub idle_ms: Option<u64>,
}

/// What is asked about the sessions of a bucket, on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSurvey {
    /// About which.
    pub selection: SessionSelection,
    /// They are ended, each as by a logout; else listed.
    pub ends: bool,
    /// Rows that are wanted of a node, [`limits::SESSION_SURVEY_ROWS_MAX`] at most.
    pub rows: u16,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTally {
    /// Sessions that were selected.
    pub found: u64,
    /// Sessions that were ended.
    pub ended: u64,
    /// Of those to be ended, how often no home could say in time that it is done.
    pub failed: u64,
    /// As many as were wanted.
    pub rows: Vec<HeldSession>,
    /// Nodes that keep sessions and could not be asked, or did not answer.
    pub silent: Vec<NodeId>,
}

impl SessionSelection {
    pub(super) fn covers(&self, session: &HeldSession) -> bool {
        self.hid.is_none_or(|hid| session.hid == hid)
            && self.prefix.as_ref().is_none_or(|prefix| session.prefix == *prefix)
            && self.user.as_ref().is_none_or(|user| session.user.as_ref() == Some(user))
            && self.idle_ms.is_none_or(|idle_ms| session.idle_ms >= idle_ms)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let hid = self.hid.map(Hid::to_bytes);
        put_optional(out, hid.as_ref().map(|hid| &hid[..]));
        put_optional(out, self.prefix.as_deref());
        put_optional(out, self.user.as_deref());
        put_optional(out, self.idle_ms.map(u64::to_le_bytes).as_ref().map(|idle| &idle[..]));
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Self, Damage> {
        let hid = take_optional(take)?.map(|hid| <[u8; 16]>::try_from(&hid[..]));
        let (prefix, user) = (take_optional(take)?, take_optional(take)?);
        let idle = take_optional(take)?.map(|idle| <[u8; 8]>::try_from(&idle[..]));
        let wrong = |_| Damage::Value("selection");
        Ok(Self {
            hid: hid.transpose().map_err(wrong)?.map(Hid::from_bytes),
            prefix,
            user,
            idle_ms: idle.transpose().map_err(wrong)?.map(u64::from_le_bytes),
        })
    }
}

impl SessionTally {
    /// What a node answers another one; whom it could not ask is none of it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.u64(self.found);
        out.u64(self.ended);
        out.u64(self.failed);
        out.u16(self.rows.len() as u16);
        self.rows.iter().for_each(|row| put_row(out, row));
    }

    pub(super) fn take(take: &mut Take<'_>) -> Result<Self, Damage> {
        let (found, ended, failed) = (take.u64()?, take.u64()?, take.u64()?);
        let count = take.u16()?;
        if usize::from(count) > limits::SESSION_SURVEY_ROWS_MAX {
            return Err(Damage::Value("rows of sessions"));
        }
        let rows = (0..count).map(|_| take_row(take)).collect::<Result<_, _>>()?;
        Ok(Self { found, ended, failed, rows, silent: Vec::new() })
    }

    /// Adds what another node answered.
    pub(super) fn add(&mut self, other: Self) {
        self.found += other.found;
        self.ended += other.ended;
        self.failed += other.failed;
        for row in other.rows {
            // one that moved meanwhile may be told of by both homes
            if self.rows.iter().any(|known| known.hid == row.hid) {
                self.found -= 1;
            } else {
                self.rows.push(row);
            }
        }
    }
}

fn put_row(out: &mut Vec<u8>, row: &HeldSession) {
    out.raw(&row.hid.to_bytes());
    put_optional(out, Some(row.vhost.as_bytes()));
    out.u8(row.database.number());
    put_optional(out, Some(&row.prefix));
    out.node(row.home.node);
    out.u64(row.home.boot.0);
    put_optional(out, row.left_ms.map(u64::to_le_bytes).as_ref().map(|left| &left[..]));
    out.u64(row.bytes as u64);
    out.u8(row.is_used.into());
    out.u64(row.idle_ms);
    put_optional(out, row.user.as_deref());
}

fn take_row(take: &mut Take<'_>) -> Result<HeldSession, Damage> {
    let hid = Hid::from_bytes(take.array()?);
    let vhost = take_name(take)?;
    let database = take_database(take)?;
    let prefix = take_optional(take)?.unwrap_or_default();
    let home = Home { node: take.node()?, boot: Boot(take.u64()?) };
    let left = take_optional(take)?.map(|left| <[u8; 8]>::try_from(&left[..]));
    let left_ms = left.transpose().map_err(|_| Damage::Value("left"))?.map(u64::from_le_bytes);
    Ok(HeldSession {
        hid,
        vhost: (*vhost).into(),
        database,
        prefix,
        home,
        left_ms,
        bytes: take.u64()? as usize,
        is_used: take.u8()? != 0,
        idle_ms: take.u64()?,
        user: take_optional(take)?,
        may_tell: true,
    })
}
