//! A thread that serves requests: its own listener on the shared port, its own runtime, its own connections
//! to instances.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use leveret_model::limits::{
    CLIENT_CONNECTIONS_MAX, CLIENT_IDLE_TIMEOUT, DOOR_LISTEN_BACKLOG, DOOR_STOP_WAIT, HTTP_HEAD_BYTES_MAX,
    HTTP_HEADERS_MAX,
};
use leveret_model::{Seed, SplitMix};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::proxy::{self, Client, Proxy};
use crate::shared::{Shared, stopped};

/// A listener among several on one port: the kernel deals connections out to them.
pub(crate) fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(DOOR_LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// Serves until the door ends.
pub(crate) fn run(shared: &Arc<Shared>, listener: std::net::TcpListener, number: usize) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a thread of the door cannot run"),
    };
    let seed = getrandom::u64().unwrap_or(number as u64);
    let proxy = Rc::new(Proxy::new(Arc::clone(shared), SplitMix::new(Seed(seed))));
    LocalSet::new().block_on(&runtime, async move {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a listener of the door cannot be used"),
        };
        tokio::task::spawn_local(proxy::follow_snapshots(Rc::clone(&proxy)));
        let mut own = Rc::new(());
        tokio::select! {
            () = accept(&proxy, &listener, &own) => {}
            () = stopped(shared.stopping()) => {}
        }
        // What the kernel has queued for this listener would be reset by its close.
        while let Ok(Some(stream)) =
            tokio::time::timeout(Duration::ZERO, listener.accept()).await.map(Result::ok)
        {
            serve(&proxy, stream.0, stream.1, &own);
        }
        drop(listener);
        let over = tokio::time::sleep(DOOR_STOP_WAIT);
        tokio::pin!(over);
        // Each connection holds a reference until it ends.
        while Rc::get_mut(&mut own).is_none() {
            tokio::select! {
                () = &mut over => break,
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    });
}

async fn accept(proxy: &Rc<Proxy>, listener: &TcpListener, own: &Rc<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => serve(proxy, stream, peer, own),
            // Out of descriptors: those that end give theirs back.
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while proxy.shared.connections.load(Ordering::Relaxed) >= CLIENT_CONNECTIONS_MAX {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Serves one client's connection in a task of its own.
fn serve(proxy: &Rc<Proxy>, stream: TcpStream, peer: SocketAddr, own: &Rc<()>) {
    let (proxy, own) = (Rc::clone(proxy), Rc::clone(own));
    proxy.shared.connections.fetch_add(1, Ordering::Relaxed);
    tokio::task::spawn_local(async move {
        // Small responses would wait for the client's delayed acknowledgement; without the option they still
        // arrive.
        let _ = stream.set_nodelay(true);
        let client = Rc::new(Client::new(&proxy.shared.config, peer));
        let for_requests = Rc::clone(&proxy);
        let service =
            service_fn(move |request| proxy::serve(Rc::clone(&for_requests), Rc::clone(&client), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(CLIENT_IDLE_TIMEOUT)
            .max_headers(HTTP_HEADERS_MAX)
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let stopping = stopped(proxy.shared.stopping());
        tokio::select! {
            // A client that goes away is no event for anyone.
            _ = connection.as_mut() => {}
            () = stopping => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        proxy.shared.connections.fetch_sub(1, Ordering::Relaxed);
        drop(own);
    });
}
