//! What the crate answers for, and what the application must.
//!
//! # The crate
//!
//! * Nothing panics on what a peer or a caller passes in; `unwrap`, `expect`, `panic` and unchecked indices are
//!   denied by lint. `unsafe` stands in one module, `arch`.
//! * Memory and time are bounded by what has arrived: see [`limits`](super::limits).
//! * A client's masking keys are a cipher's key stream (RFC 6455 section 10.3). `net` seeds it from the operating
//!   system, as `MaskingKeys::from_os` does; without that, a seed must be given, fresh and unpredictable.
//! * Text is UTF-8, always; validation cannot be turned off.
//! * `Sec-WebSocket-Accept` is verified. A request with a body, a repeated `Host`, a stray CR or LF is refused,
//!   so nothing can be smuggled past a proxy. Headers and subprotocols of the application are checked: none
//!   can inject a line.
//!
//! # The application
//!
//! * **Origins.** A browser sends cookies with a WebSocket handshake from any page. If cookies mean something
//!   to your server, allow only your own origins, which is one call; others get 403:
//!
//! ```
//! use hybi::handshake::{Incoming, Limits, ServerHandshake};
//!
//! let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
//!     Origin: https://evil.example\r\n\r\n";
//! let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(Limits::new()).poll(head) else {
//!     panic!("it is well formed");
//! };
//! assert_eq!(request.check_origin(&["https://chat.example"]).unwrap_err().status(), 403);
//! ```
//!
//! * **TLS.** `ws` is plain text. Use `wss`, with a TLS library of your choice, wherever it matters.
//! * **Secrets and compression.** Where a message is compressed that holds a secret next to what an attacker may
//!   choose, its length gives the secret away (CRIME, BREACH; RFC 7692 section 8). Compression is off unless it is
//!   asked for; [`Sender::uncompressed`](crate::Sender::uncompressed) keeps a message out of it.
//! * **Authentication.** The handshake's headers come out; what they mean is yours to judge.
//! * **How many.** Limits hold for one connection. How many there may be, from whom, is the server's to say.
