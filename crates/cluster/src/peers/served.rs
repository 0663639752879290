//! Requests of peers: each is fulfilled once, however often it comes.
//!
//! A peer sends a request again under its id on each new link, until it has the answer. So the answer is kept
//! until the peer says that it waits for no id below a later one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::directory::Reply;
use leveret_model::{NodeId, RequestId};

/// Requests that are under way, or answered and not forgotten yet.
#[derive(Debug, Default)]
pub(crate) struct Served {
    answers: BTreeMap<(NodeId, RequestId), Option<Reply>>,
}

/// What to do with a request that came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arrival {
    /// Fulfil it; it is under way from now on.
    New,
    UnderWay,
    /// Give this answer again.
    Answered(Reply),
}

impl Served {
    /// A request came. `oldest`: the lowest id that the peer still waits for.
    pub(crate) fn on_request(&mut self, peer: NodeId, id: RequestId, oldest: RequestId) -> Arrival {
        let below = self.answers.range((peer, RequestId(0))..(peer, oldest));
        let old: Vec<_> = below.filter(|(_, answer)| answer.is_some()).map(|(&key, _)| key).collect();
        for key in old {
            self.answers.remove(&key);
        }
        match self.answers.get(&(peer, id)) {
            Some(Some(reply)) => Arrival::Answered(reply.clone()),
            Some(None) => Arrival::UnderWay,
            None => {
                self.answers.insert((peer, id), None);
                Arrival::New
            }
        }
    }

    pub(crate) fn on_answer(&mut self, peer: NodeId, id: RequestId, reply: Reply) {
        self.answers.insert((peer, id), Some(reply));
    }

    /// Nothing was done for it, and the peer is told so: if it comes again it is new.
    pub(crate) fn on_pass_back(&mut self, peer: NodeId, id: RequestId) {
        self.answers.remove(&(peer, id));
    }

    pub(crate) fn forget_node(&mut self, peer: NodeId) {
        self.answers.retain(|(of, _), _| *of != peer);
    }

    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    #[test]
    fn a_request_that_comes_again_is_fulfilled_once_and_answered_twice() {
        let mut served = Served::default();
        let (id, oldest) = (RequestId(5), RequestId(5));
        assert_eq!(served.on_request(PEER, id, oldest), Arrival::New);
        assert_eq!(served.on_request(PEER, id, oldest), Arrival::UnderWay);
        served.on_answer(PEER, id, Reply::Done);
        assert_eq!(served.on_request(PEER, id, oldest), Arrival::Answered(Reply::Done));
        assert_eq!(served.on_request(NodeId(3), id, oldest), Arrival::New);
    }

    #[test]
    fn answers_are_forgotten_when_the_peer_waits_for_them_no_longer_and_work_is_not() {
        let mut served = Served::default();
        for id in [1, 2] {
            served.on_request(PEER, RequestId(id), RequestId(1));
        }
        served.on_answer(PEER, RequestId(1), Reply::Done);
        assert_eq!(served.on_request(PEER, RequestId(9), RequestId(9)), Arrival::New);
        assert_eq!(served.len(), 2);
        assert_eq!(served.on_request(PEER, RequestId(2), RequestId(9)), Arrival::UnderWay);
        served.on_pass_back(PEER, RequestId(2));
        assert_eq!(served.on_request(PEER, RequestId(2), RequestId(9)), Arrival::New);
    }
}
