//! Redirects over loopback: servers that redirect, and the requests that they receive.
//!
//! `tests/redirect.rs` has a table of redirects.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use hybi::adapters::net::{Client, ConnectError};
use hybi::handshake::UrlError;
use hybi::reconnect::{Failure, GiveUp, ReconnectPolicy};
use hybi::redirect::RedirectError;

use crate::common::*;

/// Answers one connection for each of `locations` with a redirect. If `opens` is true, accepts one more
/// connection, and opens a WebSocket on it. Returns the heads of all requests.
fn redirecting(listener: TcpListener, locations: Vec<String>, opens: bool) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let mut heads = Vec::new();
        for location in locations {
            let mut raw = Raw::new(listener.accept().unwrap().0, false);
            heads.push(raw.head());
            raw.write(format!("HTTP/1.1 302 Found\r\n{location}Content-Length: 2\r\n\r\nhi").as_bytes());
        }
        if opens {
            let mut raw = Raw::new(listener.accept().unwrap().0, false);
            let head = raw.head();
            raw.write(&response(head.as_bytes()));
            heads.push(head);
        }
        heads
    })
}

/// Starts a server that redirects to each of `locations` in turn. If `opens` is true, the server opens a
/// WebSocket on the connection after the last redirect.
fn server(locations: &[&str], opens: bool) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let (listener, address) = listen();
    let lines = locations.iter().map(|location| format!("Location: {location}\r\n")).collect();
    (address, redirecting(listener, lines, opens))
}

/// Returns the value of a header in the head of a request.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn s4_1_a_client_follows_redirects_up_to_the_configured_number() {
    timed(|| {
        let (address, thread) = server(&["/two?x=1", "three", "?y=2#top"], true);
        let client =
            Client::new().max_redirects(3).header("Authorization", "Bearer 7f3a").subprotocols(["chat"]);
        let ws = client.connect(&format!("ws://{address}/one/")).unwrap();
        assert_eq!(ws.target(), "/three?y=2");
        let heads = thread.join().unwrap();
        let targets: Vec<_> = heads.iter().map(|head| head.split(' ').nth(1).unwrap()).collect();
        assert_eq!(targets, ["/one/", "/two?x=1", "/three", "/three?y=2"]);
        for head in &heads {
            assert_eq!(header(head, "Authorization"), Some("Bearer 7f3a"));
            assert_eq!(header(head, "Sec-WebSocket-Protocol"), Some("chat"));
            assert_eq!(header(head, "Host"), Some(&*address.to_string()));
        }
        // RFC 6455 4.1 (7): each request has its own key.
        let mut keys: Vec<_> = heads.iter().map(|head| header(head, "Sec-WebSocket-Key").unwrap()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 4);
    });
}

#[test]
fn s9110_15_4_another_server_gets_no_credentials() {
    timed(|| {
        let (other_listener, other) = listen();
        let (first, first_thread) = server(&[&format!("ws://{other}/there")], true);
        let back = format!("Location: ws://{first}/back\r\n");
        let other_thread = redirecting(other_listener, vec![back], false);
        let client = Client::new()
            .max_redirects(5)
            .header("Authorization", "Bearer 7f3a")
            .header("cookie", "id=7")
            .header("X-Api-Key", "7")
            .header("User-Agent", "hybi")
            .origin("https://a.example");
        client.connect(&url(first)).unwrap();
        let (first, other) = (first_thread.join().unwrap(), other_thread.join().unwrap());
        assert_eq!(header(&first[0], "X-Api-Key"), Some("7"));
        // The second request to the first server has no credentials either, because the other server chose the URL of
        // this request.
        for head in [&other[0], &first[1]] {
            for name in ["Authorization", "cookie", "X-Api-Key"] {
                assert_eq!(header(head, name), None, "{head}");
            }
            assert_eq!(header(head, "User-Agent"), Some("hybi"));
            assert_eq!(header(head, "Origin"), Some("https://a.example"));
        }
    });
}

#[test]
fn s9110_15_4_another_server_gets_subprotocols_only_if_this_is_configured() {
    timed(|| {
        // Nobody listens at the second address.
        let gone = listen().1;
        let (address, thread) = server(&[&url(gone)], false);
        let client = Client::new().max_redirects(5).subprotocols(["chat", "token.7f3a"]);
        for text in [format!("{client:?}"), format!("{client:#?}")] {
            assert!(!text.contains("7f3a") && text.contains('2'), "{text}");
        }
        let error = client.connect(&url(address)).unwrap_err();
        assert!(matches!(error, ConnectError::Redirect(RedirectError::Subprotocols, _)), "{error}");
        thread.join().unwrap();

        let (other_listener, other) = listen();
        let other_thread = redirecting(other_listener, vec![], true);
        let (address, thread) = server(&[&url(other)], false);
        client.redirect_subprotocols(true).connect(&url(address)).unwrap();
        let heads = other_thread.join().unwrap();
        assert_eq!(header(&heads[0], "Sec-WebSocket-Protocol"), Some("chat, token.7f3a"));
        thread.join().unwrap();
    });
}

#[test]
fn a_redirect_that_is_not_followed_is_an_error_with_the_reason_and_the_response() {
    timed(|| {
        for (location, most, expected) in [
            ("Location: /again\r\n", 1, RedirectError::TooMany { max: 1 }),
            ("", 1, RedirectError::LocationMissing),
            ("Location: /a\r\nLocation: /b\r\n", 1, RedirectError::LocationRepeated),
            ("Location: ftp://a/\r\n", 9, RedirectError::Location(UrlError::Scheme)),
            ("Location: //u:p@a/\r\n", 9, RedirectError::Location(UrlError::UserInfo)),
        ] {
            let (listener, address) = listen();
            let lines = match expected {
                RedirectError::TooMany { .. } => vec![location.to_owned(); 2],
                _ => vec![location.to_owned()],
            };
            let thread = redirecting(listener, lines, false);
            let error = Client::new().max_redirects(most).connect(&url(address)).unwrap_err();
            let text = error.to_string();
            let Some(response) = error.response() else { panic!("{text}") };
            assert_eq!((response.status, response.headers().get("content-length")), (302, Some(&b"2"[..])));
            let prefix = match expected {
                RedirectError::TooMany { .. } => format!("after a redirect to {address}: "),
                _ => String::new(),
            };
            let last = error.without_redirects().without_stream();
            let ConnectError::Redirect(reason, response) = last else { panic!("{text}") };
            assert_eq!((reason, format!("{prefix}{reason}")), (expected, text));
            assert!(b"hi".starts_with(response.body()));
            let error = ConnectError::Redirect(reason, response);
            assert_eq!(error.source().unwrap().to_string(), reason.to_string());
            assert_eq!(error.failure(), Failure::Response { status: 302, retry_after: None });
            assert!(format!("{error:?}").starts_with("Redirect("), "{error:?}");
            thread.join().unwrap();
        }
    });
}

#[test]
fn redirects_are_reported_by_default_and_other_responses_always() {
    timed(|| {
        let (address, thread) = server(&["/elsewhere"], false);
        let error = Client::new().connect(&url(address)).unwrap_err();
        let ConnectError::Http(response) = &error else { panic!("{error}") };
        assert_eq!(response.headers().get("location"), Some(&b"/elsewhere"[..]));
        assert_eq!(error.response().unwrap().status, 302);
        thread.join().unwrap();

        let (address, thread) = serve(|stream| {
            let mut raw = Raw::new(stream, false);
            raw.head();
            raw.write(b"HTTP/1.1 300 Multiple Choices\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n");
        });
        let error = Client::new().max_redirects(5).connect(&url(address)).unwrap_err();
        assert!(matches!(&error, ConnectError::Http(response) if response.status == 300), "{error}");
        thread.join().unwrap();

        let error = Client::new().max_redirects(5).connect("ws://").unwrap_err();
        assert!(matches!(error, ConnectError::Url(UrlError::Host)) && error.response().is_none());
    });
}

#[test]
fn an_error_after_a_redirect_is_the_error_of_the_last_server() {
    timed(|| {
        // Nobody listens at the second address.
        let gone = listen().1;
        let (address, thread) = server(&[&url(gone)], false);
        let error = Client::new().max_redirects(1).connect(&url(address)).unwrap_err().without_stream();
        let text = error.to_string();
        assert!(text.starts_with(&format!("after a redirect to {gone}: cannot connect: ")), "{text}");
        assert_eq!((error.failure(), error.response().is_none()), (Failure::Network, true));
        assert!(error.source().is_some_and(|source| text.ends_with(&source.to_string())), "{text}");
        assert!(matches!(error.without_redirects(), ConnectError::Connect(_)), "{text}");
        thread.join().unwrap();

        // The query of the URL can be a credential.
        let (address, thread) = server(&["/a?key=7f3a", "//user:7f3a@b/"], false);
        let error = Client::new().max_redirects(5).connect(&url(address)).unwrap_err().without_stream();
        let ConnectError::Redirected { redirects: 1, server: last_server, error: last } = &error else {
            panic!("{error}")
        };
        assert_eq!(*last_server, address.to_string());
        assert_eq!(last.response().unwrap().status, 302);
        assert!(!format!("{error} {error:?} {error:#?}").contains("7f3a"), "{error:?}");
        thread.join().unwrap();

        let (address, thread) = server(&["/a", "/b", "/c"], false);
        let error = Client::new().max_redirects(2).connect(&url(address)).unwrap_err();
        let start = format!("after 2 redirects, the last one to {address}: ");
        assert!(error.to_string().starts_with(&start), "{error}");
        thread.join().unwrap();
    });
}

#[test]
fn one_deadline_limits_all_requests_of_a_chain_of_redirects() {
    timed(|| {
        let (listener, address) = listen();
        let thread = thread::spawn(move || {
            loop {
                let mut raw = Raw::new(listener.accept().unwrap().0, false);
                let mut head = [0; 4096];
                // The client may close a connection before it has sent a request.
                if raw.stream.read(&mut head).is_ok_and(|n| head[..n] == *b"end") {
                    return;
                }
                let _ = raw.stream.write_all(b"HTTP/1.1 302 T\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let client = Client::new().max_redirects(u32::MAX).open_timeout(Some(ms(300)));
        let error = client.connect(&url(address)).unwrap_err().without_redirects();
        assert!(matches!(&error, ConnectError::Deadline(error) if error.limit() == ms(300)), "{error}");
        TcpStream::connect(address).unwrap().write_all(b"end").unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_client_that_reconnects_follows_redirects_in_each_attempt() {
    timed(|| {
        let (address, thread) = server(&["/a", "/b", "/c"], false);
        let policy = ReconnectPolicy::new().first_delay(ms(1));
        let mut feed = Client::new().max_redirects(2).reconnecting(policy, |_| url(address));
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Response { status: 302, retry_after: None }));
        let reason = RedirectError::TooMany { max: 2 };
        let error = stopped.error.unwrap().without_redirects();
        assert!(matches!(error, ConnectError::Redirect(is, _) if is == reason));
        assert_eq!(thread.join().unwrap().len(), 3);
    });
}
