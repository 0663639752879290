//! Users and their logins. Each shard has the users of the node; the slow part of a login is a job for the driver.
//!
//! Read first: the drawing in the crate's page. Invariants: no hash is computed at start, and none for the default
//! password while it is the public one; a result counts only for the credential that it was computed for.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use leveret_model::definition::{DEFAULT_USER, DEFAULT_VHOST};
use leveret_model::{Instant, Name, Refusal, ReplyCode};

use crate::access::Permissions;
use crate::cache::{Cache, Entry};
use crate::mechanism::Login;
use crate::password::{Password, PasswordHash, Salt};

/// What a user proves itself with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A default password that everybody knows: compared as it is, in constant time, until somebody sets another.
    Unhashed(Password),
    /// A hash. One of RabbitMQ's becomes ours at the next login.
    Hashed(PasswordHash),
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// What it proves itself with.
    pub credential: Credential,
    /// Only from loopback (RabbitMQ: loopback_users).
    pub loopback_only: bool,
    /// What it may do, per vhost.
    pub permissions: BTreeMap<Name, Arc<Permissions>>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// 127.0.0.0/8 or ::1.
    Loopback,
    /// Anywhere else.
    Remote,
}

/// Why a login is refused. For our log; the client gets one text for all (see [`LoginRefused::refusal`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefused {
    /// Unknown user or wrong password.
    #[error("unknown user or wrong password")]
    Invalid,
    /// The user may log in from loopback alone.
    #[error("the user can only log in via localhost")]
    LoopbackOnly,
}

impl LoginRefused {
    /// What the client is told: RabbitMQ's text, which does not say what was wrong.
    #[must_use]
    pub fn refusal(self, mechanism: &str) -> Refusal {
        let text = alloc::format!(
            "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
        );
        Refusal::new(ReplyCode::AccessRefused, text)
    }
}

/// A hash under way; unique in its [`Users`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What [`Users::check`] says.
#[derive(Debug)]
pub enum Verdict {
    /// It is the user.
    Known,
    /// To be run off the shard; [`Users::on_hashed`] has the answer.
    NeedsHash(Box<HashJob>),
    /// Refused.
    Refused(LoginRefused),
}

/// The slow part of one login.
#[derive(Debug)]
pub struct HashJob {
    /// To find the connection again.
    pub id: JobId,
    user: Name,
    password: Password,
    /// None for a user that does not exist, which costs the same.
    credential: Option<Credential>,
    generation: u64,
    entry: Entry,
}

/// The result of a [`HashJob`].
#[derive(Debug)]
pub struct Hashed {
    /// Which job.
    pub id: JobId,
    user: Name,
    right: bool,
    /// The hash to keep instead of what was there.
    replacement: Option<PasswordHash>,
    generation: u64,
    entry: Entry,
}

/// A hash of ours for a password that was right, instead of one of RabbitMQ's: for each shard of the node that
/// knows the user, or each would compute its own at the user's first login there.
#[derive(Clone, Debug)]
pub struct HashUpgrade {
    user: Name,
    generation: u64,
    hash: PasswordHash,
}

impl Hashed {
    /// The hash that replaces what was there.
    #[must_use]
    pub fn upgrade(&self) -> Option<HashUpgrade> {
        let (user, generation) = (self.user.clone(), self.generation);
        self.replacement.clone().map(|hash| HashUpgrade { user, generation, hash })
    }

    /// Who wants to log in.
    #[must_use]
    pub fn user(&self) -> &Name {
        &self.user
    }
}

impl HashJob {
    /// Computes. Slow: about 20 ms and `limits::PASSWORD_HASH_KIB`; always one argon2id hash, whatever the answer.
    #[must_use]
    pub fn run(self, salt: &Salt) -> Hashed {
        let Self { id, user, password, credential, generation, entry } = self;
        let (right, replacement) = match credential {
            Some(Credential::Hashed(hash)) if hash.is_argon2id() => (hash.verify(&password), None),
            Some(Credential::Hashed(foreign)) => {
                let right = foreign.verify(&password);
                let ours = PasswordHash::of(&password, salt);
                (right, right.then_some(ours))
            }
            Some(Credential::Unhashed(default)) => {
                // for the time that it takes: a right one did not come this far
                let _ = core::hint::black_box(PasswordHash::of(&password, salt));
                (default == password, None)
            }
            None => {
                // nobody has this hash; it is computed for the time that it takes
                let _ = core::hint::black_box(PasswordHash::of(&password, salt));
                (false, None)
            }
        };
        Hashed { id, user, right, replacement, generation, entry }
    }
}

/// The users of a node, as one shard knows them.
#[derive(Debug)]
pub struct Users {
    users: BTreeMap<Name, Known>,
    cache: Cache,
    next_job: u64,
    next_generation: u64,
}

#[derive(Debug)]
struct Known {
    user: User,
    /// Differs for each credential that was set from outside.
    generation: u64,
}

impl Users {
    /// The default user alone. `process_key` is 32 random bytes of this process.
    #[must_use]
    pub fn new(process_key: [u8; 32]) -> Self {
        let mut users =
            Self { users: BTreeMap::new(), cache: Cache::new(process_key), next_job: 0, next_generation: 0 };
        let default = User {
            // RabbitMQ: the default user's password is its name
            credential: Credential::Unhashed(Password::new(DEFAULT_USER.as_bytes())),
            loopback_only: true,
            permissions: BTreeMap::from([(Name::new(DEFAULT_VHOST), Arc::new(Permissions::ALL))]),
        };
        users.put(Name::new(DEFAULT_USER), default);
        users
    }

    /// Makes it the only user there is, instead of the default one.
    pub fn put_alone(&mut self, name: Name, user: User) {
        self.users.clear();
        self.put(name, user);
    }

    /// Adds a user or replaces it; logins under way for the old one do not count.
    pub fn put(&mut self, name: Name, user: User) {
        let generation = self.next_generation;
        self.next_generation += 1;
        self.users.insert(name, Known { user, generation });
    }

    /// Checks a login as far as it goes without a hash.
    pub fn check(&mut self, login: &Login, origin: Origin, now: Instant) -> Verdict {
        // RabbitMQ: blank passwords are refused
        if login.password.is_empty() {
            return Verdict::Refused(LoginRefused::Invalid);
        }
        let known = self.users.get(&login.user);
        if known.is_some_and(|known| known.user.loopback_only) && origin == Origin::Remote {
            return Verdict::Refused(LoginRefused::LoopbackOnly);
        }
        let generation = known.map_or(u64::MAX, |known| known.generation);
        let entry = self.cache.entry(&login.user, generation, &login.password);
        if known.is_some() && self.cache.contains(&entry, now) {
            return Verdict::Known;
        }
        // The default password is public: a hash would protect nothing and cost the first login 20 ms and 20 MiB
        // (docs/decisions/0003-default-password.md). A wrong one costs the hash, as for everybody.
        if let Some(Known { user: User { credential: Credential::Unhashed(default), .. }, .. }) = known
            && *default == login.password
        {
            self.cache.insert(entry, now);
            return Verdict::Known;
        }
        let id = JobId(self.next_job);
        self.next_job += 1;
        Verdict::NeedsHash(Box::new(HashJob {
            id,
            user: login.user.clone(),
            password: login.password.clone(),
            credential: known.map(|known| known.user.credential.clone()),
            generation,
            entry,
        }))
    }

    /// A hash is done: the user, or why not.
    ///
    /// # Errors
    /// [`LoginRefused::Invalid`].
    pub fn on_hashed(&mut self, hashed: Hashed, now: Instant) -> Result<Name, LoginRefused> {
        let known = self.users.get(&hashed.user).is_some_and(|known| known.generation == hashed.generation);
        if let Some(upgrade) = hashed.upgrade() {
            self.on_upgrade(upgrade);
        }
        if !known || !hashed.right {
            return Err(LoginRefused::Invalid);
        }
        self.cache.insert(hashed.entry, now);
        Ok(hashed.user)
    }

    /// A shard of the node found the password of a user right and has a better hash of it. One for a credential
    /// that was set anew meanwhile is forgotten: users are set in the same order in all shards, so they have
    /// the same generation.
    pub fn on_upgrade(&mut self, upgrade: HashUpgrade) {
        let known = self.users.get_mut(&upgrade.user);
        if let Some(known) = known.filter(|known| known.generation == upgrade.generation) {
            known.user.credential = Credential::Hashed(upgrade.hash);
        }
    }

    /// What a user may do in a vhost, to be kept with its connection.
    ///
    /// # Errors
    /// 530 without permissions there (RabbitMQ's text).
    pub fn enter(&self, user: &Name, vhost: &str) -> Result<Arc<Permissions>, Refusal> {
        let permissions = self.users.get(user).and_then(|known| known.user.permissions.get(vhost));
        permissions.cloned().ok_or_else(|| {
            let text = alloc::format!("access to vhost '{vhost}' refused for user '{user}'");
            Refusal::new(ReplyCode::NotAllowed, text)
        })
    }
}

#[cfg(test)]
mod tests;
