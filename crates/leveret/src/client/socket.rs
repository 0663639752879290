//! A socket that waits: bytes in with a deadline, bytes out at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::error::ClientError;

/// Until a TCP connection stands, and until the broker takes bytes.
const SOCKET_WAIT: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    broker: SocketAddr,
    block: Box<[u8]>,
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
        Ok(Self { stream, broker, block: vec![0; BLOCK_BYTES].into() })
    }

    pub(super) fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// Sends all of these bytes and takes them away.
    pub(super) fn send(&mut self, out: &mut Vec<u8>) -> Result<(), ClientError> {
        let sent = self.stream.write_all(out);
        out.clear();
        sent.map_err(|error| self.lost(Some(error)))
    }

    /// Bytes as they come; `None` if none come by the deadline.
    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Option<&[u8]>, ClientError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A timeout of 0 would mean "for ever".
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|error| self.lost(Some(error)))?;
            match self.stream.read(&mut self.block) {
                Ok(0) => return Err(self.lost(None)),
                Ok(count) => return Ok(Some(&self.block[..count])),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return Err(self.lost(Some(error))),
                },
            }
        }
    }

    fn lost(&self, error: Option<std::io::Error>) -> ClientError {
        ClientError::Lost { broker: self.broker, error }
    }
}
