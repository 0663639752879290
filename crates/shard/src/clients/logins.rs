//! What a client and the log hear of a login that is refused.

use alloc::format;

use leveret_amqp::LoginRefused;
use leveret_model::Name;

/// The client is not told what was wrong (see [`leveret_auth::LoginRefused`]); the log is, and who it was.
pub(super) fn refusal(refused: leveret_auth::LoginRefused, user: &Name, mechanism: &str) -> LoginRefused {
    LoginRefused {
        reply: refused.refusal(mechanism),
        why: Name::new(&format!("user '{user}' over {mechanism}: {refused}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_who_was_refused_and_why_and_the_client_hears_neither() {
        let user = Name::new("hare");
        let told = |refused| refusal(refused, &user, "PLAIN");
        let (invalid, remote) =
            (told(leveret_auth::LoginRefused::Invalid), told(leveret_auth::LoginRefused::LoopbackOnly));
        assert_eq!(invalid.reply, remote.reply);
        assert!(!invalid.reply.text.contains("hare"), "{}", invalid.reply.text);
        assert_eq!(invalid.why.as_str(), "user 'hare' over PLAIN: unknown user or wrong password");
        assert_eq!(remote.why.as_str(), "user 'hare' over PLAIN: the user can only log in via localhost");
    }
}
