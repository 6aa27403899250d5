//! HTTP responses other than 101, sent to peers that read slowly or not at all.
//!
//! A server sends such a response when the application answers a plain HTTP request or rejects a handshake, or when the
//! handshake fails. These tests check that a slow reader receives the whole response, and that a stalled peer is given
//! up in time. After the response, input must be discarded for a limited time. `open.rs` tests the requests and
//! responses of the handshake itself.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use hybi::adapters::futures_io::{AcceptError, HttpCall, Server, Timer};
use hybi::handshake::HttpResponse;

use super::support::*;

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// Default number of seconds after which a peer that reads nothing is given up.
const PATIENCE: u64 = 30;
/// Minimum average number of bytes per second that a peer must read.
const SLOWEST: usize = 1024;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

async fn sleep(clock: &Clock, time: Duration) {
    let (mut alarm, until) = (clock.clone(), clock.now() + time);
    poll_fn(|cx| alarm.poll_at(cx, until)).await;
}

/// Returns a plain HTTP request that arrived over `stream`.
fn call<S: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug>(clock: &Clock, stream: S) -> HttpCall<S, Clock> {
    match block_on(clock, Server::with_timer(clock.clone()).accept(stream)) {
        Err(AcceptError::NotWebSocket(call)) => call,
        other => panic!("{other:?}"),
    }
}

/// Returns a stream on which `request` has arrived. The peer can leave at most `capacity` bytes unread.
fn end(capacity: usize, request: &[u8]) -> End {
    let end = End::new(Behavior { capacity, ..Behavior::default() });
    end.arrive(request);
    end
}

/// Runs `answering` while the peer reads all available bytes after each `pause`, up to `most` bytes in all. Returns
/// the result, the time in milliseconds, and the bytes that the peer received.
fn read_slowly<T>(
    clock: &Clock,
    end: &End,
    (pause, most): (Duration, usize),
    answering: impl Future<Output = T>,
) -> (T, u128, Vec<u8>) {
    let got = RefCell::new(Vec::new());
    let mut reading = pin!(async {
        while got.borrow().len() < most {
            sleep(clock, pause).await;
            got.borrow_mut().extend(end.take_written());
        }
    });
    let result = run(clock, answering, &mut [reading.as_mut()]);
    (result, clock.now().since_origin().as_millis(), got.take())
}

#[test]
fn a_slow_reader_receives_the_whole_response() {
    let body = letters(300_000);
    for pause in [seconds(1), seconds(PATIENCE - 1)] {
        let (clock, end) = (Clock::default(), end(40_000, PLAIN));
        let answer = HttpResponse::new(200).body("text/plain", body.as_bytes());
        let answering = call(&clock, end.clone()).respond(&answer);
        let (answered, time, mut got) = read_slowly(&clock, &end, (pause, usize::MAX), answering);
        answered.unwrap();
        got.extend(end.take_written());
        assert!(got.starts_with(b"HTTP/1.1 200 ") && got.ends_with(body.as_bytes()), "{}", got.len());
        // The peer reads 40,000 bytes after each pause. After the response the server reads for one more second.
        assert_eq!(time, pause.as_millis() * 7 + 1000);
        assert!(end.state.lock().unwrap().shut_down);
    }
    // A response with which the application rejects a request also arrives. Sending the response may take longer than
    // the handshake timeout.
    let (clock, end) = (Clock::default(), end(40_000, UPGRADE));
    let server = Server::with_timer(clock.clone()).handshake_timeout(Some(seconds(5)));
    let response = HttpResponse::new(403).body("text/plain", body.as_bytes());
    let rejecting = async { server.receive(end.clone()).await.unwrap().reject(&response).await };
    let (result, time, mut got) = read_slowly(&clock, &end, (seconds(4), usize::MAX), rejecting);
    result.unwrap();
    got.extend(end.take_written());
    assert!(got.ends_with(body.as_bytes()));
    assert_eq!(time, 4000 * 7 + 1000);
}

#[test]
fn a_peer_that_stops_reading_is_given_up_with_an_error() {
    let body = letters(300_000);
    let reject = HttpResponse::new(200).body("text/plain", body.as_bytes());
    for patience in [None, Some(seconds(7)), Some(Duration::ZERO)] {
        for most in [0, 10_000, 100_000] {
            let (clock, end) = (Clock::default(), end(10_000, PLAIN));
            let mut call = call(&clock, end.clone());
            if let Some(patience) = patience {
                call = call.write_timeout(patience);
            }
            let (answered, time, got) = read_slowly(&clock, &end, (ms(2500), most), call.respond(&reject));
            let error = answered.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.to_string().contains("response"), "{error}");
            let pauses = if patience == Some(Duration::ZERO) { 0 } else { most as u128 / 10_000 };
            // The time limit starts again whenever bytes are written. Even if the limit is zero, one write is
            // attempted.
            let patience = patience.unwrap_or(seconds(PATIENCE)).as_millis().max(1);
            assert_eq!(time, pauses * 2500 + patience, "{most}");
            assert_eq!(got.len() as u128, pauses * 10_000);
            // The stream was not shut down, so the peer can see that the response is incomplete.
            assert!(!end.state.lock().unwrap().shut_down);
        }
    }
}

#[test]
fn a_peer_below_the_minimum_rate_is_given_up() {
    let body = letters(100_000);
    let reject = HttpResponse::new(200).body("text/plain", body.as_bytes());
    let (clock, end) = (Clock::default(), end(100, PLAIN));
    let answering = call(&clock, end.clone()).respond(&reject);
    let (answered, time, got) = read_slowly(&clock, &end, (seconds(10), usize::MAX), answering);
    assert_eq!(answered.unwrap_err().kind(), ErrorKind::TimedOut);
    let whole = PATIENCE as u128 * 1000 + (reject.to_vec().unwrap().len() * 1000 / SLOWEST) as u128;
    assert!((whole..whole + 1000).contains(&time), "{time} ms");
    assert!(got.len() < 2000);
}

#[test]
fn a_rejection_that_cannot_be_sent_ends_in_time_with_an_error() {
    let bad = &[UPGRADE.strip_suffix(b"\r\n").unwrap(), b"Host: b\r\n\r\n"].concat();
    for (timeout, patience) in
        [(Some(seconds(5)), 5), (Some(ms(10)), 1), (Some(seconds(100)), PATIENCE), (None, PATIENCE)]
    {
        let (clock, end) = (Clock::default(), end(10, bad));
        let server = Server::with_timer(clock.clone()).handshake_timeout(timeout);
        let accepted = block_on(&clock, server.accept(end.clone()));
        assert!(matches!(accepted, Err(AcceptError::Io(error)) if error.kind() == ErrorKind::TimedOut));
        assert_eq!(clock.now().since_origin(), seconds(patience));
    }
}

#[test]
fn input_is_discarded_for_a_second_after_the_response() {
    let body = letters(29_000);
    let reject = HttpResponse::new(200).body("text/plain", body.as_bytes());
    for goes_on in [false, true] {
        let (clock, end) = (Clock::default(), end(10_000, PLAIN));
        let answering = call(&clock, end.clone()).respond(&reject);
        let mut sending = pin!(async {
            loop {
                sleep(&clock, ms(300)).await;
                end.arrive(b"x");
                // If `goes_on` is set, the peer never stops. Even then the server discards input for a limited time
                // only.
                if !goes_on && clock.now().since_origin() > seconds(20) + ms(400) {
                    return end.end();
                }
            }
        });
        let mut reading = pin!(async {
            for _ in 0..2 {
                sleep(&clock, seconds(10)).await;
                end.take_written();
            }
        });
        run(&clock, answering, &mut [sending.as_mut(), reading.as_mut()]).unwrap();
        let time = clock.now().since_origin();
        assert_eq!(time, if goes_on { seconds(21) } else { seconds(20) + ms(700) });
    }
}

/// A stream that accepts all bytes, and whose flush or shutdown can hang.
#[derive(Clone, Debug)]
struct Stuck {
    end: End,
    flush: bool,
    close: bool,
}

impl AsyncRead for Stuck {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.end).poll_read(cx, to)
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.end).poll_write_vectored(cx, &[IoSlice::new(from)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flush { Poll::Pending } else { Pin::new(&mut self.end).poll_flush(cx) }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.close { Poll::Pending } else { Pin::new(&mut self.end).poll_close(cx) }
    }
}

#[test]
fn a_response_counts_as_sent_only_after_a_flush() {
    let body = letters(100_000);
    let reject = HttpResponse::new(200).body("text/plain", body.as_bytes());
    // A stream may buffer the bytes that it accepts, as a TLS stream does. The flush gets as much time as a slow
    // reader gets for the whole response.
    let whole =
        seconds(PATIENCE) + Duration::from_secs_f64(reject.to_vec().unwrap().len() as f64 / SLOWEST as f64);
    for (flush, close) in [(true, true), (true, false), (false, true), (false, false)] {
        let (clock, end) = (Clock::default(), end(usize::MAX, PLAIN));
        let stuck = Stuck { end: end.clone(), flush, close };
        let answered = block_on(&clock, call(&clock, stuck).respond(&reject));
        assert_eq!(
            answered.map_err(|error| error.kind()),
            if flush { Err(ErrorKind::TimedOut) } else { Ok(()) }
        );
        let time = clock.now().since_origin();
        if flush {
            assert!(time >= whole && time <= whole + seconds(1), "{time:?}");
        } else {
            assert_eq!(time, seconds(1));
        }
    }
}
