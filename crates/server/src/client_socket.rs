//! A client's socket, as its shard's thread keeps it.

use std::io::{self, IoSlice, Write};

use leveret_model::{ConnectionKey, Instant};
use leveret_wire::Output;
use mio::net::TcpStream;

/// Slices that one write gathers.
const SLICES: usize = 64;

/// A socket and what its event loop knows about it. No buffer while no bytes are in it.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    pub(crate) key: ConnectionKey,
    pub(crate) stream: TcpStream,
    /// The start of a frame that is not whole.
    pub(crate) leftover: Vec<u8>,
    /// The connection could not take more when it was last offered `leftover`: it is offered again without new bytes
    /// behind it, for the client may be waiting for what is in there.
    pub(crate) stalled: bool,
    /// The kernel has shown bytes that were not read yet.
    pub(crate) readable: bool,
    /// The peer will send no more. It shows once, perhaps before the last bytes were read: then a read that takes all of
    /// them is not the last one.
    pub(crate) read_closed: bool,
    /// In the thread's list of sockets to read.
    pub(crate) listed: bool,
    /// The last write took all it was given.
    pub(crate) writable: bool,
    /// When a trickling socket may be read next.
    pub(crate) trickle_at: Instant,
    /// In the thread's heap of trickling sockets.
    pub(crate) trickles: bool,
    /// It counts among the node's half-open handshakes.
    pub(crate) half_open: bool,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The socket takes no more for now.
    Partly,
}

/// Writes as much as the socket takes. hot.
pub(crate) fn flush(stream: &mut TcpStream, output: &mut Output) -> io::Result<Flushed> {
    while !output.is_empty() {
        let mut chunks: [&[u8]; SLICES] = [&[]; SLICES];
        let count = output.chunks(&mut chunks);
        let written = if count == 1 {
            stream.write(chunks[0])
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            for (slice, chunk) in slices.iter_mut().zip(&chunks[..count]) {
                *slice = IoSlice::new(chunk);
            }
            stream.write_vectored(&slices[..count])
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => output.advance(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Partly),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    output.release_memory();
    Ok(Flushed::All)
}
