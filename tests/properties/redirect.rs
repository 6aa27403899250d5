//! Properties of redirects to random locations. The crate `url` computes the expected URLs.

use hybi::handshake::{Headers, WsUrl};
use hybi::redirect::{RedirectError, Redirects};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A URL with one of a few hosts and ports, so that redirects often stay on the same server. `path` is a regular
/// expression.
fn url_with(path: &'static str) -> impl Strategy<Value = String> {
    let scheme = select(vec!["ws", "wss"]);
    let host = select(vec!["a", "b.a", "[::1]", "127.0.0.1"]);
    let port = select(vec!["", ":80", ":443", ":9000"]);
    (scheme, host, port, path, "([?][a/.?]{0,4})?")
        .prop_map(|(scheme, host, port, path, query)| format!("{scheme}://{host}{port}{path}{query}"))
}

fn url() -> impl Strategy<Value = String> {
    url_with("(/[ab.]{0,3}){0,4}")
}

/// A reference that is often valid: a URL, a relative reference, or random characters of URLs.
fn reference() -> impl Strategy<Value = String> {
    prop_oneof![
        url(),
        url().prop_map(|url| url.replacen("ws", "http", 1)),
        url().prop_map(|url| url[url.find(':').unwrap() + 1..].to_owned()),
        "(/?[ab.]{0,3}){0,5}([?][a/.?]{0,4})?(#[a/?]{0,3})?",
        "[ab./?#@:\\\\%2ews\\[\\] -]{0,12}",
    ]
}

fn follow(redirects: &mut Redirects, url: &str, location: &str) -> Result<Option<String>, RedirectError> {
    let line = format!("Location: {location}\r\n");
    redirects.follow(&WsUrl::parse(url).unwrap(), 302, Headers::from_lines(line.as_bytes()))
}

/// Returns whether the crate `url` resolves `reference` by other rules than RFC 3986. Like browsers, it treats a
/// backslash as a slash and `%2e` as a dot, resolves `ws:x` as a relative reference, and skips superfluous slashes.
fn differs_in_browsers(reference: &str) -> bool {
    let lower = reference.to_ascii_lowercase();
    let without_slashes =
        reference.split(['/', '?', '#']).next().unwrap().contains(':') && !lower.contains("://");
    lower.contains("%2e") || lower.contains('\\') || without_slashes || lower.contains("///")
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn s3986_5_2_locations_are_resolved_as_by_the_url_crate(
        // The crate `url` removes dot segments of the base first, which the RFC does not require.
        base in url_with("(/[ab]{0,2}){0,4}"),
        reference in reference(),
    ) {
        let reference = reference.trim();
        let Ok(Some(next)) = follow(&mut Redirects::new(1), &base, reference) else { return Ok(()) };
        prop_assume!(!differs_in_browsers(reference));
        let base = url::Url::parse(&base).unwrap();
        let expected = base.join(reference);
        prop_assert!(expected.is_ok(), "{next}");
        let mut expected = expected.unwrap();
        let scheme = if matches!(expected.scheme(), "https" | "wss") { "wss" } else { "ws" };
        expected.set_scheme(scheme).unwrap();
        expected.set_fragment(None);
        let next = url::Url::parse(&next).unwrap();
        prop_assert_eq!(next, expected);
    }

    #[test]
    fn s4_1_no_chain_of_redirects_breaks_a_rule(
        start in url(),
        locations in vec(reference(), 1..12),
        most in 0..8_u32,
        client_certificate in any::<bool>(),
        subprotocols in any::<bool>(),
    ) {
        let mut redirects = Redirects::new(most).client_certificate(client_certificate).subprotocols(subprotocols);
        let (mut url, mut left) = (start.clone(), false);
        for location in &locations {
            let (before, followed) = (format!("{redirects:?}"), redirects.followed());
            let result = follow(&mut redirects, &url, location.trim());
            let Ok(Some(next)) = result else {
                prop_assert_eq!(format!("{redirects:?}"), before);
                prop_assert_eq!(most == 0, result == Ok(None));
                continue;
            };
            let (from, to) = (WsUrl::parse(&url).unwrap(), WsUrl::parse(&next).unwrap());
            prop_assert!(next.starts_with("ws://") || next.starts_with("wss://"));
            prop_assert!(!from.secure() || to.secure(), "{url} to {next}");
            prop_assert!(redirects.followed() == followed + 1 && redirects.followed() <= most);
            // Credentials are sent only if scheme, host and port were the same in all earlier URLs. One change is
            // allowed: from `ws` at port 80 to `wss` at port 443.
            let upgraded = (from.port(), to.port(), from.secure(), to.secure()) == (80, 443, false, true);
            let same = from.host() == to.host()
                && (upgraded || (from.port(), from.secure()) == (to.port(), to.secure()));
            left |= !same;
            prop_assert_eq!(redirects.may_send("Authorization"), !left);
            prop_assert!(redirects.may_send("User-Agent"));
            prop_assert!(!left || !client_certificate || !to.secure(), "{url} to {next}");
            prop_assert!(!left || !subprotocols, "{url} to {next}");
            url = next;
        }
    }
}
