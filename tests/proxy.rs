//! Proxies: HTTP CONNECT, SOCKS5, the URLs of proxies, and the proxy variables of the environment.
//!
//! [`drive`] drives a handshake as an adapter does. Each answer of a proxy arrives whole, byte by byte, cut in two at
//! every place, and cut at random places. The outcome must always be the same. No test needs a socket. One test starts
//! processes with environment variables.
#![cfg(feature = "alloc")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use hybi::proxy::{ProxyAction, ProxyError, ProxyHandshake, ProxyTarget, ProxyUrl};

use proptest::test_runner::{Config, FileFailurePersistence};
use support::cuts::{Cuts, plan};

#[path = "proxy/connect.rs"]
mod connect;
#[path = "proxy/environment.rs"]
mod environment;
#[path = "proxy/random.rs"]
mod random;
#[path = "proxy/socks.rs"]
mod socks;
mod support;
#[path = "proxy/urls.rs"]
mod urls;

/// Returns a configuration that stores failing cases beside the source, and runs them first.
fn cases() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}

/// The outcome of a handshake whose input has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Outcome {
    result: Result<(), ProxyError>,
    /// All bytes that were sent.
    sent: Vec<u8>,
    /// The input that was not consumed.
    left: Vec<u8>,
}

/// Drives `handshake` over `input`, which arrives in pieces and then ends. At most `write_len` bytes are written at
/// once.
fn drive(mut handshake: ProxyHandshake, input: &[u8], cuts: &Cuts, write_len: usize) -> Outcome {
    let mut pieces = cuts.pieces(input.len());
    let (mut start, mut end, mut sent) = (0, 0, Vec::new());
    let result = loop {
        // Each step sends some bytes, reads a piece, or ends the loop.
        let mut arrived = &input[start..end];
        let action = handshake.receive(&mut arrived);
        let waits = !handshake.bytes_to_send().is_empty();
        assert!(!waits || action == Ok(ProxyAction::Send), "{action:?}");
        start = end - arrived.len();
        match action {
            Ok(ProxyAction::Send) => {
                let len = handshake.bytes_to_send().len().min(write_len);
                sent.extend_from_slice(&handshake.bytes_to_send()[..len]);
                handshake.transmitted(len);
            }
            Ok(ProxyAction::Receive) => {
                assert!(arrived.is_empty(), "all input was consumed");
                match pieces.next() {
                    Some(len) => end += len,
                    None => break handshake.handle_eof(),
                }
            }
            Ok(ProxyAction::Open) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // The first outcome is final.
    let mut more = &b"HTTP/1.1 200 OK\r\n\r\n"[..];
    assert_eq!(handshake.receive(&mut more).map(|_| ()), result);
    assert_eq!(handshake.handle_eof(), result);
    assert_eq!((more.len(), handshake.bytes_to_send().len()), (19, 0));
    Outcome { result, sent, left: input[start..].to_vec() }
}

/// Returns the handshake of `proxy` for a tunnel to `target`.
fn handshake(proxy: &str, target: ProxyTarget<'_>) -> ProxyHandshake {
    ProxyHandshake::new(&ProxyUrl::parse(proxy).unwrap(), target).unwrap()
}

/// Drives a handshake of `new` for each split of `input`. All outcomes must be equal. Returns the outcome.
#[track_caller]
fn at_every_split(new: impl Fn() -> ProxyHandshake, input: &[u8]) -> Outcome {
    let whole = drive(new(), input, &Cuts::Whole, usize::MAX);
    for (at, cuts) in plan("proxy", input.len(), false).iter().enumerate() {
        let cut = drive(new(), input, cuts, [usize::MAX, 1, 7][at % 3]);
        assert_eq!(cut.sent, whole.sent, "{cuts}");
        assert_eq!(cut.result, whole.result, "{cuts}");
        if matches!(whole.result, Ok(()) | Err(ProxyError::Refused(_))) {
            assert_eq!(cut.left, whole.left, "{cuts}");
        }
    }
    whole
}

/// Checks that `input` opens a tunnel at its last byte, and that each truncation of `input` gives a typed error.
#[track_caller]
fn at_every_truncation(new: impl Fn() -> ProxyHandshake, input: &[u8]) {
    for len in 0..input.len() {
        let error = drive(new(), &input[..len], &Cuts::EachByte, usize::MAX).result.unwrap_err();
        let is_eof = matches!(error, ProxyError::NoAnswer | ProxyError::Truncated | ProxyError::LoginClosed);
        assert!(is_eof, "{len} bytes: {error:?}");
        assert_eq!(drive(new(), &input[..len], &Cuts::Whole, 1).result, Err(error));
    }
    assert_eq!(drive(new(), input, &Cuts::Whole, 1).result, Ok(()));
}
