//! Answers to reads while the store runs.

use leveret_store::ReadAnswer;

use crate::found::is_content;
use crate::world::{Verdict, World};

impl World {
    /// What comes back is what was written, in order; what was synced and is not acknowledged comes back, or is
    /// reported.
    pub(crate) fn check_read(&mut self, answer: &ReadAnswer) -> Verdict {
        let request = self.reads.remove(&answer.id).ok_or("an answer that nobody asked for")?;
        self.coverage.read += answer.messages.len() as u64;
        let mut found = Vec::new();
        for message in &answer.messages {
            let content = self.ever.get(&(answer.queue, message.position.0));
            if !content.is_some_and(|content| is_content(message, *content)) {
                return Err(format!("message {} came back as another one", message.position.0));
            }
            found.push(message.position.0);
        }
        if !found.is_sorted() || found.iter().any(|at| *at < request.first.0 || *at > request.last.0) {
            return Err(format!("{found:?} is no answer to {request:?}"));
        }
        if !answer.damaged.is_empty() && !self.rots {
            return Err(format!("damage on a sound disk: {:?}", answer.damaged));
        }
        if request.spilled {
            // what is dropped meanwhile may be there or not
            return Ok(());
        }
        // what was synced and is not acknowledged has to be there
        let mut synced = self.base.clone();
        for (_, deeds) in self.turns.iter().filter(|(mark, _)| *mark <= self.synced) {
            deeds.iter().for_each(|deed| synced.apply(deed));
        }
        let (Some(was), Some(is)) =
            (synced.queues.get(&answer.queue), self.current.queues.get(&answer.queue))
        else {
            return Ok(());
        };
        let to = answer.next.map_or(request.last.0, |next| next.0.saturating_sub(1));
        for position in was.messages.keys().filter(|at| (request.first.0..=to).contains(*at)) {
            let reported = self
                .damaged
                .iter()
                .any(|(queue, first, last)| *queue == answer.queue && (first.0..=last.0).contains(position));
            if is.messages.contains_key(position) && !found.contains(position) && !reported && !self.unknown {
                return Err(format!("message {position} is missing in {found:?}, an answer to {request:?}"));
            }
        }
        Ok(())
    }
}
