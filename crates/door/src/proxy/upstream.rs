//! One try at one instance.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use leveret_model::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
use leveret_services::Candidate;
use leveret_services::retry::{Progress, is_idempotent};
use tokio::net::TcpStream;

use super::attempt::Attempt;
use super::lease::Lease;
use super::pool::Connection;
use super::request_body::{BodyError, RequestBody};
use super::thread::Proxy;

/// Why a try failed.
pub(super) struct Failure {
    /// How far it came.
    pub(super) progress: Progress,
    pub(super) kind: Kind,
}

/// Who failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No connection.
    Unreachable,
    /// The connection died.
    Broken,
    /// No head of a response in time, or the instance is cut off.
    TimedOut,
    /// The client's body broke off: no instance is to blame.
    Client,
}

/// Sends the request and waits for the response's head.
pub(super) async fn send(
    proxy: &Rc<Proxy>,
    mut lease: Lease,
    attempt: &mut Attempt,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let candidate = lease.candidate().clone();
    let mut connection = match connection(proxy, &candidate, attempt).await {
        Ok(connection) => connection,
        Err(failure) => {
            candidate.slot.unreachable();
            attempt.tried.push(candidate.boot);
            return Err(failure);
        }
    };
    let body = attempt.body.take().expect("the body is there between tries");
    let mut request = Request::new(body);
    *request.method_mut() = attempt.parts.method.clone();
    *request.uri_mut() = attempt.parts.uri.clone();
    *request.headers_mut() = attempt.parts.headers.clone();
    let reused = connection.reused;
    let cut = async {
        while !candidate.slot.is_cut() {
            proxy.cuts.notified().await;
        }
    };
    let outcome = tokio::select! {
        biased;
        response = connection.sender.try_send_request(request) => response,
        () = tokio::time::sleep(proxy.shared.config.timeouts.response) => return Err(timed_out(&candidate, attempt)),
        () = cut => return Err(timed_out(&candidate, attempt)),
    };
    match outcome {
        Ok(response) => {
            lease.keep(connection);
            Ok((response, lease))
        }
        Err(mut error) => {
            let unsent = error.take_message();
            let progress = if unsent.is_some() { Progress::NotSent } else { Progress::SentUnanswered };
            attempt.body = unsent.map(Request::into_body);
            let error = error.into_error();
            let of_client =
                matches!(std::error::Error::source(&error), Some(source) if source.is::<BodyError>());
            if of_client {
                return Err(Failure { progress: Progress::Answered, kind: Kind::Client });
            }
            // A response that began and made no sense was an answer: nobody else is asked.
            let progress = if error.is_parse() { Progress::Answered } else { progress };
            if reused && progress != Progress::Answered {
                // The application closed an idle connection; that says nothing against it.
                attempt.fresh = true;
            } else {
                candidate.slot.strike();
                attempt.tried.push(candidate.boot);
            }
            Err(Failure { progress, kind: Kind::Broken })
        }
    }
}

fn timed_out(candidate: &Candidate, attempt: &mut Attempt) -> Failure {
    candidate.slot.strike();
    attempt.tried.push(candidate.boot);
    Failure { progress: Progress::SentUnanswered, kind: Kind::TimedOut }
}

/// A pooled connection, or a fresh one.
async fn connection(
    proxy: &Rc<Proxy>,
    candidate: &Candidate,
    attempt: &Attempt,
) -> Result<Connection, Failure> {
    // T3: while the door is deaf an old connection may lead to an instance that is gone.
    let link_down = proxy.shared.snapshot.load().link_down;
    let may_pool = !attempt.fresh && (!link_down || is_idempotent(attempt.parts.method.as_str()));
    if may_pool && let Some(pooled) = proxy.pool.take(&candidate.slot, candidate.keep_alive_ms) {
        return Ok(pooled);
    }
    let unreachable = || Failure { progress: Progress::NotSent, kind: Kind::Unreachable };
    let connect = TcpStream::connect(candidate.address);
    let Ok(Ok(stream)) = tokio::time::timeout(proxy.shared.config.timeouts.connect, connect).await else {
        return Err(unreachable());
    };
    // Without the option the last packet of a request may wait; it still arrives.
    let _ = stream.set_nodelay(true);
    let handshake = http1::Builder::new()
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .handshake::<_, RequestBody>(TokioIo::new(stream));
    let (sender, driver) = handshake.await.map_err(|_| unreachable())?;
    // Its errors reach the request that it carries.
    tokio::task::spawn_local(async move { drop(driver.with_upgrades().await) });
    Ok(Connection { sender, reused: false })
}
