//! What a client says about itself, for people.

use alloc::boxed::Box;

use leveret_model::limits;

use crate::arguments::is;
use crate::texts::{self, Text};

/// What a client says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// `CLIENT SETNAME`
    pub name: Box<[u8]>,
    /// `CLIENT SETINFO LIB-NAME`
    pub library: Box<[u8]>,
    /// `CLIENT SETINFO LIB-VER`
    pub version: Box<[u8]>,
}

impl ClientInfo {
    /// Redis: `validateClientName`.
    pub(crate) fn set_name(&mut self, name: &[u8]) -> Result<(), Text> {
        self.name = printable(name)?;
        Ok(())
    }

    /// Redis 7.2: `CLIENT SETINFO`.
    pub(crate) fn set_info(&mut self, option: &[u8], value: &[u8]) -> Result<(), Text> {
        match () {
            () if is(option, "LIB-NAME") => self.library = printable(value)?,
            () if is(option, "LIB-VER") => self.version = printable(value)?,
            () => return Err(texts::SYNTAX),
        }
        Ok(())
    }
}

fn printable(text: &[u8]) -> Result<Box<[u8]>, Text> {
    if text.len() > limits::RESP_CLIENT_NAME_BYTES_MAX || !text.iter().all(u8::is_ascii_graphic) {
        return Err(texts::BAD_CLIENT_NAME);
    }
    Ok(text.into())
}
