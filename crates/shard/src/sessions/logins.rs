//! Logins of RESP clients. One is checked after the bytes that asked for it, never from inside the call
//! (`resp::host`); while it is checked the connection is not read.

use alloc::string::String;
use alloc::sync::Arc;

use leveret_auth::{Hashed, LoginRefused, Permissions, Verdict};
use leveret_model::definition::{DEFAULT_USER, DEFAULT_VHOST};
use leveret_model::{ConnectionKey, Instant, Name};

use crate::clients::Clients;
use crate::effects::PasswordJob;

use super::room::SessionRoom;

impl Clients {
    /// What a peer on loopback may do without a login, if anything.
    pub(crate) fn guest_permissions(&self) -> Option<Arc<Permissions>> {
        self.session_permissions(&Name::new(DEFAULT_USER), DEFAULT_VHOST)
    }

    /// A login that came with the last bytes, if there is one.
    pub(super) fn check_session_login(&mut self, key: ConnectionKey, room: &mut SessionRoom) {
        let now = room.now();
        let Some(client) = room.clients().get_mut(key) else { return };
        let Some(login) = client.identity.begin_check() else { return };
        let origin = client.identity.origin();
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
        let Some(client) = room.clients().get_mut(key) else { return };
        let Some(vhost) = client.identity.end_check() else { return };
        let entered = user.ok().and_then(|user| {
            let permissions = self.session_permissions(&user, &vhost)?;
            Some((user, permissions))
        });
        let allowed = entered.is_some();
        if let Some((user, permissions)) = entered {
            client.identity.enter(user, vhost, permissions);
        }
        room.on_login(key, allowed);
    }
}
