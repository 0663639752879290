//! A thread that serves requests: its own listeners on the shared ports, its own runtime, its own connections
//! to instances.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leveret_model::limits::{CLIENT_CONNECTIONS_MAX, DOOR_LISTEN_BACKLOG, DOOR_STOP_WAIT};
use leveret_model::{Seed, SplitMix};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::inbound;
use crate::proxy::{self, Proxy};
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

/// What one thread listens on.
pub(crate) struct Listeners {
    pub(crate) plain: std::net::TcpListener,
    pub(crate) tls: Option<(std::net::TcpListener, TlsAcceptor)>,
}

/// A listener of the thread's runtime.
struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listeners {
    fn into_runtime(self) -> io::Result<Vec<Listening>> {
        let mut all = vec![Listening { listener: TcpListener::from_std(self.plain)?, tls: None }];
        if let Some((listener, tls)) = self.tls {
            all.push(Listening { listener: TcpListener::from_std(listener)?, tls: Some(tls) });
        }
        Ok(all)
    }
}

/// Serves until the door ends.
pub(crate) fn run(shared: &Arc<Shared>, listeners: Listeners, number: usize) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a thread of the door cannot run"),
    };
    let seed = getrandom::u64().unwrap_or(number as u64);
    let proxy = Rc::new(Proxy::new(Arc::clone(shared), SplitMix::new(Seed(seed))));
    LocalSet::new().block_on(&runtime, async move {
        let listeners = match listeners.into_runtime() {
            Ok(listeners) => listeners,
            Err(error) => return tracing::error!(%error, "a listener of the door cannot be used"),
        };
        tokio::task::spawn_local(proxy::follow_snapshots(Rc::clone(&proxy)));
        let mut own = Rc::new(());
        let accepting = listeners
            .into_iter()
            .map(|listening| {
                tokio::task::spawn_local(serve_all(Rc::clone(&proxy), listening, Rc::clone(&own)))
            })
            .collect::<Vec<_>>();
        for task in accepting {
            // One that panicked has said so.
            let _ = task.await;
        }
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

/// Serves the connections of one listener until the door ends.
async fn serve_all(proxy: Rc<Proxy>, listening: Listening, own: Rc<()>) {
    tokio::select! {
        () = accept(&proxy, &listening, &own) => {}
        () = stopped(proxy.shared.stopping()) => {}
    }
    // What the kernel has queued for this listener would be reset by its close.
    while let Ok(Some((stream, peer))) =
        tokio::time::timeout(Duration::ZERO, listening.listener.accept()).await.map(Result::ok)
    {
        inbound::serve(&proxy, stream, peer, listening.tls.clone(), &own);
    }
}

async fn accept(proxy: &Rc<Proxy>, listening: &Listening, own: &Rc<()>) {
    loop {
        match listening.listener.accept().await {
            Ok((stream, peer)) => inbound::serve(proxy, stream, peer, listening.tls.clone(), own),
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
