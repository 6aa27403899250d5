//! Reconnecting over loopback: servers that restart, refuse, or close on purpose.
//!
//! `tests/properties/reconnect.rs` tests the policy in virtual time. The delays here are at most 10 milliseconds,
//! except in the test of `reset`.

use std::error::Error;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;

use hybi::adapters::net::{self, Client, ConnectError, ReconnectTarget};
use hybi::reconnect::{Failure, GiveUp, ReconnectPolicy};
use hybi::{CloseCode, Message};

use crate::common::*;

fn policy() -> ReconnectPolicy {
    ReconnectPolicy::new().first_delay(ms(1)).max_delay(ms(10))
}

#[test]
fn a_client_comes_back_after_each_of_twenty_restarts() {
    timed(|| {
        const RESTARTS: usize = 20;
        let (listener, address) = listen();
        let (restart, restarted) = channel();
        let server = thread::spawn(move || {
            let mut listener = Some(listener);
            for number in 0..=RESTARTS {
                // While the server is down, attempts are refused.
                let listening = listener.take().unwrap_or_else(|| TcpListener::bind(address).unwrap());
                let mut ws = net::accept(listening.accept().unwrap().0).unwrap();
                ws.send_text(&number.to_string()).unwrap();
                // When the client has received the message, the server drops its sockets without a Close, as if its
                // process died.
                restarted.recv().unwrap();
            }
        });
        let mut feed = Client::new().reconnecting(policy(), |_| url(address));
        for number in 0..=RESTARTS {
            let mut ws = feed.next_connection().unwrap();
            assert_eq!(ws.recv().unwrap(), Some(Message::from(number.to_string())));
            restart.send(()).unwrap();
            assert_eq!(ws.recv().unwrap(), None);
            assert_eq!(ws.outcome().unwrap().code(), CloseCode::ABNORMAL);
            feed.closed(Ok(ws.outcome().unwrap()));
        }
        server.join().unwrap();
    });
}

#[test]
fn a_close_on_purpose_ends_the_connections() {
    timed(|| {
        let (address, thread) = serve(|stream| {
            let mut ws = net::accept(stream).unwrap();
            ws.close(CloseCode::NORMAL, "done").unwrap();
            ws.wait_closed().unwrap()
        });
        let mut feed = Client::new().reconnecting(policy(), |_| url(address));
        let mut ws = feed.next_connection().unwrap();
        assert_eq!(ws.recv().unwrap(), None);
        feed.closed(ws.wait_closed());
        thread.join().unwrap();
        for _ in 0..2 {
            let stopped = feed.next_connection().unwrap_err();
            assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Closed(CloseCode::NORMAL)));
            assert!(stopped.error.is_none());
        }
    });
}

/// Answers one request with `response`, and returns the head of the request.
fn answer(stream: TcpStream, response: &str) -> String {
    let mut raw = Raw::new(stream, false);
    let head = raw.head();
    raw.write(response.as_bytes());
    head
}

#[test]
fn each_attempt_has_its_own_token_and_a_refusal_is_reported() {
    timed(|| {
        let (listener, address) = listen();
        let server = thread::spawn(move || {
            let responses = [
                "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            ];
            responses.map(|response| answer(listener.accept().unwrap().0, response))
        });
        let target =
            |attempt| ReconnectTarget::new(url(address)).header("X-Token", format!("token {attempt}"));
        let mut feed = Client::new().reconnecting(policy().max_retry_after(ms(2)), target);
        let stopped = feed.next_connection().unwrap_err();
        let failure = Failure::Response { status: 401, retry_after: None };
        assert_eq!(stopped.reason, GiveUp::NotRetried(failure));
        let error = stopped.source().unwrap().downcast_ref::<ConnectError<()>>().unwrap();
        assert!(matches!(error, ConnectError::Http(response) if response.status == 401), "{error}");
        for (attempt, head) in server.join().unwrap().iter().enumerate() {
            assert!(head.contains(&format!("X-Token: token {attempt}\r\n")), "{head}");
        }
        assert_eq!(feed.state().failed_attempts(), 3);
        assert!(feed.next_connection().unwrap_err().error.is_none());
    });
}

#[test]
fn a_connection_counts_as_lost_if_its_end_is_not_reported() {
    timed(|| {
        let (listener, address) = listen();
        let server = thread::spawn(move || {
            for _ in 0..2 {
                drop(net::accept(listener.accept().unwrap().0).unwrap());
            }
        });
        let mut feed = Client::new().reconnecting(policy().max_attempts(Some(2)), |_| url(address));
        drop(feed.next_connection().unwrap());
        drop(feed.next_connection().unwrap());
        server.join().unwrap();
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::TooManyAttempts { attempts: 2, last: Failure::Network });
    });
}

#[test]
fn s7_1_7_a_server_that_breaks_the_protocol_is_not_tried_again() {
    // The server sends a text that is not UTF-8, as the first message or after a message.
    for (frames, received) in [(&b"\x81\x01\xFF"[..], false), (b"\x81\x01a\x81\x01\xFF", true)] {
        // The application ends its loop at the error, or it calls `wait_closed` at once.
        for loops in [false, true] {
            timed(move || {
                let (listener, address) = listen();
                let server = thread::spawn(move || {
                    let mut stream = listener.accept().unwrap().0;
                    let ws = net::accept(stream.try_clone().unwrap()).unwrap();
                    stream.write_all(frames).unwrap();
                    drop((ws, stream));
                });
                let mut feed = Client::new().reconnecting(policy(), |_| url(address));
                let mut ws = feed.next_connection().unwrap();
                let mut messages = 0;
                while loops && matches!(ws.recv(), Ok(Some(_))) {
                    messages += 1;
                }
                assert_eq!(messages, usize::from(loops && received));
                feed.closed(ws.wait_closed());
                server.join().unwrap();
                let stopped = feed.next_connection().unwrap_err();
                assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Closed(CloseCode::INVALID_PAYLOAD)));
            });
        }
    }
}

#[test]
fn last_error_shows_a_retried_failure_and_reset_ends_its_delay() {
    timed(|| {
        let (listener, address) = listen();
        drop(listener);
        let hour = std::time::Duration::from_secs(3600);
        let policy = ReconnectPolicy::new().first_delay(hour).max_delay(hour).max_attempts(Some(3));
        let mut feed = Client::new().reconnecting(policy, |_| url(address));
        assert_eq!(feed.next_attempt_in(), Some(ms(0)));
        assert!(feed.last_error().is_none());
        for attempt in 1..=3 {
            match feed.next_connection_timeout(ms(1)) {
                Ok(ws) => assert!(ws.is_none() && attempt < 3),
                Err(stopped) => {
                    assert_eq!(attempt, 3);
                    assert!(stopped.error.is_some() && feed.last_error().is_none());
                    assert_eq!(feed.next_attempt_in(), None);
                    break;
                }
            }
            assert_eq!(feed.state().failed_attempts(), attempt);
            let error = feed.last_error().unwrap();
            assert!(matches!(error, ConnectError::Connect(_)), "{error}");
            assert!(feed.next_attempt_in().unwrap() > ms(1000));
            // A further call does not begin an attempt before its time.
            assert!(feed.next_connection_timeout(ms(1)).unwrap().is_none());
            assert_eq!(feed.state().failed_attempts(), attempt);
            // The reset forgets the failure and ends the delay, so the next call makes an attempt at once.
            if attempt == 1 {
                feed.reset();
                assert_eq!(feed.state().failed_attempts(), 0);
                assert!(feed.next_connection_timeout(ms(1)).unwrap().is_none());
                feed.reset();
                break;
            }
        }
        // After the reset, the client connects at once.
        let listener = TcpListener::bind(address).unwrap();
        let server = thread::spawn(move || drop(net::accept(listener.accept().unwrap().0).unwrap()));
        let _ws = feed.next_connection().unwrap();
        assert!(feed.last_error().is_none() && feed.next_attempt_in().is_none());
        server.join().unwrap();
    });
}

#[test]
fn a_reset_starts_a_stopped_client_again() {
    timed(|| {
        let (listener, address) = listen();
        let mut usable = false;
        let target =
            move |_| if std::mem::replace(&mut usable, true) { url(address) } else { "ftp://a/".into() };
        let mut feed = Client::new().reconnecting(policy(), target);
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Request));
        assert_eq!(feed.next_connection().unwrap_err().reason, stopped.reason);
        feed.reset();
        let server = thread::spawn(move || drop(net::accept(listener.accept().unwrap().0).unwrap()));
        feed.next_connection().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn the_client_asks_again_for_a_target_that_the_application_could_not_return() {
    timed(|| {
        let (listener, address) = listen();
        let server = thread::spawn(move || drop(net::accept(listener.accept().unwrap().0).unwrap()));
        let target = |attempt| match attempt {
            0 | 1 => Err("no token"),
            _ => Ok(url(address)),
        };
        let mut feed = Client::new().reconnecting(policy(), target);
        feed.next_connection().unwrap();
        assert_eq!(feed.state().failed_attempts(), 2);
        server.join().unwrap();

        let target = |_| Err::<String, _>(std::io::Error::other("no token"));
        let mut feed = Client::new().reconnecting(policy().max_attempts(Some(2)), target);
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::TooManyAttempts { attempts: 2, last: Failure::Target });
        let error = stopped.error.unwrap();
        assert!(error.to_string().contains("no token"), "{error}");
        assert_eq!(error.source().unwrap().to_string(), "no token");
    });
}

#[test]
fn a_header_of_the_target_replaces_the_header_of_the_client() {
    timed(|| {
        let (address, server) =
            serve(|stream| answer(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
        let client = Client::new().header("authorization", "old").header("X-Other", "kept");
        let target = |_| {
            ReconnectTarget::new(url(address))
                .header("Authorization", "new")
                .header("X-Two", "1")
                .header("X-Two", "2")
        };
        client.reconnecting(policy(), target).next_connection().unwrap_err();
        let head = server.join().unwrap();
        assert_eq!(head.to_ascii_lowercase().matches("authorization").count(), 1, "{head}");
        for line in ["Authorization: new", "X-Other: kept", "X-Two: 1", "X-Two: 2"] {
            assert!(head.contains(line), "{head}");
        }
    });
}

#[test]
fn a_url_that_cannot_be_used_is_not_tried_again() {
    // Without TLS, a `wss` URL cannot be used either.
    let wss_without_tls =
        if cfg!(any(feature = "rustls", feature = "native-tls")) { None } else { Some("wss://localhost/") };
    for url in ["ftp://localhost/", "ws://"].into_iter().chain(wss_without_tls) {
        let mut feed = Client::new().reconnecting(policy(), |_| url);
        let stopped = feed.next_connection().unwrap_err();
        assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Request), "{url}");
        assert!(stopped.error.is_some());
    }
}

#[test]
fn failures_of_a_proxy_have_the_kind_that_the_policy_needs() {
    use hybi::handshake::WsUrl;
    use hybi::proxy::{Proxy, ProxyError, ProxyHandshake, ProxyTarget, ProxyUrl, SocksFailure};

    for (error, failure) in [
        (ProxyError::NameTooLong, Failure::Request),
        (ProxyError::AuthorizationHeader, Failure::Request),
        (ProxyError::ClientCertificate, Failure::Request),
        (ProxyError::NoAnswer, Failure::Network),
        (ProxyError::Truncated, Failure::Network),
        (ProxyError::Socks(SocksFailure::General), Failure::Network),
        (ProxyError::Socks(SocksFailure::NetworkUnreachable), Failure::Network),
        (ProxyError::Socks(SocksFailure::HostUnreachable), Failure::Network),
        (ProxyError::Socks(SocksFailure::ConnectionRefused), Failure::Network),
        (ProxyError::Socks(SocksFailure::TtlExpired), Failure::Network),
        (ProxyError::Socks(SocksFailure::NotAllowed), Failure::Handshake),
        (ProxyError::Socks(SocksFailure::CommandNotSupported), Failure::Handshake),
        (ProxyError::LoginRefused(1), Failure::Handshake),
        (ProxyError::LoginClosed, Failure::Network),
        (ProxyError::NoMethod { credentials: true }, Failure::Handshake),
        (ProxyError::NotHttp, Failure::Handshake),
        (ProxyError::NotSocks5(4), Failure::Handshake),
    ] {
        assert_eq!(ConnectError::<()>::Proxy(error.clone()).failure(), failure, "{error:?}");
    }
    let refusal = |head: &str| {
        let proxy = ProxyUrl::parse("http://a").unwrap();
        let mut handshake = ProxyHandshake::new(&proxy, ProxyTarget::new("b", 80).unwrap()).unwrap();
        handshake.transmitted(handshake.bytes_to_send().len());
        assert!(handshake.receive(&mut head.as_bytes()).is_ok() && handshake.awaits_body());
        let error = handshake.handle_eof().unwrap_err();
        ConnectError::<()>::Proxy(error).failure()
    };
    for (head, status, wait, is_retried) in [
        ("HTTP/1.1 407 Login\r\n\r\n", 407, None, false),
        ("HTTP/1.1 403 No\r\nRetry-After: 5\r\n\r\n", 403, Some(5), false),
        ("HTTP/1.1 429 Slow\r\nRetry-After: 5\r\n\r\n", 429, Some(5), true),
        ("HTTP/1.1 502 Bad\r\n\r\n", 502, None, true),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n", 503, Some(7), true),
    ] {
        let retry_after = wait.map(std::time::Duration::from_secs);
        let failure = refusal(head);
        assert_eq!(failure, Failure::Proxy { status, retry_after });
        assert_eq!(failure.is_transient(), is_retried, "{status}");
    }
    let variable = Proxy::from_variables(|name| (name == "ws_proxy").then(|| "ftp://a".into()));
    let error = variable.for_url(&WsUrl::parse("ws://b").unwrap()).unwrap_err();
    assert_eq!(ConnectError::<()>::ProxyVariable(error).failure(), Failure::Request);
}

#[test]
#[cfg(feature = "rustls")]
fn failures_of_tls_have_the_kind_that_the_policy_needs() {
    use hybi::tls::{TlsError, rustls};

    let refused = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
    for (error, failure) in [
        (TlsError::NoProvider, Failure::Request),
        (TlsError::NoRoots(None), Failure::Request),
        (TlsError::HostName("a b".into()), Failure::Request),
        (TlsError::Expired(refused.clone().into()), Failure::Certificate),
        (TlsError::InvalidCertificate(refused.into()), Failure::Certificate),
        (TlsError::AlpnProtocol(b"h2".into()), Failure::Tls),
        (
            TlsError::Alert(rustls::Error::AlertReceived(rustls::AlertDescription::InternalError).into()),
            Failure::Tls,
        ),
        (TlsError::Truncated, Failure::Network),
        (TlsError::Timeout, Failure::Network),
    ] {
        assert_eq!(ConnectError::<()>::Tls(error.clone()).failure(), failure, "{error:?}");
        assert_eq!(ConnectError::<()>::ProxyTls(error.clone()).failure(), failure, "{error:?}");
    }
}
