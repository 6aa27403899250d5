//! Moving over from tokio-tungstenite, call by call.
//!
//! The left column is tokio-tungstenite 0.30, the right one [`hybi::tokio`](crate::tokio).
//!
//! # Opening
//!
//! | there | here |
//! | --- | --- |
//! | `connect_async(url)` | [`connect(url)`](crate::tokio::connect), for `ws://` |
//! | `connect_async_with_config(request, config, nodelay)` | [`Client::new()`](crate::tokio::Client), `.header(..)`, `.subprotocols(..)`, `.config(..)`, `.connect(url)`; `TCP_NODELAY` is set |
//! | `connect_async` of a `wss://` URL, `client_async_tls` | make the TLS stream, then [`Client::open(stream, url)`](crate::opening::Client::open) |
//! | `client_async(request, stream)` | [`Client::open(stream, url)`](crate::opening::Client::open), [`client(stream, request)`](crate::tokio::client) |
//! | `accept_async(stream)` | [`accept(stream)`](crate::tokio::accept); set `TCP_NODELAY` before, as there |
//! | `accept_async_with_config(stream, config)` | [`Server::new()`](crate::tokio::Server)`.config(..).accept(stream)`; one `Server` is made once for all connections |
//! | `accept_hdr_async(stream, callback)` | [`Server::accept_with(stream, decide)`](crate::opening::Server::accept_with) |
//! | the `Response` that comes with a client | [`headers()`](crate::polled::WebSocket::headers) and [`subprotocol()`](crate::polled::WebSocket::subprotocol) of the WebSocket, on both ends |
//! | `from_raw_socket(stream, role, config)` | [`WebSocket::from_parts`](crate::polled::WebSocket::from_parts) with an empty [`Inbox`](crate::Inbox) |
//! | `from_partially_read(stream, part, role, config)` | [`WebSocket::from_parts`](crate::polled::WebSocket::from_parts) with [`Inbox::with_bytes`](crate::Inbox::with_bytes) |
//! | `get_ref`, `get_mut`, `into_inner` | `stream`, `stream_mut`, [`into_parts`](crate::polled::WebSocket::into_parts), which gives what was read along with the stream |
//!
//! A request that asks for no WebSocket is no error of the stream: it comes out as
//! [`AcceptError::NotWebSocket`](crate::opening::AcceptError::NotWebSocket), to be
//! [answered](crate::polled::HttpCall::answer), so a page can live on the same port.
//!
//! ```
//! use hybi::tokio::{Acceptance, AcceptError, Client, Refusal, Server};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! # let url = format!("ws://{}/chat?room=7", listener.local_addr().unwrap());
//!
//! // accept_hdr_async, with a callback that looks at the request, adds a header, and may refuse.
//! let server = Server::new().subprotocols(["chat.v1"]).origins(["https://example.com"]);
//! let accepted = async {
//!     let (stream, _) = listener.accept().await.unwrap();
//!     let accepted = server.accept_with(stream, |request| {
//!         if request.headers().get("authorization") != Some(b"Bearer 7f3a") {
//!             return Err(Refusal::new(401));
//!         }
//!         let room = request.query().unwrap_or_default().to_owned();
//!         Ok(Acceptance { headers: vec![("X-Room".into(), room)], ..server.choose(request) })
//!     });
//!     match accepted.await {
//!         Ok(ws) => ws,
//!         Err(AcceptError::NotWebSocket(call)) => panic!("{} {}", call.method(), call.target()),
//!         Err(error) => panic!("{error}"),
//!     }
//! };
//!
//! // connect_async, with a request that was built by hand.
//! let client = Client::new().subprotocols(["chat.v1"]).header("Authorization", "Bearer 7f3a");
//! let (ws, client) = tokio::join!(accepted, client.connect(&url));
//! let client = client.unwrap();
//! assert_eq!((client.subprotocol(), ws.subprotocol()), (Some("chat.v1"), Some("chat.v1")));
//! assert_eq!(client.headers().get("x-room"), Some(&b"room=7"[..]));
//! # });
//! ```
//!
//! TLS may be any library's whose stream is `AsyncRead + AsyncWrite + Unpin`:
//!
//! ```
//! use hybi::tokio::{Client, accept};
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
//! | there | here |
//! | --- | --- |
//! | `ws.next().await` of `StreamExt` | [`ws.recv().await`](crate::polled::WebSocket::recv), a `Result<Option<Message>>`; as a `Stream` for combinators |
//! | | [`ws.next().await`](crate::polled::WebSocket::next), which is faster: the event borrows from the read buffer, and comes with the means to answer it. It hides the method of `StreamExt` |
//! | `ws.send(message)` of `SinkExt` | [`ws.send(message)`](crate::polled::WebSocket::send); `send_text(&str)` and `send_binary(&[u8])` for what is borrowed |
//! | `ws.feed(message)`, `ws.flush()` | the same. What was fed also goes out by itself before a call that receives waits |
//! | `ws.split()` of `StreamExt` | the same, or [`ws.split()`](crate::polled::WebSocket::split), whose halves know more and wait for each other less |
//! | `ws.close(Some(frame))` | [`ws.close(code, reason)`](crate::polled::WebSocket::close), and [`ws.wait_closed()`](crate::polled::WebSocket::wait_closed) to the end |
//!
//! | `Message` there | here |
//! | --- | --- |
//! | `Text(Utf8Bytes)`, `Binary(Bytes)` | [`Message::Text`](crate::Message::Text), [`Message::Binary`](crate::Message::Binary), of the same kind of shared buffers; `"text".into()`, `vec.into()` |
//! | `Ping(data)`, received | [`Event::Ping`](crate::Event::Ping) from `next`; `recv` passes over it. The answer is on its way in either case |
//! | `Ping(data)`, sent | [`ws.ping(data)`](crate::polled::WebSocket::ping); there are also pings by timer |
//! | `Pong(data)` | [`Event::Pong`](crate::Event::Pong); [`round_trip()`](crate::polled::WebSocket::round_trip) has the time that it took |
//! | `Pong(data)`, sent | [`ws.pong(data)`](crate::polled::WebSocket::pong) |
//! | `Close(frame)`, received | [`Event::CloseReceived`](crate::Event::CloseReceived), then [`Event::Closed`](crate::Event::Closed) with the [`Outcome`](crate::Outcome); from `recv` it is `None`, and [`outcome()`](crate::polled::WebSocket::outcome) tells how |
//! | the `code` and `reason` of that frame | [`peer_close()`](crate::polled::WebSocket::peer_close) of the WebSocket or of the half that receives, also after the end |
//! | `Close(frame)`, sent | `ws.close(code, reason)` |
//! | `Frame(frame)` | [`send_fragment`](crate::polled::WebSocket::send_fragment) |
//!
//! ```
//! use futures_util::{SinkExt, StreamExt};
//! use hybi::tokio::{WebSocket, accept, connect};
//! use hybi::{CloseCode, Event, Message};
//!
//! /// `while let Some(message) = ws.next().await`, as it was: messages that own their data.
//! async fn owned(mut ws: WebSocket) -> Result<(), hybi::tokio::Error> {
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! /// The same, and better: nothing is copied but to the output, and answers go out together.
//! async fn borrowed(mut ws: WebSocket) -> Result<(), hybi::tokio::Error> {
//!     while let Some((event, mut answer)) = ws.next().await? {
//!         match event {
//!             Event::Text(text) => answer.send_text(text).await?,
//!             Event::Binary(data) => answer.send_binary(data).await?,
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//!
//! /// `ws.split()`, and the combinators of futures-util.
//! async fn combined(ws: WebSocket) -> Result<(), hybi::tokio::Error> {
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
//! ws.feed("two").await.unwrap();              // nothing is written so far
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
//! | `max_message_size`, 64 MiB | [`max_message`](crate::Config::max_message), 16 MiB; `u64::MAX` for none |
//! | `max_frame_size`, 16 MiB | [`max_frame`](crate::Config::max_frame), 16 MiB |
//! | | [`max_fragments`](crate::Config::max_fragments), 65,536 |
//! | `read_buffer_size` | none: the thread lends buffers to whoever has something to read |
//! | `write_buffer_size` | none: a call that sends writes before it returns, one that feeds does not |
//! | `max_write_buffer_size` | [`high_water`](crate::Config::high_water), 64 KiB: from there on a call that sends waits |
//! | `accept_unmasked_frames` | none: RFC 6455 section 5.1 wants such a connection closed |
//!
//! # Errors
//!
//! | `Error` there | here |
//! | --- | --- |
//! | `ConnectionClosed` | no error: `recv` and `next` give `None`, [`outcome()`](crate::polled::WebSocket::outcome) tells how it ended |
//! | `AlreadyClosed`, `Protocol(SendAfterClosing)` | [`Error::Send`](crate::tokio::Error::Send) with [`SendError::Closed`](crate::SendError::Closed) |
//! | `Protocol(ResetWithoutClosingHandshake)` | no error by default: [`Outcome::Abnormal`](crate::Outcome::Abnormal), which also tells whether a message was cut |
//! | the same, as an error of the loop over messages | [`error_on_abnormal_end(true)`](crate::polled::WebSocket::error_on_abnormal_end): `recv` and the `Stream` then give [`Error::Ended`](crate::tokio::Error::Ended) once before `None` |
//! | `Protocol`, `Capacity`, `Utf8`, `AttackAttempt` | [`Error::Protocol`](crate::tokio::Error::Protocol) with a [`ProtocolError`](crate::ProtocolError) that names the rule; the peer has been told by the right close code |
//! | `WriteBufferFull(message)` | none: it is waited for |
//! | `Io` | [`Error::Io`](crate::tokio::Error::Io) |
//! | `Http`, `Url`, `Tls`, of a handshake | [`ConnectError`](crate::tokio::ConnectError), [`AcceptError`](crate::opening::AcceptError) |
//!
//! ```
//! use hybi::tokio::{Error, accept, connect};
//! use hybi::{Outcome, ProtocolError, SendError};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! # let url = format!("ws://{}/", listener.local_addr().unwrap());
//! # let server = async { accept(listener.accept().await.unwrap().0).await };
//! # let (client, server) = tokio::join!(connect(&url), server);
//! # let (client, mut server) = (client.unwrap(), server.unwrap());
//!
//! // The peer sends a frame that is not masked (RFC 6455 section 5.1), and goes.
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
//! A loop that must not take a broken connection for the end of the messages asks for an error:
//!
//! ```
//! use hybi::tokio::{Error, accept, connect};
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
//! * **Pongs go out** while a call receives, without a flush by the application, and so does the answer to a
//!   Close; with two halves, the one that receives sees to it.
//! * **A call that receives reads on** and hands out what has come in, message by message; answers that are
//!   fed or given to a [`Responder`](crate::polled::Responder) go out together, in one write, before it
//!   waits. A loop with `send` writes for each message: where messages come in bunches, `feed` or `next`
//!   saves most of the time.
//! * **Futures may be dropped** wherever they wait, in a `select!` or under a timeout.
//!   [`polled`](crate::polled) tells what is left of a send.
//! * **There are timers**: after 30 seconds of silence a Ping, after 30 more the end; ten seconds for a
//!   handshake, and for closing. [`timeouts`](super::timeouts) has them all, and how to turn them off. So
//!   there must be a runtime with its time driver, and a peer whose receiving half is never polled cannot
//!   answer.
//! * **A connection ends by itself**: after `close`, go on receiving until `None`, or call `wait_closed`. It
//!   takes no longer than [`close_timeout`](crate::Config::close_timeout).
//! * **What is dropped is closed** without a Close, as there. A server that goes away closes all of a
//!   [`Group`](crate::polled::Group), without a `select!` in each task.
//! * **Memory is held while there is something in it**: an idle connection has no buffers.
//! * **What a server accepts is stricter**, see [`handshake`](crate::handshake), and origins can be checked.
//! * **Messages may be compressed** (RFC 7692), with the feature `deflate` and one call on either side:
//!   `manual::compression`.
//! * **Broadcasts** are encoded once: [`Prepared`](crate::Prepared).
