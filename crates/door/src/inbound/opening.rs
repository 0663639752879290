//! The first bytes of a client's connection: a PROXY header of a trusted peer, then HTTP/1.1 or HTTP/2.

use std::io;
use std::net::SocketAddr;

use hyper::body::Bytes;
use leveret_model::limits::PROXY_HEADER_BYTES_MAX;
use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What HTTP/2 without TLS begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PROXY_V1: &[u8] = b"PROXY ";
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a connection began with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The client, as the PROXY header says.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) http2: bool,
    /// Bytes behind the PROXY header.
    pub(crate) rest: Bytes,
}

/// Which bytes may come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The peer is trusted: it may send a PROXY header.
    pub(crate) proxy: bool,
    /// HTTP without TLS: it may be HTTP/2.
    pub(crate) http2: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Judged {
    More,
    Bad,
    Is { client: Option<SocketAddr>, used: usize, http2: bool },
}

/// Reads until it is clear what comes.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), expected: Expected) -> io::Result<Opening> {
    let mut bytes = Vec::with_capacity(FIRST_READ_BYTES);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match judge(&bytes, expected) {
            Judged::Is { client, used, http2 } => {
                let rest = Bytes::from(bytes).slice(used..);
                return Ok(Opening { client, http2, rest });
            }
            Judged::More if bytes.len() < PROXY_HEADER_BYTES_MAX => {}
            Judged::More | Judged::Bad => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Most heads of requests fit.
const FIRST_READ_BYTES: usize = 2 * 1024;

fn judge(bytes: &[u8], expected: Expected) -> Judged {
    let mut at = (None, 0);
    if expected.proxy && [PROXY_V1, PROXY_V2].iter().any(|sign| begins_alike(bytes, sign)) {
        match ProxyHeader::parse(bytes, ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true }) {
            Ok((header, used)) => at = (header.proxied_address().map(|address| address.source), used),
            // The parser waits for more behind a line that it cannot read.
            Err(Error::BufferTooShort) if !(bytes.starts_with(PROXY_V1) && bytes.contains(&b'\n')) => {
                return Judged::More;
            }
            Err(_) => return Judged::Bad,
        }
    }
    let (client, used) = at;
    let rest = &bytes[used..];
    if !expected.http2 {
        return Judged::Is { client, used, http2: false };
    }
    if rest.len() < PREFACE.len() && PREFACE.starts_with(rest) {
        return Judged::More;
    }
    Judged::Is { client, used, http2: rest.starts_with(PREFACE) }
}

/// One is the beginning of the other.
fn begins_alike(bytes: &[u8], sign: &[u8]) -> bool {
    let length = bytes.len().min(sign.len());
    bytes[..length] == sign[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Expected = Expected { proxy: true, http2: true };

    fn is(client: Option<&str>, used: usize, http2: bool) -> Judged {
        Judged::Is { client: client.map(|client| client.parse().expect("an address")), used, http2 }
    }

    #[test]
    fn what_comes_is_told_by_its_first_bytes() {
        assert_eq!(judge(b"GET / HTTP/1.1\r\n", ALL), is(None, 0, false));
        assert_eq!(judge(PREFACE, ALL), is(None, 0, true));
        let v1 = b"PROXY TCP4 10.1.2.3 10.0.0.1 5000 80\r\n";
        let request = [v1.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(judge(&request, ALL), is(Some("10.1.2.3:5000"), v1.len(), false));
        assert_eq!(judge(&[v1.as_slice(), PREFACE].concat(), ALL), is(Some("10.1.2.3:5000"), v1.len(), true));
        // A stranger's PROXY header is a bad request, and hyper says so.
        assert_eq!(judge(&request, Expected { proxy: false, http2: true }), is(None, 0, false));
        assert_eq!(judge(b"PROXY TCP9 x\r\n", ALL), Judged::Bad);
    }

    #[test]
    fn half_of_a_sign_waits_for_the_rest() {
        for sign in [PREFACE, b"PROXY TCP4 10.1.2.3 10.0.0.1 5000 80\r\n", PROXY_V2] {
            for length in 1..sign.len() {
                assert_eq!(judge(&sign[..length], ALL), Judged::More, "{length} of {sign:?}");
            }
        }
    }
}
