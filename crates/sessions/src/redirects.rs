//! What nodes are told of a rename, and the commands that are sent on to the new key: see `renames.rs`.

use alloc::vec::Vec;

use leveret_model::NodeId;
use leveret_model::session::{KeptAnswer, KeyCommand};

use crate::effects::Effects;
use crate::hid::{Hid, Place};
use crate::record::Record;
use crate::renames::Renamed;
use crate::requests::{Call, encode_request};
use crate::sessions::Sessions;

impl Sessions {
    /// Before a session ends under its old key every node is told where it lives on.
    pub(crate) fn note_rename(&mut self, hid: Hid, renamed: Renamed, effects: &mut Effects) {
        let others: Vec<NodeId> = self.cluster.members.counted().map(|home| home.node).collect();
        for node in others {
            effects.send(node, hid.bucket(), &record(hid, &renamed));
        }
        self.renames.insert(hid, renamed);
    }

    /// All of them, for a node that asks for the map.
    pub(crate) fn tell_renames(&self, to: NodeId, effects: &mut Effects) {
        for (hid, renamed) in self.renames.iter() {
            effects.send(to, hid.bucket(), &record(hid, renamed));
        }
    }

    /// What a command on a renamed key has to do with the new one.
    pub(crate) fn redirect(&self, call: &Call<'_>) -> Option<KeptAnswer> {
        let [command] = call.commands else { return None };
        let gone = self.gone.get(call.hid)?;
        let renamed = self.renames.get(call.hid).filter(|renamed| renamed.life == gone.life)?;
        let command = match *command {
            // a repeat: the home that did it has died before its answer was heard
            KeyCommand::EndRenamed { to, .. } if *to == *renamed.to => return Some(KeptAnswer::Integer(1)),
            KeyCommand::Commit { arguments, .. } => KeyCommand::Commit { arguments, redirected: true },
            KeyCommand::Export { id } if !id.is_empty() && *id == *renamed.id => {
                KeyCommand::Export { id: b"" }
            }
            _ => return None,
        };
        let place = Place { key: &renamed.to, ..call.place };
        Some(KeptAnswer::Moved(encode_request(place, &[command], false).into()))
    }
}

fn record(hid: Hid, renamed: &Renamed) -> Record<'_> {
    Record::Renamed { hid, life: renamed.life, to: &renamed.to, id: &renamed.id }
}
