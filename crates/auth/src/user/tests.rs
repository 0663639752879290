use std::format;

use leveret_model::limits;
use sha2::{Digest, Sha256};

use super::*;

const SALT: Salt = [9; 16];

fn login(user: &str, password: &str) -> Login {
    Login { user: Name::new(user), password: Password::new(password.as_bytes()) }
}

fn users() -> Users {
    Users::new([3; 32])
}

/// The whole login, with its hash if it needs one; says whether it did.
fn try_in(users: &mut Users, login: &Login, now: Instant) -> (Result<(), LoginRefused>, bool) {
    match users.check(login, Origin::Loopback, now) {
        Verdict::Known => (Ok(()), false),
        Verdict::Refused(refused) => (Err(refused), false),
        Verdict::NeedsHash(job) => {
            let hashed = job.run(&SALT);
            (users.on_hashed(hashed, now).map(|name| assert_eq!(name, login.user)), true)
        }
    }
}

fn credential<'a>(users: &'a Users, name: &str) -> &'a Credential {
    &users.users[name].user.credential
}

/// A user with a hash of ours.
fn hare() -> User {
    User {
        credential: Credential::Hashed(PasswordHash::of(&Password::new(b"carrot"), &SALT)),
        loopback_only: false,
        permissions: BTreeMap::new(),
    }
}

#[test]
fn the_public_default_password_costs_no_hash() {
    let mut users = users();
    let guest = login("guest", "guest");
    assert_eq!(try_in(&mut users, &guest, Instant::ZERO), (Ok(()), false));
    let later = Instant::ZERO + limits::LOGIN_CACHE_TIME;
    assert_eq!(try_in(&mut users, &guest, later), (Ok(()), false));
}

#[test]
fn a_right_login_is_remembered_for_its_time() {
    let mut users = users();
    users.put(Name::new("hare"), hare());
    let right = login("hare", "carrot");
    assert_eq!(try_in(&mut users, &right, Instant::ZERO), (Ok(()), true));
    assert_eq!(try_in(&mut users, &right, Instant::ZERO), (Ok(()), false));
    let later = Instant::ZERO + limits::LOGIN_CACHE_TIME;
    assert_eq!(try_in(&mut users, &right, later), (Ok(()), true));
}

#[test]
fn a_wrong_password_never_becomes_known() {
    let mut users = users();
    let wrong = login("guest", "wrong");
    for _ in 0..2 {
        assert_eq!(try_in(&mut users, &wrong, Instant::ZERO), (Err(LoginRefused::Invalid), true));
    }
    assert_eq!(try_in(&mut users, &login("guest", "guest"), Instant::ZERO), (Ok(()), false));
    assert_eq!(try_in(&mut users, &wrong, Instant::ZERO), (Err(LoginRefused::Invalid), true));
}

#[test]
fn an_unknown_user_costs_a_hash_too() {
    let mut users = users();
    for _ in 0..2 {
        let refused = try_in(&mut users, &login("nobody", "guest"), Instant::ZERO);
        assert_eq!(refused, (Err(LoginRefused::Invalid), true));
    }
}

#[test]
fn an_empty_password_opens_nothing() {
    let mut users = users();
    assert_eq!(try_in(&mut users, &login("guest", ""), Instant::ZERO), (Err(LoginRefused::Invalid), false));
}

#[test]
fn the_default_user_comes_from_loopback_alone_even_when_it_is_remembered() {
    let mut users = users();
    let guest = login("guest", "guest");
    assert_eq!(try_in(&mut users, &guest, Instant::ZERO).0, Ok(()));
    let verdict = users.check(&guest, Origin::Remote, Instant::ZERO);
    assert!(matches!(verdict, Verdict::Refused(LoginRefused::LoopbackOnly)));
}

#[test]
fn first_logins_at_the_same_moment_all_succeed() {
    let mut users = users();
    users.put(Name::new("hare"), hare());
    let right = login("hare", "carrot");
    let mut job = || match users.check(&right, Origin::Loopback, Instant::ZERO) {
        Verdict::NeedsHash(job) => job,
        verdict => panic!("{verdict:?}"),
    };
    let (one, two) = (job(), job());
    assert_ne!(one.id, two.id);
    for job in [two, one] {
        assert_eq!(users.on_hashed(job.run(&SALT), Instant::ZERO), Ok(Name::new("hare")));
    }
}

#[test]
fn a_result_for_a_password_that_was_changed_meanwhile_does_not_count() {
    let mut users = users();
    users.put(Name::new("hare"), hare());
    let old = login("hare", "carrot");
    let Verdict::NeedsHash(job) = users.check(&old, Origin::Loopback, Instant::ZERO) else { panic!() };
    let new = Credential::Hashed(PasswordHash::of(&Password::new(b"clover"), &SALT));
    users.put(Name::new("hare"), User { credential: new, ..hare() });
    assert_eq!(users.on_hashed(job.run(&SALT), Instant::ZERO), Err(LoginRefused::Invalid));
    assert_eq!(try_in(&mut users, &old, Instant::ZERO), (Err(LoginRefused::Invalid), true));
    assert_eq!(try_in(&mut users, &login("hare", "clover"), Instant::ZERO), (Ok(()), true));
}

#[test]
fn a_user_of_rabbitmq_gets_a_hash_of_ours_at_its_first_right_login() {
    let mut users = users();
    let salted = [&b"salt"[..], &Sha256::digest(b"saltcarrot")[..]].concat();
    let taken_over = User {
        credential: Credential::Hashed(PasswordHash::from_rabbitmq_sha256(&salted).unwrap()),
        loopback_only: false,
        permissions: BTreeMap::new(),
    };
    users.put(Name::new("hare"), taken_over);
    let wrong = try_in(&mut users, &login("hare", "turnip"), Instant::ZERO);
    assert_eq!(wrong, (Err(LoginRefused::Invalid), true));
    assert!(matches!(credential(&users, "hare"), Credential::Hashed(hash) if !hash.is_argon2id()));
    assert_eq!(try_in(&mut users, &login("hare", "carrot"), Instant::ZERO), (Ok(()), true));
    assert!(matches!(credential(&users, "hare"), Credential::Hashed(hash) if hash.is_argon2id()));
    let later = Instant::ZERO + limits::LOGIN_CACHE_TIME;
    assert_eq!(try_in(&mut users, &login("hare", "carrot"), later), (Ok(()), true));
}

#[test]
fn a_vhost_without_permissions_is_530_in_the_words_of_rabbitmq() {
    let users = users();
    let guest = Name::new("guest");
    assert!(users.enter(&guest, "/").is_ok());
    for (user, vhost) in [(&guest, "other"), (&Name::new("nobody"), "/")] {
        let refusal = users.enter(user, vhost).unwrap_err();
        assert_eq!(refusal.code, ReplyCode::NotAllowed);
        assert_eq!(refusal.text, format!("access to vhost '{vhost}' refused for user '{user}'"));
    }
}

#[test]
fn no_step_of_a_login_shows_a_password() {
    let mut users = users();
    let secret = login("guest", "hunter2");
    let verdict = users.check(&secret, Origin::Loopback, Instant::ZERO);
    let shown = format!("{secret:?} {verdict:?} {users:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("argon2id$"), "{shown}");
    let Verdict::NeedsHash(job) = verdict else { panic!() };
    let hashed = job.run(&SALT);
    let shown = format!("{hashed:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("$argon2"), "{shown}");
}
