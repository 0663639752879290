//! A response's body on its way to a client: its last byte ends the request's lease.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::lease::Lease;
use super::request_body::{BodyError, Watched};

/// A response's body.
pub(crate) enum ResponseBody {
    /// The door's own words.
    Own(Option<Bytes>),
    /// From an instance as it comes; the lease ends with its last byte.
    Relayed(Box<RelayedBody>),
}

pub(crate) struct RelayedBody {
    watched: Watched,
    lease: Option<Lease>,
}

impl ResponseBody {
    pub(super) fn relayed(incoming: Incoming, mut lease: Lease) -> Self {
        // Most small responses are complete when their head is: the instance is free at once.
        if incoming.is_end_stream() {
            lease.complete();
            return Self::Own(None);
        }
        Self::Relayed(Box::new(RelayedBody {
            watched: Watched::new(incoming, lease.body_idle()),
            lease: Some(lease),
        }))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = match &mut *self {
            Self::Own(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(body) => body,
        };
        let frame = body.watched.poll(context);
        let complete = match &frame {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => body.watched.incoming.is_end_stream(),
            // Dropped without completion: the connection is not used again.
            Poll::Ready(Some(Err(_))) => {
                if let Some(mut lease) = body.lease.take() {
                    lease.broken();
                }
                false
            }
            Poll::Pending => false,
        };
        if complete && let Some(mut lease) = body.lease.take() {
            lease.complete();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Relayed(body) => body.watched.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Relayed(body) => body.watched.incoming.size_hint(),
        }
    }
}
