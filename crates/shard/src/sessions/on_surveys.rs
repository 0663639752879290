//! A question of an operator about the sessions of a bucket goes to every node that keeps sessions.
//!
//! Each node lists those that are at home with it. What is to be ended it ends one by one, as a client's `DEL`
//! would, so that each is gone everywhere before it counts. It does that for copies too: their home may be
//! dead, or change meanwhile, and a second `DEL` of the same session counts for nothing.

use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put as _, Take};
use leveret_model::session::{KeptAnswer, KeyCommand};
use leveret_model::{NodeId, ShardAddress, limits};
use leveret_sessions::{Asker, Bucket, HeldSession, Place, Request};

use crate::shard::Shard;

use super::parts::{Part, part_of};
use super::questions::kind;
use super::room::SessionRoom;
use super::selection::{SessionSelection, SessionSurvey, SessionTally};
use super::surveys::{SURVEYOR, SurveyAsker};

impl SessionRoom {
    fn survey(&mut self, number: u64, bucket: Bucket, survey: &SessionSurvey) {
        let linked = self.peers.linked();
        let answers = |node: &NodeId| self.peers.known.get(node).is_some_and(|peer| peer.surveys);
        let (asked, silent): (Vec<NodeId>, Vec<NodeId>) =
            self.peers.known.keys().copied().partition(|node| linked.contains(node) && answers(node));
        let tally = SessionTally { silent, ..SessionTally::default() };
        let asker = SurveyAsker::Operator(number);
        let Some(under_way) = self.surveys.begin(asker, asked.clone(), tally) else {
            let failed = SessionTally { failed: 1, ..SessionTally::default() };
            return self.surveys.told.push((number, failed));
        };
        let mut bytes = Vec::new();
        bytes.u8(kind::SURVEY);
        bytes.u64(under_way);
        bytes.u8(survey.ends.into());
        bytes.u8(bucket.0);
        bytes.u16(survey.rows);
        survey.selection.put(&mut bytes);
        let part = part_of(bucket);
        self.questions.out.extend(asked.iter().map(|node| (*node, None, part, bytes.clone())));
        self.survey_here(under_way, bucket, survey);
        self.give_answers();
    }

    /// Another node's operator asks.
    pub(super) fn on_survey(
        &mut self,
        from: ShardAddress,
        part: Part,
        number: u64,
        take: &mut Take<'_>,
    ) -> Result<(), Damage> {
        let (ends, bucket, rows) = (take.u8()? != 0, Bucket(take.u8()?), take.u16()?);
        let survey = SessionSurvey { selection: SessionSelection::take(take)?, ends, rows };
        let asker = SurveyAsker::Node(from, part, number);
        match self.surveys.begin(asker, Vec::new(), SessionTally::default()) {
            Some(under_way) => self.survey_here(under_way, bucket, &survey),
            None => self.tell_tally(asker, SessionTally { failed: 1, ..SessionTally::default() }),
        }
        Ok(())
    }

    /// What another node answered.
    pub(super) fn on_surveyed(
        &mut self,
        from: NodeId,
        number: u64,
        take: &mut Take<'_>,
    ) -> Result<(), Damage> {
        self.surveys.answered(number, from, SessionTally::take(take)?);
        Ok(())
    }

    fn survey_here(&mut self, number: u64, bucket: Bucket, survey: &SessionSurvey) {
        let (clock, linked) = (self.clock(), self.peers.linked());
        let own = self.own.node;
        let tells = |session: &HeldSession| {
            let home = session.home.node;
            home == own || !linked.contains(&home) || survey.ends && session.may_tell
        };
        let mut found = self.parts.held(clock, bucket, usize::MAX);
        found.retain(|session| tells(session) && survey.selection.covers(session));
        let Some(under_way) = self.surveys.get_mut(number) else { return };
        under_way.tally.found += found.len() as u64;
        if survey.ends {
            return found.iter().for_each(|session| self.end_surveyed(number, session));
        }
        found.truncate(usize::from(survey.rows).min(limits::SESSION_SURVEY_ROWS_MAX));
        under_way.tally.rows.append(&mut found);
    }

    fn end_surveyed(&mut self, number: u64, session: &HeldSession) {
        let part = part_of(session.hid.bucket());
        let Some((vhost, database, key)) = self.parts.place_of(part, session.hid) else { return };
        let Some(under_way) = self.surveys.get_mut(number) else { return };
        under_way.ending += 1;
        let asker = Asker { shard: self.own.shard, connection: SURVEYOR, reply: number, part: 0 };
        let place = Place { vhost: &vhost, database, key: &key };
        let request = Request { asker, place, commands: &[KeyCommand::Destroy], block: false };
        let clock = self.clock();
        if let Some(answer) = self.parts.on_request(clock, part, &request).map(|answer| answer.keep()) {
            self.on_surveyed_end(number, &answer);
        }
    }

    /// A session that a survey ends is gone everywhere, or was before, or nobody could say.
    pub(super) fn on_surveyed_end(&mut self, number: u64, answer: &KeptAnswer) {
        let Some(under_way) = self.surveys.get_mut(number) else { return };
        under_way.ending -= 1;
        match answer {
            KeptAnswer::Integer(ended) => under_way.tally.ended += u64::from(*ended > 0),
            _ => under_way.tally.failed += 1,
        }
    }

    /// Tallies that are whole go to whoever asked.
    pub(super) fn give_tallies(&mut self) {
        for (asker, tally) in self.surveys.take_done() {
            self.tell_tally(asker, tally);
        }
    }

    fn tell_tally(&mut self, asker: SurveyAsker, tally: SessionTally) {
        match asker {
            SurveyAsker::Operator(number) => self.surveys.told.push((number, tally)),
            SurveyAsker::Node(to, part, number) => {
                let mut bytes = Vec::new();
                bytes.u8(kind::SURVEYED);
                bytes.u64(number);
                tally.put(&mut bytes);
                self.questions.out.push((to.node, Some(to.shard), part, bytes));
            }
        }
    }
}

impl Shard {
    /// Lists or ends sessions of a bucket of this shard, on every node;
    /// [`Effects::session_surveyed`](crate::Effects::session_surveyed) has the tally under this number.
    pub fn survey_sessions(&mut self, number: u64, bucket: Bucket, survey: &SessionSurvey) {
        if let Some(room) = &mut self.sessions {
            room.survey(number, bucket, survey);
        }
    }
}
