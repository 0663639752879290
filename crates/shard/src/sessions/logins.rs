//! Who a RESP client is, and what it may do.
//!
//! A login is checked after the bytes that asked for it, never from inside the call (`resp::host`). While it is
//! checked the connection is not read.

use alloc::string::String;
use alloc::sync::Arc;

use leveret_auth::{Access, Hashed, Login, LoginRefused, Origin, Password, Permissions, Verdict};
use leveret_model::definition::{DEFAULT_USER, DEFAULT_VHOST};
use leveret_model::{ConnectionKey, Instant, Name};
use leveret_resp::Right;

use crate::clients::Clients;
use crate::effects::PasswordJob;
use crate::shard::Caller;

use super::SessionRoom;

/// What permissions of a vhost are asked for.
const RESOURCE: &str = "amq.leveret.sessions";

/// What a client is and may.
#[derive(Debug)]
pub(super) struct Identity {
    caller: Caller,
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
    pub(super) fn new(caller: Caller, guest: Option<Arc<Permissions>>) -> Self {
        let (user, vhost) = (Name::new(DEFAULT_USER), Name::new(DEFAULT_VHOST));
        Self { caller, permissions: guest.clone(), guest, user, vhost, asked: None, checking: None }
    }

    pub(super) fn peer(&self) -> &str {
        &self.caller.name
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

impl Clients {
    /// What a peer on loopback may do without a login, if anything.
    pub(crate) fn guest_permissions(&self) -> Option<Arc<Permissions>> {
        self.session_permissions(&Name::new(DEFAULT_USER), DEFAULT_VHOST)
    }

    /// A login that came with the last bytes, if there is one.
    pub(super) fn check_session_login(&mut self, key: ConnectionKey, room: &mut SessionRoom) {
        let now = room.now;
        let Some(client) = room.clients.get_mut(key) else { return };
        let Some((vhost, login)) = client.identity.asked.take() else { return };
        client.identity.checking = Some(vhost);
        let origin = if client.identity.caller.loopback { Origin::Loopback } else { Origin::Remote };
        match self.check_login(&login, origin, now) {
            Verdict::Known => self.settle_session_login(key, Ok(login.user), room),
            Verdict::Refused(refused) => self.settle_session_login(key, Err(refused), room),
            Verdict::NeedsHash(job) => {
                self.push_password(PasswordJob { connection: key, mechanism: String::new(), job });
            }
        }
    }

    /// A password was hashed: whose it is.
    pub(super) fn on_session_password(&mut self, hashed: Hashed, now: Instant) -> Result<Name, LoginRefused> {
        self.note_upgrade(hashed.upgrade());
        self.on_hashed(hashed, now)
    }

    /// The outcome of a login, for its connection if that is still there.
    pub(super) fn settle_session_login(
        &self,
        key: ConnectionKey,
        user: Result<Name, LoginRefused>,
        room: &mut SessionRoom,
    ) {
        let Some(client) = room.clients.get_mut(key) else { return };
        let Some(vhost) = client.identity.checking.take() else { return };
        let entered = user.ok().and_then(|user| {
            let permissions = self.session_permissions(&user, &vhost)?;
            Some((user, permissions))
        });
        let allowed = entered.is_some();
        if let Some((user, permissions)) = entered {
            (client.identity.user, client.identity.vhost) = (user, vhost);
            client.identity.permissions = Some(permissions);
        }
        room.on_login(key, allowed);
    }
}
