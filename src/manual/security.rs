//! What the crate guarantees, and what the application must do.
//!
//! # The crate
//!
//! - No input of a peer and no argument of a caller causes a panic. Lints deny `unwrap`, `expect`, `panic` and
//!   unchecked indices. Only one module, `kernel`, contains `unsafe` code.
//! - Memory and time are limited by the number of bytes that arrived: see [`limits`](super::limits).
//! - A client's masking keys come from the key stream of a cipher (RFC 6455 section 10.3). The adapters and
//!   `MaskingKeys::from_os` take its seed from the operating system. Otherwise the caller passes a seed, which must be
//!   new for each connection and unpredictable.
//! - Text is always valid UTF-8. Validation cannot be turned off.
//! - A client verifies `Sec-WebSocket-Accept`. A server refuses requests that a proxy could understand differently.
//!   Examples are requests with a body, with a repeated `Host`, or with a CR or LF that does not end a line. The
//!   headers and subprotocols of the application are checked, so that they cannot add lines to a head.
//!
//! # The application
//!
//! - **Origins.** A browser sends cookies with a WebSocket handshake of any page. If your server uses cookies to
//!   identify users, allow only your own origins. The call `check_origin` refuses all other origins with the status
//!   403:
//!
//! ```
//! use hybi::handshake::{HeadLimits, Incoming, ServerHandshake};
//!
//! let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
//!     Origin: https://evil.example\r\n\r\n";
//! let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(head) else {
//!     panic!("the request is well formed");
//! };
//! assert_eq!(request.check_origin(&["https://chat.example"]).unwrap_err().status(), 403);
//! ```
//!
//! - **TLS.** `ws` is not encrypted. Use `wss` wherever confidentiality matters.
//! - **Secrets and compression.** A compressed message may contain a secret and data that an attacker can choose. In
//!   this case, its length can reveal the secret (CRIME, BREACH; RFC 7692 section 8). Messages are compressed only if
//!   both endpoints enable compression. [`SendOptions::compress`](crate::SendOptions::compress) turns compression off
//!   for one message.
//! - **Authentication.** The application gets the headers of the handshake, and must check credentials itself. With
//!   `Server::receive` the application can ask another system before it accepts or rejects the request.
//! - **Number of connections.** All limits apply to one connection. The server must limit the number of connections.
