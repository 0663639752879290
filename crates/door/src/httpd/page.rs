//! The XML form of balancer-manager's page, as text of a stranger.

use std::io;
use std::net::{IpAddr, SocketAddr};

use roxmltree::{Document, Node, ParsingOptions};

/// A balancer at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Balancer {
    /// Must come back with each form.
    pub(super) nonce: String,
    /// Members that a request tries after the first one failed.
    pub(super) max_attempts: u32,
    pub(super) members: Vec<Member>,
}

/// A member of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its URL, as httpd writes it.
    pub(super) url: String,
    pub(super) address: Option<SocketAddr>,
    pub(super) route: String,
    /// Route that takes its sessions over.
    pub(super) redirect: String,
    pub(super) factor: u32,
    pub(super) busy: u64,
    pub(super) disabled: bool,
    pub(super) draining: bool,
    pub(super) standby: bool,
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads the balancer of that name.
pub(super) fn read(text: &str, name: &str) -> io::Result<Balancer> {
    // A DTD is what a document of an attacker grows by; httpd's has none.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| {
        unreadable("its page is not the XML of balancer-manager; is the URL right, and httpd 2.4 or later?")
    })?;
    let full = format!("balancer://{name}");
    let balancer = document
        .descendants()
        .filter(|node| node.tag_name().name() == "balancer")
        .find(|node| child(*node, "name") == full)
        .ok_or_else(|| unreadable("it has no balancer of that name"))?;
    let nonce = child(balancer, "nonce").to_owned();
    if nonce.is_empty() {
        return Err(unreadable("its page has no nonce"));
    }
    let members =
        balancer.descendants().filter(|node| node.tag_name().name() == "worker").map(member).collect();
    Ok(Balancer { nonce, max_attempts: child(balancer, "maxattempts").parse().unwrap_or(0), members })
}

/// Elements and texts of a page with some 5,000 members.
const NODES_MAX: u32 = 400_000;

fn member(node: Node<'_, '_>) -> Member {
    let has = |flag: &str| child(node, "status").split_whitespace().any(|word| word == flag);
    let host = child(node, "hostname").trim_matches(['[', ']']).parse::<IpAddr>();
    let address = match (host, child(node, "port").parse::<u16>()) {
        (Ok(host), Ok(port)) => Some(SocketAddr::new(host, port)),
        // A member of the configuration with a name, perhaps; none of the driver's.
        _ => None,
    };
    // `1.00`: two digits behind the point, always.
    let factor = child(node, "loadfactor").split('.').next().and_then(|whole| whole.parse().ok());
    Member {
        url: child(node, "name").to_owned(),
        address,
        route: child(node, "route").to_owned(),
        redirect: child(node, "redirect").to_owned(),
        factor: factor.unwrap_or(0),
        // Unreadable is not zero: it would end a drain.
        busy: child(node, "busy").parse().unwrap_or(u64::MAX),
        disabled: has("Dis"),
        draining: has("Drn"),
        standby: has("Stby"),
    }
}

/// The text of the first child element of that name.
fn child<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let found = node.children().find(|child| child.tag_name().name() == name);
    found.and_then(|child| child.text()).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version='1.0' encoding='UTF-8' ?>
<httpd:manager xmlns:httpd='http://httpd.apache.org'><httpd:balancers>
 <httpd:balancer><httpd:name>balancer://other</httpd:name><httpd:nonce>0</httpd:nonce></httpd:balancer>
 <httpd:balancer>
  <httpd:name>balancer://web</httpd:name><httpd:nonce>a-b</httpd:nonce><httpd:maxattempts>3</httpd:maxattempts>
  <httpd:workers>
   <httpd:worker><httpd:name>http://127.0.0.1:18000</httpd:name><httpd:hostname>127.0.0.1</httpd:hostname>
    <httpd:loadfactor>1.00</httpd:loadfactor><httpd:port>18000</httpd:port><httpd:status>Init Stby Ok </httpd:status>
    <httpd:route></httpd:route><httpd:redirect></httpd:redirect><httpd:busy>0</httpd:busy></httpd:worker>
   <httpd:worker><httpd:name>http://[::1]:9001</httpd:name><httpd:hostname>[::1]</httpd:hostname>
    <httpd:loadfactor>10.00</httpd:loadfactor><httpd:port>9001</httpd:port><httpd:status>Init Drn Dis </httpd:status>
    <httpd:route>n1</httpd:route><httpd:redirect>leveret</httpd:redirect><httpd:busy>x</httpd:busy></httpd:worker>
  </httpd:workers>
 </httpd:balancer></httpd:balancers></httpd:manager>";

    #[test]
    fn a_balancer_is_read_by_its_name() {
        let balancer = read(PAGE, "web").expect("readable");
        assert_eq!((balancer.nonce.as_str(), balancer.max_attempts), ("a-b", 3));
        let [standby, member] = balancer.members.as_slice() else { panic!("two members") };
        assert!(standby.standby && !standby.disabled && standby.busy == 0);
        assert!(member.disabled && member.draining && !member.standby);
        assert_eq!(member.address, "[::1]:9001".parse().ok());
        assert_eq!((member.factor, member.busy), (10, u64::MAX), "an unreadable count is not zero");
        assert!(read(PAGE, "none").is_err());
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"cc\">]><a>&b;</a>";
        for text in ["", "<html><p></html>", bomb, &PAGE[..400], &PAGE.replace("a-b", "")] {
            assert!(read(text, "web").is_err(), "{text}");
        }
    }
}
