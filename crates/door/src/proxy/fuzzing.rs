//! Any bytes as a client's cookies.

use hyper::header::{COOKIE, HeaderMap, HeaderValue};

use super::headers;

/// Cookies, one header a line. A session that is found can be put into a cookie again, and is found there.
pub fn cookie_route(bytes: &[u8]) {
    let mut cookies = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        // hyper gives no others to the door.
        if let Ok(value) = HeaderValue::from_bytes(line) {
            cookies.append(COOKIE, value);
        }
    }
    let names = ["JSESSIONID".to_owned(), "leveret_route".to_owned()];
    let Some((place, id)) = headers::session(&cookies, &names) else { return };
    assert!(!place.is_empty() && !id.is_empty() && !place.contains('.'), "{place:?} {id:?}");
    let again = format!("leveret_route={id}.{place}");
    assert!(!again.contains(';'), "{again:?} is more than one cookie");
    let again =
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&again).expect("what came in a header"))]);
    assert_eq!(headers::session(&again, &names), Some((place, id)));
}
