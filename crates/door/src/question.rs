//! What the admin listener asks the control thread.

use leveret_services::{Command, InstanceName, ServiceName};
use tokio::sync::oneshot;

use crate::status::Status;

/// What an operator asks.
#[derive(Debug)]
pub(crate) enum Question {
    /// Everything.
    Status(oneshot::Sender<Status>),
    /// Tell an instance something; the answer says whether it was sent.
    Command(ServiceName, InstanceName, Command, oneshot::Sender<Result<(), &'static str>>),
}
