//! A link's TCP connection after its handshake: frames in, frames out.

use std::io;
use std::os::fd::AsFd;

use bytes::{Bytes, BytesMut};
use leveret_link::frame::{self, Frame, FrameError};
use leveret_model::limits;
use leveret_wire::Output;
use mio::net::TcpStream;

use crate::client_socket::{Flushed, flush};
use crate::held_blocks::HeldBlocks;
use crate::receive::{Filled, fill};

/// Why a link ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The peer closed it.
    #[error("closed by the peer")]
    Closed,
    /// The system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its bytes make no sense.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A framed stream.
#[derive(Debug)]
pub(crate) struct LinkStream {
    pub(crate) stream: TcpStream,
    received: BytesMut,
    /// Of the block that `received` lies in.
    size: usize,
    /// Blocks that were full before.
    held: HeldBlocks,
    output: Output,
    /// The kernel has shown bytes that were not read yet.
    pub(crate) readable: bool,
    /// The peer will send no more; shown once, perhaps before the last bytes were read.
    read_closed: bool,
    writable: bool,
}

impl LinkStream {
    /// A stream whose handshake is done; `leftover` came behind the handshake.
    pub(crate) fn new(stream: TcpStream, leftover: &[u8]) -> Self {
        Self {
            stream,
            received: BytesMut::from(leftover),
            size: leftover.len(),
            held: HeldBlocks::default(),
            output: Output::default(),
            readable: true,
            read_closed: false,
            writable: true,
        }
    }

    pub(crate) fn on_event(&mut self, event: &mio::event::Event) {
        self.read_closed |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.read_closed;
        self.writable |= event.is_writable();
    }

    /// Reads what there is, up to a bound, and gives each whole frame to `each`. hot.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Frame)) -> Result<(), LinkError> {
        let mut read = 0;
        while self.readable && read < limits::LINK_TURN_READ_BYTES_MAX {
            while let Some(frame) = frame::decode(&mut self.received)? {
                each(frame);
            }
            let wanted = frame::missing(&self.received)?.max(limits::LINK_READ_BYTES / 4);
            if self.received.capacity() - self.received.len() < wanted && !self.received.try_reclaim(wanted) {
                let mut fresh =
                    BytesMut::with_capacity(self.received.len() + wanted.max(limits::LINK_READ_BYTES));
                fresh.extend_from_slice(&self.received);
                let size = std::mem::replace(&mut self.size, fresh.capacity());
                self.held.leave(std::mem::replace(&mut self.received, fresh), size);
            }
            let before = self.received.len();
            match fill(self.stream.as_fd(), &mut self.received, limits::LINK_READ_BYTES)? {
                Filled::More { drained } => {
                    read += self.received.len() - before;
                    self.readable = !drained || self.read_closed;
                }
                Filled::Nothing => self.readable = false,
                Filled::End => return Err(LinkError::Closed),
            }
        }
        while let Some(frame) = frame::decode(&mut self.received)? {
            each(frame);
        }
        Ok(())
    }

    /// Memory that its full blocks still hold, bytes.
    pub(crate) fn held_bytes(&mut self) -> u64 {
        self.held.look();
        self.held.bytes()
    }

    /// Queues bytes.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.output.push_shared(bytes);
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// What is queued and not written, bytes.
    pub(crate) fn output_bytes(&self) -> u64 {
        self.output.len() as u64
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), LinkError> {
        if self.writable && flush(&mut self.stream, &mut self.output, usize::MAX)? == Flushed::Partly {
            self.writable = false;
        }
        Ok(())
    }
}
