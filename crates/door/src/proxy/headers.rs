//! What a proxy changes in heads: RFC 9110 §7.6, and the `X-Forwarded-*` that applications read.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Uri;
use hyper::{Request, Version};

use super::client::Client;

/// Connection-specific fields (RFC 9110 §7.6.1), and `Expect`, which the door answers itself when it reads
/// the body.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "expect",
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Takes out what belongs to one connection, and what `Connection` names.
pub(super) fn remove_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // The framing is the parser's, whatever a client calls it.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

/// What the application should know of the client. A client that is not trusted cannot say anything about
/// itself.
pub(super) fn set_forwarded(headers: &mut HeaderMap, client: &Client, host: &str) {
    if !client.is_trusted() {
        for name in [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, header::FORWARDED] {
            headers.remove(name);
        }
    }
    let tls = client.tls;
    let client = client.address.to_canonical();
    let before: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let chain =
        if before.is_empty() { client.to_string() } else { format!("{}, {client}", before.join(", ")) };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(if tls { "https" } else { "http" }));
    if let Ok(host) = HeaderValue::from_str(host)
        && !host.is_empty()
    {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// Whether this door has seen the message before.
pub(super) fn has_via(headers: &HeaderMap, own: &str) -> bool {
    headers
        .get_all(header::VIA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(own))
}

/// HTTP/2 may bring each cookie in a field of its own; HTTP/1.1 knows one field (RFC 9113 §8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(b"; ".as_slice()))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Names the door.
pub(super) fn add_via(headers: &mut HeaderMap, version: Version, own: &str) {
    let version = match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    if let Ok(value) = HeaderValue::from_str(&format!("{version} {own}")) {
        headers.append(header::VIA, value);
    }
}

/// Why a request cannot be routed by its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadHost;

/// The host as the client named it. An absolute target wins over `Host` (RFC 9112 §3.2.2); two hosts are
/// none.
pub(super) fn host<B>(request: &Request<B>) -> Result<String, BadHost> {
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.as_str().to_owned());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => Ok(String::new()),
        (Some(host), None) => {
            let text = host.to_str().map_err(|_| BadHost)?;
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]~%!$&'()*+,;=".contains(&byte);
            if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err(BadHost) }
        }
        _ => Err(BadHost),
    }
}

/// The host for look-ups: lower case, without a port.
pub(super) fn without_port(host: &str) -> String {
    let end = if host.starts_with('[') {
        host.find(']').map_or(host.len(), |at| at + 1)
    } else {
        host.find(':').unwrap_or(host.len())
    };
    host[..end].trim_end_matches('.').to_ascii_lowercase()
}

/// The target in origin form.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned();
    path.map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// Route and session id of the first of these cookies that has both: `JSESSIONID=ID.ROUTE`, in quotes or not.
///
/// A cookie with a blank or a quote in its value is nobody's session (RFC 6265 §4.1.1).
pub(super) fn session<'a>(headers: &'a HeaderMap, cookies: &[String]) -> Option<(&'a str, &'a str)> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let routed = |(name, value): (&'a str, &'a str)| {
        let known = cookies.iter().any(|cookie| cookie == name);
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        let plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let (session, route) = value.rsplit_once('.').filter(|_| known && plain)?;
        (!session.is_empty() && !route.is_empty()).then_some((route, session))
    };
    pairs.filter_map(routed).next()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_belongs_to_a_connection_does_not_pass() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("x-other", "2"),
        ]);
        map.append("connection", HeaderValue::from_static("content-length, host"));
        remove_of_connection(&mut map);
        assert_eq!(map, headers(&[("content-length", "3"), ("x-other", "2")]));
    }

    #[test]
    fn a_stranger_cannot_say_where_it_comes_from() {
        let address = IpAddr::from([10, 0, 0, 9]);
        for (trusted, chain) in [(false, "10.0.0.9"), (true, "1.1.1.1, 2.2.2.2, 10.0.0.9")] {
            let mut map = headers(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")]);
            map.append("x-forwarded-for", HeaderValue::from_static("2.2.2.2"));
            set_forwarded(&mut map, &Client { address, trusted, tls: false }, "shop.example.org");
            assert_eq!(map["x-forwarded-for"], chain);
            assert_eq!(map["x-forwarded-proto"], if trusted { "https" } else { "http" });
            assert_eq!(map["x-forwarded-host"], "shop.example.org");
            assert_eq!(map.len(), 3);
        }
    }

    #[test]
    fn a_request_has_one_host() {
        let request = |uri: &str, hosts: &[&'static str], version| {
            let mut request = Request::new(());
            *request.uri_mut() = uri.parse().expect("a target");
            *request.version_mut() = version;
            for host in hosts {
                request.headers_mut().append("host", HeaderValue::from_static(host));
            }
            host(&request)
        };
        assert_eq!(request("/", &["A.example:80"], Version::HTTP_11), Ok("A.example:80".to_owned()));
        assert_eq!(request("http://b/", &["a"], Version::HTTP_11), Ok("b".to_owned()));
        assert_eq!(request("/", &[], Version::HTTP_10), Ok(String::new()));
        for bad in [&[][..], &["a", "b"], &["a", "a"], &["a/b"], &["a b"], &["a@b"]] {
            assert_eq!(request("/", bad, Version::HTTP_11), Err(BadHost), "{bad:?}");
        }
        assert_eq!(without_port("A.Example.:80"), "a.example");
        assert_eq!(without_port("[::1]:80"), "[::1]");
    }

    #[test]
    fn a_session_cookie_names_a_route() {
        let cookies = ["JSESSIONID".to_owned()];
        for (value, expected) in [
            ("JSESSIONID=abc.n1", Some(("n1", "abc"))),
            ("x=1.2; JSESSIONID=a.b.n2", Some(("n2", "a.b"))),
            ("JSESSIONID=abc", None),
            ("JSESSIONID=.n1", None),
            ("jsessionid=a.n1", None),
            ("JSESSIONID=\"abc.n1\"", Some(("n1", "abc"))),
            ("JSESSIONID=\"\"abc.n1\"\"", None),
            ("JSESSIONID=abc.\"  ", None),
            ("JSESSIONID=abc.n1 \"   ", None),
            ("JSESSIONID=a b.n1; JSESSIONID=c.n2", Some(("n2", "c"))),
        ] {
            let map: HeaderMap = [(header::COOKIE, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(session(&map, &cookies), expected, "{value}");
        }
    }
}
