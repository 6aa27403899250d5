//! What the programs share: contenders, the transport in memory, frames, and the floor's kernels.
pub mod contenders;
pub mod io;
pub mod limits;
pub mod simd;
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

/// What a contender does with payloads, with UTF-8 and with masking keys.
#[derive(Clone, Copy, Default)]
pub struct Info {
    /// "own" (the library validates), "driver" (the harness validates with simdutf8).
    pub utf8: &'static str,
    /// How the payload reaches the application.
    pub recv: &'static str,
    /// What is delivered may outlive the next read: no borrow, and no buffer of the caller's.
    pub owned: bool,
    /// A client's masking keys are no strong random numbers (RFC 6455 10.3), as configured here.
    pub weak_keys: bool,
    /// Fragments are too much for it.
    pub no_fragments: bool,
}

/// One implementation under test. Every method but `name` and `info` is optional:
/// a `false`/`None` answer means "cannot do this", and the cell is left empty.
pub trait Contender: Sync {
    fn name(&self) -> &'static str;
    fn info(&self) -> Info;
    /// Read from `io` until `sink.msgs == n`; give each complete message to `sink.message`.
    fn recv(&self, _role: Role, _io: Io, _n: u64, _sink: &mut Sink) -> bool {
        false
    }
    /// Send `n` messages (`payloads` in rotation), flushing after every `batch` of them.
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
    /// Server opening handshake: the request is in `io`; write the 101 to `io`.
    fn handshake(&self, _io: Io) -> Option<Io> {
        None
    }
    /// As `recv`/`send` with permessage-deflate and context takeover both ways.
    fn recv_deflate(&self, _role: Role, _io: Io, _n: u64, _sink: &mut Sink) -> bool {
        false
    }
    fn send_deflate(&self, _role: Role, _kind: Kind, _payloads: &[Bytes], _n: u64, _io: Io) -> Option<Io> {
        None
    }
}

/// Poll a future on the spot with a no-op waker; the in-memory `Io` never pends.
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
