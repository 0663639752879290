//! `SESSION.` commands: sessions with tokens, for stores that merge (docs/session-commands.md).

use leveret_model::limits;
use leveret_model::session::{CommitMistake, CommitOrder, KeyCommand};

use crate::arguments::{is, parse_integer};
use crate::decode::Arguments;
use crate::table::Id;
use crate::texts::{self, Text};

/// A key, and what is asked of it.
pub(crate) fn parse<'a>(id: Id, arguments: Arguments<'a>) -> Result<(&'a [u8], KeyCommand<'a>), Text> {
    let key = arguments.get(1);
    let command = match id {
        Id::SessionDestroy => KeyCommand::Destroy,
        Id::SessionLoad => load(arguments)?,
        _ => {
            let arguments = arguments.list_from(2);
            let order = CommitOrder::parse(arguments).map_err(|mistake| match mistake {
                CommitMistake::Syntax => texts::SYNTAX,
                CommitMistake::Number => texts::NOT_AN_INTEGER,
            })?;
            if order.id.len() > limits::SESSION_COMMIT_ID_BYTES_MAX {
                return Err(texts::COMMIT_ID_TOO_LONG);
            }
            KeyCommand::Commit { arguments, redirected: false }
        }
    };
    Ok((key, command))
}

fn load(arguments: Arguments<'_>) -> Result<KeyCommand<'_>, Text> {
    let (mut since, mut touch_ms) = (&b""[..], None);
    let mut words = arguments.from(2);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(texts::SYNTAX)?;
        match () {
            () if is(word, "SINCE") => since = value,
            () if is(word, "TOUCH") => {
                let touch = parse_integer(value).ok_or(texts::NOT_AN_INTEGER)?;
                if touch <= 0 {
                    return Err(texts::invalid_expire(Id::SessionLoad.entry()));
                }
                touch_ms = Some(touch);
            }
            () => return Err(texts::SYNTAX),
        }
    }
    Ok(KeyCommand::Load { since, touch_ms })
}
