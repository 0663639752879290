//! A client's socket, as its shard's thread keeps it.

use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use leveret_model::limits::WRITE_SLICES_MAX;
use leveret_model::{ConnectionKey, Instant};
use leveret_wire::Output;
use mio::net::TcpStream;

/// A socket and what its event loop knows about it. No buffer while no bytes are in it.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    pub(crate) key: ConnectionKey,
    pub(crate) stream: TcpStream,
    /// The start of a frame that is not whole.
    pub(crate) leftover: Vec<u8>,
    /// The connection could not take more when it was last offered `leftover`: it is offered again without new
    /// bytes behind it, for the client may be waiting for what is in there.
    pub(crate) stalled: bool,
    /// The kernel has shown bytes that were not read yet.
    pub(crate) readable: bool,
    /// The peer will send no more. It shows once, perhaps before the last bytes were read: then a read that
    /// takes all of them is not the last one.
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
    /// Its password is being checked; the check is not made once this is gone with the socket.
    pub(crate) password_check: Option<Arc<()>>,
    /// When it last took some of its output and not all of it.
    pub(crate) full_since: Instant,
    /// In the thread's heap of full sockets.
    pub(crate) watched: bool,
    /// The proxy that has not said yet who the client is.
    pub(crate) proxied_by: Option<SocketAddr>,
    /// It was said that its client does not read.
    pub(crate) told_unread: bool,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The socket takes no more for now.
    Partly,
    /// It has taken as much as it was to get.
    Enough,
}

/// Writes as much as the socket takes, and no more than `most` bytes. hot.
pub(crate) fn flush(stream: &mut TcpStream, output: &mut Output, most: usize) -> io::Result<Flushed> {
    let mut left = most;
    while !output.is_empty() {
        if left == 0 {
            return Ok(Flushed::Enough);
        }
        let mut chunks: [&[u8]; WRITE_SLICES_MAX] = [&[]; WRITE_SLICES_MAX];
        let count = output.chunks(&mut chunks);
        let written = if count == 1 {
            stream.write(&chunks[0][..chunks[0].len().min(left)])
        } else {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
            let mut room = left;
            for (slice, chunk) in slices.iter_mut().zip(&chunks[..count]) {
                let part = &chunk[..chunk.len().min(room)];
                room -= part.len();
                *slice = IoSlice::new(part);
            }
            stream.write_vectored(&slices[..count])
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                output.advance(count);
                left -= count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Partly),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    output.release_memory();
    Ok(Flushed::All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_write_is_bounded() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream =
            TcpStream::from_std(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let mut peer = listener.accept().unwrap().0;
        let mut output = Output::new();
        output.bytes().extend_from_slice(&[1; 600]);
        output.push_shared(vec![2; 600].into());
        output.bytes().extend_from_slice(&[3; 300]);
        for (most, flushed, left) in [(1_000, Flushed::Enough, 500), (500, Flushed::All, 0)] {
            assert_eq!(flush(&mut stream, &mut output, most).unwrap(), flushed);
            assert_eq!(output.len(), left);
        }
        let mut got = [0; 1_500];
        peer.read_exact(&mut got).unwrap();
        assert_eq!([got[599], got[600], got[1_199], got[1_200]], [1, 2, 2, 3]);
    }
}
