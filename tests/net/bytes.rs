//! A blocking WebSocket as a stream of bytes: as a whole in one thread, and as halves in two threads.
//!
//! `tests/async_adapters/bytes.rs` has the same tests for the asynchronous adapters. That file has further tests of the
//! end of the data, because all adapters share this code. `tests/memory/bytes.rs` measures memory.

use std::io::{BufRead, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{ByteStream, ByteStreamError, Client, Server, Stream, WebSocket};
use hybi::{CloseCode, Config, Connection, Inbox, Instant, Outbox, Outcome, ProtocolError, SendError};

use crate::common::*;
use crate::virtual_stream::*;

/// A generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    /// Returns a length of at least 1 that is often small.
    fn len(&mut self) -> usize {
        let most = [1, 200, 3000, 90_000][self.below(4)];
        1 + self.below(most)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Reads at most `most` bytes, into a buffer or in place. Returns the bytes.
fn read_some(stream: &mut impl BufRead, random: &mut Random, most: usize) -> Vec<u8> {
    if random.below(2) == 0 {
        let mut to = vec![0; random.len().min(most)];
        let len = stream.read(&mut to).unwrap();
        to.truncate(len);
        return to;
    }
    let data = stream.fill_buf().unwrap();
    let len = random.len().min(data.len()).min(most);
    let data = data[..len].to_vec();
    stream.consume(len);
    data
}

fn write_all(stream: &mut impl Write, mut data: &[u8], random: &mut Random) {
    while !data.is_empty() {
        let now = &data[..random.len().min(data.len())];
        let len = if random.below(3) == 0 {
            let (first, second) = now.split_at(random.below(now.len()));
            stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]).unwrap()
        } else {
            stream.write(now).unwrap()
        };
        data = &data[len..];
    }
}

#[test]
fn halves_in_two_threads_carry_the_same_bytes_both_ways() {
    timed(|| {
        for seed in 1..8 {
            let (server, client) = tcp_pair_of(Server::new(), &Client::new());
            let mut random = Random(seed);
            let to_client = random.bytes(400_000);
            let to_server = random.bytes(300_000);
            let threads: Vec<_> =
                [(server, to_client.clone(), to_server.clone()), (client, to_server, to_client)]
                    .into_iter()
                    .enumerate()
                    .map(|(n, (ws, to_send, to_receive))| {
                        let (mut reading, mut writing) = ws.into_byte_stream().split().unwrap();
                        let other = writing.clone();
                        let sending = thread::spawn(move || {
                            write_all(&mut writing, &to_send, &mut Random(seed + 100));
                            writing.flush().unwrap();
                        });
                        let receiving = thread::spawn(move || {
                            let (mut random, mut all) = (Random(seed + 200), Vec::new());
                            while all.len() < to_receive.len() {
                                let left = to_receive.len() - all.len();
                                all.extend(read_some(&mut reading, &mut random, left));
                            }
                            assert!(all == to_receive, "seed {seed}");
                            reading
                        });
                        (n, sending, receiving, other)
                    })
                    .collect();
            // An endpoint that receives a Close can send nothing more. So both endpoints have sent everything before
            // one of them closes.
            let mut open = Vec::new();
            for (n, sending, receiving, other) in threads {
                sending.join().unwrap();
                open.push((n, receiving.join().unwrap(), other));
            }
            open[0].2.shutdown().unwrap();
            for (_, reading, writing) in open.iter_mut().rev() {
                assert_eq!(reading.read(&mut [0; 10]).unwrap(), 0);
                writing.shutdown().unwrap();
                assert_eq!(writing.write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
        }
    });
}

/// Returns a byte stream of a server, and its client.
fn served(config: Config) -> (ByteStream<TcpStream>, Raw) {
    let (address, thread) = serve(move |stream| Server::new().config(config).accept(stream).unwrap());
    let raw = Raw::client(address);
    (thread.join().unwrap().into_byte_stream(), raw)
}

#[test]
fn any_messages_and_any_reads_give_the_same_bytes() {
    timed(|| {
        let (mut bytes, mut raw) = served(patient());
        let mut random = Random(7);
        let data = random.bytes(500_000);
        let expected = data.clone();
        let sending = thread::spawn(move || {
            let (mut rest, mut open, mut random) = (&data[..], false, Random(8));
            while !rest.is_empty() {
                let (now, later) = rest.split_at(random.len().min(rest.len()));
                let fin = later.is_empty() || random.below(3) > 0;
                raw.send((u8::from(!open) * 2) | (u8::from(fin) << 7), now);
                if random.below(5) == 0 {
                    raw.send(0x89, b"?");
                }
                (rest, open) = (later, !fin);
            }
            raw.send(0x88, &close_body(1000, ""));
            raw
        });
        let mut all = Vec::new();
        loop {
            let data = read_some(&mut bytes, &mut random, usize::MAX);
            if data.is_empty() {
                break;
            }
            all.extend(data);
        }
        assert!(all == expected);
        assert_eq!(bytes.read(&mut [0]).unwrap(), 0);
        // The Pings were answered, and the answer to the Close was written before the end was returned.
        let mut raw = sending.join().unwrap();
        loop {
            match raw.frame() {
                (0x8A, payload) => assert_eq!(payload, b"?"),
                (0x88, payload) => break assert_eq!(payload, close_body(1000, "")),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(raw.rest(), b"");
        drop(raw);
        bytes.shutdown().unwrap();
        assert!(bytes.get_ref().outcome().unwrap().is_clean());
    });
}

#[test]
fn one_write_is_one_message_of_at_most_64_kib() {
    timed(|| {
        let (mut bytes, mut raw) = served(patient());
        let reading = thread::spawn(move || {
            let frames: Vec<_> = (0..4).map(|_| raw.frame()).collect();
            (frames, raw)
        });
        assert_eq!(bytes.write(b"").unwrap(), 0);
        assert_eq!(bytes.write(b"one").unwrap(), 3);
        assert_eq!(bytes.write_vectored(&[&b""[..], b"tw", b"o"].map(IoSlice::new)).unwrap(), 3);
        let (_, mut writing) = {
            assert_eq!(bytes.write(&[5; 70_000]).unwrap(), 65_536);
            bytes.split().unwrap()
        };
        let halves = [&[1; 40_000][..], &[2; 40_000]].map(IoSlice::new);
        assert_eq!(writing.write_vectored(&halves).unwrap(), 65_536);
        let (frames, _raw) = reading.join().unwrap();
        let joined = [&[1; 40_000][..], &[2; 25_536]].concat();
        let expected = [b"one".to_vec(), b"two".to_vec(), vec![5; 65_536], joined];
        assert!(frames == expected.map(|payload| (0x82, payload)));
    });
}

/// Reads to the end, with the whole byte stream or with its reading half. Returns the data, and the kind and the error
/// of the end.
fn end_of(bytes: ByteStream<TcpStream>, halves: bool) -> (Vec<u8>, Option<(ErrorKind, ByteStreamError)>) {
    fn read(bytes: &mut impl Read) -> (Vec<u8>, Option<(ErrorKind, ByteStreamError)>) {
        let mut all = Vec::new();
        let ends = [(); 2].map(|()| {
            let error = bytes.read_to_end(&mut all).err()?;
            let inner = error.get_ref().and_then(|error| error.downcast_ref::<ByteStreamError>());
            Some((error.kind(), inner.unwrap_or_else(|| panic!("{error:?}")).clone()))
        });
        let [first, second] = ends;
        assert_eq!(first, second);
        (all, first)
    }
    if halves {
        let (mut reading, _writing) = bytes.split().unwrap();
        read(&mut reading)
    } else {
        let mut bytes = bytes;
        read(&mut bytes)
    }
}

#[test]
fn s7_1_5_only_a_normal_close_is_the_end_of_the_data() {
    timed(|| {
        for halves in [false, true] {
            for close in [&[][..], &close_body(1000, "done"), &close_body(1001, ""), &close_body(1011, "why")]
            {
                let (bytes, mut raw) = served(patient());
                raw.send(0x82, b"data");
                raw.send(0x88, close);
                let (data, end) = end_of(bytes, halves);
                assert_eq!(data, b"data");
                let code = close.first_chunk().map(|code| u16::from_be_bytes(*code));
                if code.is_none_or(|code| code == 1000) {
                    assert_eq!(end, None);
                } else {
                    let Some((ErrorKind::ConnectionAborted, ByteStreamError::Closed(frame))) = end else {
                        panic!("{end:?}")
                    };
                    assert_eq!(frame.code.map(CloseCode::get), code);
                    assert_eq!(frame.reason.as_str().as_bytes(), &close[2..]);
                }
                assert_eq!(raw.frame(), (0x88, close.to_vec()));
            }
            for close in [&[][..], &close_body(1000, "done")] {
                let (bytes, mut raw) = served(patient());
                raw.send(0x02, b"one");
                raw.send(0x00, b"two");
                raw.send(0x88, close);
                let (data, end) = end_of(bytes, halves);
                assert_eq!(data, b"onetwo");
                assert!(
                    matches!(end, Some((ErrorKind::UnexpectedEof, ByteStreamError::ClosedInMessage(_)))),
                    "{end:?}"
                );
                // An empty fragment also begins a message, although it gives no data.
                let (bytes, mut raw) = served(patient());
                raw.send(0x02, b"");
                raw.send(0x88, close);
                let (data, end) = end_of(bytes, halves);
                assert_eq!(data, b"");
                assert!(matches!(end, Some((_, ByteStreamError::ClosedInMessage(_)))), "{end:?}");
                // The message had begun before the WebSocket became a byte stream.
                for close_comes_first in [false, true] {
                    let (address, thread) =
                        serve(move |stream| Server::new().config(patient()).accept(stream).unwrap());
                    let mut raw = Raw::client(address);
                    let mut ws = thread.join().unwrap();
                    raw.send(0x02, b"half");
                    raw.send(if close_comes_first { 0x88 } else { 0x89 }, close);
                    // This call decodes the Ping or the Close after the fragment.
                    assert!(ws.next_event().unwrap().is_some());
                    let bytes = ws.into_byte_stream();
                    raw.send(0x88, close);
                    let (_, end) = end_of(bytes, halves);
                    assert!(matches!(end, Some((_, ByteStreamError::ClosedInMessage(_)))), "{end:?}");
                }
                // The last fragment ends the message.
                let (bytes, mut raw) = served(patient());
                raw.send(0x02, b"one");
                raw.send(0x80, b"");
                raw.send(0x88, close);
                assert_eq!(end_of(bytes, halves), (b"one".to_vec(), None));
            }
            let (bytes, mut raw) = served(patient());
            raw.send(0x02, b"half");
            raw.half_close();
            let (data, end) = end_of(bytes, halves);
            assert_eq!(data, b"half");
            assert!(
                matches!(end, Some((ErrorKind::UnexpectedEof, ByteStreamError::Ended(Outcome::Abnormal(_))))),
                "{end:?}"
            );
            let (bytes, mut raw) = served(patient());
            raw.send(0x82, b"data");
            raw.send(0x81, b"text");
            let (data, end) = end_of(bytes, halves);
            let refused = ByteStreamError::Protocol(ProtocolError::TextNotAccepted);
            assert_eq!((&data[..], end), (&b"data"[..], Some((ErrorKind::InvalidData, refused))));
            let (first, body) = raw.frame();
            assert_eq!((first, &body[..2]), (0x88, &1003_u16.to_be_bytes()[..]));
        }
    });
}

#[test]
fn data_is_read_after_the_shutdown_until_the_peer_closes() {
    timed(|| {
        let (mut bytes, mut raw) = served(patient());
        bytes.write_all(b"request").unwrap();
        bytes.shutdown().unwrap();
        bytes.shutdown().unwrap();
        let error = bytes.write(b"late").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&SendError::Closed));
        assert_eq!(raw.frame(), (0x82, b"request".to_vec()));
        assert_eq!(raw.frame(), (0x88, close_body(1000, "")));
        raw.send(0x82, b"response");
        raw.send(0x88, &close_body(1000, ""));
        let mut all = Vec::new();
        bytes.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"response");
        drop(raw);
        bytes.shutdown().unwrap();
        assert!(bytes.get_ref().outcome().unwrap().is_clean());
    });
}

/// Returns a stream whose peer sends `bytes` at `time`. The peer calls `script` whenever it acts.
fn sending_after(
    time: Duration,
    bytes: Vec<u8>,
    mut script: impl FnMut(&mut Peer) + Send + 'static,
) -> Virtual {
    let mut bytes = Some(bytes);
    Virtual::new(usize::MAX, move |peer| {
        script(peer);
        peer.wake_at = (peer.now < time).then_some(time);
        if peer.wake_at.is_none() {
            peer.send(&bytes.take().unwrap_or_default());
        }
    })
}

#[test]
fn a_read_with_a_timeout_loses_nothing() {
    let stream = sending_after(Duration::from_secs(5), frame(0x82, true, b"late"), |_| {});
    let mut bytes = stream.server(patient()).into_byte_stream();
    bytes.set_read_timeout(Some(Duration::from_secs(2)));
    let mut to = [0; 10];
    for seconds in [2, 4] {
        assert_eq!(bytes.read(&mut to).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(stream.now().as_secs(), seconds);
    }
    assert_eq!(bytes.read(&mut to).unwrap(), 4);
    assert_eq!(stream.now().as_secs(), 5);
    bytes.set_read_timeout(Some(Duration::ZERO));
    assert_eq!(bytes.read(&mut to).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(bytes.read(&mut []).unwrap(), 0);
    stream.drop_script();
}

#[test]
fn a_write_that_would_block_has_sent_nothing() {
    for halves in [false, true] {
        let stream = Virtual::with_idle_peer(1000);
        let mut bytes = stream.server(patient().high_water(5000)).into_byte_stream();
        // The non-blocking mode belongs to the socket, which the halves share.
        let mut socket = stream.clone();
        Stream::set_nonblocking(&mut socket, true).unwrap();
        let mut sent = Vec::new();
        let mut fill = |stream: &mut dyn Write| {
            let error = loop {
                assert!(sent.len() < 100_000, "the writer is never stopped");
                let data = [(sent.len() / 700) as u8; 700];
                match stream.write(&data) {
                    Ok(len) => sent.extend(&data[..len]),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            stream.write(b"repeat").unwrap_err();
            stream.flush().unwrap_err();
        };
        let mut writing: Box<dyn Write> = if halves {
            let (_reading, mut writing) = bytes.split().unwrap();
            fill(&mut writing);
            Box::new(writing)
        } else {
            fill(&mut bytes);
            Box::new(bytes)
        };
        stream.set_capacity(usize::MAX);
        writing.write_all(b"repeat").unwrap();
        writing.flush().unwrap();
        sent.extend(b"repeat");
        let frames = stream.peer(|peer| {
            peer.read(usize::MAX);
            peer.frames()
        });
        let received: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
        assert!(received == sent, "halves {halves}");
        stream.drop_script();
    }
}

#[test]
fn into_inner_returns_a_websocket_that_works() {
    timed(|| {
        let (mut bytes, mut raw) = served(patient());
        raw.send(0x02, b"one message");
        assert_eq!(bytes.fill_buf().unwrap(), b"one message");
        bytes.consume(4);
        assert_eq!(bytes.buffer(), b"message");
        let mut ws = bytes.into_inner();
        // The rest of the message is skipped, because it would be incomplete.
        raw.send(0x80, b" and its rest");
        raw.send(0x81, b"text");
        assert_eq!(ws.recv().unwrap(), Some("text".into()));
        let (reading, writing) = ws.into_byte_stream().split().unwrap();
        let (mut reader, mut writer) = (reading.into_inner(), writing.into_inner());
        raw.send(0x81, b"more");
        assert_eq!(reader.recv().unwrap(), Some("more".into()));
        writer.send_text("answer").unwrap();
        assert_eq!(raw.frame(), (0x81, b"answer".to_vec()));
    });
}

#[test]
fn a_failed_write_does_not_end_the_reading() {
    // The Pong cannot be written. The data arrives a second later.
    let data = [frame(0x82, true, b"data"), frame(0x88, true, &close_body(1000, ""))].concat();
    let mut pings = true;
    let stream = sending_after(Duration::from_secs(1), data, move |peer| {
        peer.breaks = true;
        if std::mem::take(&mut pings) {
            peer.send(&frame(0x89, true, b""));
        }
    });
    let mut bytes = stream.server(patient()).into_byte_stream();
    let mut all = Vec::new();
    bytes.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"data");
    assert!(bytes.write(b"x").is_err());
    stream.drop_script();
}

/// A stream that reports one byte more than the buffer of a call has, in one direction, after a number of correct
/// calls. Its input is an endless series of binary messages.
#[derive(Clone, Debug)]
struct WrongCounts {
    reads: bool,
    correct_calls: Arc<AtomicUsize>,
}

impl WrongCounts {
    /// Returns the reported number of bytes for a call with `n` bytes.
    fn count(&self, reads: bool, n: usize) -> usize {
        let take = |calls: usize| calls.checked_sub(1);
        let is_correct = self.correct_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        n + usize::from(reads == self.reads && !is_correct)
    }
}

impl Read for WrongCounts {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        const MESSAGE: [u8; 8] = [0x82, 0x82, 0, 0, 0, 0, b'h', b'i'];
        let len = to.len() / MESSAGE.len() * MESSAGE.len();
        assert!(len > 0, "{} bytes", to.len());
        to.chunks_exact_mut(MESSAGE.len()).for_each(|to| to.copy_from_slice(&MESSAGE));
        let reported = self.count(true, len);
        Ok(if reported > len { to.len() + 1 } else { len })
    }
}

impl Write for WrongCounts {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        Ok(self.count(false, from.len()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Stream for WrongCounts {
    fn try_clone(&self) -> std::io::Result<Box<dyn Stream + Send>> {
        Ok(Box::new(self.clone()))
    }
}

#[test]
fn a_half_fails_if_the_stream_reports_too_many_bytes() {
    fn has_bug(error: &std::io::Error) -> bool {
        error.kind() == ErrorKind::InvalidData && error.to_string().contains("has a bug")
    }
    for reads in [true, false] {
        for correct_calls in 0..5 {
            let stream = WrongCounts { reads, correct_calls: Arc::new(correct_calls.into()) };
            let connection = Connection::server(Instant::ZERO, patient(), Outbox::new());
            let ws = WebSocket::from_stream(stream, connection, Inbox::empty());
            let (mut reading, mut writing) = ws.into_byte_stream().split().unwrap();
            let of_reads = (0..20_000).find_map(|_| reading.read(&mut [0; 100]).err());
            let of_writes = (0..20).find_map(|_| writing.write(&[1; 100_000]).err());
            if reads {
                assert!(has_bug(&of_reads.unwrap()));
                reading.read(&mut [0; 100]).unwrap_err();
            } else {
                assert!(has_bug(&of_writes.unwrap()));
                writing.write(b"late").unwrap_err();
            }
        }
    }
}
