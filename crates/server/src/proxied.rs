//! Clients behind a proxy that says in front of everything else who they are (PROXY protocol, versions 1 and
//! 2).
//!
//! Invariants: only from addresses that the operator names, and from these every connection begins with a
//! header, so that nobody can claim to be somebody else; a client counts as one of this machine only if the
//! proxy runs here too.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use leveret_model::{ConnectionKey, Instant, limits};
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tracing::warn;

use crate::accept::caller;
use crate::log_limits::unless_none;
use crate::shard_thread::ShardThread;

/// What the first bytes of a connection from a proxy are.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    /// Not whole yet.
    Incomplete,
    /// So many bytes; the client's address and the one that it dialled, or `None` if the proxy speaks for
    /// itself.
    Whole {
        bytes: usize,
        client: Option<(SocketAddr, SocketAddr)>,
    },
    Invalid,
}

fn read_header(bytes: &[u8]) -> Header {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, bytes)) => {
            let client = header.proxied_address().map(|both| (both.source, both.destination));
            Header::Whole { bytes, client }
        }
        Err(Error::BufferTooShort) if bytes.len() < limits::PROXY_HEADER_BYTES_MAX => Header::Incomplete,
        Err(_) => Header::Invalid,
    }
}

impl ShardThread {
    /// Bytes from a proxy whose header is not whole yet: it, and what stands behind it.
    pub(crate) fn offer_proxied(&mut self, key: ConnectionKey, bytes: &Bytes, now: Instant) {
        match read_header(bytes) {
            Header::Incomplete => {
                if let Some(socket) = self.socket_mut(key) {
                    socket.leftover = bytes.to_vec();
                }
            }
            Header::Whole { bytes: len, client } => {
                let Some(socket) = self.socket_mut(key) else { return };
                let proxy = socket.proxied_by.take();
                if let (Some(proxy), Some((from, own))) = (proxy, client) {
                    let mut caller = caller(from, own);
                    caller.name.push_str(&format!(" via {proxy}"));
                    caller.loopback &= proxy.ip().to_canonical().is_loopback();
                    self.shard.set_caller(key, caller);
                }
                if len < bytes.len() {
                    self.offer(key, &bytes.slice(len..));
                }
            }
            Header::Invalid => {
                if let Some(unsaid) = self.complaints.take(now) {
                    let (peer, unsaid) = (self.shard.name(key), unless_none(unsaid));
                    warn!(
                        peer,
                        unsaid,
                        "a connection from an address of --proxy-protocol-from has no PROXY header: it is closed"
                    );
                }
                let error = io::Error::new(io::ErrorKind::InvalidData, "no PROXY header");
                self.lose(key, Some(&error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_name_the_client_and_are_waited_for_byte_by_byte() {
        let (client, own) = ("192.0.2.7:4711", "203.0.113.1:5672");
        let both = Some((client.parse().unwrap(), own.parse().unwrap()));
        let first = b"PROXY TCP4 192.0.2.7 203.0.113.1 4711 5672\r\n".to_vec();
        let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        second.extend_from_slice(&[192, 0, 2, 7, 203, 0, 113, 1, 0x12, 0x67, 0x16, 0x28]);
        for header in [first, second] {
            let stream = [&header[..], b"AMQP\0\0\x09\x01"].concat();
            for len in 0..header.len() {
                assert_eq!(read_header(&stream[..len.max(1)]), Header::Incomplete, "{len}");
            }
            assert_eq!(read_header(&stream), Header::Whole { bytes: header.len(), client: both });
        }
    }

    #[test]
    fn a_proxy_may_speak_for_itself_and_nothing_else_is_a_header() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        assert_eq!(read_header(local), Header::Whole { bytes: 16, client: None });
        assert_eq!(read_header(b"PROXY UNKNOWN\r\n"), Header::Whole { bytes: 15, client: None });
        for bad in [
            &b"AMQP\0\0\x09\x01"[..],
            b"PROXY TCP4 nobody nowhere 1 2\r\n",
            b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        ] {
            assert_eq!(read_header(bad), Header::Invalid, "{}", bad.escape_ascii());
        }
        // one that claims to be longer than ours may be
        let mut long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
        long.resize(limits::PROXY_HEADER_BYTES_MAX, 0);
        assert_eq!(read_header(&long), Header::Invalid);
    }

    /// A peer that nobody knows reaches this decoder.
    #[test]
    fn any_bytes_are_a_header_or_none() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let seeds: [&[u8]; 2] = [
            b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24abcdefghijklmnopqrstuvwxyz0123456789",
        ];
        for _ in 0..100_000 {
            let mut bytes = seeds[(random() % 2) as usize].to_vec();
            for _ in 0..random() % 4 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(random() as usize % (bytes.len() + 1));
            if let Header::Whole { bytes: taken, .. } = read_header(&bytes) {
                assert!(taken <= bytes.len());
            }
        }
    }
}
