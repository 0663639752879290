//! From an accepted socket to a served HTTP connection: a PROXY header, TLS, then HTTP/1.1 or HTTP/2, and how
//! long each of them may take.

mod body_end;
mod opening;
mod streams;
mod watched_stream;

use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use leveret_model::limits::{DOOR_QUEUED_GRACE, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP2_STREAMS_MAX};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use self::body_end::Ending;
use self::opening::Expected;
use self::streams::Streams;
use self::watched_stream::{Phase, WatchedStream};
use crate::proxy::{self, Client, Proxy};
use crate::shared::stopped;

/// Tasks of HTTP/2's streams run where their connection does.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// Serves one client's connection in a task of its own, which holds `own` until it ends.
pub(crate) fn serve(
    proxy: &Rc<Proxy>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    own: &Rc<()>,
) {
    let (proxy, own) = (Rc::clone(proxy), Rc::clone(own));
    proxy.shared.connections.fetch_add(1, Ordering::Relaxed);
    tokio::task::spawn_local(async move {
        // Small responses would wait for the client's delayed acknowledgement; without the option they still
        // arrive.
        let _ = stream.set_nodelay(true);
        open(&proxy, stream, peer, tls).await;
        proxy.shared.connections.fetch_sub(1, Ordering::Relaxed);
        drop(own);
    });
}

/// Finds out what the client speaks, and speaks it. A client that says nothing in time, or nothing that makes
/// sense, is no event for anyone.
async fn open(proxy: &Rc<Proxy>, mut stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
    let limit = proxy.shared.config.timeouts.client_head;
    let trusted = Client::new(&proxy.shared.config, peer, tls.is_some()).is_trusted();
    let expected = Expected { proxy: trusted, http2: tls.is_none() };
    // With TLS the first bytes are rustls' own affair, unless a PROXY header may stand before them.
    let opening = if expected.proxy || expected.http2 {
        let stop = async {
            stopped(proxy.shared.stopping()).await;
            tokio::time::sleep(DOOR_QUEUED_GRACE).await;
        };
        let first = tokio::time::timeout(limit, opening::read(&mut stream, expected));
        // What was accepted while the door stops may have a request on its way.
        tokio::select! {
            biased;
            first = first => match first {
                Ok(Ok(opening)) => opening,
                _ => return,
            },
            () = stop => return,
        }
    } else {
        opening::Opening::default()
    };
    let client = Client::new(&proxy.shared.config, opening.client.unwrap_or(peer), tls.is_some());
    let phase = Phase::new();
    let stream = WatchedStream::new(stream, opening.rest, phase.clone(), limit);
    let Some(tls) = tls else {
        // HTTP/2 is no sequence of heads: its own pings find out who is gone.
        let phase = if opening.http2 { phase.end_of_watch() } else { phase };
        return speak(proxy, stream, client, phase, opening.http2).await;
    };
    if let Ok(Ok(stream)) = tokio::time::timeout(limit, tls.accept(stream)).await {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let phase = if http2 { phase.end_of_watch() } else { phase };
        speak(proxy, stream, client, phase, http2).await;
    }
}

async fn speak<S>(proxy: &Rc<Proxy>, stream: S, client: Client, phase: Phase, is_http2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = Rc::new(client);
    let of_requests = (Rc::clone(proxy), phase.clone());
    let streams = is_http2.then(Rc::<Streams>::default);
    let counts = streams.clone();
    let service = service_fn(move |request| {
        let ((proxy, phase), client) = (of_requests.clone(), Rc::clone(&client));
        phase.request_begins();
        let stream = counts.as_ref().map(Streams::begin);
        async move {
            let response = proxy::serve(proxy, client, request).await;
            response.map(|response| {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    phase.becomes_tunnel();
                }
                response.map(|body| Ending::new(body, phase, stream))
            })
        }
    });
    match streams {
        Some(streams) => serve_http2(proxy, stream, &streams, service).await,
        None => serve_http1(proxy, stream, service).await,
    }
}

/// One at a time; idle clients have hyper's time-out for heads.
async fn serve_http1<S, B, H>(proxy: &Proxy, stream: S, service: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    H: HttpService<Incoming, ResBody = B>,
    H::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(proxy.shared.config.timeouts.client_idle)
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        // First, so that a request that was read before the door stopped is served.
        biased;
        // A client that goes away is no event for anyone.
        _ = connection.as_mut() => {}
        () = stopped(proxy.shared.stopping()) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Many at a time; a client with none for too long is sent away.
async fn serve_http2<S, B, H>(proxy: &Proxy, stream: S, streams: &Streams, service: H)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    B: Body + 'static,
    B::Data: 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    H: HttpService<Incoming, ResBody = B>,
    H::Future: 'static,
    H::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let timeouts = &proxy.shared.config.timeouts;
    let connection = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        // A client that is gone is found out even while it has a request.
        .keep_alive_interval(timeouts.client_idle)
        .keep_alive_timeout(timeouts.client_head)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(HTTP_HEAD_BYTES_MAX as u32)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = streams.idleness(timeouts.client_head, timeouts.client_idle) => {
            connection.as_mut().graceful_shutdown();
            // A request that crossed the farewell is finished; a client that does not read it is not waited
            // for.
            tokio::select! {
                _ = connection => {}
                () = streams.idleness(timeouts.client_head, timeouts.client_head) => {}
            }
        }
        () = stopped(proxy.shared.stopping()) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
