//! A response's body that tells when hyper is done with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::streams::OpenStream;
use super::watched_stream::Phase;
use crate::proxy::{BodyError, ResponseBody};

/// Its end, or its loss, makes the client idle.
pub(crate) struct Ending {
    body: ResponseBody,
    phase: Phase,
    /// Of HTTP/2; its drop counts the stream out.
    _stream: Option<OpenStream>,
}

impl Ending {
    pub(crate) fn new(body: ResponseBody, phase: Phase, stream: Option<OpenStream>) -> Self {
        Self { body, phase, _stream: stream }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.phase.request_ends();
    }
}

impl Body for Ending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
