//! The user that a node has at its start, and who may log in from where (RabbitMQ: default_user,
//! loopback_users).

use std::collections::BTreeMap;
use std::sync::Arc;

use leveret_auth::{Credential, Password, PasswordHash, Permissions, Salt, User, Users};
use leveret_model::Name;
use leveret_model::definition::{DEFAULT_USER, DEFAULT_VHOST};

/// The user that a node has at its start, with all rights on the default vhost.
#[derive(Clone, Debug)]
pub struct DefaultUser {
    name: String,
    /// `None` is the public password of the public user.
    password: Option<Password>,
}

impl Default for DefaultUser {
    /// RabbitMQ's `guest`, whose password is its name.
    fn default() -> Self {
        Self { name: DEFAULT_USER.to_owned(), password: None }
    }
}

impl DefaultUser {
    /// Instead of `guest`: then there is no such user.
    #[must_use]
    pub fn new(name: &str, password: &[u8]) -> Self {
        Self { name: name.to_owned(), password: Some(Password::new(password)) }
    }

    /// What the user is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It may not come from other machines.
    pub(crate) fn is_loopback_only(&self, loopback_users: &[String]) -> bool {
        loopback_users.contains(&self.name)
    }

    /// Hashes a password that is not public: one hash for all shards.
    pub(crate) fn to_user(&self, salt: &Salt, loopback_users: &[String]) -> (Name, User) {
        let credential = match &self.password {
            Some(password) => Credential::Hashed(PasswordHash::of(password, salt)),
            None => Credential::Unhashed(Password::new(DEFAULT_USER.as_bytes())),
        };
        let permissions = BTreeMap::from([(Name::new(DEFAULT_VHOST), Arc::new(Permissions::ALL))]);
        let loopback_only = self.is_loopback_only(loopback_users);
        (Name::new(&self.name), User { credential, loopback_only, permissions })
    }
}

/// The users of a shard: the default one alone.
pub(crate) fn users_of_shard(process_key: [u8; 32], (name, user): (Name, User)) -> Users {
    let mut users = Users::new(process_key);
    users.put_alone(name, user);
    users
}

#[cfg(test)]
mod tests {
    use leveret_auth::{LoginRefused, Mechanism, Origin, Verdict};
    use leveret_model::Instant;

    use super::*;

    fn verdict(users: &mut Users, name: &str, password: &str, origin: Origin) -> Result<(), LoginRefused> {
        let response = format!("\0{name}\0{password}");
        let login = Mechanism::from_name("PLAIN").unwrap().parse(response.as_bytes()).unwrap();
        match users.check(&login, origin, Instant::ZERO) {
            Verdict::Known => Ok(()),
            Verdict::Refused(refused) => Err(refused),
            Verdict::NeedsHash(job) => users.on_hashed(job.run(&Salt::default()), Instant::ZERO).map(drop),
        }
    }

    #[test]
    fn a_user_that_is_set_comes_from_anywhere_and_there_is_no_guest() {
        let loopback_users = ["guest".to_owned()];
        let user = DefaultUser::new("hare", b"long ears").to_user(&Salt::default(), &loopback_users);
        assert!(!format!("{user:?}").contains("ears"));
        let mut users = users_of_shard([1; 32], user);
        assert_eq!(verdict(&mut users, "hare", "long ears", Origin::Remote), Ok(()));
        assert_eq!(verdict(&mut users, "hare", "short", Origin::Loopback), Err(LoginRefused::Invalid));
        assert_eq!(verdict(&mut users, "guest", "guest", Origin::Loopback), Err(LoginRefused::Invalid));
        assert!(users.enter(&Name::new("hare"), "/").is_ok());
    }

    #[test]
    fn guest_comes_from_this_machine_alone_unless_it_is_set_otherwise() {
        for (loopback_users, remote) in
            [(vec!["guest".to_owned()], Err(LoginRefused::LoopbackOnly)), (vec![], Ok(()))]
        {
            let user = DefaultUser::default().to_user(&Salt::default(), &loopback_users);
            let mut users = users_of_shard([1; 32], user);
            assert_eq!(verdict(&mut users, "guest", "guest", Origin::Loopback), Ok(()));
            assert_eq!(verdict(&mut users, "guest", "guest", Origin::Remote), remote);
        }
    }
}
