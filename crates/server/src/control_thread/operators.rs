//! Operators at the admin socket that wait for the answer to a command. There are as many as the socket takes
//! at once (`limits::ADMIN_CONNECTIONS_MAX`); one that gave up has hung up, and its answer finds nobody.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;
use leveret_cluster::Left;
use leveret_model::RequestId;
use leveret_model::directory::Reply;

/// What a leave would be about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    pub(crate) queues: usize,
    pub(crate) is_last: bool,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Operators {
    waiting: BTreeMap<RequestId, Sender<Reply>>,
    last: u64,
    /// Whoever waits for the end of the leave.
    pub(super) left: Option<Sender<Left>>,
}

impl Operators {
    pub(super) fn enter(&mut self, to: Sender<Reply>) -> RequestId {
        self.last += 1;
        let request = RequestId(self.last);
        self.waiting.insert(request, to);
        request
    }

    /// The leave is over. A node that stays does not leave any more.
    pub(super) fn tell_left(&mut self, left: Left) {
        let to = match left {
            Left::TakenBack { .. } => self.left.take(),
            Left::Empty | Left::Alone { .. } | Left::Late { .. } => self.left.clone(),
        };
        if let Some(to) = to {
            let _ = to.try_send(left);
        }
    }

    pub(super) fn answer(&mut self, request: RequestId, reply: Reply) {
        if let Some(to) = self.waiting.remove(&request) {
            // nobody listens any more if it took too long
            let _ = to.try_send(reply);
        }
    }
}
