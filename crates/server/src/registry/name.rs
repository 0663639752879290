//! A DNS name that somebody else keeps: its addresses, or its SRV records, are seeds.

use std::net::SocketAddr;
use std::str::FromStr as _;

use hickory_proto::rr::Name;

use super::driver::{Answer, Registry};
use crate::dns::Resolver;

/// The driver.
pub(super) struct DnsName {
    text: String,
    port: u16,
    resolver: Resolver,
}

impl DnsName {
    pub(super) fn new(text: String, port: u16, server: Option<SocketAddr>) -> Self {
        Self { text, port, resolver: Resolver::new(server) }
    }

    async fn look_up(&mut self) -> Result<Vec<String>, String> {
        let name = Name::from_str(&self.text).map_err(|error| format!("it is no DNS name: {error}"))?;
        let found = if self.text.starts_with('_') {
            self.resolver.services(&name).await?
        } else {
            let addresses = self.resolver.addresses(&name).await?;
            addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
        };
        Ok(found.iter().map(SocketAddr::to_string).collect())
    }
}

impl Registry for DnsName {
    fn what(&self) -> String {
        format!("DNS name {}", self.text)
    }

    fn seeds(&mut self) -> Answer<'_, Vec<String>> {
        Box::pin(self.look_up())
    }
}
