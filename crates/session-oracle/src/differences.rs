//! Where we differ from Redis 7.0, and why. What is not here must be equal.

use crate::script::Command;

/// Milliseconds that two clocks may be apart when they are asked one after the other.
const CLOCKS_APART_MS: i64 = 2_000;

/// A transaction has a bound.
const TOO_LONG: &str = "-ERR a transaction holds at most 64 commands";

/// Behind an error in the unlock script of phpredis.
const IN_SCRIPT: &str = " script: b70c2384248f88e6b75b9f89241a180f856ad852, on @user_script:1.";

/// True if Redis has done something that we have not, so that nothing behind it can be compared.
pub(crate) fn diverges(said: &[u8]) -> bool {
    let long = said.starts_with(TOO_LONG.as_bytes());
    long || said.starts_with(b"-CROSSSLOT") || said.starts_with(b"-EXECABORT")
}

/// Why these answers differ; `None` if they must not.
pub(crate) fn reason(
    command: &Command,
    expected: &[u8],
    said: &[u8],
    is_process: bool,
) -> Option<&'static str> {
    let name = command.name.as_str();
    let (theirs, ours) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(said));
    match name {
        "pttl" | "ttl" | "pexpiretime" | "expiretime" | "exec" if near(&theirs, &ours) => {
            Some("two clocks, asked one after the other")
        }
        "client|id" | "hello" if is_process && near(&theirs, &ours) => {
            Some("each server counts its own connections")
        }
        "expire" | "pexpire" if [":0\r\n", ":1\r\n"].contains(&&*theirs) && compares(command) => {
            Some("GT and LT: the same time from now is later on one clock and equal on the other")
        }
        "getex" if looked_first(&theirs) && ours.starts_with("-ERR invalid expire time") => Some(
            "GETEX: a wrong time is an error for a missing key too, because it is read where the command arrives",
        ),
        "getex" if looked_first(&theirs) && ours.starts_with("-ERR value is not an integer") => {
            Some("GETEX: the same")
        }
        "client|setinfo" if theirs.starts_with("-ERR unknown subcommand") && ours.starts_with(['+', '-']) => {
            Some("CLIENT SETINFO is of Redis 7.2: clients send it, and we take it")
        }
        "dbsize" if theirs.starts_with(':') && ours.starts_with(':') && ours < theirs => {
            Some("DBSIZE of Redis counts what was set with a time in the past until somebody looks")
        }
        "scan" if sorted_keys(&theirs) == sorted_keys(&ours) => Some("SCAN walks in another order"),
        "exec" if ours.starts_with("-CROSSSLOT") => {
            Some("a transaction is on one key, because one home does it")
        }
        "eval" | "evalsha" | "exec" if theirs.replace(IN_SCRIPT, "") == ours => {
            Some("Redis names the script in which the error was")
        }
        "exec" | "scan" | "dbsize" | "flushdb" | "hello" | "auth" | "rename" | "renamenx"
            if ours.starts_with("-ERR Command not allowed inside") =>
        {
            Some("commands on all keys, and logins, are not allowed between MULTI and EXEC")
        }
        "exec" if ours.starts_with("-EXECABORT") && command.spoiled => Some("the same, at EXEC"),
        _ if ours.starts_with(TOO_LONG) => Some("a transaction has at most 64 commands"),
        _ => None,
    }
}

/// Redis looked at the key before it looked at the time.
fn looked_first(theirs: &str) -> bool {
    theirs.starts_with(['$', '_']) || theirs.starts_with("-WRONGTYPE")
}

fn compares(command: &Command) -> bool {
    let text = String::from_utf8_lossy(&command.bytes).to_uppercase();
    text.contains("\r\nGT\r\n") || text.contains("\r\nLT\r\n")
}

/// True if both are numbers, or lists of the same numbers and texts, and each pair is as near as two clocks
/// are.
fn near(theirs: &str, ours: &str) -> bool {
    let (theirs, ours): (Vec<&str>, Vec<&str>) =
        (theirs.split("\r\n").collect(), ours.split("\r\n").collect());
    theirs.len() == ours.len()
        && theirs.iter().zip(&ours).all(|(a, b)| {
            let number = |text: &str| text.strip_prefix(':').and_then(|number| number.parse::<i64>().ok());
            match (number(a), number(b)) {
                (Some(a), Some(b)) if a > 10 => (a - b).abs() <= CLOCKS_APART_MS,
                _ => a == b,
            }
        })
}

fn sorted_keys(answer: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = answer.split("\r\n").collect();
    lines.sort_unstable();
    lines
}
