//! Who is logged in.

use crate::encode::Protocol;

/// What is done once a login has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PendingLogin {
    /// `AUTH`
    Auth,
    /// `HELLO`, and the version that it asked for.
    Hello(Option<Protocol>),
}

/// Who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginState {
    /// May use sessions.
    open: bool,
    /// Is being checked: nothing is read meanwhile.
    pending: Option<PendingLogin>,
}

impl LoginState {
    pub(crate) const fn new(open: bool) -> Self {
        Self { open, pending: None }
    }

    pub(crate) const fn is_open(self) -> bool {
        self.open
    }

    pub(crate) const fn is_pending(self) -> bool {
        self.pending.is_some()
    }

    /// Nothing is read until the host has said.
    pub(crate) fn begin(&mut self, pending: PendingLogin) {
        self.pending = Some(pending);
    }

    /// A refused login leaves who was logged in before (Redis does the same).
    pub(crate) fn settle(&mut self, allowed: bool) -> Option<PendingLogin> {
        let pending = self.pending.take()?;
        self.open |= allowed;
        Some(pending)
    }
}
