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
//! | pong | from that Ping, or the last byte after it | the connection fails with 1011 | 30 s |
//! | close | from the first Close in either direction | the connection ends | 10 s |
//! | idle | from the last data in either direction | the connection is closed with 1001 | off |
//!
//! Any byte from the peer counts as life: in the middle of a large frame it cannot send a Pong. A Ping that
//! waits behind a frame of ours does not run against the peer as long as writing makes progress.
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
