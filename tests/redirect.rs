//! Tests which redirects are followed, to which URL, and with which headers. No network is used.
//!
//! `tests/properties/redirect.rs` has random redirects. `tests/net/redirect.rs` and `tests/async_adapters/redirect.rs`
//! follow redirects over loopback.
#![cfg(feature = "alloc")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use hybi::handshake::{Headers, UrlError, WsUrl};
use hybi::redirect::{RedirectError, Redirects};

/// Returns the next URL after a redirect from `url`. `locations` are the values of `Location`, one for each line.
fn follow(
    redirects: &mut Redirects,
    url: &str,
    status: u16,
    locations: &[&str],
) -> Result<Option<String>, RedirectError> {
    let lines: String = locations.iter().map(|location| format!("Location: {location}\r\n")).collect();
    redirects.follow(&WsUrl::parse(url).unwrap(), status, Headers::from_lines(lines.as_bytes()))
}

#[test]
fn s4_1_a_redirect_leads_to_the_resolved_location_or_is_refused() {
    use RedirectError::{Location, NotEncrypted};
    // The server column says whether credentials may be sent to the next URL.
    const SAME: bool = true;
    const OTHER: bool = false;
    let followed = [
        // The forms of Location.
        ("ws://a/x", "ws://a/y", "ws://a/y", SAME),
        ("ws://a/x/y?q", "/z", "ws://a/z", SAME),
        ("ws://a/x/y?q", "z?r", "ws://a/x/z?r", SAME),
        ("ws://a/x/y", "../z", "ws://a/z", SAME),
        ("ws://a/x/y", "../../../z/./", "ws://a/z/", SAME),
        ("ws://a/x/y?q", "?r", "ws://a/x/y?r", SAME),
        ("ws://a?q", "?r", "ws://a/?r", SAME),
        ("ws://a/x?q", "", "ws://a/x?q", SAME),
        ("ws://a/x", "ws://a", "ws://a/", SAME),
        ("ws://a/x", "ws://a?q", "ws://a?q", SAME),
        ("ws://a/x", "/y#z", "ws://a/y", SAME),
        ("ws://a/x?q", "#z", "ws://a/x?q", SAME),
        ("ws://a/x", "ws://a/y/../z", "ws://a/z", SAME),
        ("ws://a:81/x", "/y", "ws://a:81/y", SAME),
        ("wss://[::1]:9/x", "y", "wss://[::1]:9/y", SAME),
        ("ws://a/x", "/\\b/y", "ws://a/\\b/y", SAME),
        ("ws://a/x", "\\\\b/y", "ws://a/\\\\b/y", SAME),
        ("ws://a/x", "/.//b/y", "ws://a//b/y", SAME),
        ("ws://a/x", " /y\t", "ws://a/y", SAME),
        // Schemes.
        ("ws://a/x", "http://a/y", "ws://a/y", SAME),
        ("wss://a/x", "https://a/y", "wss://a/y", SAME),
        ("wss://a/x", "HTTPS://a:443/y", "wss://a/y", SAME),
        ("https://a/x", "y", "wss://a/y", SAME),
        ("ws://a/x", "wss://a/x", "wss://a/x", SAME),
        ("ws://a:80/x", "https://A:443/x", "wss://A/x", SAME),
        // Other servers.
        ("ws://a/x", "ws://b/x", "ws://b/x", OTHER),
        ("wss://a/x", "//b/y?z", "wss://b/y?z", OTHER),
        ("wss://a/x", "wss://a.b/x", "wss://a.b/x", OTHER),
        ("wss://a.b/x", "wss://b/x", "wss://b/x", OTHER),
        ("wss://a/x", "wss://a./x", "wss://a./x", OTHER),
        ("wss://a/x", "wss://a:444/x", "wss://a:444/x", OTHER),
        ("ws://a/x", "ws://a:443/x", "ws://a:443/x", OTHER),
        ("ws://a:81/x", "wss://a/x", "wss://a/x", OTHER),
        ("ws://a/x", "wss://a:444/x", "wss://a:444/x", OTHER),
        ("ws://a:443/x", "wss://a/x", "wss://a/x", OTHER),
        ("ws://127.0.0.1/x", "ws://localhost/x", "ws://localhost/x", OTHER),
        ("ws://[::1]/x", "ws://[0::1]/x", "ws://[0::1]/x", OTHER),
    ];
    for (url, location, expected, same_server) in followed {
        let mut redirects = Redirects::new(1);
        let next = follow(&mut redirects, url, 302, &[location]);
        assert_eq!(next, Ok(Some(expected.to_owned())), "{url} to {location}");
        assert_eq!(redirects.may_send("Cookie"), same_server, "{url} to {location}");
        assert_eq!(redirects.followed(), 1);
    }
    for (url, location, error) in [
        ("wss://a/x", "ws://a/x", NotEncrypted),
        ("wss://a/x", "http://a/x", NotEncrypted),
        ("https://a/x", "ws://b/", NotEncrypted),
        ("wss://a:80/x", "ws://a:80/x", NotEncrypted),
        ("ws://a/x", "ftp://a/x", Location(UrlError::Scheme)),
        ("ws://a/x", "javascript:alert(1)", Location(UrlError::Scheme)),
        ("ws://a/x", "ws:y", Location(UrlError::Scheme)),
        ("ws://a/x", "b:80/y", Location(UrlError::Scheme)),
        ("ws://a/x", "://b", Location(UrlError::Scheme)),
        ("ws://a/x", "ws://", Location(UrlError::Host)),
        ("ws://a/x", "///y", Location(UrlError::Host)),
        ("ws://a/x", "//b c/", Location(UrlError::Host)),
        ("ws://a/x", "//b\\@c/", Location(UrlError::UserInfo)),
        ("ws://a/x", "//u:p@b/", Location(UrlError::UserInfo)),
        ("ws://a/x", "//b\u{fc}cher/", Location(UrlError::HostNotAscii)),
        ("ws://a/x", "//b:0/", Location(UrlError::Port)),
        ("ws://a/x", "//b:70000/", Location(UrlError::Port)),
        ("ws://a/x", "/\u{fc}", Location(UrlError::Character)),
        ("ws://a/x", "/y z", Location(UrlError::Character)),
    ] {
        let mut redirects = Redirects::new(1);
        assert_eq!(follow(&mut redirects, url, 302, &[location]), Err(error), "{url} to {location}");
        assert_eq!(redirects, Redirects::new(1), "a refused redirect changes nothing");
    }
    let latin_1 = Headers::from_lines(b"Location: /\xfc\r\n");
    let refused = Redirects::new(1).follow(&WsUrl::parse("ws://a").unwrap(), 302, latin_1);
    assert_eq!(refused, Err(Location(UrlError::Character)));
}

#[test]
fn s9110_15_4_only_five_statuses_are_redirects() {
    for status in 100..1000 {
        let next = follow(&mut Redirects::new(1), "ws://a/x", status, &["/y"]);
        let expected = matches!(status, 301 | 302 | 303 | 307 | 308).then(|| "ws://a/y".to_owned());
        assert_eq!(next, Ok(expected), "{status}");
    }
}

#[test]
fn s9110_10_2_2_a_redirect_has_exactly_one_location() {
    let mut redirects = Redirects::new(1);
    assert_eq!(follow(&mut redirects, "ws://a", 302, &[]), Err(RedirectError::LocationMissing));
    // Two equal locations are refused too.
    assert_eq!(follow(&mut redirects, "ws://a", 302, &["/", "/"]), Err(RedirectError::LocationRepeated));
    // A response that is not a redirect needs no location.
    assert_eq!(follow(&mut redirects, "ws://a", 401, &[]), Ok(None));
    assert_eq!(follow(&mut Redirects::new(0), "ws://a", 302, &[]), Ok(None));
}

#[test]
fn a_loop_ends_after_the_number_of_redirects() {
    let mut redirects = Redirects::new(3);
    for followed in 0..3 {
        assert_eq!(redirects.followed(), followed);
        assert_eq!(follow(&mut redirects, "ws://a/x", 302, &["/x"]), Ok(Some("ws://a/x".to_owned())));
    }
    for _ in 0..2 {
        let refused = follow(&mut redirects, "ws://a/x", 302, &["/x"]);
        assert_eq!(refused, Err(RedirectError::TooMany { max: 3 }));
    }
    assert_eq!(follow(&mut Redirects::new(0), "ws://a/x", 302, &["/x"]), Ok(None));
}

#[test]
fn s9110_15_4_credentials_are_sent_neither_to_another_server_nor_in_later_requests() {
    let credentials = ["Authorization", "cookie", "Proxy-Authorization", "X-Api-Key", "", "Accept-"];
    let harmless = ["accept", "Accept-Encoding", "ACCEPT-LANGUAGE", "Cache-Control", "Pragma", "user-agent"];
    let mut redirects = Redirects::new(9);
    let sent = |redirects: &Redirects, name: &&str| redirects.may_send(name);
    follow(&mut redirects, "ws://a/x", 302, &["/y"]).unwrap();
    assert!(credentials.iter().chain(&harmless).all(|name| sent(&redirects, name)));
    // The redirects lead to another server, then to a path of this server, and then back to the first server.
    for (url, location) in [("ws://a/y", "ws://b/"), ("ws://b/", "/y"), ("ws://b/y", "ws://a/x")] {
        follow(&mut redirects, url, 302, &[location]).unwrap();
        assert!(!credentials.iter().any(|name| sent(&redirects, name)), "{location}");
        assert!(harmless.iter().all(|name| sent(&redirects, name)), "{location}");
    }
}

#[test]
fn a_client_certificate_is_not_shown_to_another_server() {
    for (url, location, refused) in [
        ("wss://a/x", "/y", false),
        ("ws://a/x", "wss://a/x", false),
        ("ws://a/x", "ws://b/x", false),
        ("wss://a/x", "//b/", true),
        ("ws://a/x", "wss://b/", true),
        ("wss://a/x", "wss://a:444/", true),
    ] {
        let next = follow(&mut Redirects::new(1).client_certificate(true), url, 302, &[location]);
        match refused {
            true => assert_eq!(next, Err(RedirectError::ClientCertificate), "{location}"),
            false => assert!(matches!(next, Ok(Some(_))), "{location}: {next:?}"),
        }
    }
}

#[test]
fn s9110_15_4_subprotocols_are_not_sent_to_another_server_unless_this_is_configured() {
    for (url, location, leaves) in
        [("ws://a/x", "/y", false), ("ws://a/x", "wss://a/x", false), ("ws://a/x", "ws://b/x", true)]
    {
        let next = follow(&mut Redirects::new(1).subprotocols(true), url, 302, &[location]);
        assert_eq!(next == Err(RedirectError::Subprotocols), leaves, "{location}: {next:?}");
        let next = follow(&mut Redirects::new(1), url, 302, &[location]);
        assert!(matches!(next, Ok(Some(_))), "{location}: {next:?}");
    }
}

#[test]
fn a_client_certificate_is_shown_to_no_server_after_another_server_has_chosen_the_url() {
    for location in ["wss://b/x", "wss://a/x", "wss://c/"] {
        let mut redirects = Redirects::new(9).client_certificate(true);
        // The other server sees no certificate, because this redirect does not lead to TLS.
        follow(&mut redirects, "ws://a/x", 302, &["ws://b/x"]).unwrap();
        let next = follow(&mut redirects, "ws://b/x", 302, &[location]);
        assert_eq!(next, Err(RedirectError::ClientCertificate), "{location}");
    }
}
