//! Time, which comes from outside.
//!
//! The core reads no clock. [`poll_timeout`](crate::Machine::poll_timeout) says when it wants to be called
//! next, [`handle_timeout`](crate::Machine::handle_timeout) does what is due, and every call that needs the
//! time is given it as an [`Instant`](crate::Instant) since an origin of your choice. Read the clock once per
//! batch of input. Tests count it up by hand.
//!
//! | timer | runs | when it fires | default |
//! | --- | --- | --- | --- |
//! | handshake | from `with_timeout` to the end of the head | a server answers 408, a client gives up | 10 s in `net`, off in the machines |
//! | keepalive | from the last byte of the peer | a Ping goes out | 30 s |
//! | pong | from that Ping, or the last byte after it | the connection fails with 1011, and ends at once | 30 s |
//! | close | from the first Close in either direction | the connection ends | 10 s |
//! | end | from both Closes, on a client | the connection ends, and counts as clean | 2 s |
//! | idle | from the last data in either direction | the connection is closed with 1001 | off |
//!
//! [`Config::ping_interval`](crate::Config::ping_interval), [`pong_timeout`](crate::Config::pong_timeout),
//! [`close_timeout`](crate::Config::close_timeout), [`end_timeout`](crate::Config::end_timeout) and
//! [`idle_timeout`](crate::Config::idle_timeout) set the last five.
//!
//! Any byte that is read from the peer counts as life: in the middle of a large frame it cannot send a Pong. Bytes that
//! lie unread in the socket do not count, so a driver that only writes for long has to read now and then. Bytes that the
//! transport takes after it was full count as well, but put off the end by at most three times the pong timeout. A Ping
//! that waits behind a frame of ours does not run against the peer as long as writing makes progress.
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
