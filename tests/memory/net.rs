//! Memory of an idle blocking WebSocket and of its halves, on virtual time.
//!
//! After a time without input a blocking connection must release its buffers, whether the application waits in
//! one long call or in many short ones. The asynchronous adapters are measured in `async_adapters.rs`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hybi::adapters::net::{Error, Stream, WebSocket};
use hybi::{Config, Connection, Inbox, Instant, Message, Outbox, SharedConfig};

use super::{KIB, live};

/// A stream that accepts all output. A read without input moves the clock by its timeout.
#[derive(Clone, Debug, Default)]
struct Quiet(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: Duration,
    timeout: Option<Duration>,
    arrived: VecDeque<u8>,
}

impl Quiet {
    /// Makes a binary message of `len` bytes arrive.
    fn arrives(&self, len: usize) {
        let mut inner = self.0.lock().unwrap();
        match len {
            ..126 => inner.arrived.extend([0x82, 0x80 | len as u8]),
            126..=0xFFFF => {
                inner.arrived.extend([0x82, 0x80 | 126]);
                inner.arrived.extend((len as u16).to_be_bytes());
            }
            _ => {
                inner.arrived.extend([0x82, 0x80 | 127]);
                inner.arrived.extend((len as u64).to_be_bytes());
            }
        }
        // The masking key and the payload are zeros.
        inner.arrived.extend(vec![0; 4 + len]);
    }

    /// Frees the unused memory of the stream itself.
    fn shrink(&self) {
        self.0.lock().unwrap().arrived.shrink_to_fit();
    }
}

impl Read for Quiet {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        if inner.arrived.is_empty() {
            let timeout = inner.timeout.expect("a read without a timeout never ends");
            inner.now += timeout;
            return Err(ErrorKind::WouldBlock.into());
        }
        inner.arrived.read(to)
    }
}

impl Write for Quiet {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Quiet {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.0.lock().unwrap().timeout = timeout;
        Ok(true)
    }

    fn keeps_refused_bytes(&self) -> bool {
        false
    }

    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        Ok(Box::new(self.clone()))
    }

    fn clock(&self) -> Option<Instant> {
        Some(Instant::from_origin(self.0.lock().unwrap().now))
    }
}

/// Maximum memory of a call that waits for input. The call holds a read buffer and a few small structures.
const WAITING: isize = 18 * KIB;

fn server(stream: &Quiet, config: &SharedConfig) -> WebSocket<Quiet> {
    let connection = Connection::server(Instant::ZERO, config.clone(), Outbox::new());
    WebSocket::from_stream(stream.clone(), connection, Inbox::empty())
}

/// An application, over a whole WebSocket or its halves.
trait Application {
    fn recv(&mut self, timeout: Duration) -> Result<Option<Message>, Error>;
    fn send(&mut self, data: &[u8]);
}

impl Application for WebSocket<Quiet> {
    fn recv(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.recv_timeout(timeout)
    }

    fn send(&mut self, data: &[u8]) {
        self.send_binary(data).unwrap();
    }
}

impl Application for (hybi::adapters::net::Reader, hybi::adapters::net::Writer) {
    fn recv(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.0.recv_timeout(timeout)
    }

    fn send(&mut self, data: &[u8]) {
        self.1.send_binary(data).unwrap();
    }
}

/// Receives and sends messages of `len` bytes, then waits for input for 45 seconds in calls with the timeout `wait`.
/// Returns the additional memory that is held after the wait.
fn held_while_idle(stream: &Quiet, mut app: impl Application, len: usize, wait: Duration) -> isize {
    stream.shrink();
    let before = live();
    for _ in 0..3 {
        stream.arrives(len);
        let message = app.recv(Duration::from_secs(1)).unwrap().unwrap();
        assert_eq!(message.as_bytes().len(), len);
        app.send(message.as_bytes());
    }
    stream.shrink();
    for _ in 0..45 / wait.as_secs() {
        let silence = app.recv(wait).unwrap_err();
        assert!(matches!(silence, Error::Io(error) if error.kind() == ErrorKind::TimedOut));
    }
    live() - before
}

pub fn memory() {
    an_idle_blocking_connection_releases_memory();
}

fn an_idle_blocking_connection_releases_memory() {
    let config = SharedConfig::from(Config::new());
    for len in [0, 100, 5_000, 70_000, 1 << 20] {
        for wait in [1, 45].map(Duration::from_secs) {
            let stream = Quiet::default();
            let whole = held_while_idle(&stream, server(&stream, &config), len, wait);
            assert!(whole <= WAITING, "{whole} bytes after messages of {len}");
            let stream = Quiet::default();
            let halves = held_while_idle(&stream, server(&stream, &config).split().unwrap(), len, wait);
            assert!(halves <= WAITING, "{halves} bytes in two halves, after messages of {len}");
        }
    }
}
