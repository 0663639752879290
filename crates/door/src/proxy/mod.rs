//! One request through the door: who answers it, on which connection, and what happens if that fails.
//!
//! Read first: [`serve`]. [`admit`] chooses and holds (T5, T7), [`upstream`] sends one try, [`lease`] counts
//! it, [`pool`] keeps connections, [`headers`] changes heads, [`tunnel`] carries
//! upgraded connections.

mod admit;
mod affinity;
mod attempt;
mod client;
pub(crate) mod fuzzing;
mod headers;
mod lease;
mod pool;
mod request_body;
mod response_body;
mod session;
mod thread;
mod tunnel;
mod upstream;

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use leveret_model::limits::{HOLD_WAIT, REPLAYED_BODY_BYTES_MAX};
use leveret_services::ServiceView;
use leveret_services::retry::{Body, Policy, Progress, is_idempotent};

use self::admit::{Admission, Refusal};
use self::attempt::Attempt;
pub(crate) use self::client::Client;
pub(crate) use self::request_body::BodyError;
use self::request_body::RequestBody;
pub(crate) use self::response_body::ResponseBody;
pub(crate) use self::thread::Proxy;
use self::upstream::{Failure, Kind};

/// Closes what belongs to instances that are gone, each time the table changes.
pub(crate) async fn follow_snapshots(proxy: Rc<Proxy>) {
    let mut versions = proxy.shared.versions.subscribe();
    while versions.changed().await.is_ok() {
        proxy.pool.keep_only(&proxy.shared.snapshot.load());
        proxy.cuts.notify_waiters();
    }
}

/// Answers one request of a client.
pub(crate) async fn serve(
    proxy: Rc<Proxy>,
    client: Rc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let since = Instant::now();
    if headers::has_via(request.headers(), &proxy.shared.via) {
        return Ok(own(StatusCode::LOOP_DETECTED, "this request has come through this door before\n"));
    }
    let Ok(host) = headers::host(&request) else {
        return Ok(own(StatusCode::BAD_REQUEST, "the request must name one host\n"));
    };
    if request.method() == Method::CONNECT {
        return Ok(own(StatusCode::METHOD_NOT_ALLOWED, "this door opens no tunnels for CONNECT\n"));
    }
    let Some(view) = route(&proxy, &headers::without_port(&host), request.uri().path()).await else {
        return Ok(own(StatusCode::SERVICE_UNAVAILABLE, "no service claims this host and path\n"));
    };
    view.gate.budget.on_request();
    let upgrade = tunnel::wanted(&mut request);
    let version = request.version();
    let (mut parts, body) = request.into_parts();
    prepare(&proxy, &client, &mut parts, version, &host);
    if let Some(upgrade) = &upgrade {
        upgrade.set_headers(&mut parts.headers);
    }
    let idle = proxy.shared.config.timeouts.body_idle;
    let (body, kind, kept) = match take_body(&parts, body, idle).await {
        Ok(taken) => taken,
        Err(response) => return Ok(*response),
    };
    let session = affinity::session(&proxy, &view, &parts.headers);
    let body = Some(body);
    let attempt = Attempt {
        parts,
        body,
        kind,
        kept,
        session,
        tls: client.tls,
        tried: Vec::new(),
        tries: 0,
        fresh: false,
        since,
    };
    Ok(answer(&proxy, &view, attempt, upgrade).await)
}

/// The service that answers. A door that has just started knows none yet.
async fn route(proxy: &Proxy, host: &str, path: &str) -> Option<Arc<ServiceView>> {
    if *proxy.shared.versions.borrow() == 0 {
        let mut versions = proxy.shared.versions.subscribe();
        let first = versions.wait_for(|version| *version > 0);
        // Past that time the look-up below finds nothing, and says so.
        let _ = tokio::time::timeout(HOLD_WAIT, first).await;
    }
    proxy.shared.snapshot.load().route(host, path).cloned()
}

/// The head as the instance gets it.
fn prepare(proxy: &Proxy, client: &Client, parts: &mut Parts, version: Version, host: &str) {
    headers::remove_of_connection(&mut parts.headers);
    if version == Version::HTTP_2 {
        headers::join_cookies(&mut parts.headers);
    }
    headers::set_forwarded(&mut parts.headers, client, host);
    headers::add_via(&mut parts.headers, version, &proxy.shared.via);
    if let Ok(host) = HeaderValue::from_str(host) {
        parts.headers.insert(header::HOST, host);
    }
    parts.uri = headers::origin_form(&parts.uri);
    parts.version = Version::HTTP_11;
}

/// Keeps a small body of an idempotent request, so that it can be sent again (T6).
async fn take_body(
    parts: &Parts,
    body: Incoming,
    idle: Duration,
) -> Result<(RequestBody, Body, Option<Bytes>), Box<Response<ResponseBody>>> {
    if body.is_end_stream() {
        return Ok((RequestBody::Empty, Body::Absent, None));
    }
    let small = body.size_hint().upper().is_some_and(|bytes| bytes <= REPLAYED_BODY_BYTES_MAX as u64);
    if !small || !is_idempotent(parts.method.as_str()) {
        return Ok((RequestBody::streamed(body, idle), Body::Streamed, None));
    }
    match Limited::new(body, REPLAYED_BODY_BYTES_MAX).collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            Ok((RequestBody::whole(bytes.clone()), Body::Whole, Some(bytes)))
        }
        Err(_) => Err(Box::new(own(StatusCode::BAD_REQUEST, "the request's body broke off\n"))),
    }
}

/// Tries instances until one answers or the rules say no more (T6).
async fn answer(
    proxy: &Rc<Proxy>,
    view: &Arc<ServiceView>,
    mut attempt: Attempt,
    mut upgrade: Option<tunnel::Upgrade>,
) -> Response<ResponseBody> {
    loop {
        let lease = match admit::admit(proxy, view, &attempt).await {
            Admission::Lease(lease) => lease,
            Admission::Refused(refusal) => return refused(view, &attempt, refusal),
        };
        let failure = match upstream::send(proxy, lease, &mut attempt).await {
            Ok((mut response, lease)) => {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some(upgrade) = upgrade.take()
                {
                    return tunnel::open(response, lease, upgrade, proxy.shared.config.timeouts.tunnel_idle);
                }
                headers::remove_of_connection(response.headers_mut());
                let version = response.version();
                headers::add_via(response.headers_mut(), version, &proxy.shared.via);
                affinity::set_cookie(proxy, &lease, &attempt, response.headers_mut());
                return response.map(|body| ResponseBody::relayed(body, lease));
            }
            Err(failure) => failure,
        };
        attempt.tries += 1;
        let method = attempt.parts.method.as_str();
        // An upgrade has no idempotence: what it opens may have been opened.
        let progress = if upgrade.is_some() && failure.progress == Progress::SentUnanswered {
            Progress::Answered
        } else {
            failure.progress
        };
        let again = Policy::default().allows(method, attempt.kind, progress, attempt.tries);
        if !again || !restore_body(&mut attempt) || !view.gate.budget.take() {
            return failed(view, &attempt, &failure);
        }
    }
}

/// Whether there is a body to send.
fn restore_body(attempt: &mut Attempt) -> bool {
    if attempt.body.is_none() {
        attempt.body = match attempt.kind {
            Body::Absent => Some(RequestBody::Empty),
            Body::Whole => attempt.kept.clone().map(RequestBody::whole),
            Body::Streamed => None,
        };
    }
    attempt.body.is_some()
}

fn refused(view: &ServiceView, attempt: &Attempt, refusal: Refusal) -> Response<ResponseBody> {
    count_error(view, attempt);
    match refusal {
        Refusal::Exhausted => own(StatusCode::BAD_GATEWAY, "no instance of this service answers\n"),
        Refusal::TooManyWait | Refusal::WaitedInVain => {
            let mut response =
                own(StatusCode::SERVICE_UNAVAILABLE, "no instance of this service is free; try again\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}

fn failed(view: &ServiceView, attempt: &Attempt, failure: &Failure) -> Response<ResponseBody> {
    count_error(view, attempt);
    match failure.kind {
        Kind::TimedOut => own(StatusCode::GATEWAY_TIMEOUT, "the instance did not answer in time\n"),
        Kind::Client => own(StatusCode::BAD_REQUEST, "the request's body broke off\n"),
        Kind::Unreachable | Kind::Broken => {
            own(StatusCode::BAD_GATEWAY, "the instance broke the connection off\n")
        }
    }
}

fn count_error(view: &ServiceView, attempt: &Attempt) {
    let micros = u64::try_from(attempt.since.elapsed().as_micros()).unwrap_or(u64::MAX);
    view.gate.answered(micros, true);
}

/// The door's own answer.
fn own(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Own(Some(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
