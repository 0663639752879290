//! Who may log in.

use std::collections::BTreeMap;
use std::sync::Arc;

use leveret_auth::{Credential, PasswordHash, Permissions, User, Users};
use leveret_model::Name;

/// argon2id of "guest", with the least memory and passes that there are: a test logs in often.
const GUEST: &str = "$argon2id$v=19$m=8,t=1,p=1$bGV2ZXJldC10ZXN0LXJpZw$50+0b+HbRFTQDfSt2c7/Vg";

pub(super) fn users() -> Users {
    users_with(PasswordHash::from_phc(GUEST).expect("it is one"))
}

/// `guest` with this hash of its password.
pub(super) fn users_with(hash: PasswordHash) -> Users {
    let mut users = Users::new([7; 32]);
    let permissions = BTreeMap::from([(Name::new("/"), Arc::new(Permissions::ALL))]);
    let user = User { credential: Credential::Hashed(hash), loopback_only: false, permissions };
    users.put(Name::new("guest"), user);
    users
}
