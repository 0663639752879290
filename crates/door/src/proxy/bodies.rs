//! Bodies on their way: a request's to an instance, a response's to a client.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use leveret_model::limits::BODY_IDLE_TIMEOUT;
use tokio::time::{Sleep, sleep};

use super::lease::Lease;

/// Why a body ends early.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The other side of the door failed.
    Broken(hyper::Error),
    /// Nothing came for a minute.
    Idle,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Idle => write!(f, "no byte of the body within {BODY_IDLE_TIMEOUT:?}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body that streams, watched for silence. The timer is made at the first silence: most bodies are there at
/// once.
struct Watched {
    incoming: Incoming,
    silence: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                self.silence = None;
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(BODY_IDLE_TIMEOUT)));
                match silence.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Idle))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

/// A request's body.
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// Kept, so that it can be sent again.
    Whole(Option<Bytes>),
    /// From the client as it comes.
    Streamed(Box<StreamedBody>),
}

pub(crate) struct StreamedBody(Watched);

impl RequestBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes))
    }

    pub(super) fn streamed(incoming: Incoming) -> Self {
        Self::Streamed(Box::new(StreamedBody(Watched { incoming, silence: None })))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(body) => body.0.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(None) => true,
            Self::Whole(Some(_)) => false,
            Self::Streamed(body) => body.0.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Whole(None) => SizeHint::with_exact(0),
            Self::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed(body) => body.0.incoming.size_hint(),
        }
    }
}

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
            watched: Watched { incoming, silence: None },
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
