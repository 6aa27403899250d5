//! Testing an application without a network and without waiting.
//!
//! # On tokio: a duplex stream and paused time
//!
//! The adapters run over any stream. So a test can pass the two ends of `tokio::io::duplex` to a client and a server.
//! If the code under test is generic over the stream, it needs no socket. All timers are timers of tokio. With paused
//! time (`#[tokio::test(start_paused = true)]`, feature `test-util` of tokio) the clock jumps to the next deadline when
//! all tasks wait. So a test of a timeout takes no real time.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use std::time::Duration;
//!
//! use hybi::adapters::tokio::{Client, Error, WebSocket, accept};
//! use hybi::{Outcome, TimerKind};
//! use tokio::io::{AsyncRead, AsyncWrite, duplex};
//! use tokio::time::Instant;
//!
//! /// The code under test: an echo server's session.
//! async fn session<S>(mut ws: WebSocket<S>) -> Result<Outcome, Error>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin,
//! {
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     ws.wait_closed().await
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let (near, far) = duplex(4096);
//! let client = Client::new();
//! let (server, client) = tokio::join!(accept(near), client.open(far, "ws://localhost/"));
//! let session = tokio::spawn(session(server.unwrap()));
//! let mut client = client.unwrap();
//!
//! client.send("hello").await.unwrap();
//! assert_eq!(client.recv().await.unwrap(), Some("hello".into()));
//!
//! // Nothing polls the client, so it neither reads nor answers. After 30 seconds the server sends a Ping, and after 30
//! // more seconds the server ends the connection. `client` is dropped only after this end.
//! let start = Instant::now();
//! assert_eq!(session.await.unwrap().unwrap(), Outcome::TimedOut(TimerKind::Pong));
//! assert_eq!(start.elapsed().as_secs(), Duration::from_secs(60).as_secs());
//! # drop(client);
//! # });
//! # }
//! ```
//!
//! To simulate a peer that breaks rules, take a WebSocket apart with `into_parts` after the handshake, and write any
//! bytes to the stream. [`errors`](super::errors) has an example. To simulate a slow peer, use a duplex stream with a
//! small buffer.
//!
//! # Without a runtime: a pair of connections
//!
//! Code that uses a [`Connection`](crate::Connection) needs no stream. Copy the bytes between two connections, and pass
//! any time:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use core::time::Duration;
//! use hybi::{CloseCode, Config, Connection, Event, Inbox, Instant, Outbox, Outcome, TimerKind};
//!
//! /// Moves all queued bytes of `from` to `to`. Returns the events of `to`.
//! fn deliver(from: &mut Connection, to: &mut Connection, inbox: &mut Inbox, now: Instant) -> Vec<String> {
//!     loop {
//!         let mut slices = [&[][..]; 8];
//!         let len = from.poll_transmit(&mut slices);
//!         let mut wire = &slices[..len].concat()[..];
//!         if wire.is_empty() {
//!             break;
//!         }
//!         from.transmitted(now, wire.len());
//!         while !wire.is_empty() {
//!             let space = to.read_space(inbox);
//!             let len = space.len().min(wire.len());
//!             space[..len].copy_from_slice(&wire[..len]);
//!             inbox.handle_read(len);
//!             wire = &wire[len..];
//!         }
//!     }
//!     let mut seen = Vec::new();
//!     while let Some(event) = to.poll_event(now, inbox).unwrap() {
//!         seen.push(match event {
//!             Event::Text(text) => text.to_owned(),
//!             Event::CloseReceived { reason, .. } => format!("close: {reason}"),
//!             other => format!("{other:?}"),
//!         });
//!     }
//!     seen
//! }
//!
//! let now = Instant::ZERO;
//! let mut client = Connection::client(now, Config::new(), Outbox::new(), [7; 32]); // the same seed in each run
//! let mut server = Connection::server(now, Config::new(), Outbox::new());
//! let mut inbox = Inbox::empty();
//!
//! client.send_text("hello").unwrap();
//! client.close(now, CloseCode::NORMAL, "bye").unwrap();
//! assert_eq!(deliver(&mut client, &mut server, &mut inbox, now), ["hello", "close: bye"]);
//!
//! // The answer never arrives. The time advances from deadline to deadline.
//! let mut now = now;
//! while let Some(deadline) = client.poll_timeout() {
//!     now = deadline;
//!     client.handle_timeout(now);
//! }
//! assert_eq!(now.since_origin(), Duration::from_secs(10));
//! let event = client.poll_event(now, &mut inbox).unwrap();
//! assert_eq!(event, Some(Event::Closed(Outcome::TimedOut(TimerKind::Close))));
//! # }
//! ```
//!
//! # What to test
//!
//! - The peer closes while messages are exchanged, or disappears without a Close.
//! - The peer reads nothing while your application sends.
//! - A message has the maximum length that you allow, or one byte more.
//! - A `select!` drops a future while it waits. Test this for each `select!` expression of your application.
