//! Code that the programs share: the contenders, the transport in memory, frames, and vector code for the floor.
//!
//! A contender is a library in one configuration, or the floor. The floor does only the work that every correct codec
//! must do.
pub mod contenders;
pub mod io;
pub mod limits;
pub mod simd;
pub mod tls;
pub mod wire;

use bytes::Bytes;
pub use io::{Io, Sink};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Server,
    Client,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    Binary,
}

/// How a contender treats payloads, UTF-8 and masking keys.
#[derive(Clone, Copy, Default)]
pub struct Info {
    /// `own` if the library validates UTF-8, `harness` if the harness does so with simdutf8.
    pub utf8: &'static str,
    /// How the payload reaches the application.
    pub recv: &'static str,
    /// Whether a delivered message owns its data, so that it may outlive the next read.
    pub owned: bool,
    /// Whether the masking keys of a client in this configuration are weaker than RFC 6455 10.3 requires.
    pub weak_keys: bool,
    /// Whether the contender cannot receive fragmented messages.
    pub no_fragments: bool,
}

/// One implementation under test. All methods except `name` and `info` are optional. The result `false` or `None` means
/// that the library does not support the operation. In this case the table of results has no time for this contender.
pub trait Contender: Sync {
    fn name(&self) -> &'static str;
    fn info(&self) -> Info;
    /// Reads from `io` until `sink.msgs == n`, and passes each complete message to `sink.message`.
    fn recv(&self, _role: Role, _io: Io, _n: u64, _sink: &mut Sink) -> bool {
        false
    }
    /// Sends `n` messages with `payloads` in rotation, and flushes after every `batch` messages.
    fn send(
        &self,
        _role: Role,
        _kind: Kind,
        _payloads: &[Bytes],
        _n: u64,
        _batch: u64,
        _io: Io,
    ) -> Option<Io> {
        None
    }
    /// Performs the opening handshake of a server: reads the request from `io`, and writes the 101 response to it.
    fn handshake(&self, _io: Io) -> Option<Io> {
        None
    }
    /// Does the same as `recv`, with permessage-deflate and context takeover in both directions.
    fn recv_deflate(&self, _role: Role, _io: Io, _n: u64, _sink: &mut Sink) -> bool {
        false
    }
    fn send_deflate(&self, _role: Role, _kind: Kind, _payloads: &[Bytes], _n: u64, _io: Io) -> Option<Io> {
        None
    }
}

/// Polls a future until it is ready. The waker does nothing, because `Io` never wakes a task.
#[inline(always)]
pub fn block_on<F: std::future::Future>(fut: F) -> F::Output {
    let mut fut = std::pin::pin!(fut);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(v) = fut.as_mut().poll(&mut cx) {
            return v;
        }
    }
}

pub const CHROME_REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
Host: server.example.com:8080\r\n\
Connection: Upgrade\r\n\
Pragma: no-cache\r\n\
Cache-Control: no-cache\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/138.0.0.0 Safari/537.36\r\n\
Upgrade: websocket\r\n\
Origin: http://server.example.com:8080\r\n\
Sec-WebSocket-Version: 13\r\n\
Accept-Encoding: gzip, deflate\r\n\
Accept-Language: en-US,en;q=0.9\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
pub const CHROME_ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
