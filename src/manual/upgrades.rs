//! Using a WebSocket behind an HTTP server such as hyper or axum.
//!
//! If another library reads the request and writes the 101 response, three steps remain:
//!
//! - **Check the request.** Create a [`RequestHead`](crate::handshake::RequestHead) from the method, target and
//!   headers of the request. [`check`](crate::handshake::RequestHead::check) applies the rules of RFC 6455 section
//!   4.2.1. Afterwards, subprotocols and compression are negotiated as usual.
//! - **Respond** with 101, `Upgrade: websocket`, `Connection: Upgrade`, `Sec-WebSocket-Accept`, and the chosen
//!   subprotocol and extension.
//! - **Take the stream** when the server releases it, and pass it to `WebSocket::from_parts`. If the server has already
//!   read bytes after the head, the inbox must contain these bytes. With hyper the inbox is empty, because the stream
//!   that hyper releases returns these bytes. `with_handshake` gives the WebSocket its target, subprotocol and headers.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use hybi::adapters::tokio::WebSocket;
//! use hybi::handshake::{HandshakeInfo, Rejection, RequestHead, accept_key};
//! use hybi::{Config, Connection, Inbox, Instant, Outbox};
//!
//! /// Checks a request. Returns the headers of the 101 response, and the information for `with_handshake`.
//! fn judge(head: &RequestHead) -> Result<(Vec<(&'static str, String)>, HandshakeInfo), Rejection> {
//!     let request = head.check()?;
//!     let accept = accept_key(request.key());
//!     let mut response = vec![
//!         ("Upgrade", "websocket".to_owned()),
//!         ("Connection", "Upgrade".to_owned()),
//!         ("Sec-WebSocket-Accept", String::from_utf8_lossy(&accept).into_owned()),
//!     ];
//!     let subprotocol = request.select_subprotocol(&["chat.v1"]);
//!     response.extend(subprotocol.map(|name| ("Sec-WebSocket-Protocol", name.to_owned())));
//!     Ok((response, HandshakeInfo::new(head.target(), subprotocol, head.headers())))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // With hyper: `request.headers().iter()`, with the name as text and the value as bytes. With the feature `http`,
//! // `RequestHead::try_from(&request)` replaces this code.
//! let mut head = RequestHead::new("GET", "/chat");
//! for (name, value) in [
//!     ("host", "example.com"),
//!     ("upgrade", "websocket"),
//!     ("connection", "keep-alive, Upgrade"),
//!     ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
//!     ("sec-websocket-version", "13"),
//!     ("sec-websocket-protocol", "chat.v2, chat.v1"),
//! ] {
//!     head.add_header(name, value.as_bytes()).unwrap();
//! }
//! let (response, info) = judge(&head).unwrap();
//! assert_eq!(response[2], ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
//!
//! // With hyper: `TokioIo::new(hyper::upgrade::on(request).await?)`, in a task of its own, after the 101 response.
//! # let (stream, peer) = tokio::io::duplex(64);
//! let connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
//! let mut ws = WebSocket::from_parts(stream, connection, Inbox::empty()).with_handshake(info);
//! assert_eq!((ws.target(), ws.subprotocol()), ("/chat", Some("chat.v1")));
//! ws.send_text("welcome").await.unwrap();
//! # drop(peer);
//! # });
//! // A request that is not an upgrade is rejected. The status says what is missing.
//! let mut plain = RequestHead::new("GET", "/chat");
//! plain.add_header("host", b"example.com").unwrap();
//! assert_eq!(judge(&plain).unwrap_err().status(), 426);
//! # }
//! ```
//!
//! To use compression, call [`Request::negotiate_deflate`](crate::handshake::Request::negotiate_deflate). Pass the
//! returned parameters to `with_deflate` of the connection. The same parameters, written as text, are the value of
//! `Sec-WebSocket-Extensions` in the response.
//!
//! # Deciding later
//!
//! `Server::receive` of an adapter reads the request and returns a `PendingRequest` with its
//! [`RequestHead`](crate::handshake::RequestHead). The application can ask a database, and then accepts or rejects the
//! request. Meanwhile no timeout runs, and input stays in the stream. If the `PendingRequest` is dropped, its stream is
//! closed without a response.
//!
//! ```
//! # #[cfg(feature = "net")] {
//! use hybi::adapters::net::Server;
//! use hybi::handshake::HttpResponse;
//!
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let url = format!("ws://{}/room/7", listener.local_addr().unwrap());
//! # let client = std::thread::spawn(move || hybi::adapters::net::connect(&url).map(drop));
//! # let stream = listener.accept().unwrap().0;
//! # let room_exists = |target: &str| target == "/room/7";
//! let request = Server::new().receive(stream)?;
//! if room_exists(request.target()) {
//!     let ws = request.accept()?;
//!     assert_eq!(ws.target(), "/room/7");
//! } else {
//!     request.reject(&HttpResponse::new(404).body("text/plain", b"no such room\n"))?;
//! }
//! # client.join().unwrap().unwrap();
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
