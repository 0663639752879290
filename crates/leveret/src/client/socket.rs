//! The bytes: frames in with a deadline, bytes out in batches.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use leveret_wire::{FrameHead, decode_frame};

use super::ClientError;

/// Bytes that gather before they are written without being asked for.
const OUT_BYTES_MAX: usize = 64 * 1024;
/// Until a TCP connection stands, and until the broker takes bytes.
const SOCKET_WAIT: Duration = Duration::from_secs(5);

/// A frame that came.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: FrameHead,
    pub(super) payload: Vec<u8>,
}

/// A connection's two directions.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    broker: SocketAddr,
    inbox: Vec<u8>,
    /// Bytes of `inbox` that were given out as frames.
    read: usize,
    out: Vec<u8>,
}

impl Socket {
    pub(super) fn connect(broker: SocketAddr) -> Result<Self, ClientError> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&broker, SOCKET_WAIT)?;
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(SOCKET_WAIT))?;
            Ok(stream)
        };
        let stream = connect().map_err(|error| ClientError::Unreachable { broker, error })?;
        Ok(Self { stream, broker, inbox: Vec::new(), read: 0, out: Vec::new() })
    }

    pub(super) fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// Where to append what is to be sent; [`Socket::flush`] or a full buffer sends it.
    pub(super) fn out(&mut self) -> Result<&mut Vec<u8>, ClientError> {
        if self.out.len() >= OUT_BYTES_MAX {
            self.flush()?;
        }
        Ok(&mut self.out)
    }

    pub(super) fn flush(&mut self) -> Result<(), ClientError> {
        let sent = self.stream.write_all(&self.out);
        self.out.clear();
        sent.map_err(|error| ClientError::Lost { broker: self.broker, error: Some(error) })
    }

    /// The next frame; `None` if its last byte has not come by the deadline. Sends what is unsent before it waits.
    pub(super) fn receive(
        &mut self,
        deadline: Instant,
        frame_max: u32,
    ) -> Result<Option<Received>, ClientError> {
        loop {
            if let Some(frame) = self.first_frame(frame_max)? {
                return Ok(Some(frame));
            }
            if !self.out.is_empty() {
                self.flush()?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A timeout of 0 would mean "for ever".
            if left.is_zero() || !self.fill(left)? {
                return Ok(None);
            }
        }
    }

    fn first_frame(&mut self, frame_max: u32) -> Result<Option<Received>, ClientError> {
        let frame = decode_frame(&self.inbox[self.read..], frame_max)
            .map_err(|error| ClientError::Garbled { broker: self.broker, what: error.to_string() })?;
        let Some(frame) = frame else { return Ok(None) };
        self.read += frame.wire_len();
        Ok(Some(Received { head: frame.head, payload: frame.payload.to_vec() }))
    }

    /// Reads once; false if nothing came in time.
    fn fill(&mut self, wait: Duration) -> Result<bool, ClientError> {
        self.inbox.drain(..self.read);
        self.read = 0;
        let lost = |error| ClientError::Lost { broker: self.broker, error };
        self.stream.set_read_timeout(Some(wait)).map_err(|error| lost(Some(error)))?;
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => Err(lost(None)),
            Ok(n) => {
                self.inbox.extend_from_slice(&block[..n]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(false),
                ErrorKind::Interrupted => Ok(true),
                _ => Err(lost(Some(error))),
            },
        }
    }
}
