//! What a table is given and what it asks for.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use compact_str::CompactString;
use leveret_model::Boot;

use crate::announcement::State;
use crate::claims::Claim;
use crate::fence::Fence;
use crate::name::{InstanceName, ServiceName};

/// A row's key (T1).
pub type RowKey = (ServiceName, InstanceName);

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct TableConfig {
    /// Where requests may go.
    pub fence: Fence,
    /// T8: only these hold, if there are any.
    pub claims: Vec<(ServiceName, Claim)>,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableEffect {
    /// Connect to the address, or ask it for the path, within a second; then [`Table::on_probe`].
    Probe {
        /// The row.
        key: RowKey,
        /// Its boot, for the answer.
        boot: Boot,
        /// Where.
        address: SocketAddr,
        /// What to ask for; without it an accepted connection is an answer.
        health: Option<CompactString>,
    },
    /// Send a report at once.
    Report,
    /// For the log.
    Note(TableNote),
}

/// What people should hear about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableNote {
    /// A boot is new.
    Joined(RowKey, SocketAddr),
    /// It changed its state.
    Changed(RowKey, State),
    /// Another process announces the same name.
    Replaced(RowKey),
    /// It said so.
    Left(RowKey),
    /// It was silent, and its address does not answer.
    Gone(RowKey),
    /// It is silent, and its address answers.
    SilentButServing(RowKey),
    /// It was not taken; `1` says why. Said once for each user.
    Refused(RowKey, String),
}
