//! A request's body on its way to an instance, and the watch over any body that streams.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

/// Why a body ends early.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The other side of the door failed.
    Broken(hyper::Error),
    /// Nothing came for so long.
    Idle(Duration),
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Idle(limit) => write!(f, "no byte of the body within {limit:?}"),
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
pub(super) struct Watched {
    pub(super) incoming: Incoming,
    limit: Duration,
    silence: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(incoming: Incoming, limit: Duration) -> Self {
        Self { incoming, limit, silence: None }
    }

    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                self.silence = None;
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.limit)));
                match silence.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Idle(self.limit)))),
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

    pub(super) fn streamed(incoming: Incoming, idle: Duration) -> Self {
        Self::Streamed(Box::new(StreamedBody(Watched::new(incoming, idle))))
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
