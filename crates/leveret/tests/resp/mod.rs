//! A RESP client that compares bytes.

#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::node::{Node, PATIENCE};

/// A RESP client.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn of(node: &Node) -> Self {
        let stream = TcpStream::connect(node.sessions()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self(stream)
    }

    /// Sends bytes and reads as many as the answer has.
    pub(crate) fn ask(&mut self, bytes: &[u8], answer: &str) {
        self.0.write_all(bytes).expect("it reads");
        let mut got = vec![0; answer.len()];
        self.0.read_exact(&mut got).expect("it answers");
        assert_eq!(String::from_utf8_lossy(&got), answer);
    }

    /// Reads until these bytes have come.
    pub(crate) fn read_until(&mut self, end: &str) {
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("it answers");
            got.push(byte[0]);
        }
    }

    /// The same for an answer whose first bytes are not known: true if the others are these.
    pub(crate) fn ask_end(&mut self, bytes: &[u8], unknown: usize, end: &str) -> bool {
        self.0.write_all(bytes).expect("it reads");
        let mut got = vec![0; unknown + end.len()];
        self.0.read_exact(&mut got).expect("it answers");
        got.ends_with(end.as_bytes())
    }

    /// What comes until the node closes.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = Vec::new();
        // a close with unread bytes of ours is a reset
        let _ = self.0.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
