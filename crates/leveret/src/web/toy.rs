//! A toy application server: it answers with its name, writes down which POST requests it served, and dies at
//! once of SIGTERM with everything it was answering, as many real ones do.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::load::NUMBER;

/// Of the hidden command `toy-web`.
#[derive(Debug, clap::Args)]
pub(crate) struct ToyArgs {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    name: String,
    /// File for the numbers of the POST requests that it served: a GET may be served twice, by the rules of
    /// HTTP
    #[arg(long)]
    served: PathBuf,
    /// Milliseconds that an answer takes
    #[arg(long, default_value_t = 0)]
    work_ms: u64,
}

/// Serves until it is killed.
pub(crate) fn run(args: &ToyArgs) -> anyhow::Result<ExitCode> {
    let served = File::create(&args.served).with_context(|| args.served.display().to_string())?;
    let served = Rc::new(RefCell::new(served));
    // The name, and whom to kill.
    let answer = Bytes::from(format!("{} {}", args.name, std::process::id()));
    let work = Duration::from_millis(args.work_ms);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(args.listen).await.with_context(|| args.listen.to_string())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (served, answer) = (Rc::clone(&served), answer.clone());
            tokio::task::spawn_local(async move {
                let service =
                    service_fn(move |request| reply(Rc::clone(&served), answer.clone(), work, request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // A client that goes away is no event.
                let _ = connection.await;
            });
        }
    })
}

async fn reply(
    served: Rc<RefCell<File>>,
    answer: Bytes,
    work: Duration,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(number) = request.headers().get(NUMBER).filter(|_| *request.method() == Method::POST) {
        let line = [number.as_bytes(), b"\n"].concat();
        // Before the answer, in one write: what a killed server has begun is known.
        if served.borrow_mut().write_all(&line).is_err() {
            eprintln!("leveret: a number could not be written down");
        }
    }
    // A body that breaks off is the client's affair.
    let _ = request.into_body().collect().await;
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
    Ok(Response::new(Full::new(answer)))
}
