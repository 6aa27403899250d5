//! What to do after an error.
//!
//! After a [`ProtocolError`](crate::ProtocolError), continue to receive until the end. After
//! [`SendError::Blocked`](crate::SendError::Blocked), send again later. After
//! [`SendError::Closed`](crate::SendError::Closed), stop sending. Every other [`SendError`](crate::SendError) is a
//! mistake in the call. No call on a connection panics after an error.
//!
//! # Violations by the peer: `ProtocolError`
//!
//! The peer broke a rule. The error is returned once, and a Close that names the rule is already queued. Continue to
//! write, and poll until [`Event::Closed`](crate::Event::Closed). Further input is discarded. The connection cannot be
//! used for further messages.
//!
//! | variants | close code | what to do |
//! | --- | --- | --- |
//! | `FrameTooBig`, `MessageTooBig` | 1009 | if the peer should be allowed to send this, increase [`Config::max_frame`](crate::Config::max_frame) or [`max_message`](crate::Config::max_message) |
//! | `TooManyFragments` | 1008 | if the peer should be allowed to send this, increase [`Config::max_fragments`](crate::Config::max_fragments) |
//! | `InvalidUtf8`, `CloseReasonNotUtf8`, `InvalidDeflate` | 1007 | log the error; the peer's data is wrong |
//! | `TextNotAccepted` | 1003 | send binary messages from the peer, or use another [`Delivery`](crate::Delivery) than `Bytes` |
//! | `NotAFrame` | 1002 | look at the log of the peer, which probably wrote an HTTP response after the handshake |
//! | all others | 1002 | log the error; the peer's implementation is wrong, or an intermediary changed bytes |
//!
//! # Refused sends: `SendError`
//!
//! No part of a refused message is sent, and the connection is unchanged.
//!
//! | variant | cause | what to do |
//! | --- | --- | --- |
//! | `Blocked` | the peer reads too slowly | write, wait for [`Event::Writable`](crate::Event::Writable), and send again. Most calls of the adapters wait instead of returning `Blocked`. Only `try_send`, and `Sink::start_send` without `poll_ready`, return it |
//! | `Closed` | closing has begun | stop sending, and receive until the end |
//! | `TooLarge` | the memory of a `SliceOutbox` is too small | send the message in fragments, or provide more memory |
//! | `MessageOpen` | a mistake of the application | finish the fragmented message first |
//! | `ControlTooLong`, `ReasonTooLong`, `CodeNotAllowed` | a mistake of the application | correct the call |
//!
//! If a call of an adapter returns `Closed`, earlier accepted messages may also have been dropped, because the
//! connection ended before they were written.
//!
//! # Calls of the adapters: `Error`
//!
//! | variant | cause | what to do |
//! | --- | --- | --- |
//! | `Io` of the kind `WouldBlock` | the application made the stream non-blocking | wait for the conditions that `Error::interest` returns. If the call receives, repeat the call. If the call sends, call `flush` |
//! | `Io` of the kind `TimedOut`, from a call with a timeout | the time has passed | call again |
//! | `Io` of any other kind | the network or the peer | to get the messages that had arrived, receive until `None`. Then connect again, after a random delay that grows with each attempt (RFC 6455 section 7.2.3) |
//! | `Protocol` | the peer | receive until `None` |
//! | `Send` | see the table of `SendError` | |
//! | `Ended` | the peer or the network | messages may be missing. This error is returned only if `error_on_abnormal_end(true)` was called |
//!
//! `None` from `recv` or `next_event` is not an error. `outcome` returns whether the end was clean: see
//! [`closing`](super::closing).
//!
//! # Handshakes
//!
//! A failed handshake returns no WebSocket. `AcceptError::NotWebSocket` contains a plain HTTP request, which the
//! application can answer. Every other refused request has been answered already. `ConnectError::Http` contains the
//! server's response, for example a 401 or a redirect. If the client follows redirects, `ConnectError::Redirect`
//! contains the response and the reason why this redirect was not followed. `ConnectError::Deadline` names the stage of
//! opening that took too long, and `ConnectError::Proxy` the reason why a proxy opened no tunnel.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use hybi::adapters::tokio::{Client, Error, WebSocket, accept};
//! use hybi::{CloseCode, Outcome, ProtocolError, SendError};
//! use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
//!
//! /// Echoes until the end, and returns how the connection ended.
//! async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>) -> Result<Outcome, Error> {
//!     loop {
//!         let message = match ws.recv().await {
//!             Ok(Some(message)) => message,
//!             Ok(None) => return ws.wait_closed().await,
//!             // A Close with the error has been sent. Continue until the end.
//!             Err(Error::Protocol(violation)) => {
//!                 eprintln!("{violation}");
//!                 continue;
//!             }
//!             Err(error) => return Err(error),
//!         };
//!         match ws.send(message).await {
//!             Ok(()) => {}
//!             // Closing has begun. Messages of the peer can still be received.
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
//! // The client closes.
//! let (mut server, mut client) = pair().await;
//! client.send("hello").await.unwrap();
//! client.close(CloseCode::NORMAL, "bye").await.unwrap();
//! let (outcome, _) = tokio::join!(echo(&mut server), client.wait_closed());
//! assert_eq!(outcome.unwrap(), Outcome::Clean { code: CloseCode::NORMAL });
//!
//! // The client sends a frame that is not masked (RFC 6455 section 5.1).
//! let (mut server, client) = pair().await;
//! let (mut stream, _, _) = client.into_parts();
//! stream.write_all(b"\x81\x05Hello").await.unwrap();
//! drop(stream);
//! assert_eq!(echo(&mut server).await.unwrap(), Outcome::Failed(ProtocolError::NotMasked));
//! assert_eq!(ProtocolError::NotMasked.close_code(), CloseCode::PROTOCOL_ERROR);
//!
//! // The client drops its stream without a Close.
//! let (mut server, client) = pair().await;
//! drop(client);
//! assert!(!echo(&mut server).await.unwrap().is_clean());
//! # });
//! # }
//! ```
