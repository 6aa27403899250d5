//! Peers that read and write slowly, on virtual time. No read, write or flush of the blocking TLS stream may wait for
//! longer than one timeout of the socket. Timers run only between these calls.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hybi::Instant;
use hybi::adapters::net::{Client, Error, Stream, TlsStream, WebSocket};
use rustls::ServerConnection;

use crate::identity::both_on_localhost;

/// The maximum number of bytes in one read or write, while the socket is slow.
const PIECE: usize = 2048;
/// The time to read one piece and the time to write one piece, while the socket is slow.
const PIECE_TIMES: [Duration; 2] = [Duration::from_secs(9), Duration::from_millis(90)];

/// A server with rustls at the other end of a socket on virtual time.
struct Peer {
    tls: ServerConnection,
    /// The decrypted bytes that the client has sent.
    received: Vec<u8>,
    /// Bytes that the client can read.
    arrives: VecDeque<u8>,
    /// Whether each piece takes the time in [`PIECE_TIMES`].
    is_slow: bool,
    now: Instant,
    /// How long the calls have waited for the next piece until now.
    waited: Duration,
    timeouts: [Option<Duration>; 2],
    /// The number of reads and of writes.
    calls: [usize; 2],
    /// The number of bytes that the socket has taken while it was slow.
    taken: usize,
}

impl Peer {
    /// Moves the ciphertext of the session to `arrives`.
    fn send_ciphertext(&mut self) {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        self.arrives.extend(bytes);
    }

    /// Answers the request of a WebSocket.
    fn respond(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.tls.reader().read(&mut buffer) {
            self.received.extend_from_slice(&buffer[..n]);
        }
        if !self.received.ends_with(b"\r\n\r\n") {
            return;
        }
        let head = String::from_utf8(std::mem::take(&mut self.received)).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = hybi::handshake::accept_key(key.as_bytes());
        let accept = std::str::from_utf8(&accept).unwrap();
        write!(
            self.tls.writer(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .unwrap();
    }

    /// Waits for the next piece in a direction: 0 to read, 1 to write.
    fn wait(&mut self, direction: usize) -> io::Result<()> {
        self.calls[direction] += 1;
        if !self.is_slow {
            return Ok(());
        }
        let left = PIECE_TIMES[direction] - self.waited;
        let timeout = self.timeouts[direction].unwrap_or(Duration::MAX);
        if timeout < left {
            (self.now, self.waited) = (self.now + timeout, self.waited + timeout);
            return Err(ErrorKind::WouldBlock.into());
        }
        (self.now, self.waited) = (self.now + left, Duration::ZERO);
        Ok(())
    }
}

#[derive(Clone)]
struct Socket(Arc<Mutex<Peer>>);

impl Read for Socket {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.0.lock().unwrap();
        peer.wait(0)?;
        let most = if peer.is_slow { to.len().min(PIECE) } else { to.len() };
        let n = peer.arrives.len().min(most);
        if n == 0 {
            peer.now = peer.now + peer.timeouts[0].expect("a read waits without a timeout");
            return Err(ErrorKind::WouldBlock.into());
        }
        for (to, byte) in to.iter_mut().zip(peer.arrives.drain(..n)) {
            *to = byte;
        }
        Ok(n)
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut peer = self.0.lock().unwrap();
        peer.wait(1)?;
        if peer.is_slow {
            // The bytes are dropped.
            let n = from.len().min(PIECE);
            peer.taken += n;
            return Ok(n);
        }
        let mut rest = from;
        while !rest.is_empty() {
            peer.tls.read_tls(&mut rest).unwrap();
            peer.tls.process_new_packets().unwrap();
        }
        peer.respond();
        peer.send_ciphertext();
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.0.lock().unwrap().timeouts[0] = timeout;
        Ok(true)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.0.lock().unwrap().timeouts[1] = timeout;
        Ok(true)
    }

    fn keeps_refused_bytes(&self) -> bool {
        false
    }

    fn has_unflushed_bytes(&self) -> bool {
        false
    }

    fn clock(&self) -> Option<Instant> {
        Some(self.0.lock().unwrap().now)
    }
}

/// Calls `test` with a client of each library, whose socket is now slow.
fn with_slow_peers(test: impl Fn(WebSocket<TlsStream<Socket>>, &Mutex<Peer>)) {
    for (client, server) in both_on_localhost() {
        let peer = Arc::new(Mutex::new(Peer {
            tls: ServerConnection::new(server).unwrap(),
            received: Vec::new(),
            arrives: VecDeque::new(),
            is_slow: false,
            now: Instant::ZERO,
            waited: Duration::ZERO,
            timeouts: [None; 2],
            calls: [0; 2],
            taken: 0,
        }));
        let client = client.configure(Client::new());
        let ws = client.open_tls(Socket(Arc::clone(&peer)), "wss://localhost/").unwrap();
        {
            let mut peer = peer.lock().unwrap();
            (peer.is_slow, peer.calls) = (true, [0; 2]);
        }
        test(ws, &peer);
    }
}

#[test]
fn a_record_that_arrives_in_slow_pieces_does_not_move_a_deadline() {
    with_slow_peers(|mut ws, peer| {
        let start = {
            let mut peer = peer.lock().unwrap();
            let mut message = b"\x82\x7e\x3f\x00".to_vec();
            message.resize(4 + 0x3f00, 7);
            peer.tls.writer().write_all(&message).unwrap();
            peer.send_ciphertext();
            peer.now
        };
        let limit = Duration::from_secs(10);
        let error = ws.recv_timeout(limit).unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut), "{error:?}");
        let took = peer.lock().unwrap().now.saturating_duration_since(start);
        assert!(took <= limit + Duration::from_millis(1), "{took:?}");
        // Nothing that has arrived is lost.
        peer.lock().unwrap().is_slow = false;
        assert_eq!(ws.recv().unwrap().unwrap().as_bytes(), vec![7; 0x3f00]);
    });
}

#[test]
fn one_read_of_the_stream_is_one_read_of_the_socket() {
    with_slow_peers(|ws, peer| {
        let (mut stream, _, _) = ws.into_parts();
        {
            let mut peer = peer.lock().unwrap();
            // These records fill the buffer of each read to its end.
            peer.tls.writer().write_all(&[7; 64 << 10]).unwrap();
            peer.send_ciphertext();
        }
        let mut received = 0;
        while received < 64 << 10 {
            let before = peer.lock().unwrap().calls[0];
            match stream.read(&mut [0; PIECE]) {
                Ok(n) => received += n,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
            }
            assert!(peer.lock().unwrap().calls[0] <= before + 1);
        }
    });
}

#[test]
fn one_flush_of_the_stream_is_one_write_to_the_socket() {
    with_slow_peers(|ws, peer| {
        let (mut stream, _, _) = ws.into_parts();
        // The socket takes a part of the ciphertext, and the rest waits.
        assert_eq!(stream.write(&[7; 60_000]).unwrap(), 60_000);
        assert_eq!(peer.lock().unwrap().calls[1], 1);
        assert!(stream.has_unflushed_bytes());
        let mut flushes = 1;
        while let Err(error) = stream.flush() {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            flushes += 1;
            assert_eq!(peer.lock().unwrap().calls[1], flushes);
        }
        assert!(flushes >= 60_000 / PIECE, "{flushes}");
        assert!(!stream.has_unflushed_bytes());
    });
}

#[test]
fn one_write_to_the_stream_is_one_write_to_the_socket() {
    with_slow_peers(|ws, peer| {
        let (mut stream, _, _) = ws.into_parts();
        assert_eq!(stream.write(&[7; 60_000]).unwrap(), 60_000);
        let mut writes = 2;
        while let Err(error) = stream.write(&[7; 100]) {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            assert_eq!(peer.lock().unwrap().calls[1], writes);
            writes += 1;
        }
        assert_eq!(peer.lock().unwrap().calls[1], writes);
        assert!(peer.lock().unwrap().taken >= 60_100);
    });
}

#[test]
fn a_message_is_sent_whole_over_a_socket_that_takes_slow_pieces() {
    with_slow_peers(|mut ws, peer| {
        ws.send(vec![7; 60_000]).unwrap();
        assert!(peer.lock().unwrap().taken >= 60_000);
    });
}
