//! What a client and the log hear of a login that is refused.

use alloc::format;
use alloc::sync::Arc;

use leveret_amqp::LoginRefused;
use leveret_auth::{HashUpgrade, Hashed, Login, Origin, Permissions, Verdict};
use leveret_model::{Instant, Name};

use super::Clients;
use crate::effects::PasswordJob;

/// The client is not told what was wrong (see [`leveret_auth::LoginRefused`]); the log is, and who it was.
pub(super) fn refusal(refused: leveret_auth::LoginRefused, user: &Name, mechanism: &str) -> LoginRefused {
    LoginRefused {
        reply: refused.refusal(mechanism),
        why: Name::new(&format!("user '{user}' over {mechanism}: {refused}")),
    }
}

/// For logins of RESP clients (`sessions/logins.rs`), which have no mechanism and answer in their own words.
impl Clients {
    pub(crate) fn check_login(&mut self, login: &Login, origin: Origin, now: Instant) -> Verdict {
        self.users.check(login, origin, now)
    }

    pub(crate) fn on_hashed(
        &mut self,
        hashed: Hashed,
        now: Instant,
    ) -> Result<Name, leveret_auth::LoginRefused> {
        self.users.on_hashed(hashed, now)
    }

    pub(crate) fn push_password(&mut self, job: PasswordJob) {
        self.passwords.push(job);
    }

    pub(crate) fn note_upgrade(&mut self, upgrade: Option<HashUpgrade>) {
        self.hash_upgrades.extend(upgrade);
    }

    pub(crate) fn session_permissions(&self, user: &Name, vhost: &str) -> Option<Arc<Permissions>> {
        self.users.enter(user, vhost).ok()
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
