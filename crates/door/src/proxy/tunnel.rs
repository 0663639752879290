//! Upgraded connections (WebSocket): after 101 the door carries bytes both ways.
//!
//! A tunnel does not delay a drain: the application closes its tunnels itself when it gets SIGTERM.

use std::cell::Cell;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::lease::Lease;
use super::response_body::ResponseBody;

/// Bytes that are carried at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What a client wants its connection to become.
pub(super) struct Upgrade {
    client: OnUpgrade,
    protocol: HeaderValue,
}

impl Upgrade {
    pub(super) fn set_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, self.protocol.clone());
    }
}

/// The upgrade that a request asks for.
pub(super) fn wanted(request: &mut Request<Incoming>) -> Option<Upgrade> {
    let headers = request.headers();
    let connection = headers.get(header::CONNECTION)?.to_str().ok()?;
    let asked = connection.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(header::UPGRADE).filter(|_| asked)?.clone();
    // HTTP/2 without TLS is a hop's own affair.
    if protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
        return None;
    }
    Some(Upgrade { client: hyper::upgrade::on(request), protocol })
}

/// Answers 101 and carries bytes until one side ends, or nothing passes for `idle`.
pub(super) fn open(
    mut response: Response<Incoming>,
    lease: Lease,
    upgrade: Upgrade,
    idle: Duration,
) -> Response<ResponseBody> {
    let instance = hyper::upgrade::on(&mut response);
    let slot = std::sync::Arc::clone(&lease.candidate().slot);
    let gate = std::sync::Arc::clone(&lease.view().gate);
    slot.tunnel_begins();
    gate.answered(0, false);
    // The request is over: a drain does not wait for tunnels.
    drop(lease);
    let Upgrade { client, protocol } = upgrade;
    tokio::task::spawn_local(async move {
        if let (Ok(client), Ok(instance)) = (client.await, instance.await) {
            let (client_read, client_write) = tokio::io::split(TokioIo::new(client));
            let (instance_read, instance_write) = tokio::io::split(TokioIo::new(instance));
            // One moment for both directions: a client that only listens keeps its tunnel.
            let last = Cell::new(Instant::now());
            let both = async {
                tokio::join!(
                    carry(client_read, instance_write, &last),
                    carry(instance_read, client_write, &last)
                )
            };
            tokio::select! {
                _ = both => {}
                () = silence(&last, idle) => {}
            }
        }
        slot.tunnel_ends();
    });
    let (mut parts, _) = response.into_parts();
    super::headers::remove_of_connection(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, protocol);
    Response::from_parts(parts, ResponseBody::Own(None))
}

/// One direction; its end is passed on.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, last: &Cell<Instant>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        last.set(Instant::now());
        if to.write_all(&chunk[..read]).await.is_err() {
            break;
        }
        // A slow receiver is no silence.
        last.set(Instant::now());
    }
    // The other side may be gone already.
    let _ = to.shutdown().await;
}

/// Ends when no byte came from either side for `idle`.
async fn silence(last: &Cell<Instant>, idle: Duration) {
    loop {
        let before = last.get();
        tokio::time::sleep_until((before + idle).into()).await;
        if last.get() == before {
            return;
        }
    }
}
