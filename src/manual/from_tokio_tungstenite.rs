//! Migrating from tokio-tungstenite.
//!
//! The tables list the calls of tokio-tungstenite 0.30, and the corresponding calls of
//! [`hybi::adapters::tokio`](crate::adapters::tokio).
//!
//! # Opening
//!
//! | tokio-tungstenite | hybi |
//! | --- | --- |
//! | `connect_async(url)` | [`connect(url)`](crate::adapters::tokio::connect); `wss://` needs the feature `rustls` or `native-tls` |
//! | `connect_async_with_config(request, config, nodelay)` | [`Client::new()`](crate::adapters::tokio::Client), `.header(..)`, `.subprotocols(..)`, `.config(..)`, `.connect(url)`; `TCP_NODELAY` is set. With the feature `http`, `Client::connect_request(&request)` takes an `http::Request`; the key and the other headers of the handshake are not needed |
//! | `connect_async_tls_with_config` with a `Connector`, `client_async_tls` | `Client::tls(config)` or `Client::native_tls(connector)`, and `.connect(url)`; `Client::open_tls(stream, url)` |
//! | `MaybeTlsStream` | [`ClientStream`](crate::adapters::tokio::ClientStream) |
//! | the features `rustls-tls-webpki-roots`, `rustls-tls-native-roots` | the features `rustls-ring` or `rustls-aws-lc-rs`, with `webpki-roots` or `platform-verifier` |
//! | the feature `native-tls` | the feature `native-tls` |
//! | `client_async(request, stream)` | [`Client::open(stream, url)`](crate::adapters::handshake_driver::Client::open), [`client(stream, request)`](crate::adapters::tokio::client) |
//! | `accept_async(stream)` | [`accept(stream)`](crate::adapters::tokio::accept); set `TCP_NODELAY` on the stream before this call, as with tokio-tungstenite |
//! | `accept_async_with_config(stream, config)` | [`Server::new()`](crate::adapters::tokio::Server)`.config(..).accept(stream)`; create one `Server` for all connections |
//! | `accept_hdr_async(stream, callback)` | [`Server::receive(stream)`](crate::adapters::handshake_driver::Server::receive), and [`accept_with`](crate::adapters::async_driver::PendingRequest::accept_with) or [`reject`](crate::adapters::async_driver::PendingRequest::reject) on the pending request |
//! | the `Response` that is returned with a client | [`headers()`](crate::adapters::async_driver::WebSocket::headers) and [`subprotocol()`](crate::adapters::async_driver::WebSocket::subprotocol) of the WebSocket, on both ends; with the feature `http`, `ws.handshake().to_http_response()` on a client |
//! | `from_raw_socket(stream, role, config)` | [`WebSocket::from_parts`](crate::adapters::async_driver::WebSocket::from_parts) with an empty [`Inbox`](crate::Inbox) |
//! | `from_partially_read(stream, part, role, config)` | [`WebSocket::from_parts`](crate::adapters::async_driver::WebSocket::from_parts) with [`Inbox::with_bytes`](crate::Inbox::with_bytes) |
//! | `get_ref`, `get_mut`, `into_inner` | `stream`, `stream_mut`, [`into_parts`](crate::adapters::async_driver::WebSocket::into_parts), which returns the stream together with the bytes that were read from it |
//!
//! A request that is not for a WebSocket is returned as
//! [`AcceptError::NotWebSocket`](crate::adapters::handshake_driver::AcceptError::NotWebSocket). The application can
//! [answer](crate::adapters::async_driver::HttpCall::respond) it. So the same port can also serve a web page.
//!
//! ```
//! use hybi::adapters::tokio::{AcceptError, Client, Server};
//! use hybi::handshake::HttpResponse;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! # let url = format!("ws://{}/chat?room=7", listener.local_addr().unwrap());
//!
//! // With tokio-tungstenite, a callback of `accept_hdr_async` reads the request, adds a header, and may reject. Here
//! // the callback becomes code between two calls. The code may wait, for example for a database.
//! let server = Server::new().subprotocols(["chat.v1"]).origins(["https://example.com"]);
//! let accepted = async {
//!     let (stream, _) = listener.accept().await.unwrap();
//!     let request = match server.receive(stream).await {
//!         Ok(request) => request,
//!         Err(AcceptError::NotWebSocket(call)) => panic!("{} {}", call.method(), call.target()),
//!         Err(error) => panic!("{error}"),
//!     };
//!     if request.headers().get("authorization") != Some(b"Bearer 7f3a") {
//!         request.reject(&HttpResponse::new(401)).await.unwrap();
//!         panic!("not this client");
//!     }
//!     let room = request.head().query().unwrap_or_default().to_owned();
//!     let acceptance = request.acceptance().header("X-Room", room);
//!     request.accept_with(&acceptance).await.unwrap()
//! };
//!
//! // With tokio-tungstenite, these headers need a request that is built by hand and passed to `connect_async`.
//! let client = Client::new().subprotocols(["chat.v1"]).header("Authorization", "Bearer 7f3a");
//! let (ws, client) = tokio::join!(accepted, client.connect(&url));
//! let client = client.unwrap();
//! assert_eq!((client.subprotocol(), ws.subprotocol()), (Some("chat.v1"), Some("chat.v1")));
//! assert_eq!(client.headers().get("x-room"), Some(&b"room=7"[..]));
//! # });
//! ```
//!
//! You can also use any other TLS library whose stream is `AsyncRead + AsyncWrite + Unpin`:
//!
//! ```
//! use hybi::adapters::tokio::{Client, accept};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let (tls_stream, other_end) = tokio::io::duplex(4096);
//!
//! // With tokio-rustls: connector.connect(name, TcpStream::connect(("example.com", 443)).await?).await?
//! let client = Client::new();
//! let client = client.open(tls_stream, "wss://example.com/chat");
//! let (client, server) = tokio::join!(client, accept(other_end));
//! assert_eq!(server.unwrap().headers().get("host"), Some(&b"example.com"[..]));
//! # assert!(client.is_ok());
//! # });
//! ```
//!
//! # Receiving and sending
//!
//! | tokio-tungstenite | hybi |
//! | --- | --- |
//! | `ws.next().await` of `StreamExt` | the same, or [`ws.recv().await`](crate::adapters::async_driver::WebSocket::recv), a `Result<Option<Message>>` |
//! | | [`ws.next_event().await`](crate::adapters::async_driver::WebSocket::next_event), which is faster: the event borrows from the read buffer, and is returned with a [`Responder`](crate::adapters::async_driver::Responder), which sends answers |
//! | `ws.send(message)` of `SinkExt` | [`ws.send(message)`](crate::adapters::async_driver::WebSocket::send); `send_text(&str)` and `send_binary(&[u8])` for borrowed messages |
//! | `ws.feed(message)`, `ws.flush()` | the same. A call that receives also writes the fed messages before it waits |
//! | `ws.split()` of `StreamExt` | the same, or [`ws.split()`](crate::adapters::async_driver::WebSocket::split), whose halves have more methods and block each other less |
//! | `ws.close(Some(frame))` | [`ws.close(code, reason)`](crate::adapters::async_driver::WebSocket::close), and [`ws.wait_closed()`](crate::adapters::async_driver::WebSocket::wait_closed) to the end |
//!
//! | `Message` of tokio-tungstenite | hybi |
//! | --- | --- |
//! | `Text(Utf8Bytes)`, `Binary(Bytes)` | [`Message::Text`](crate::Message::Text), [`Message::Binary`](crate::Message::Binary), which also are shared buffers; `"text".into()`, `vec.into()` |
//! | `Ping(data)`, received | [`Event::Ping`](crate::Event::Ping) from `next_event`; `recv` skips it. The Pong is queued in either case |
//! | `Ping(data)`, sent | [`ws.ping(data)`](crate::adapters::async_driver::WebSocket::ping); timers also send Pings |
//! | `Pong(data)` | [`Event::Pong`](crate::Event::Pong); [`round_trip()`](crate::adapters::async_driver::WebSocket::round_trip) returns the time from Ping to Pong |
//! | `Pong(data)`, sent | [`ws.pong(data)`](crate::adapters::async_driver::WebSocket::pong) |
//! | `Close(frame)`, received | [`Event::CloseReceived`](crate::Event::CloseReceived), then [`Event::Closed`](crate::Event::Closed) with the [`Outcome`](crate::Outcome); `recv` returns `None`, and [`outcome()`](crate::adapters::async_driver::WebSocket::outcome) returns how the connection ended |
//! | `Close(frame)`, sent | `ws.close(code, reason)` |
//! | `Frame(frame)` | [`send_fragment`](crate::adapters::async_driver::WebSocket::send_fragment) |
//!
//! ```
//! use futures_util::{SinkExt, StreamExt};
//! use hybi::adapters::tokio::{WebSocket, accept, connect};
//! use hybi::{CloseCode, Event, Message};
//!
//! /// Receives messages that own their data, like `while let Some(message) = ws.next().await`.
//! async fn owned(mut ws: WebSocket) -> Result<(), hybi::adapters::tokio::Error> {
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! /// Does the same as `owned`, but faster: data is copied only into the write queue. The answers to messages that arrive
//! /// together are sent in one write.
//! async fn borrowed(mut ws: WebSocket) -> Result<(), hybi::adapters::tokio::Error> {
//!     while let Some((event, mut answer)) = ws.next_event().await? {
//!         match event {
//!             Event::Text(text) => answer.send_text(text).await?,
//!             Event::Binary(data) => answer.send_binary(data).await?,
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//!
//! /// Uses `ws.split()` and the combinators of futures-util.
//! async fn combined(ws: WebSocket) -> Result<(), hybi::adapters::tokio::Error> {
//!     let (reader, writer) = ws.split();
//!     reader.filter(|message| std::future::ready(message.is_ok())).forward(writer).await
//! }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! # let url = format!("ws://{}/", listener.local_addr().unwrap());
//! # for kind in 0..3 {
//! # let server = async {
//! #     let ws = accept(listener.accept().await.unwrap().0).await.unwrap();
//! #     match kind { 0 => owned(ws).await, 1 => borrowed(ws).await, _ => combined(ws).await }
//! # };
//! # let client = async {
//!
//! let mut ws = connect(&url).await.unwrap();
//! ws.feed("one").await.unwrap();
//! ws.feed("two").await.unwrap();              // nothing is written yet
//! assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
//! assert_eq!(ws.recv().await.unwrap(), Some(Message::from("two")));
//! ws.close(CloseCode::NORMAL, "bye").await.unwrap();
//! assert!(ws.wait_closed().await.unwrap().is_clean());
//! # };
//! # let (server, ()) = tokio::join!(server, client);
//! # let _ = server;
//! # }
//! # });
//! ```
//!
//! # Configuration
//!
//! | `WebSocketConfig` | [`Config`](crate::Config) |
//! | --- | --- |
//! | `max_message_size`, 64 MiB | [`max_message`](crate::Config::max_message), 16 MiB; `u64::MAX` for no limit |
//! | `max_frame_size`, 16 MiB | [`max_frame`](crate::Config::max_frame), 16 MiB |
//! | | [`max_fragments`](crate::Config::max_fragments), 65,536 |
//! | `read_buffer_size` | none: connections use buffers of a thread-local pool while they read |
//! | `write_buffer_size` | none: `send` writes before it returns, and `feed` only queues |
//! | `max_write_buffer_size` | [`high_water`](crate::Config::high_water), 64 KiB: while this much is queued, a call that sends must wait |
//! | `accept_unmasked_frames` | none: RFC 6455 section 5.1 requires a server to close the connection if a frame is not masked |
//!
//! # Errors
//!
//! | `Error` of tokio-tungstenite | hybi |
//! | --- | --- |
//! | `ConnectionClosed` | no error: `recv` and `next_event` return `None`, and [`outcome()`](crate::adapters::async_driver::WebSocket::outcome) returns how the connection ended |
//! | `AlreadyClosed`, `Protocol(SendAfterClosing)` | [`Error::Send`](crate::adapters::tokio::Error::Send) with [`SendError::Closed`](crate::SendError::Closed) |
//! | `Protocol(ResetWithoutClosingHandshake)` | no error: the outcome is [`Outcome::Abnormal`](crate::Outcome::Abnormal), which also says whether a message is incomplete |
//! | `Protocol`, `Capacity`, `Utf8`, `AttackAttempt` | [`Error::Protocol`](crate::adapters::tokio::Error::Protocol) with a [`ProtocolError`](crate::ProtocolError) that names the rule; a Close with the code for the rule has been sent |
//! | `WriteBufferFull(message)` | none: the call waits until the write queue has space |
//! | `Io` | [`Error::Io`](crate::adapters::tokio::Error::Io) |
//! | `Http`, `Url`, `Tls`, of a handshake | [`ConnectError`](crate::adapters::tokio::ConnectError), whose `response` returns the response of the server; [`AcceptError`](crate::adapters::handshake_driver::AcceptError) |
//!
//! ```
//! use hybi::adapters::tokio::{Error, accept, connect};
//! use hybi::{Outcome, ProtocolError, SendError};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! # let url = format!("ws://{}/", listener.local_addr().unwrap());
//! # let server = async { accept(listener.accept().await.unwrap().0).await };
//! # let (client, server) = tokio::join!(connect(&url), server);
//! # let (client, mut server) = (client.unwrap(), server.unwrap());
//!
//! // The peer sends a frame that is not masked (RFC 6455 section 5.1), and drops its stream.
//! let (mut stream, _, _) = client.into_parts();
//! tokio::io::AsyncWriteExt::write_all(&mut stream, b"\x81\x05Hello").await.unwrap();
//! drop(stream);
//! let error = server.recv().await.unwrap_err();
//! assert!(matches!(error, Error::Protocol(ProtocolError::NotMasked)), "{error}");
//! assert_eq!(server.recv().await.unwrap(), None);
//! assert!(matches!(server.outcome(), Some(Outcome::Failed(ProtocolError::NotMasked))));
//! assert!(matches!(server.send("too late").await, Err(Error::Send(SendError::Closed))));
//! # });
//! ```
//!
//! By default, a loop over messages ends in the same way after a broken connection as after a Close. To get an error
//! for a broken connection, use `error_on_abnormal_end`:
//!
//! ```
//! use hybi::adapters::tokio::{Error, accept, connect};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! # let url = format!("ws://{}/", listener.local_addr().unwrap());
//! # let server = async { accept(listener.accept().await.unwrap().0).await };
//! # let (client, server) = tokio::join!(connect(&url), server);
//! # let (client, mut server) = (client.unwrap(), server.unwrap());
//!
//! server.error_on_abnormal_end(true);
//! drop(client); // without a Close
//! assert!(matches!(server.recv().await, Err(Error::Ended(outcome)) if !outcome.is_clean()));
//! assert_eq!(server.peer_close(), None);
//! # });
//! ```
//!
//! # What behaves differently
//!
//! * **Pongs are sent** while a call receives, and so is the answer to a Close. The application does not need to flush.
//!   If the WebSocket is split, the calls of the receiving half send the Pongs and this answer.
//! * **A call that receives returns one message**, although one read may bring many. Answers that are fed or passed to
//!   a [`Responder`](crate::adapters::async_driver::Responder) are sent together in one write, before a call waits for
//!   input. `send` writes for each message. So if many messages arrive at once, `feed` or `next_event` is much faster.
//! * **Futures may be dropped** while they wait, in a `select!` or with a timeout.
//!   [`async_driver`](crate::adapters::async_driver) describes what happens with a message if the future that sends it
//!   is dropped.
//! * **There are timers**: after 30 seconds of silence a Ping is sent, and after 30 more the connection ends. There is
//!   a limit of ten seconds for a handshake, and for closing. [`timeouts`](super::timeouts) lists all timers, and how
//!   to turn them off. The runtime of tokio must have its time driver enabled. If the receiving half of a peer is never
//!   polled, the peer cannot answer a Ping.
//! * **Closing takes a limited time**: after `close`, receive until `None`, or call `wait_closed`. The connection ends
//!   at most [`close_timeout`](crate::Config::close_timeout) after the first Close.
//! * **Dropping a WebSocket closes the stream** without a Close, as with tokio-tungstenite. A server that shuts down
//!   can close all members of a [`Group`](crate::adapters::async_driver::Group), without a `select!` in each task.
//! * **Buffers are held only while they are needed**: an idle connection has no buffers.
//! * **A server checks requests more strictly**, and can check origins: see [`handshake`](crate::handshake).
//! * **Messages may be compressed** (RFC 7692), with the feature `deflate` and one call at each endpoint: see
//!   `manual::compression`.
//! * **Broadcasts** are encoded once: see [`broadcast`](super::broadcast).
