//! The driver of Apache httpd (2.4): it keeps the members of one balancer as the instances of one service are,
//! through the page of mod_proxy_balancer's balancer-manager.
//!
//! Read first: [`crate::driver`]; [`page`] reads what is, [`plan`] compares it with what should be. httpd never
//! deletes a member: one that nobody wants is disabled, and enabled again when its address returns.

pub(crate) mod fuzzing;
mod page;
mod plan;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Instant;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use leveret_model::limits::{DRIVER_REPLY_BYTES_MAX, DRIVER_TIMEOUT, HTTPD_RESTART_GRACE};
use leveret_services::Candidate;
use tokio::net::TcpStream;

use self::page::Balancer;
use self::plan::Command;
use crate::config::HttpdConfig;
use crate::driver::{Driver, Places, in_time};
use crate::predecessors::{Predecessors, Process};

/// What `/proc` calls httpd: Debian's name, and Apache's own.
const PROGRAMS: &[&str] = &["apache2", "httpd"];

/// One balancer of one httpd.
pub(crate) struct Httpd {
    config: HttpdConfig,
    /// httpd makes a new one at each start; another one means a restart.
    nonce: Option<String>,
    restarted: Option<Instant>,
    /// Members that had no request at the last look. One look is not enough: httpd chooses a member a moment
    /// before it counts the request.
    quiet: BTreeSet<String>,
    /// Processes that serve, if httpd runs on this machine. A graceful restart replaces them.
    children: BTreeSet<Process>,
    predecessors: Predecessors,
}

impl Httpd {
    pub(crate) fn new(config: HttpdConfig) -> Self {
        Self {
            config,
            nonce: None,
            restarted: None,
            quiet: BTreeSet::new(),
            children: BTreeSet::new(),
            predecessors: Predecessors::default(),
        }
    }

    async fn balancer(&self) -> io::Result<Balancer> {
        let (status, text) = self.ask(None).await?;
        match status {
            StatusCode::OK => page::read(&text, &self.config.balancer),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(io::Error::other(
                "its page is forbidden to the door; `Require ip` in its <Location> must let the door in",
            )),
            status => Err(io::Error::other(format!(
                "its page answers {}; is the <Location> of balancer-manager there, and above it `ProxyPass {} !`?",
                status.as_u16(),
                self.config.url.path()
            ))),
        }
    }

    async fn tell(&self, balancer: &Balancer, command: &Command) -> io::Result<()> {
        let form = plan::form(&self.config.balancer, &balancer.nonce, command);
        let (status, _) = self.ask(Some(form)).await?;
        plan::check(command, status)
    }

    /// Reads the page, or posts a form to it. httpd ignores what comes without a Referer of its own (AH10187).
    async fn ask(&self, form: Option<String>) -> io::Result<(StatusCode, String)> {
        let wrong =
            |error: &dyn std::fmt::Display| io::Error::other(format!("its page does not answer: {error}"));
        let url = &self.config.url;
        let (method, target) = match form {
            Some(_) => (Method::POST, url.path().to_owned()),
            None => (Method::GET, format!("{}?xml=1", url.path())),
        };
        let authority = authority(url);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, &authority)
            .header(header::REFERER, url.to_string())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(form.unwrap_or_default())))
            .map_err(|error| wrong(&error))?;
        let address = format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(80));
        let exchange = async {
            let stream = TcpStream::connect(address).await?;
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
            let (mut sender, connection) = handshake.await.map_err(|error| wrong(&error))?;
            tokio::task::spawn_local(connection);
            let response = sender.send_request(request).await.map_err(|error| wrong(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), DRIVER_REPLY_BYTES_MAX as usize);
            let body = body.collect().await.map_err(|error| wrong(&error))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        in_time(DRIVER_TIMEOUT, exchange, "its page does not answer in time").await
    }

    /// A restart forgets what the processes before it still do.
    fn notice_restart(&mut self, nonce: &str, places: &Places) {
        match &self.nonce {
            Some(before) if before != nonce => {
                tracing::info!(url = %self.config.url, "httpd was restarted: its members are added again");
                self.restarted = Some(Instant::now());
                self.predecessors.add(std::mem::take(&mut self.children), &places.names());
            }
            _ => {}
        }
        self.nonce = Some(nonce.to_owned());
    }

    /// The processes that serve now. httpd says nothing about them, so all on this machine are taken for its
    /// own: another httpd's make a drain after a restart wait longer, and never too short.
    fn look_at_children(&mut self) {
        let host = self.config.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if is_here {
            self.children = Process::children_of(PROGRAMS);
        }
    }

    fn is_restarting(&self) -> bool {
        self.restarted.is_some_and(|at| at.elapsed() < HTTPD_RESTART_GRACE)
    }
}

fn authority(url: &Uri) -> String {
    url.authority().map(ToString::to_string).unwrap_or_default()
}

impl Driver for Httpd {
    fn name(&self) -> String {
        format!("httpd {} {}", self.config.url, self.config.balancer)
    }

    fn member_name(&self, candidate: &Candidate) -> String {
        plan::member_name(candidate)
    }

    async fn turn(&mut self, places: &mut Places) -> io::Result<String> {
        let mut balancer = self.balancer().await?;
        self.notice_restart(&balancer.nonce, places);
        places.enter_new(|candidate| self.member_name(candidate));
        let mut trouble = None;
        for command in plan::plan(&balancer, &places.wanted()) {
            if let Err(error) = self.tell(&balancer, &command).await {
                // The members behind it may still be changed; the standby carries the rest.
                trouble.get_or_insert(error);
            }
        }
        // httpd answers 200 to what it ignores: only a second look proves anything.
        balancer = self.balancer().await?;
        self.notice_restart(&balancer.nonce, places);
        // Those that were added are enabled now.
        for command in plan::plan(&balancer, &places.wanted()).iter().filter(|command| !command.adds()) {
            self.tell(&balancer, command).await?;
        }
        let quiet = plan::quiet(&balancer, &places.wanted());
        self.predecessors.look();
        if !self.is_restarting() {
            places.leave_drained(|name| {
                quiet.contains(name) && self.quiet.contains(name) && !self.predecessors.know(name)
            });
        }
        self.quiet = quiet;
        self.look_at_children();
        let mut said = plan::said(&balancer, places.len());
        if self.is_restarting() {
            said.push_str("; it was restarted: drains wait a little");
        }
        if self.predecessors.len() > 0 {
            said.push_str(&format!("; {} processes before it still end", self.predecessors.len()));
        }
        trouble.map_or(Ok(said), Err)
    }

    fn on_gone(&mut self, places: &mut Places) {
        // After a graceful stop nobody listens, and the requests that were there go on.
        if self.nonce.take().is_some() {
            self.restarted = Some(Instant::now());
        }
        self.predecessors.add(std::mem::take(&mut self.children), &places.names());
        self.predecessors.look();
        self.quiet.clear();
        if !self.is_restarting() {
            places.leave_unless(|name| self.predecessors.know(name));
        }
    }
}
