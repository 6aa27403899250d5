//! How connections end.
//!
//! # From the application's side
//!
//! [`close`](crate::Machine::close) sends a Close behind everything that was accepted before it. Messages
//! still come in until the peer's Close; nothing can be sent any more.
//!
//! # From the peer's side
//!
//! [`Event::CloseReceived`](crate::Event::CloseReceived): the answer is queued already, and what follows is
//! discarded unread. The answer has the peer's code and reason. A Close of our own that was queued before and is not
//! on its way yet is the answer instead. [`peer_close`](crate::Machine::peer_close) returns the peer's code and reason
//! from then on, also after the end.
//!
//! What was queued before goes out first, unless the last write left something behind: such
//! a transport is congested, and the frame that was begun is finished, the rest is dropped and counted
//! ([`Sender::dropped`](crate::Sender::dropped)), and the Close goes out. A violation is answered the same
//! way, with the code that fits.
//!
//! # The transport
//!
//! RFC 6455 section 7.1.1 wants the server to close TCP first. It does so by closing its sending half once
//! its Close is written ([`TransportAction::HalfClose`](crate::TransportAction::HalfClose)) and reading on
//! until the end: to close both halves with input unread would send a reset, which can destroy the Close
//! on its way. A client waits for the server, after both Closes no longer than
//! [`Config::end_timeout`](crate::Config::end_timeout). [`Config::close_timeout`](crate::Config::close_timeout) bounds
//! all of it. Unless that is turned off, a connection that closes always ends.
//!
//! # The outcome
//!
//! [`Event::Closed`](crate::Event::Closed) is the last event and says how it went:
//!
//! | [`Outcome`](crate::Outcome) | when | code |
//! | --- | --- | --- |
//! | `Clean` | the peer's Close came in, and ours was written | the peer's, 1005 if it sent none |
//! | `Unanswered` | the peer's Close came in, and the stream ended or failed before ours was written | the peer's |
//! | `Abnormal` | the stream ended without a Close; between messages, in one, or inside a frame | 1006 |
//! | `Failed` | the peer broke the protocol | 1006 |
//! | `TimedOut` | no answer to a Ping, to a Close because no data went for too long, or to any other | 1006 |
//!
//! A peer may send its Close and end its half of the stream at once. Our Close is then still written, and the outcome is
//! `Clean` if the transport takes it (RFC 6455 section 7.1.4: both sides have sent a Close). If the transport was reset, the
//! outcome is `Unanswered`.
//!
//! A loop that takes messages until there are none does not see how the connection ended. Ask
//! [`is_clean`](crate::Outcome::is_clean) before the messages count as complete: a stream that ended without a Close may
//! have lost the last of them.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Cut, Event, Inbox, Instant, Outbox, Outcome};
//!
//! let mut client = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
//! let mut inbox = Inbox::with_bytes(b"\x81\x05Hel");           // and then the network breaks
//! assert_eq!(client.poll_event(Instant::ZERO, &mut inbox), Ok(None));
//! client.handle_eof();
//! let event = client.poll_event(Instant::ZERO, &mut inbox).unwrap();
//! assert_eq!(event, Some(Event::Closed(Outcome::Abnormal(Cut::InFrame))));
//! # }
//! ```
