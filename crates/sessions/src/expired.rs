//! Sessions that have expired, for whoever asked to be told (`SESSION.ATTACH`).
//!
//! Only a home expires a session (S9), so at most one of these is made per home; the driver hands it to at most
//! one connection.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::{Database, KeptAnswer};

use crate::command_bytes::{put_answer, take_answer};
use crate::content::Content;
use crate::fields::{Damage, Put, Take};
use crate::hid::Place;
use crate::states::State;

/// A session that has expired, with what it held.
#[derive(Clone, Debug, PartialEq)]
pub struct Expired {
    /// In which vhost.
    pub vhost: Box<str>,
    /// In which database.
    pub database: Database,
    /// It was the key's life until now, so it betrays no live session.
    pub key: Box<[u8]>,
    /// A map of its attributes, or the bytes of a string.
    pub content: KeptAnswer,
}

impl Expired {
    pub(crate) fn of(state: &State) -> Self {
        let bytes = |bytes: &[u8]| KeptAnswer::Bytes(bytes.into());
        let content = match state.content() {
            Content::String(value) => bytes(value),
            Content::Attributes(all) => {
                let pairs =
                    all.visible().flat_map(|attribute| [bytes(attribute.name), bytes(attribute.value)]);
                KeptAnswer::Map(pairs.collect())
            }
        };
        let (vhost, key) = (state.vhost().into(), state.key().into());
        Self { vhost, database: state.database(), key, content }
    }

    /// For another node.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.place(Place { vhost: &self.vhost, database: self.database, key: &self.key });
        let mut content = Vec::new();
        put_answer(&mut content, self.content.as_answer());
        out.long(&content);
        out
    }

    /// What [`Expired::encode`] of another node gave.
    ///
    /// # Errors
    /// [`Damage`]
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut take = Take::new(bytes);
        let place = take.place()?;
        let content = take_answer(take.long()?)?;
        Ok(Self { vhost: place.vhost.into(), database: place.database, key: place.key.into(), content })
    }
}
