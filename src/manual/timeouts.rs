//! Timers, and the time that comes from outside.
//!
//! The core reads no clock. [`poll_timeout`](crate::Connection::poll_timeout) returns the next deadline, and
//! [`handle_timeout`](crate::Connection::handle_timeout) does what is due. Every call that needs the time takes an
//! [`Instant`](crate::Instant) since an origin of your choice. Read the clock once for each batch of input. Tests
//! advance it by hand: see [`testing`](super::testing).
//!
//! | timer | runs | when it fires | default |
//! | --- | --- | --- | --- |
//! | handshake | from `with_timeout` to the end of the head | a server answers 408, a client gives up | 10 s in the adapters, off in the machines |
//! | keepalive | from the last byte of the peer | a Ping goes out | 30 s |
//! | pong | from that Ping, or the last byte after it | the connection fails with 1011, and ends at once | 30 s |
//! | close | from the first Close in either direction | the connection ends | 10 s |
//! | end | from both Closes, on a client | the connection ends, and counts as clean | 2 s |
//! | idle | from the last data in either direction | the connection is closed with 1001 | off |
//!
//! The last five are set with [`Config::ping_interval`](crate::Config::ping_interval),
//! [`pong_timeout`](crate::Config::pong_timeout), [`close_timeout`](crate::Config::close_timeout),
//! [`end_timeout`](crate::Config::end_timeout) and [`idle_timeout`](crate::Config::idle_timeout).
//!
//! # Signs of life
//!
//! - Every byte that is read from the peer counts: in the middle of a large frame the peer cannot send a Pong.
//! - Bytes that lie unread in the socket do not count. A driver that only writes for long has to read now and then,
//!   and the adapters do.
//! - Bytes that the transport takes after it was full count as well, but put off the end by at most three times the
//!   pong timeout.
//! - A Ping that waits behind a frame of ours does not run against the peer as long as writing makes progress.
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
