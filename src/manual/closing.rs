//! How connections end.
//!
//! # The application closes
//!
//! [`close`](crate::Connection::close) queues a Close after all messages that were accepted before. After this call
//! nothing more can be sent. Messages are still received until the peer's Close.
//!
//! # The peer closes
//!
//! A Close from the peer is returned as [`Event::CloseReceived`](crate::Event::CloseReceived). When this event is
//! returned, the answer is already queued, and further input is discarded. The answer is a Close with the peer's code
//! and reason. If our own Close was queued or sent before, our own Close is the answer. From this event on, and also
//! after the end, `Connection::peer_close` returns the peer's code and reason.
//!
//! Messages that were queued before the answer are normally written first. But if the last write was incomplete, the
//! transport is congested. In this case only the frames that are partly written are completed, and the Close follows
//! them. The other queued messages are dropped and counted ([`Sender::dropped`](crate::Sender::dropped)). If the peer
//! breaks a rule, a Close with the code for this rule is sent in the same way as an answer.
//!
//! # The transport
//!
//! RFC 6455 section 7.1.1 requires the server to close TCP first. When the server has received a Close and written its
//! own, it closes its sending half ([`TransportAction::HalfClose`](crate::TransportAction::HalfClose)). After that, the
//! server reads until the end of the stream. If it closed both halves while input is unread, the operating system would
//! send a reset, and the peer could lose the Close.
//!
//! A client waits until the server ends the stream. After the client has sent a Close and received one, it waits at
//! most for [`Config::end_timeout`](crate::Config::end_timeout).
//! [`Config::close_timeout`](crate::Config::close_timeout) limits the time from the first Close to the end. So while
//! the close timeout is on, every connection that closes also ends.
//!
//! # The outcome
//!
//! [`Event::Closed`](crate::Event::Closed) is the last event. Its outcome says how the connection ended:
//!
//! | [`Outcome`](crate::Outcome) | when | code |
//! | --- | --- | --- |
//! | `Clean` | the peer's Close was received, and our Close was written | the code of the peer's Close; 1005 if the Close had no code |
//! | `Unanswered` | the peer's Close was received, but the stream ended before our Close was written | as for `Clean` |
//! | `Abnormal` | the stream ended without a Close: between messages, inside a message, or inside a frame | 1006 |
//! | `Failed` | the peer broke a rule of the protocol | 1006 |
//! | `TimedOut` | a Ping or a Close was not answered in time, or no data was sent or received for too long | 1006 |
//!
//! In a loop over messages, `Clean` and `Abnormal` look the same: no further message is returned. Check
//! [`is_clean`](crate::Outcome::is_clean) before you treat the messages as complete. If the stream ended without a
//! Close, the last messages may be missing.
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
