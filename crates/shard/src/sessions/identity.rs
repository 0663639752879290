//! Who a RESP client is, and what it may do.

use alloc::string::String;
use alloc::sync::Arc;

use leveret_auth::{Access, Login, Origin, Password, Permissions};
use leveret_model::Name;
use leveret_model::definition::{DEFAULT_USER, DEFAULT_VHOST};
use leveret_resp::Right;

/// What permissions of a vhost are asked for.
const RESOURCE: &str = "amq.leveret.sessions";

/// What a client is and may.
#[derive(Debug)]
pub(super) struct Identity {
    name: String,
    loopback: bool,
    guest: Option<Arc<Permissions>>,
    user: Name,
    vhost: Name,
    permissions: Option<Arc<Permissions>>,
    /// A login that is to be checked: vhost, user and password.
    asked: Option<(Name, Login)>,
    /// The vhost of a login that is being checked.
    checking: Option<Name>,
}

impl Identity {
    pub(super) fn new(name: String, loopback: bool, guest: Option<Arc<Permissions>>) -> Self {
        let (user, vhost) = (Name::new(DEFAULT_USER), Name::new(DEFAULT_VHOST));
        Self { name, loopback, permissions: guest.clone(), guest, user, vhost, asked: None, checking: None }
    }

    pub(super) fn peer(&self) -> &str {
        &self.name
    }

    pub(super) fn origin(&self) -> Origin {
        if self.loopback { Origin::Loopback } else { Origin::Remote }
    }

    /// A login that is to be checked now: its vhost is kept until [`Identity::end_check`].
    pub(super) fn begin_check(&mut self) -> Option<Login> {
        let (vhost, login) = self.asked.take()?;
        self.checking = Some(vhost);
        Some(login)
    }

    /// The vhost of the login that was checked, if one was.
    pub(super) fn end_check(&mut self) -> Option<Name> {
        self.checking.take()
    }

    /// The login was right.
    pub(super) fn enter(&mut self, user: Name, vhost: Name, permissions: Arc<Permissions>) {
        (self.user, self.vhost, self.permissions) = (user, vhost, Some(permissions));
    }

    pub(super) fn vhost(&self) -> &Name {
        &self.vhost
    }

    /// `user` is `user` or `vhost:user`. What is no text names nobody.
    pub(super) fn ask(&mut self, user: &[u8], password: &[u8]) {
        let whole = String::from_utf8_lossy(user);
        let (vhost, user) = whole.rsplit_once(':').unwrap_or((DEFAULT_VHOST, &whole));
        let login = Login { user: Name::new(user), password: Password::new(password) };
        self.asked = Some((Name::new(vhost), login));
    }

    /// As it was before its login.
    pub(super) fn forget(&mut self) {
        self.user = Name::new(DEFAULT_USER);
        self.vhost = Name::new(DEFAULT_VHOST);
        self.permissions.clone_from(&self.guest);
    }

    /// hot.
    pub(super) fn permits(&self, right: Right) -> bool {
        let access = match right {
            Right::Read => Access::Read,
            Right::Write => Access::Write,
            Right::Configure => Access::Configure,
        };
        let permissions = self.permissions.as_ref();
        permissions.is_some_and(|all| all.check(access, "session", RESOURCE, &self.vhost, &self.user).is_ok())
    }
}
