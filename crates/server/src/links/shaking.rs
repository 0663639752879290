//! Small parts of a handshake over a socket.

use std::io::{self, Write};
use std::net::SocketAddr;

use leveret_cluster::DialFailure;
use leveret_link::handshake::{Hello, Nonce, Refused};
use leveret_model::Name;
use mio::net::TcpStream;

/// A node that listens on every address names none: its links come from the right one.
pub(super) fn with_address(mut hello: Box<Hello>, stream: &TcpStream) -> Box<Hello> {
    if let (Ok(said), Ok(peer)) = (hello.address.parse::<SocketAddr>(), stream.peer_addr())
        && said.ip().is_unspecified()
    {
        hello.address = Name::new(&SocketAddr::new(peer.ip(), said.port()).to_string());
    }
    hello
}

pub(super) fn write_some(stream: &mut TcpStream, output: &mut Vec<u8>) -> io::Result<()> {
    while !output.is_empty() {
        match stream.write(output) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                output.drain(..count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn failure_of(error: &io::Error) -> DialFailure {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        DialFailure::Refused
    } else {
        DialFailure::Unreachable
    }
}

/// What a refused handshake says about whoever is at the address.
pub(super) fn refusal_of(refused: &Refused) -> DialFailure {
    match refused {
        Refused::Myself => DialFailure::Myself,
        Refused::Secret => DialFailure::Secret,
        Refused::NotALink | Refused::Protocol(_) | Refused::Group(_) | Refused::Purpose => {
            DialFailure::Unreachable
        }
    }
}

pub(super) fn nonce() -> Nonce {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce)
        .expect("the kernel gives random bytes: without them no link could be trusted");
    nonce
}
