//! A client's stream: bytes that were read to see what comes, then the rest; and the time that a head may take.
//!
//! hyper's own time-out for heads runs while a connection is idle as well. A client may be idle for a minute,
//! and may not spend a minute on a head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What the client is doing, shared with the service that gets its requests.
#[derive(Clone, Debug)]
pub(crate) struct Phase(Arc<AtomicU8>);

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const REQUEST: u8 = 2;
/// After 101 the bytes are the application's: no head comes any more.
const TUNNEL: u8 = 3;

impl Phase {
    /// A new connection owes its first head.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(HEAD)))
    }

    /// A head is complete.
    pub(crate) fn request_begins(&self) {
        self.0.store(REQUEST, Ordering::Relaxed);
    }

    /// Its response is out, unless that made a tunnel of the connection.
    pub(crate) fn request_ends(&self) {
        let _ = self.0.compare_exchange(REQUEST, IDLE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The connection is upgraded.
    pub(crate) fn becomes_tunnel(&self) {
        self.0.store(TUNNEL, Ordering::Relaxed);
    }

    /// From now on the stream is not watched; what comes out is for those who tell of requests, and tells
    /// nobody.
    pub(crate) fn end_of_watch(self) -> Self {
        self.request_begins();
        Self::new()
    }

    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Relaxed) == phase
    }
}

/// A client's stream.
pub(crate) struct WatchedStream<S> {
    before: Bytes,
    inner: S,
    phase: Phase,
    limit: Duration,
    /// Runs while a head is being read.
    head: Option<Pin<Box<Sleep>>>,
}

impl<S> WatchedStream<S> {
    /// `before` was read from it already.
    pub(crate) fn new(inner: S, before: Bytes, phase: Phase, limit: Duration) -> Self {
        Self { before, inner, phase, limit, head: None }
    }

    /// The head's time is over.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.phase.is(HEAD) {
            self.head = None;
            return Poll::Pending;
        }
        let limit = self.limit;
        let head = self.head.get_or_insert_with(|| Box::pin(sleep(limit)));
        head.as_mut().poll(context).map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let length = self.before.len().min(buffer.remaining());
            buffer.put_slice(&self.before.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                if self.phase.is(IDLE) && buffer.filled().len() > filled {
                    self.phase.0.store(HEAD, Ordering::Relaxed);
                    self.head = None;
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_head(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
