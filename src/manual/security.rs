//! The guarantees of the crate, and the duties of the application.
//!
//! # The crate
//!
//! - Nothing panics on what a peer sends or a caller passes in. Lints deny `unwrap`, `expect`, `panic` and unchecked
//!   indices. `unsafe` stands in one module, `kernel`.
//! - Memory and time are bounded by what has arrived: see [`limits`](super::limits).
//! - A client's masking keys come from a cipher's key stream (RFC 6455 section 10.3). The adapters seed it from the
//!   operating system, as `MaskingKeys::from_os` does. Without these, the caller gives a seed, which must be fresh
//!   and unpredictable.
//! - Text is always UTF-8. Validation cannot be turned off.
//! - A client verifies `Sec-WebSocket-Accept`. A server refuses a request with a body, a repeated `Host`, or a stray
//!   CR or LF, so nothing can be smuggled past a proxy. Headers and subprotocols of the application are checked, so
//!   none can inject a line.
//!
//! # The application
//!
//! - **Origins.** A browser sends cookies with a WebSocket handshake from any page. If cookies mean something to your
//!   server, allow your own origins only. This is one call, and other origins get 403:
//!
//! ```
//! use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
//!
//! let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
//!     Origin: https://evil.example\r\n\r\n";
//! let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(head) else {
//!     panic!("it is well formed");
//! };
//! assert_eq!(request.check_origin(&["https://chat.example"]).unwrap_err().status(), 403);
//! ```
//!
//! - **TLS.** `ws` is plain text. Use `wss`, with a TLS library of your choice, wherever confidentiality matters.
//! - **Secrets and compression.** If a compressed message holds a secret beside data that an attacker may choose, its
//!   length gives the secret away (CRIME, BREACH; RFC 7692 section 8). Compression is off unless both ends ask for
//!   it. [`SendOptions::compress`](crate::SendOptions::compress) excludes a message from it.
//! - **Authentication.** The application sees the headers of the handshake and decides what they mean.
//! - **Number of connections.** Limits hold for one connection. The server decides how many there may be, and from
//!   whom.
