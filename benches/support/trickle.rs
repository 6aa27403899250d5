//! Receives a message that arrives slowly, with pauses, through each adapter. A bench and a test use this file.
//!
//! Time is virtual. For tokio the clock is paused, and for futures-io the test sets the clock. For `net`, a read
//! returns at once, as if its timeout had passed.

use std::io::{self, ErrorKind, Read, Write};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hybi::frame::{Header, Opcode};
use hybi::{Config, Connection, Inbox, Instant, Message, Outbox};

/// Duration of the pause before each slow read.
const PAUSE: Duration = Duration::from_secs(2);

/// The adapter that receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Adapter {
    Net,
    Tokio,
    TokioHalves,
    FuturesIo,
    FuturesIoHalves,
}

pub(crate) const ADAPTERS: [Adapter; 5] =
    [Adapter::Net, Adapter::Tokio, Adapter::TokioHalves, Adapter::FuturesIo, Adapter::FuturesIoHalves];

/// The form of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    OneFrame,
    /// The message has fragments of this many bytes.
    Fragments(usize),
    #[cfg(feature = "deflate")]
    Compressed,
}

/// A message of which a part arrives at once, and the rest in short reads with a pause before each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload {
    pub(crate) form: Form,
    /// Number of bytes that arrive at once.
    pub(crate) behind: usize,
    /// Number of bytes that arrive slowly.
    pub(crate) slow: usize,
    /// Number of bytes of one slow read.
    pub(crate) read: usize,
    /// Number of bytes that are announced and never arrive. The stream ends instead.
    pub(crate) missing: usize,
}

impl Upload {
    /// Returns the number of bytes of the message that arrive.
    pub(crate) const fn arrives(&self) -> usize {
        self.behind + self.slow
    }

    fn data(&self) -> Vec<u8> {
        let mut random = 88_172_645_463_325_252_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_le_bytes()
        };
        (0..=self.arrives() / 8).flat_map(|_| next()).take(self.arrives()).collect()
    }

    /// Returns the bytes that a client writes.
    fn wire(&self, data: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        match self.form {
            Form::OneFrame => frame(&mut wire, (true, 0, Opcode::Binary), data, self.missing),
            Form::Fragments(len) => {
                for (n, piece) in data.chunks(len).enumerate() {
                    let opcode = if n == 0 { Opcode::Binary } else { Opcode::Continuation };
                    let last = (n + 1) * len >= data.len();
                    frame(&mut wire, (last, 0, opcode), piece, if last { self.missing } else { 0 });
                }
            }
            #[cfg(feature = "deflate")]
            Form::Compressed => {
                let (mut payload, fin) = (Vec::new(), self.missing == 0);
                let compression = hybi::deflate::Compression::new();
                hybi::deflate::Deflater::new(15, false, &compression).deflate(data, fin, &mut payload);
                frame(&mut wire, (true, 4, Opcode::Binary), &payload, self.missing);
            }
        }
        wire
    }

    /// Receives the message through an adapter. Returns by how much `count` grew in the meantime.
    pub(crate) fn run(self, adapter: Adapter, count: fn() -> usize) -> usize {
        let data = self.data();
        let clock = Clock::default();
        let stream = Stream(Arc::new(Mutex::new(Trickle {
            wire: self.wire(&data),
            at: 0,
            behind: self.behind,
            read: self.read,
            resume: None,
            clock: clock.clone(),
        })));
        // No output is expected, and no timer runs, however long the message takes.
        let config = Config::new().ping_interval(None).pong_timeout(None).high_water(1);
        let connection = Connection::server(Instant::ZERO, config, Outbox::new());
        #[cfg(feature = "deflate")]
        let connection = connection.with_deflate(hybi::handshake::DeflateParams::default());
        let before = count();
        let message = match adapter {
            Adapter::Net => net(stream, connection),
            Adapter::Tokio | Adapter::TokioHalves => tokio(adapter, stream, connection),
            Adapter::FuturesIo | Adapter::FuturesIoHalves => futures_io(adapter, stream, &clock, connection),
        };
        let counted = count() - before;
        let whole = (self.missing == 0).then_some(&data[..]);
        assert!(message.as_ref().map(Message::as_bytes) == whole, "the received message differs");
        counted
    }
}

/// Encodes a frame. Its header announces `missing` bytes more than `payload` has.
fn frame(wire: &mut Vec<u8>, first: (bool, u8, Opcode), payload: &[u8], missing: usize) {
    let ((fin, rsv, opcode), payload_len) = (first, (payload.len() + missing) as u64);
    let header = Header { fin, rsv, opcode, masking_key: Some([0; 4]), payload_len };
    let mut head = [0; 14];
    let len = header.encode(&mut head);
    wire.extend_from_slice(&head[..len]);
    wire.extend_from_slice(payload);
}

// --- receivers ---

fn net(stream: Stream, connection: Connection) -> Option<Message> {
    hybi::adapters::net::WebSocket::from_parts(stream, |_| None, connection, Inbox::empty()).recv().unwrap()
}

fn tokio(adapter: Adapter, stream: Stream, connection: Connection) -> Option<Message> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let stream = TokioStream { stream, sleep: None };
        let mut ws = hybi::adapters::tokio::WebSocket::from_parts(stream, connection, Inbox::empty());
        if adapter == Adapter::Tokio {
            return ws.recv().await.unwrap();
        }
        let (mut reader, _writer) = ws.split();
        reader.recv().await.unwrap()
    })
}

fn futures_io(adapter: Adapter, stream: Stream, clock: &Clock, connection: Connection) -> Option<Message> {
    let mut ws =
        hybi::adapters::futures_io::WebSocket::from_parts(stream, clock.clone(), connection, Inbox::empty());
    if adapter == Adapter::FuturesIo {
        return run(clock, ws.recv()).unwrap();
    }
    let (mut reader, _writer) = ws.split();
    run(clock, reader.recv()).unwrap()
}

/// Polls a future every half second.
fn run<T>(clock: &Clock, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
        let mut now = clock.0.lock().unwrap();
        *now = *now + Duration::from_millis(500);
    }
}

// --- streams ---

#[derive(Debug)]
struct Trickle {
    wire: Vec<u8>,
    at: usize,
    behind: usize,
    read: usize,
    /// End of the current pause.
    resume: Option<Instant>,
    clock: Clock,
}

impl Trickle {
    /// Returns the bytes that arrive now, at most `space`. Returns `None` at the end of the stream.
    fn take(&mut self, space: usize) -> Option<&[u8]> {
        let most = if self.at < self.behind { self.behind - self.at } else { self.read };
        let start = self.at;
        self.at = self.wire.len().min(start + space.min(most));
        (start < self.at).then(|| &self.wire[start..self.at])
    }

    /// Returns whether bytes may arrive now. Otherwise a pause begins or continues.
    fn goes_on(&mut self) -> bool {
        let now = *self.clock.0.lock().unwrap();
        if self.at < self.behind || self.resume.is_some_and(|resume| resume <= now) {
            self.resume = None;
            return true;
        }
        self.resume.get_or_insert(now + PAUSE);
        false
    }
}

#[derive(Clone, Debug)]
struct Stream(Arc<Mutex<Trickle>>);

impl Read for Stream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut trickle = self.0.lock().unwrap();
        if !trickle.goes_on() {
            // The read ends as if its timeout had passed, but no real time passes.
            let mut now = trickle.clock.0.lock().unwrap();
            *now = *now + PAUSE;
            return Err(ErrorKind::Interrupted.into());
        }
        let Some(bytes) = trickle.take(to.len()) else { return Ok(0) };
        to[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct TokioStream {
    stream: Stream,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl tokio::io::AsyncRead for TokioStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut trickle = this.stream.0.lock().unwrap();
        if trickle.at >= trickle.behind {
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
        if let Some(bytes) = trickle.take(to.remaining()) {
            to.put_slice(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for TokioStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl futures_io::AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut trickle = self.0.lock().unwrap();
        if !trickle.goes_on() {
            return Poll::Pending;
        }
        let Some(bytes) = trickle.take(to.len()) else { return Poll::Ready(Ok(0)) };
        to[..bytes.len()].copy_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl futures_io::AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A virtual clock.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Instant>>);

impl hybi::adapters::futures_io::Timer for Clock {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn poll_at(&mut self, _: &mut Context<'_>, at: Instant) -> Poll<()> {
        if *self.0.lock().unwrap() >= at { Poll::Ready(()) } else { Poll::Pending }
    }
}
