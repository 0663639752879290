//! The scripts that session stores bring, by their SHA-1: each is a command of ours. No other script is run.

use leveret_model::session::KeyCommand;

use crate::arguments::{is, parse_integer};
use crate::decode::Arguments;
use crate::table::Id;
use crate::texts::{self, Text};

/// What phpredis unlocks a session with: delete if the value is ours (phpredis 5.3 and 6: `redis_session.c`).
const UNLOCK_SHA1: &str = "b70c2384248f88e6b75b9f89241a180f856ad852";
/// The text that has this SHA-1, because phpredis sends it after a NOSCRIPT.
const UNLOCK: &[u8] =
    b"if redis.call(\"get\",KEYS[1]) == ARGV[1] then return redis.call(\"del\",KEYS[1]) else return 0 end";

/// `EVAL` and `EVALSHA`: the key and what to do with it.
pub(crate) fn parse<'a>(id: Id, arguments: Arguments<'a>) -> Result<(&'a [u8], KeyCommand<'a>), Text> {
    let script = arguments.get(1);
    let known = if id == Id::Eval { script == UNLOCK } else { is(script, UNLOCK_SHA1) };
    // Redis looks at the form of the hash first, then at the number, then for the script
    if id == Id::Evalsha && script.len() != UNLOCK_SHA1.len() {
        return Err(texts::NOSCRIPT);
    }
    let keys = parse_integer(arguments.get(2)).ok_or(texts::NOT_AN_INTEGER)?;
    let keys = match usize::try_from(keys) {
        Err(_) => return Err(texts::NEGATIVE_KEYS),
        Ok(keys) if keys > arguments.count() - 3 => return Err(texts::TOO_MANY_KEYS),
        Ok(keys) => keys,
    };
    match (known, id) {
        (false, Id::Eval) => Err(texts::NO_SCRIPTS),
        (false, _) => Err(texts::NOSCRIPT),
        // The script itself would fail.
        (true, _) if keys == 0 => Err(texts::SYNTAX),
        (true, _) => {
            let value = arguments.from(3 + keys).next();
            Ok((arguments.get(3), KeyCommand::DestroyIfEqual(value)))
        }
    }
}
