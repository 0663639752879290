//! The seeds of the fuzz targets whose checks are in [`leveret_door::fuzzing`].

#[allow(
    unfulfilled_lint_expectations,
    reason = "files are no stranger to this crate, as they are to the pure ones"
)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_seeds_of_haproxys_replies_break_no_promise() {
    replay::replay("haproxy_replies", leveret_door::fuzzing::haproxy_replies);
}

#[test]
fn the_seeds_of_httpds_page_break_no_promise() {
    replay::replay("httpd_page", leveret_door::fuzzing::httpd_page);
}

#[test]
fn the_seeds_of_cookies_break_no_promise() {
    replay::replay("cookie_route", leveret_door::fuzzing::cookie_route);
}

#[test]
fn the_seeds_of_dns_queries_break_no_promise() {
    replay::replay("dns_query", leveret_door::fuzzing::dns_query);
}
