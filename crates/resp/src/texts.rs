//! Texts of errors. Those of Redis 7.0 are its own to the letter, because clients look at them; the rest are
//! ours.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::session::{KeptAnswer, SessionRefusal};

use crate::decode::Arguments;
use crate::entry::Entry;

/// What follows the minus sign.
pub(crate) type Text = Cow<'static, [u8]>;

macro_rules! texts {
    ($($name:ident $text:literal)*) => {$(
        pub(crate) const $name: Text = Cow::Borrowed($text.as_bytes());
    )*};
}

texts! {
    SYNTAX "ERR syntax error"
    NOT_AN_INTEGER "ERR value is not an integer or out of range"
    NOAUTH "NOAUTH Authentication required."
    WRONGPASS "WRONGPASS invalid username-password pair or user is disabled."
    NOPROTO "NOPROTO unsupported protocol version"
    PROTOCOL_NOT_AN_INTEGER "ERR Protocol version is not an integer or out of range"
    HELLO_NOAUTH "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
    BAD_CLIENT_NAME "ERR Client names cannot contain spaces, newlines or special characters."
    DATABASE_OUT_OF_RANGE "ERR DB index is out of range"
    INVALID_CURSOR "ERR invalid cursor"
    NX_AND_OTHERS "ERR NX and XX, GT or LT options at the same time are not compatible"
    GT_AND_LT "ERR GT and LT options at the same time are not compatible"
    MULTI_NESTED "ERR MULTI calls can not be nested"
    EXEC_WITHOUT_MULTI "ERR EXEC without MULTI"
    DISCARD_WITHOUT_MULTI "ERR DISCARD without MULTI"
    NOT_IN_MULTI "ERR Command not allowed inside a transaction"
    EXECABORT "EXECABORT Transaction discarded because of previous errors."
    CROSSSLOT "CROSSSLOT Keys in request don't hash to the same slot"
    NOSCRIPT "NOSCRIPT No matching script. Please use EVAL."
    NO_SCRIPTS "ERR this is a session store: scripts are not supported"
    TOO_MANY_KEYS "ERR Number of keys can't be greater than number of args"
    NEGATIVE_KEYS "ERR Number of keys can't be negative"
    BLOCK_TOO_LONG "ERR a transaction holds at most 64 commands and 32 MiB"
    COMMIT_ID_TOO_LONG "ERR an id has at most 128 bytes"
    KEY_TOO_LONG "ERR a key of a session has at most 512 bytes"
    ATTACH_NEEDS_RESP3 "ERR SESSION.ATTACH needs RESP 3: send HELLO 3 first"
    TOO_MANY_ATTACHED "ERR too many connections are attached on this node"
    ANSWER_TOO_LARGE "ERR the answer is over 16 MiB: ask for less at once"
}

/// Why the host did not do it.
pub(crate) fn refusal(why: SessionRefusal) -> Text {
    let text = match why {
        SessionRefusal::TryAgain => "TRYAGAIN no node could say in time, ask again",
        SessionRefusal::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
        SessionRefusal::TooLarge => "ERR value is over session_bytes_max",
        SessionRefusal::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
        SessionRefusal::FieldName => {
            "ERR a session's field has a name of at most 255 bytes that does not begin with a zero byte"
        }
        SessionRefusal::TooManyFields => "ERR a session has at most 1024 fields: remove some, or join them",
        SessionRefusal::AnswerTooLarge => return ANSWER_TOO_LARGE,
        SessionRefusal::Gone => "GONE the session has ended: begin one with another key",
        SessionRefusal::Exists => "EXISTS a session has or had this key: begin one with another key",
        SessionRefusal::NoSuchKey => "ERR no such key",
        SessionRefusal::Token => "ERR this is no token: send what LOAD or COMMIT gave, or an empty one",
        SessionRefusal::TooMuch(bound) => return owned(format!("ERR too much at once: {bound}")),
    };
    Cow::Borrowed(text.as_bytes())
}

/// `CONFLICT name name`: what another commit changed first.
pub(crate) fn conflict(names: &[KeptAnswer]) -> Text {
    let mut text = b"CONFLICT".to_vec();
    for name in names {
        if let KeptAnswer::Bytes(name) = name {
            text.push(b' ');
            text.extend_from_slice(name);
        }
    }
    Cow::Owned(text)
}

pub(crate) fn owned(text: String) -> Text {
    Cow::Owned(text.into_bytes())
}

/// `Transaction discarded because of: wrong number of arguments for 'exec' command`
pub(crate) fn exec_abort(why: &Text) -> Text {
    let why = why.strip_prefix(b"ERR ").unwrap_or(why);
    Cow::Owned([b"EXECABORT Transaction discarded because of: ", why].concat())
}

/// `invalid expire time in 'set' command`
pub(crate) fn invalid_expire(command: &Entry) -> Text {
    owned(format!("ERR invalid expire time in '{}' command", command.name))
}

/// `wrong number of arguments for 'get' command`
pub(crate) fn wrong_arity(command: &Entry) -> Text {
    owned(format!("ERR wrong number of arguments for '{}' command", command.name))
}

/// `this user has no permissions to run the 'get' command`
pub(crate) fn no_permission(command: &Entry) -> Text {
    owned(format!("NOPERM this user has no permissions to run the '{}' command", command.name))
}

/// What a client sent, up to a zero byte and `bytes_max`, as C prints it.
fn printed(argument: &[u8], bytes_max: usize) -> &[u8] {
    let end = memchr::memchr(0, argument).unwrap_or(argument.len());
    &argument[..end.min(bytes_max)]
}

/// Redis: bytes of a name, and of all arguments together, in these texts.
const SHOWN_BYTES_MAX: usize = 128;

/// Redis lists arguments until 128 bytes are there.
pub(crate) fn unknown_command(arguments: Arguments<'_>) -> Text {
    let mut shown: Vec<u8> = Vec::new();
    for argument in arguments.from(1) {
        if shown.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let left = SHOWN_BYTES_MAX - shown.len();
        shown.push(b'\'');
        shown.extend_from_slice(printed(argument, left));
        shown.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(printed(arguments.get(0), SHOWN_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&shown);
    Cow::Owned(text)
}

/// `unknown subcommand 'X'. Try CLIENT HELP.`
pub(crate) fn unknown_subcommand(arguments: Arguments<'_>) -> Text {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(printed(arguments.get(1), SHOWN_BYTES_MAX));
    text.extend_from_slice(b"'. Try ");
    text.extend(printed(arguments.get(0), usize::MAX).to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    Cow::Owned(text)
}

/// `Unsupported option X`
pub(crate) fn unsupported_option(option: &[u8]) -> Text {
    let mut text = b"ERR Unsupported option ".to_vec();
    text.extend_from_slice(printed(option, usize::MAX));
    Cow::Owned(text)
}

/// `Syntax error in HELLO option 'x'`
pub(crate) fn hello_option(option: &[u8]) -> Text {
    let mut text = b"ERR Syntax error in HELLO option '".to_vec();
    text.extend_from_slice(printed(option, usize::MAX));
    text.push(b'\'');
    Cow::Owned(text)
}
