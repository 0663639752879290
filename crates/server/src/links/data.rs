//! Sessions of data links: what the machine of `link::sessions` wants, over sockets.

use leveret_cluster::SessionWish;
use leveret_link::sessions::{Deed, SessionNumber};
use leveret_model::{Instant, NodeId};

use super::{LinkEvent, Links, Origin};

impl Links {
    /// The control machine wants a session, or wants none.
    pub(crate) fn on_session_wish(&mut self, now: Instant, wish: &SessionWish) {
        match wish {
            SessionWish::Wanted { node, boot, shards, address } => {
                self.sessions.want(now, *node, *boot, *shards, address);
            }
            SessionWish::Unwanted(node) => self.sessions.unwant(*node),
        }
    }

    /// A shard lost a data link of a session.
    pub(crate) fn on_session_lost(&mut self, now: Instant, node: NodeId, session: SessionNumber) {
        self.sessions.on_lost(now, node, session);
    }

    /// Does what the sessions want; what concerns the shards is an event.
    pub(crate) fn carry_deeds(&mut self, now: Instant) {
        loop {
            let deeds = self.sessions.take_deeds();
            if deeds.is_empty() {
                return;
            }
            for deed in deeds {
                match deed {
                    Deed::Dial { node, address, key } => {
                        self.dial_for(now, &address, Origin::Data(node, key));
                    }
                    Deed::Close(link) => drop(link),
                    Deed::Up { node, boot, session, links } => {
                        self.events.push(LinkEvent::SessionUp { node, boot, session, links });
                    }
                    Deed::Down { node } => self.events.push(LinkEvent::SessionDown { node }),
                }
            }
        }
    }
}
