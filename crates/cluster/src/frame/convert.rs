//! Commands and replies that pass from node to node, from and to the model's nouns.

use alloc::string::ToString;

use leveret_link::Damage;
use leveret_model::definition::{self};
use leveret_model::directory::{Command, Reply};
use leveret_model::{Refusal, ReplyCode};

use super::message::{Body, CommandKind, ControlFrame, DeleteQueue, Done, Refused, ReplyKind};
use crate::encoding::messages::Binding;
use crate::encoding::name;

impl From<Body> for ControlFrame {
    fn from(body: Body) -> Self {
        Self { body: Some(body) }
    }
}

impl From<&Command> for CommandKind {
    /// Of a command that is passed on to the home of its queue.
    fn from(command: &Command) -> Self {
        match command {
            Command::DeleteQueue { vhost, name, if_unused, if_empty } => Self::DeleteQueue(DeleteQueue {
                vhost: vhost.to_string(),
                name: name.to_string(),
                if_unused: *if_unused,
                if_empty: *if_empty,
            }),
            Command::Bind(binding) => Self::Bind(binding.into()),
            Command::Unbind(binding) => Self::Unbind(binding.into()),
            Command::DeclareExchange(_)
            | Command::DeleteExchange { .. }
            | Command::DeclareQueue { .. }
            | Command::SetPolicy(_)
            | Command::ClearPolicy { .. } => {
                unreachable!("each node does this itself: {command:?}")
            }
        }
    }
}

impl TryFrom<&CommandKind> for Command {
    type Error = Damage;
    fn try_from(command: &CommandKind) -> Result<Self, Damage> {
        Ok(match command {
            CommandKind::DeleteQueue(delete) => Self::DeleteQueue {
                vhost: name(&delete.vhost)?,
                name: name(&delete.name)?,
                if_unused: delete.if_unused,
                if_empty: delete.if_empty,
            },
            CommandKind::Bind(binding) => Self::Bind(queue_binding(binding)?),
            CommandKind::Unbind(binding) => Self::Unbind(queue_binding(binding)?),
        })
    }
}

/// Of those between exchanges each node keeps registers of its own.
fn queue_binding(binding: &Binding) -> Result<definition::Binding, Damage> {
    if binding.to_exchange { Err(Damage::Value("destination")) } else { binding.try_into() }
}

impl From<&Reply> for ReplyKind {
    /// Of an answer to a command that was passed on.
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::Done => Self::Done(Done {}),
            Reply::Deleted { messages } => Self::Deleted(*messages),
            Reply::Refused(refusal) => {
                Self::Refused(Refused { code: refusal.code.code().into(), text: refusal.text.clone() })
            }
            Reply::Queue { .. } => unreachable!("no declaration is passed on: {reply:?}"),
        }
    }
}

impl TryFrom<&ReplyKind> for Reply {
    type Error = Damage;
    fn try_from(reply: &ReplyKind) -> Result<Self, Damage> {
        Ok(match reply {
            ReplyKind::Done(Done {}) => Self::Done,
            ReplyKind::Deleted(messages) => Self::Deleted { messages: *messages },
            ReplyKind::Refused(refused) => {
                let code = u16::try_from(refused.code).ok().and_then(ReplyCode::from_code);
                Self::Refused(Refusal::new(code.ok_or(Damage::Value("reply code"))?, refused.text.clone()))
            }
        })
    }
}

#[cfg(test)]
mod tests;
