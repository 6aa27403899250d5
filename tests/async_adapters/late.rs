//! No timer fires early while a task waits for the stream or for the other half of the WebSocket.
//!
//! If a deadline were computed from an old reading of the clock, it could be early. In these tests a task waits for the
//! stream or for the other half. Then data arrives, and the idle timer must restart at that moment. The tests run on
//! tokio's paused clock.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hybi::adapters::tokio::WebSocket;
use hybi::{Config, Connection, EofPosition, Inbox, Instant, Outbox, Outcome, ReadyState};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream, ReadBuf, duplex,
};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::support::ms;

/// Returns a client whose only timer is an idle timeout of ten seconds.
fn idle() -> Connection {
    let config = Config::new().ping_interval(None).pong_timeout(None).close_timeout(None);
    let config = config.idle_timeout(Some(Duration::from_secs(10)));
    Connection::client(Instant::ZERO, config, Outbox::new(), [1; 32])
}

/// Runs a peer that sends a message half a second before the idle timeout, and reads our message 1.5 seconds later. If
/// `ends` is set, the peer also ends its direction of the stream. Returns the number of bytes that arrive in the next
/// two seconds. If the idle timer has fired too early, a Close arrives in this time.
fn peer(mut stream: DuplexStream, ends: bool) -> JoinHandle<usize> {
    tokio::spawn(async move {
        sleep(ms(9500)).await;
        stream.write_all(b"\x81\x05hello").await.unwrap();
        if ends {
            stream.shutdown().await.unwrap();
        }
        sleep(ms(1500)).await;
        let mut message = [0; 1008];
        stream.read_exact(&mut message).await.unwrap();
        let mut more = [0; 100];
        timeout(ms(2000), stream.read(&mut more)).await.map_or(0, Result::unwrap)
    })
}

#[tokio::test(start_paused = true)]
async fn the_idle_timer_is_not_early_at_the_end_of_a_full_stream() {
    let (near, far) = duplex(64);
    let far = peer(far, true);
    let mut ws = WebSocket::from_parts(BufStream::new(near), idle(), Inbox::empty());
    ws.feed(vec![1; 1000]).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    assert_eq!(ws.wait_closed().await.unwrap(), Outcome::Abnormal(EofPosition::BetweenMessages));
    drop(ws);
    assert_eq!(far.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timer_is_not_early_at_the_end_of_the_stream_of_two_halves() {
    let (near, far) = duplex(64);
    let far = peer(far, true);
    let ws = WebSocket::from_parts(near, idle(), Inbox::empty());
    let (mut reader, mut writer) = ws.split();
    writer.feed(vec![1; 1000]).await.unwrap();
    assert_eq!(reader.recv().await.unwrap(), Some("hello".into()));
    assert_eq!(reader.wait_closed().await.unwrap(), Outcome::Abnormal(EofPosition::BetweenMessages));
    drop((reader, writer));
    assert_eq!(far.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timer_is_not_early_while_the_stream_flushes() {
    let (near, far) = duplex(64);
    let far = peer(far, false);
    let mut ws = WebSocket::from_parts(BufStream::new(near), idle(), Inbox::empty());
    ws.feed(vec![1; 1000]).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("hello".into()));
    ws.flush().await.unwrap();
    assert_eq!(ws.ready_state(), ReadyState::Open);
    assert_eq!(far.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_idle_timer_is_not_early_while_one_half_writes_and_the_other_is_busy() {
    let (near, far) = duplex(64);
    let far = peer(far, false);
    let ws = WebSocket::from_parts(near, idle(), Inbox::empty());
    let (mut reader, mut writer) = ws.split();
    let sent = tokio::spawn(async move { writer.send(vec![1; 1000]).await.is_ok() });
    assert_eq!(reader.recv().await.unwrap(), Some("hello".into()));
    sleep(ms(3000)).await;
    assert_eq!(far.await.unwrap(), 0);
    assert!(sent.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn data_before_a_ping_restarts_the_idle_timer() {
    for halves in [false, true] {
        let (near, mut far) = duplex(64);
        let far = tokio::spawn(async move {
            for first in [0x02, 0, 0, 0, 0x80] {
                let last = first == 0x80;
                let piece = [first, 3, b'a', b'b', b'c', 0x89, 1, b'p'];
                far.write_all(if last { &piece[..5] } else { &piece }).await.unwrap();
                sleep(ms(4000)).await;
            }
            far
        });
        let mut ws = WebSocket::from_parts(near, idle(), Inbox::empty());
        let message = Some(b"abc".repeat(5).into());
        if halves {
            let (mut reader, mut writer) = ws.split();
            assert_eq!(reader.recv().await.unwrap(), message);
            writer.send("still open").await.unwrap();
        } else {
            assert_eq!(ws.recv().await.unwrap(), message);
            ws.send("still open").await.unwrap();
        }
        drop(far.await.unwrap());
    }
}

/// A stream that returns at most three bytes in each read. So a turn ends before all input is read.
struct ShortReads(DuplexStream);

impl AsyncRead for ShortReads {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut space = [0; 3];
        let mut piece = ReadBuf::new(&mut space);
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut piece);
        to.put_slice(piece.filled());
        polled
    }
}

impl AsyncWrite for ShortReads {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn pings_that_are_read_ahead_at_the_end_of_a_turn_do_not_restart_the_idle_timer() {
    for halves in [false, true] {
        let (near, mut far) = duplex(4096);
        let mut ws = WebSocket::from_parts(ShortReads(near), idle(), Inbox::empty());
        far.write_all(&b"\x89\x00".repeat(200)).await.unwrap();
        sleep(ms(11_000)).await;
        let received = if halves {
            let (mut reader, _writer) = ws.split();
            timeout(ms(1000), reader.recv()).await
        } else {
            timeout(ms(1000), ws.recv()).await
        };
        assert!(received.is_err(), "{received:?}");
        let mut frames = [0; 4096];
        let len = far.read(&mut frames).await.unwrap();
        let mut frames = &frames[..len];
        // Each frame of the client has a header of six bytes.
        while let [0x8A, _, _, _, _, _, rest @ ..] = frames {
            frames = rest;
        }
        assert_eq!(frames.first(), Some(&0x88), "halves: {halves}");
    }
}

#[tokio::test(start_paused = true)]
async fn s5_5_3_the_answer_to_a_ping_is_found_among_many_pongs() {
    for halves in [false, true] {
        let (near, mut far) = duplex(4096);
        let far = tokio::spawn(async move {
            for _ in 0..4 {
                let mut ping = [0; 10];
                far.read_exact(&mut ping).await.unwrap();
                assert_eq!(ping[..2], [0x89, 0x84]);
                let mut pongs = vec![0x8A, 4];
                pongs.extend((0..4).map(|at| ping[2 + at] ^ ping[6 + at]));
                pongs.extend([0x8A, 0].repeat(8));
                far.write_all(&pongs).await.unwrap();
            }
            far.write_all(b"\x81\x04done").await.unwrap();
            far
        });
        let five = Some(Duration::from_secs(5));
        let config = Config::new().ping_interval(five).pong_timeout(five);
        let connection = Connection::client(Instant::ZERO, config, Outbox::new(), [1; 32]);
        let mut ws = WebSocket::from_parts(near, connection, Inbox::empty());
        let message = if halves {
            let (mut reader, _writer) = ws.split();
            reader.recv().await
        } else {
            ws.recv().await
        };
        assert_eq!(message.unwrap(), Some("done".into()));
        drop(far.await.unwrap());
    }
}
