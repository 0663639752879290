//! The requests of one HTTP/2 connection, counted, so that an idle one can be closed.
//!
//! hyper's pings find out who is gone; a client that answers them for ever and asks for nothing would hold its
//! connection for ever.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

/// Shared by a connection and its requests.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Cell<usize>,
    asked: Cell<bool>,
    /// The connection became busy or idle.
    changed: Notify,
}

/// Held from a request's head to the end of its response.
#[derive(Debug)]
pub(crate) struct OpenStream(Rc<Streams>);

impl Streams {
    pub(crate) fn begin(self: &Rc<Self>) -> OpenStream {
        self.asked.set(true);
        self.open.set(self.open.get() + 1);
        self.changed.notify_one();
        OpenStream(Rc::clone(self))
    }

    /// Ends when the client has had no request open for `idle`, or has asked for nothing at all within
    /// `first`.
    pub(crate) async fn idleness(&self, first: Duration, idle: Duration) {
        loop {
            let limit = match (self.open.get(), self.asked.get()) {
                (0, true) => Some(idle),
                (0, false) => Some(first),
                _ => None,
            };
            let over = async {
                match limit {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = over => return,
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let open = self.0.open.get() - 1;
        self.0.open.set(open);
        if open == 0 {
            self.0.changed.notify_one();
        }
    }
}
