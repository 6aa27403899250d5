//! Limits on the memory that a peer can make a connection use.
//!
//! | limit | default | effect of exceeding it |
//! | --- | --- | --- |
//! | [`Config::max_frame`](crate::Config::max_frame): payload of a data frame | 16 MiB | the connection fails with 1009 when the header arrives |
//! | [`Config::max_message`](crate::Config::max_message): length of a message over all fragments, inflated | 16 MiB | the connection fails with 1009 when the header arrives, or when inflating exceeds the limit |
//! | [`Config::max_fragments`](crate::Config::max_fragments) of a message | 65,536 | the connection fails with 1008 |
//! | [`handshake::HeadLimits::max_head`](crate::handshake::HeadLimits::max_head) | 16 KiB | the server answers 431, or 414 if the request line is too long |
//! | [`handshake::HeadLimits::max_headers`](crate::handshake::HeadLimits::max_headers) | 100 | the server answers 431 |
//! | [`Config::high_water`](crate::Config::high_water): bytes in the write queue | 64 KiB | the next send fails with [`SendError::Blocked`](crate::SendError::Blocked) |
//!
//! A frame of a compressed message may be longer than `max_frame` by a quarter and 64 bytes, because compression makes
//! some data longer. The receiver inflates such a frame as it arrives, so the frame needs no additional memory.
//!
//! All limits are enforced while bytes arrive. Memory is allocated for bytes that have arrived, not for a length that a
//! header announces. The read buffer of an `Inbox` has at most twice what has arrived, or has been inflated, plus 64
//! KiB. The same limit applies to a `VecMessage`. For a message that is not compressed, a `VecMessage` has at most
//! twice what has arrived plus 16 KiB.
//!
//! Automatic replies use a fixed amount of memory. All Pongs, Pings and Closes that are written before the write queue
//! share 508 bytes. If there is no space for a new Pong, the new Pong replaces all Pongs that are not partly written.
//! So a peer that sends Pings and never reads cannot make the queue grow.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Inbox, Instant, Outbox, ProtocolError};
//!
//! let config = Config::new().max_message(1000);
//! let mut client = Connection::client(Instant::ZERO, config, Outbox::new(), [1; 32]);
//! let mut inbox = Inbox::with_bytes(&[0x82, 126, 0x03, 0xe9]);  // announces 1001 bytes
//! assert_eq!(client.poll_event(Instant::ZERO, &mut inbox), Err(ProtocolError::MessageTooBig));
//! # }
//! ```
//!
//! A connection without an allocator gathers a message in memory of fixed size. A message that does not fit is
//! delivered in chunks. The same limits apply to such a message.
