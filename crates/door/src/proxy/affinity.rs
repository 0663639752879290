//! Which instance a session belongs to, by the application's cookie or by one of the door's own.
//!
//! A hint: session state lives in the brokers, and a wrong place costs one load of it.

use hyper::header::{self, HeaderMap, HeaderValue};
use leveret_services::ServiceView;

use super::attempt::Attempt;
use super::headers;
use super::lease::Lease;
use super::session::Session;
use super::thread::Proxy;
use crate::config::Affinity;

/// The door's own cookie: `leveret_route=ID.INSTANCE`.
const OWN_COOKIE: &str = "leveret_route";

fn of_service(proxy: &Proxy, view: &ServiceView) -> Affinity {
    let configured = proxy.shared.config.affinity.iter().find(|(service, _)| *service == view.name);
    configured.map(|(_, affinity)| *affinity).unwrap_or_default()
}

/// The session that a request's cookies name.
pub(super) fn session(proxy: &Proxy, view: &ServiceView, headers: &HeaderMap) -> Option<Session> {
    let (found, by_name) = match of_service(proxy, view) {
        Affinity::None => return None,
        Affinity::Route if !view.has_routes => return None,
        Affinity::Route => (headers::session(headers, &proxy.shared.config.cookies), false),
        Affinity::Cookie => (headers::session(headers, &[OWN_COOKIE.to_owned()]), true),
    };
    found.map(|(place, id)| Session { place: place.to_owned(), id: id.to_owned(), by_name })
}

/// Tells the client where its session is now, if it has to know.
pub(super) fn set_cookie(proxy: &Proxy, lease: &Lease, attempt: &Attempt, headers: &mut HeaderMap) {
    if of_service(proxy, lease.view()) != Affinity::Cookie {
        return;
    }
    let instance = lease.candidate().instance.as_str();
    if attempt.session.as_ref().is_some_and(|session| session.place == instance) {
        return;
    }
    // The id stays when the place changes, so that all doors find the same heir for it.
    let id = match &attempt.session {
        Some(session) => session.id.clone(),
        None => format!("{:016x}", proxy.rng.borrow_mut().next_u64()),
    };
    let secure = if attempt.tls { "; Secure" } else { "" };
    let cookie = format!("{OWN_COOKIE}={id}.{instance}; Path=/; HttpOnly; SameSite=Lax{secure}");
    // The id came in a header, and the instance's name is a DNS label.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}
