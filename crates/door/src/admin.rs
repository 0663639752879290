//! The operator's side of a door: HTTP on loopback, and the client for it.
//!
//! `GET /healthz`, `GET /status`, `GET /metrics`, `POST /services/SERVICE/instances/INSTANCE/drain` or
//! `…/ready`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use leveret_model::limits::{STATUS_ANSWER_BYTES_MAX, STATUS_ANSWER_WAIT};
use leveret_services::{Command, InstanceName, ServiceName};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::metrics;
use crate::question::Question;
use crate::shared::stopped;
use crate::status::Status;

type Questions = mpsc::Sender<Question>;

/// Serves until the door ends.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    questions: Questions,
    stopping: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin listener cannot be used"),
    };
    let questions = Rc::new(questions);
    let accept = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let questions = Rc::clone(&questions);
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(Rc::clone(&questions), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(STATUS_ANSWER_WAIT)
                    .serve_connection(TokioIo::new(stream), service);
                // Who asked may go away.
                let _ = connection.await;
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stopped(stopping) => {}
    }
}

async fn answer(
    questions: Rc<Questions>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A page of another site can make a browser send a POST to loopback, but not without an Origin.
    if request.headers().contains_key(hyper::header::ORIGIN) {
        return Ok(text(StatusCode::FORBIDDEN, "browsers may not ask here\n"));
    }
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let response = match (request.method(), path.as_slice()) {
        (&Method::GET, ["healthz"]) => text(StatusCode::OK, "ok\n"),
        (&Method::GET, ["status"]) => match status(&questions).await {
            Some(status) => {
                let body = serde_json::to_vec(&status).expect("a status has only types that JSON has");
                page(body, "application/json")
            }
            None => text(StatusCode::SERVICE_UNAVAILABLE, "the door is ending\n"),
        },
        (&Method::GET, ["metrics"]) => match status(&questions).await.map(metrics::render) {
            Some(Ok(body)) => page(body.into_bytes(), metrics::CONTENT_TYPE),
            _ => text(StatusCode::SERVICE_UNAVAILABLE, "the door is ending\n"),
        },
        (&Method::POST, ["services", service, "instances", instance, verb @ ("drain" | "ready")]) => {
            let command = if *verb == "drain" { Command::Drain } else { Command::Ready };
            match (ServiceName::new(service), InstanceName::new(instance)) {
                (Ok(service), Ok(instance)) => tell(&questions, service, instance, command).await,
                _ => text(StatusCode::NOT_FOUND, "names are made of a-z, 0-9 and -\n"),
            }
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /healthz, /status, /metrics and /services/S/instances/I/drain\n",
        ),
    };
    Ok(response)
}

async fn status(questions: &Questions) -> Option<Status> {
    let (answer, answered) = oneshot::channel();
    questions.send(Question::Status(answer)).await.ok()?;
    answered.await.ok()
}

fn page(body: Vec<u8>, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

async fn tell(
    questions: &Questions,
    service: ServiceName,
    instance: InstanceName,
    command: Command,
) -> Response<Full<Bytes>> {
    let (answer, answered) = oneshot::channel();
    let asked = questions.send(Question::Command(service, instance, command, answer)).await;
    match (asked, answered.await) {
        (Ok(()), Ok(Ok(()))) => text(StatusCode::OK, "sent\n"),
        (Ok(()), Ok(Err(why))) => {
            let mut response = text(StatusCode::CONFLICT, "");
            *response.body_mut() = Full::new(Bytes::from(format!("{why}\n")));
            response
        }
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "the door is ending\n"),
    }
}

fn text(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = status;
    response
}

/// Why a door did not answer.
#[derive(Debug)]
pub enum AdminError {
    /// Nobody listens there, or not a door.
    Unreachable(String),
    /// It answered, and said no.
    Refused(String),
}

impl std::fmt::Display for AdminError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no door answers: {why}; name its --admin address"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for AdminError {}

/// Asks a door's admin listener; gives the answer's body.
///
/// # Errors
/// [`AdminError`] says who to look at.
pub fn ask(admin: SocketAddr, method: &str, path: &str) -> Result<Vec<u8>, AdminError> {
    let unreachable = |error: &dyn std::fmt::Display| AdminError::Unreachable(format!("{admin}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, admin.to_string())
        .body(Full::new(Bytes::new()))
        .map_err(|error| unreachable(&error))?;
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(admin).await.map_err(|error| unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|error| unreachable(&error))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), STATUS_ANSWER_BYTES_MAX as usize);
        let body = body.collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        if status.is_success() {
            Ok(body.to_vec())
        } else {
            Err(AdminError::Refused(String::from_utf8_lossy(&body).trim().to_owned()))
        }
    };
    runtime.block_on(async {
        match tokio::time::timeout(STATUS_ANSWER_WAIT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(&"no answer in time")),
        }
    })
}
