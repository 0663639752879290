//! Whether an address answers: a connection, or a 2xx or 3xx for its health path.

use std::net::SocketAddr;

use leveret_model::limits::UPSTREAM_CONNECT_TIMEOUT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks an address: `false` if it does not answer within a second.
pub async fn probe(address: SocketAddr, health: Option<&str>) -> bool {
    let answer = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let Some(path) = health else { return Some(true) };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        // As far as the status: `HTTP/1.1 200`.
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.ok()?;
        Some(head.starts_with(b"HTTP/1.") && matches!(head[9], b'2' | b'3'))
    };
    matches!(tokio::time::timeout(UPSTREAM_CONNECT_TIMEOUT, answer).await, Ok(Some(true)))
}
