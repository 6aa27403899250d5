//! Which errors to go on after.
//!
//! In short: after [`ProtocolError`](crate::ProtocolError) keep receiving until the end, after
//! [`SendError::Blocked`](crate::SendError::Blocked) send again later, after
//! [`SendError::Closed`](crate::SendError::Closed) stop sending. Every other [`SendError`](crate::SendError) is a
//! mistake in the call. No error leaves a connection in a state in which a call would panic.
//!
//! # The peer's fault: `ProtocolError`
//!
//! The peer broke a rule. The error is returned once, and the Close that tells the peer is queued by then. Go on as
//! before: write, and poll until [`Event::Closed`](crate::Event::Closed). Further input is discarded. Nothing can be
//! retried on this connection.
//!
//! | variants | close code | what to do |
//! | --- | --- | --- |
//! | `FrameTooBig`, `MessageTooBig` | 1009 | raise [`Config::max_frame`](crate::Config::max_frame) or [`max_message`](crate::Config::max_message) if the peer is right |
//! | `TooManyFragments` | 1008 | raise [`Config::max_fragments`](crate::Config::max_fragments) if the peer is right |
//! | `InvalidUtf8`, `CloseReasonNotUtf8`, `InvalidDeflate` | 1007 | log it; the peer's data is wrong |
//! | `NotAFrame` | 1002 | look at the peer's log: it seems to have written an HTTP response behind the handshake |
//! | all others | 1002 | log it; the peer's implementation is wrong, or something on the way changed bytes |
//!
//! # Refused sends: `SendError`
//!
//! A refused message is not sent, not even in part, and nothing else has changed.
//!
//! | variant | whose fault | what to do |
//! | --- | --- | --- |
//! | `Blocked` | the peer reads too slowly | write, wait for [`Event::Writable`](crate::Event::Writable), send again. Calls of the adapters wait by themselves; only `Sink::start_send` without `poll_ready` returns it |
//! | `Closed` | nobody's: closing has begun | stop sending, receive until the end |
//! | `TooLarge` | the application's: the lent memory is too small | send in fragments, or lend more |
//! | `MessageOpen` | the application's | finish the fragmented message first |
//! | `ControlTooLong`, `ReasonTooLong`, `CodeNotAllowed` | the application's | correct the call |
//!
//! `Closed` from a call of an adapter may also say that messages that were accepted before have been dropped, because
//! the connection ended before they were written.
//!
//! # Calls of the adapters: `Error`
//!
//! | variant | whose fault | what to do |
//! | --- | --- | --- |
//! | `Io`, kind `WouldBlock` | nobody's: the application set the stream not to block | wait for what `Error::interest` names, call again |
//! | `Io`, kind `TimedOut`, from a call with a timeout | nobody's | call again |
//! | `Io`, otherwise | the network's, or the peer's | receive until `None` for what had arrived; then connect again, after a random delay that grows (RFC 6455 section 7.2.3) |
//! | `Protocol` | the peer's | receive until `None`, as above |
//! | `Send` | see above | |
//! | `Ended` | the peer's, or the network's | messages may be missing; only after `error_on_abnormal_end` |
//!
//! `None` from `recv` or `next_event` is no error. Ask `outcome` whether the end was clean: see
//! [`closing`](super::closing).
//!
//! # Handshakes
//!
//! A failed handshake gives no WebSocket. `AcceptError::NotWebSocket` holds a plain HTTP request, which can be
//! answered on the same port. Every other refused request has been answered already. `ConnectError::Http` holds the
//! server's response, for example a 401 or a redirect.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use hybi::adapters::tokio::{Client, Error, WebSocket, accept};
//! use hybi::{CloseCode, Outcome, ProtocolError, SendError};
//! use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
//!
//! /// Echoes until the end, and says how the connection ended.
//! async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>) -> Result<Outcome, Error> {
//!     loop {
//!         let message = match ws.recv().await {
//!             Ok(Some(message)) => message,
//!             Ok(None) => return ws.wait_closed().await,
//!             // The peer has been told. Go on to the end.
//!             Err(Error::Protocol(violation)) => {
//!                 eprintln!("{violation}");
//!                 continue;
//!             }
//!             Err(error) => return Err(error),
//!         };
//!         match ws.send(message).await {
//!             Ok(()) => {}
//!             // Closing has begun. What the peer still says can be received.
//!             Err(Error::Send(SendError::Closed)) => {}
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let pair = || async {
//!     let (near, far) = tokio::io::duplex(1024);
//!     let client = Client::new();
//!     let (server, client) = tokio::join!(accept(near), client.open(far, "ws://localhost/"));
//!     (server.unwrap(), client.unwrap())
//! };
//!
//! // A client that closes.
//! let (mut server, mut client) = pair().await;
//! client.send("hello").await.unwrap();
//! client.close(CloseCode::NORMAL, "bye").await.unwrap();
//! let (outcome, _) = tokio::join!(echo(&mut server), client.wait_closed());
//! assert_eq!(outcome.unwrap(), Outcome::Clean { code: CloseCode::NORMAL });
//!
//! // A client that sends a frame without a mask (RFC 6455 section 5.1).
//! let (mut server, client) = pair().await;
//! let (mut stream, _, _) = client.into_parts();
//! stream.write_all(b"\x81\x05Hello").await.unwrap();
//! drop(stream);
//! assert_eq!(echo(&mut server).await.unwrap(), Outcome::Failed(ProtocolError::NotMasked));
//! assert_eq!(ProtocolError::NotMasked.close_code(), CloseCode::PROTOCOL_ERROR);
//!
//! // A client that is gone.
//! let (mut server, client) = pair().await;
//! drop(client);
//! assert!(!echo(&mut server).await.unwrap().is_clean());
//! # });
//! # }
//! ```
