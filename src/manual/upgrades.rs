//! Using a WebSocket behind an HTTP server such as hyper or axum.
//!
//! If another library reads the request and writes the 101 response, three steps remain:
//!
//! - **Check the request.** [`ServerHandshake`](crate::handshake::ServerHandshake) checks the rules of RFC 6455 section
//!   4.2.1, but its input is the bytes of a head. So write the request as a head again. Subprotocols and compression
//!   are then negotiated as usual.
//! - **Respond** with 101, `Upgrade: websocket`, `Connection: Upgrade`, `Sec-WebSocket-Accept`, and the chosen
//!   subprotocol and extension.
//! - **Take the stream** when the server releases it, and pass it to `WebSocket::from_parts`. Pass the bytes that the
//!   server has already read after the head in the inbox. With hyper the inbox is empty, because hyper returns these
//!   bytes from the stream.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use hybi::handshake::{HeadLimits, Incoming, Rejection, ServerHandshake, accept_key};
//! use hybi::adapters::tokio::WebSocket;
//! use hybi::{Config, Connection, Inbox, Instant, Outbox};
//!
//! /// Checks a GET for `target` with these headers. Returns the headers of the 101 and the subprotocol.
//! fn judge<'r>(
//!     target: &str,
//!     headers: impl IntoIterator<Item = (&'r str, &'r [u8])>,
//! ) -> Result<(Vec<(&'static str, String)>, Option<&'static str>), Rejection> {
//!     let mut head = format!("GET {target} HTTP/1.1\r\n").into_bytes();
//!     for (name, value) in headers {
//!         head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
//!     }
//!     head.extend(b"\r\n");
//!     let request = match ServerHandshake::new(HeadLimits::new()).poll(&head)? {
//!         Some(Incoming::Upgrade(request)) => request,
//!         Some(Incoming::Http(request)) => return Err(request.rejection()),
//!         None => unreachable!("the head is complete"),
//!     };
//!     let accept = accept_key(request.key());
//!     let mut answer = vec![
//!         ("Upgrade", "websocket".to_owned()),
//!         ("Connection", "Upgrade".to_owned()),
//!         ("Sec-WebSocket-Accept", String::from_utf8_lossy(&accept).into_owned()),
//!     ];
//!     let subprotocol = request.offers_subprotocol("chat.v1").then_some("chat.v1");
//!     answer.extend(subprotocol.map(|name| ("Sec-WebSocket-Protocol", name.to_owned())));
//!     Ok((answer, subprotocol))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // With hyper: `request.headers().iter()`, each with its name as a text and its value as bytes.
//! let (answer, subprotocol) = judge(
//!     "/chat",
//!     [
//!         ("host", &b"example.com"[..]),
//!         ("upgrade", b"websocket"),
//!         ("connection", b"keep-alive, Upgrade"),
//!         ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
//!         ("sec-websocket-version", b"13"),
//!         ("sec-websocket-protocol", b"chat.v2, chat.v1"),
//!     ],
//! )
//! .unwrap();
//! assert_eq!(answer[2], ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
//! assert_eq!(subprotocol, Some("chat.v1"));
//!
//! // With hyper: `TokioIo::new(hyper::upgrade::on(request).await?)`, in a task of its own, after the 101.
//! # let (stream, peer) = tokio::io::duplex(64);
//! let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
//! let mut ws = WebSocket::from_parts(stream, connection, Inbox::empty());
//! ws.send_text("welcome").await.unwrap();
//! # drop(peer);
//! # });
//! // A request that is not an upgrade is refused. The status says what is missing.
//! let rejection = judge("/chat", [("host", &b"example.com"[..])]).unwrap_err();
//! assert_eq!(rejection.status(), 426);
//! # }
//! ```
//!
//! To use compression, pass the parameters that
//! [`Request::negotiate_deflate`](crate::handshake::Request::negotiate_deflate) returned to `with_deflate` of the
//! connection. The same parameters, written as text, are the value of `Sec-WebSocket-Extensions` in the response.
