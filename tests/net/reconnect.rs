//! Reconnecting over loopback: servers that restart, refuse, or close on purpose.
//!
//! `tests/properties/reconnect.rs` tests the policy in virtual time. The delays here are at most some milliseconds.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;

use hybi::adapters::net::{self, Client, ConnectError, Target};
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
                // The client has received the message. The process dies: no Close is sent.
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
            feed.closed(ws.outcome().unwrap());
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
        feed.closed(ws.wait_closed().unwrap());
        thread.join().unwrap();
        for _ in 0..2 {
            let stopped = feed.next_connection().unwrap_err();
            assert_eq!(stopped.reason, GiveUp::NotRetried(Failure::Closed(CloseCode::NORMAL)));
            assert!(stopped.error.is_none());
        }
    });
}

/// Answers one request with a status, and returns the head of the request.
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
        let target = |attempt| Target::new(url(address)).header("X-Token", format!("token {attempt}"));
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
fn a_connection_whose_end_is_not_reported_counts_as_lost() {
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
fn a_url_that_cannot_be_used_is_not_tried_again() {
    // Without TLS, a `wss` URL cannot be used either.
    let more =
        if cfg!(any(feature = "rustls", feature = "native-tls")) { None } else { Some("wss://localhost/") };
    for url in ["ftp://localhost/", "ws://"].into_iter().chain(more) {
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
        (ProxyError::LoginClosed, Failure::Handshake),
        (ProxyError::NoMethod { credentials: true }, Failure::Handshake),
        (ProxyError::NotHttp, Failure::Handshake),
        (ProxyError::NotSocks5(4), Failure::Handshake),
    ] {
        assert_eq!(ConnectError::<()>::Proxy(error.clone()).failure(), failure, "{error:?}");
    }
    let refusal = |head: &str| {
        let proxy = ProxyUrl::parse("http://a").unwrap();
        let mut handshake = ProxyHandshake::new(&proxy, ProxyTarget::new("b", 80).unwrap()).unwrap();
        handshake.advance(handshake.bytes_to_send().len());
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
        (TlsError::Expired(refused.into()), Failure::Handshake),
        (TlsError::Protocol(b"h2".into()), Failure::Handshake),
        (TlsError::Truncated, Failure::Network),
        (TlsError::Timeout, Failure::Network),
    ] {
        assert_eq!(ConnectError::<()>::Tls(error.clone()).failure(), failure, "{error:?}");
        assert_eq!(ConnectError::<()>::ProxyTls(error.clone()).failure(), failure, "{error:?}");
    }
}
