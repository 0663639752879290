//! A server that speaks Redis's protocol: its URL, and connections to it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// A server that answers nothing for so long hangs.
const HANGS: Duration = Duration::from_secs(30);

/// Where it is, and how it is used.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) addresses: Vec<String>,
    login: Option<(String, String)>,
    /// Replicas that a write waits for.
    pub(super) wait: Option<u32>,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self> {
        let rest =
            url.strip_prefix("redis://").with_context(|| format!("{url} does not begin with redis://"))?;
        let (place, query) = rest.split_once('/').unwrap_or((rest, ""));
        let wait = match query.strip_prefix("?wait=") {
            Some(wait) => Some(wait.parse().with_context(|| format!("{wait} is no number of replicas"))?),
            None if query.is_empty() => None,
            None => bail!("{url}: behind the addresses there may only be /?wait=N"),
        };
        let (login, addresses) = match place.rsplit_once('@') {
            Some((login, addresses)) => {
                let (user, password) =
                    login.split_once(':').with_context(|| format!("{url} has a user without a password"))?;
                (Some((user.to_owned(), password.to_owned())), addresses)
            }
            None => (None, place),
        };
        let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
        ensure!(addresses.iter().all(|address| address.contains(':')), "{url}: an address has no port");
        Ok(Self { url: url.to_owned(), addresses, login, wait })
    }

    /// For people: without its password.
    pub(super) fn name(&self) -> String {
        let wait = self.wait.map_or(String::new(), |wait| format!(", WAIT {wait}"));
        self.addresses.join(",") + &wait
    }

    /// The connection of this number: they are spread over the addresses.
    pub(super) fn connect(&self, number: usize) -> Result<Connection> {
        let address = &self.addresses[number % self.addresses.len()];
        let stream = TcpStream::connect(address).with_context(|| address.clone())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANGS))?;
        let mut connection =
            Connection { stream: BufReader::with_capacity(1 << 16, stream), line: String::new() };
        if let Some((user, password)) = &self.login {
            let mut login = Vec::new();
            match user.as_str() {
                "" => put(&mut login, &[b"AUTH", password.as_bytes()]),
                user => put(&mut login, &[b"AUTH", user.as_bytes(), password.as_bytes()]),
            }
            connection.send(&login)?;
            ensure!(connection.answer()? == Answer::Line, "{address} refuses the login");
        }
        Ok(connection)
    }
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A status or a number.
    Line,
    /// A string of so many bytes.
    Bulk(usize),
    Nil,
    Refused,
}

/// One connection.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(super) fn answer(&mut self) -> io::Result<Answer> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self.line.trim_end().split_at(1) {
            ("$", "-1") | ("_", _) => Ok(Answer::Nil),
            ("$", length) => {
                let length: u64 = length.parse().map_err(io::Error::other)?;
                let copied = io::copy(&mut (&mut self.stream).take(length + 2), &mut io::sink())?;
                if copied == length + 2 {
                    Ok(Answer::Bulk(length as usize))
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            }
            ("-", _) => Ok(Answer::Refused),
            _ => Ok(Answer::Line),
        }
    }
}

/// Appends a command.
pub(super) fn put(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_addresses_login_and_what_a_write_waits_for() {
        let target = Target::parse("redis://hare:secret@127.0.0.1:1,127.0.0.1:2/?wait=1").expect("a URL");
        assert_eq!(target.addresses, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(target.login, Some(("hare".to_owned(), "secret".to_owned())));
        assert_eq!((target.wait, target.name().as_str()), (Some(1), "127.0.0.1:1,127.0.0.1:2, WAIT 1"));
        assert!(Target::parse("redis://127.0.0.1:1").is_ok_and(|target| target.wait.is_none()));
        for wrong in ["amqp://127.0.0.1:1", "redis://127.0.0.1", "redis://a:1/3", "redis://hare@a:1"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
