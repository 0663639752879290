//! Answers to renames' steps, and commits that go on under another key.

use leveret_model::session::{KeptAnswer, SessionRefusal};
use leveret_sessions::{Asker, RENAME_PART, RenameRequest, RenameStep, request_place};

use super::mail::SessionMail;
use super::parts::part_of;
use super::room::SessionRoom;

impl SessionRoom {
    /// An answer for a connection of this shard: to a client, or to a step of its rename.
    pub(super) fn on_answer(&mut self, asker: Asker, answer: &KeptAnswer) {
        if asker.part == RENAME_PART {
            self.on_rename_step(asker, answer);
        } else if let KeptAnswer::Moved(request) = answer {
            self.ask_again(asker, request);
        } else {
            self.clients.on_answer(asker, answer);
        }
    }

    fn on_rename_step(&mut self, asker: Asker, answer: &KeptAnswer) {
        let Some(renaming) = self.renames.get_mut(asker) else { return };
        let (client, answer) = match renaming.on_answer(answer) {
            RenameStep::Ask(request) => {
                let step = self.renames.next_step(asker);
                return self.ask_step(step, request);
            }
            RenameStep::GoOn(answer, request) => {
                let step = self.renames.next_step(asker);
                self.ask_step(step, request);
                (self.renames.take_client(asker), answer)
            }
            RenameStep::Done(answer) => (self.renames.end(asker), answer),
        };
        if let Some(client) = client {
            self.clients.on_answer(client, &answer);
        }
    }

    pub(super) fn ask_step(&mut self, asker: Asker, request: RenameRequest) {
        let part = part_of(request.bucket);
        let shard = self.parts.shard_of(part);
        if shard != self.own.shard
            && let Some(client) = self.clients.get_mut(asker.connection)
        {
            client.asked.note(shard);
        }
        self.mail.push((shard, SessionMail::Request { asker, part, request: request.bytes.into() }));
    }

    /// A commit that began under a key which has another name now.
    fn ask_again(&mut self, asker: Asker, request: &[u8]) {
        let Ok(place) = request_place(request) else {
            let refused = KeptAnswer::Refused(SessionRefusal::TryAgain);
            return self.clients.on_answer(asker, &refused);
        };
        let bucket = place.hid().bucket();
        self.ask_step(asker, RenameRequest { bucket, bytes: request.to_vec() });
    }
}
