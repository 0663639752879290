//! One message to one server and its reply: UDP, and TCP where UDP will not do.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, ResponseCode};
use leveret_model::limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Asks over UDP, and again as the reply demands: without EDNS where a server does not know it (RFC 6891 §7),
/// over TCP what was cut or cannot be read.
///
/// # Errors
/// No reply in time, or none that can be read; in words.
pub(super) async fn question(server: SocketAddr, query: &Message) -> Result<Message, String> {
    let mut query = query.clone();
    query.edns.get_or_insert_with(Edns::new).set_max_payload(limits::DNS_UDP_BYTES);
    let reply = question_once(server, &query).await?;
    match reply.metadata.response_code {
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS => {
            query.edns = None;
            question_once(server, &query).await
        }
        _ => Ok(reply),
    }
}

async fn question_once(server: SocketAddr, query: &Message) -> Result<Message, String> {
    let bytes = query.to_vec().map_err(|error| format!("the question cannot be written: {error}"))?;
    let reply = exchange_udp(server, &bytes).await.map_err(|error| in_words(&error))?;
    match Message::from_vec(&reply) {
        Ok(message) if !message.metadata.truncation && answers(&message, query) => Ok(message),
        _ => {
            let reply = exchange_tcp(server, &bytes).await.map_err(|error| in_words(&error))?;
            let message =
                Message::from_vec(&reply).map_err(|error| format!("a reply without sense: {error}"))?;
            if answers(&message, query) {
                Ok(message)
            } else {
                Err("the reply to another question".to_owned())
            }
        }
    }
}

/// For people.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        _ => error.to_string(),
    }
}

/// A server that does not understand the question may leave it out.
fn answers(reply: &Message, query: &Message) -> bool {
    reply.metadata.id == query.metadata.id && (reply.queries.is_empty() || reply.queries == query.queries)
}

/// Sends a datagram and waits for the reply with the same id. The port is drawn by the system, and the socket
/// takes packets of this server only.
pub(crate) async fn exchange_udp(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let receive = async {
        // as large as a datagram can be: some servers send more than they were asked to
        let mut reply = vec![0; usize::from(u16::MAX)];
        loop {
            let length = socket.recv(&mut reply).await?;
            if length >= 2 && reply[..2] == bytes[..2] {
                reply.truncate(length);
                return Ok(reply);
            }
        }
    };
    timeout(limits::DNS_UDP_WAIT, receive).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The same over a TCP connection of its own (RFC 1035 §4.2.2: a length of two bytes comes first).
pub(crate) async fn exchange_tcp(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length =
        u16::try_from(bytes.len()).map_err(|_| io::Error::other("a message of more than 65,535 bytes"))?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(bytes);
        stream.write_all(&framed).await?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    };
    timeout(limits::DNS_TCP_WAIT, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
