//! The timers of a connection, and how the caller passes the time.
//!
//! The core reads no clock. [`poll_timeout`](crate::Connection::poll_timeout) returns the next deadline, and
//! [`handle_timeout`](crate::Connection::handle_timeout) carries out the actions that are due. Every call that needs
//! the time takes an [`Instant`](crate::Instant), which counts from an origin of your choice. Read the clock once for
//! each batch of input. A test can pass any time: see [`testing`](super::testing).
//!
//! | timer | runs | when it expires | default |
//! | --- | --- | --- | --- |
//! | handshake | from `with_timeout` to the end of the head | a server answers 408, a client gives up | 10 s on a server of the adapters, off in the core |
//! | opening | on a client of the adapters, from the call to the end of the head | the client gives up, and names the stage that was running | 10 s |
//! | keepalive | from the last byte of the peer | a Ping is sent | 30 s |
//! | pong | from the keepalive Ping, or from the last byte after this Ping | the connection fails with 1011, and ends at once | 30 s |
//! | close | from the first Close in either direction | the connection ends | 10 s |
//! | end | on a client, from the time when it has sent its Close and received the server's Close | the connection ends, and counts as clean | 2 s |
//! | idle | from the last data in either direction | the connection is closed with 1001 | off |
//!
//! The last five timers are set with [`Config::ping_interval`](crate::Config::ping_interval),
//! [`pong_timeout`](crate::Config::pong_timeout), [`close_timeout`](crate::Config::close_timeout),
//! [`end_timeout`](crate::Config::end_timeout) and [`idle_timeout`](crate::Config::idle_timeout).
//!
//! `Client::open_timeout` sets one deadline over name resolution, TCP, the proxy, TLS and the opening handshake. When a
//! server of the adapters sends its 101 response, the handshake timeout starts again. The time between
//! `Server::receive` and the decision of the application is not counted.
//!
//! # Signs of life
//!
//! The pong timeout must not end the connection of a peer that is alive:
//!
//! - Every byte that is read from the peer restarts the timeout. A peer that is sending a large frame cannot send a
//!   Pong before the end of this frame.
//! - Bytes that are still in the socket have no effect. So a driver that writes for a long time must also read from
//!   time to time, as the adapters do.
//! - If nobody reads, the Pong of a live peer waits in the socket. So the peer of a blocking WebSocket counts as alive
//!   if the application calls no method that receives, and the transport accepts the written bytes. The same is true if
//!   the thread of the `Reader` is busy, and after the `Reader` was dropped.
//! - A message counts as received when it is decoded. If several messages have arrived together, a dead peer is found
//!   only after the last of them is decoded. Messages that nobody has read from the socket do not restart the idle
//!   timeout.
//! - If the transport was full and accepts bytes again, the peer has read. Such writes extend the timeout too, but in
//!   total by at most three times the pong timeout.
//! - A Ping waits while a frame of ours is partly written. During this wait, each successful write restarts the
//!   timeout.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use core::time::Duration;
//! use hybi::{Config, Connection, Instant, Outbox};
//!
//! let config = Config::new().ping_interval(Some(Duration::from_secs(20)));
//! let mut server = Connection::server(Instant::ZERO, config, Outbox::new());
//! let due = server.poll_timeout().unwrap();
//! assert_eq!(due.since_origin(), Duration::from_secs(20));
//! server.handle_timeout(due);
//! assert_eq!(server.buffered_amount(), 2 + 4);                 // a Ping
//! # }
//! ```
