//! Answers other than 101 to peers that read slowly, or not at all.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use hybi::adapters::futures_io::{AcceptError, HttpCall, Refusal, Server, Timer};
use hybi::handshake::Reject;

use super::support::*;

const PLAIN: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// How long a peer may take nothing, unless a test says otherwise; the default.
const PATIENCE: u64 = 30;
/// The bytes a second that it has to take on the whole.
const SLOWEST: usize = 1024;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

async fn sleep(clock: &Clock, time: Duration) {
    let (mut alarm, until) = (clock.clone(), clock.now() + time);
    poll_fn(|cx| alarm.poll_at(cx, until)).await;
}

/// A plain request that has come in over `stream`.
fn call<S: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug>(clock: &Clock, stream: S) -> HttpCall<S, Clock> {
    match block_on(clock, Server::with_timer(clock.clone()).accept(stream)) {
        Err(AcceptError::NotWebSocket(call)) => call,
        other => panic!("{other:?}"),
    }
}

/// A stream with room for so much that is not read, over which a request has come in.
fn end(capacity: usize, request: &[u8]) -> End {
    let end = End::new(Manner { capacity, ..Manner::default() });
    end.arrive(request);
    end
}

/// Does `answering` while the peer takes what there is each `pause`, up to `most` bytes in all: what came of it, after
/// how many milliseconds, and what the peer has got.
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
fn an_answer_arrives_however_slowly_it_is_read() {
    let body = letters(300_000);
    for pause in [seconds(1), seconds(PATIENCE - 1)] {
        let (clock, end) = (Clock::default(), end(40_000, PLAIN));
        let answer = Reject::new(200).body("text/plain", body.as_bytes());
        let answering = call(&clock, end.clone()).answer(&answer);
        let (answered, time, mut got) = read_slowly(&clock, &end, (pause, usize::MAX), answering);
        answered.unwrap();
        got.extend(end.take_written());
        assert!(got.starts_with(b"HTTP/1.1 200 ") && got.ends_with(body.as_bytes()), "{}", got.len());
        // With each pause go 40,000 bytes. Behind the last one more is read for a second.
        assert_eq!(time, pause.as_millis() * 7 + 1000);
        assert!(end.state.lock().unwrap().shut_down);
    }
    // So does a refusal by the application, which takes longer than the handshake may.
    let (clock, end) = (Clock::default(), end(40_000, UPGRADE));
    let server = Server::with_timer(clock.clone()).handshake_timeout(Some(seconds(5)));
    let refusal =
        Refusal { body: Some(("text/plain".into(), body.clone().into_bytes())), ..Refusal::new(403) };
    let accepting = server.accept_with(end.clone(), |_| Err(refusal));
    let (result, time, mut got) = read_slowly(&clock, &end, (seconds(4), usize::MAX), accepting);
    assert!(matches!(result, Err(AcceptError::Refused(_))));
    got.extend(end.take_written());
    assert!(got.ends_with(body.as_bytes()));
    assert_eq!(time, 4000 * 7 + 1000);
}

#[test]
fn a_peer_that_stops_reading_is_given_up_and_that_is_told() {
    let body = letters(300_000);
    let reject = Reject::new(200).body("text/plain", body.as_bytes());
    for patience in [None, Some(seconds(7)), Some(Duration::ZERO)] {
        for most in [0, 10_000, 100_000] {
            let (clock, end) = (Clock::default(), end(10_000, PLAIN));
            let mut call = call(&clock, end.clone());
            if let Some(patience) = patience {
                call = call.write_timeout(patience);
            }
            let (answered, time, got) = read_slowly(&clock, &end, (ms(2500), most), call.answer(&reject));
            let error = answered.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(error.to_string().contains("answer"), "{error}");
            let pauses = if patience == Some(Duration::ZERO) { 0 } else { most as u128 / 10_000 };
            // It counts from the last time that something was taken. What is there is taken in any case.
            let patience = patience.unwrap_or(seconds(PATIENCE)).as_millis().max(1);
            assert_eq!(time, pauses * 2500 + patience, "{most}");
            assert_eq!(got.len() as u128, pauses * 10_000);
            // Nothing was sent that would make a whole of it.
            assert!(!end.state.lock().unwrap().shut_down);
        }
    }
}

#[test]
fn a_peer_that_takes_a_little_now_and_then_does_not_hold_an_answer_for_ever() {
    let body = letters(100_000);
    let reject = Reject::new(200).body("text/plain", body.as_bytes());
    let (clock, end) = (Clock::default(), end(100, PLAIN));
    let answering = call(&clock, end.clone()).answer(&reject);
    let (answered, time, got) = read_slowly(&clock, &end, (seconds(10), usize::MAX), answering);
    assert_eq!(answered.unwrap_err().kind(), ErrorKind::TimedOut);
    let whole = PATIENCE as u128 * 1000 + (reject.to_vec().unwrap().len() * 1000 / SLOWEST) as u128;
    assert!((whole..whole + 1000).contains(&time), "{time} ms");
    assert!(got.len() < 2000);
}

#[test]
fn a_handshake_that_cannot_be_refused_ends_in_time_and_as_an_error() {
    let bad = &[UPGRADE.strip_suffix(b"\r\n").unwrap(), b"Host: b\r\n\r\n"].concat();
    for (timeout, patience) in
        [(Some(seconds(5)), 5), (Some(ms(10)), 1), (Some(seconds(100)), PATIENCE), (None, PATIENCE)]
    {
        let (clock, end) = (Clock::default(), end(10, bad));
        let server = Server::with_timer(clock.clone()).handshake_timeout(timeout);
        let refused = block_on(&clock, server.accept(end.clone()));
        assert!(matches!(refused, Err(AcceptError::Io(error)) if error.kind() == ErrorKind::TimedOut));
        assert_eq!(clock.now().since_origin(), seconds(patience));
    }
}

#[test]
fn what_still_comes_is_discarded_for_a_second_from_the_end_of_the_answer() {
    let body = letters(29_000);
    let reject = Reject::new(200).body("text/plain", body.as_bytes());
    for goes_on in [false, true] {
        let (clock, end) = (Clock::default(), end(10_000, PLAIN));
        let answering = call(&clock, end.clone()).answer(&reject);
        let mut sending = pin!(async {
            loop {
                sleep(&clock, ms(300)).await;
                end.arrive(b"x");
                // Whoever sends for long enough is not listened to for ever.
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

/// A stream that takes all, and does not come to an end with what it is told to stop at.
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
fn an_answer_that_is_not_flushed_has_not_been_sent() {
    let body = letters(100_000);
    let reject = Reject::new(200).body("text/plain", body.as_bytes());
    // A stream that keeps what it takes, as a TLS stream does, is given as long as a slow reader of all of it.
    let whole =
        seconds(PATIENCE) + Duration::from_secs_f64(reject.to_vec().unwrap().len() as f64 / SLOWEST as f64);
    for (flush, close) in [(true, true), (true, false), (false, true), (false, false)] {
        let (clock, end) = (Clock::default(), end(usize::MAX, PLAIN));
        let stuck = Stuck { end: end.clone(), flush, close };
        let answered = block_on(&clock, call(&clock, stuck).answer(&reject));
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
