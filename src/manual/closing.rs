//! How connections end.
//!
//! # The application closes
//!
//! [`close`](crate::Connection::close) queues a Close behind everything that was accepted before. Nothing can be sent
//! from then on. Messages still come in until the peer's Close.
//!
//! # The peer closes
//!
//! A Close from the peer is reported as [`Event::CloseReceived`](crate::Event::CloseReceived). The answer is queued
//! by then, and further input is discarded unread. The answer carries the peer's code and reason. If a Close of our
//! own was queued before and is not on its way yet, it is the answer instead. From then on, also after the end,
//! `Connection::peer_close` returns the peer's code and reason.
//!
//! Messages that were queued before the answer go out first, unless the last write left something behind. Such a
//! transport is congested. Then the frame that was begun is finished, the rest is dropped and counted
//! ([`Sender::dropped`](crate::Sender::dropped)), and the Close follows. A violation is answered in the same way,
//! with the close code that fits.
//!
//! # The transport
//!
//! RFC 6455 section 7.1.1 asks the server to close TCP first. Once its Close is written, the server closes its
//! sending half ([`TransportAction::HalfClose`](crate::TransportAction::HalfClose)) and reads on until the end of the
//! stream. Closing both halves with input unread would send a reset, which can destroy the Close on its way.
//!
//! A client waits for the server. After both Closes it waits no longer than
//! [`Config::end_timeout`](crate::Config::end_timeout). [`Config::close_timeout`](crate::Config::close_timeout)
//! bounds all of closing. Unless the application turns this timer off, a connection that closes always ends.
//!
//! # The outcome
//!
//! [`Event::Closed`](crate::Event::Closed) is the last event, and says how the connection ended:
//!
//! | [`Outcome`](crate::Outcome) | when | code |
//! | --- | --- | --- |
//! | `Clean` | the peer's Close came in, and ours went out unless the peer did not wait for it | the peer's; 1005 if it sent none |
//! | `Abnormal` | the stream ended without a Close: between messages, in a message, or inside a frame | 1006 |
//! | `Failed` | the peer broke the protocol | 1006 |
//! | `TimedOut` | a Ping or a Close was not answered in time, or no data went either way for too long | 1006 |
//!
//! A loop that takes messages until there are none does not see the difference between `Clean` and `Abnormal`. Ask
//! [`is_clean`](crate::Outcome::is_clean) before the messages count as complete. A stream that ended without a Close
//! may have lost the last of them.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, EofPosition, Event, Inbox, Instant, Outbox, Outcome};
//!
//! let mut client = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
//! let mut inbox = Inbox::with_bytes(b"\x81\x05Hel");           // and then the network breaks
//! assert_eq!(client.poll_event(Instant::ZERO, &mut inbox), Ok(None));
//! client.handle_eof();
//! let event = client.poll_event(Instant::ZERO, &mut inbox).unwrap();
//! assert_eq!(event, Some(Event::Closed(Outcome::Abnormal(EofPosition::InFrame))));
//! # }
//! ```
