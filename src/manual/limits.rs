//! Limits on what a peer can make a connection hold.
//!
//! | limit | default | beyond it |
//! | --- | --- | --- |
//! | [`Config::max_frame`](crate::Config::max_frame): payload of a data frame | 16 MiB | 1009, from the header |
//! | [`Config::max_message`](crate::Config::max_message): over all fragments, inflated | 16 MiB | 1009, from the header or the byte that shows it |
//! | [`Config::max_fragments`](crate::Config::max_fragments) of a message | 65,536 | 1008 |
//! | [`handshake::HeadLimits::max_head`](crate::handshake::HeadLimits::max_head) | 16 KiB | 431, or 414 for the request line |
//! | [`handshake::HeadLimits::max_headers`](crate::handshake::HeadLimits::max_headers) | 100 | 431 |
//! | [`Config::high_water`](crate::Config::high_water): what waits to be written | 64 KiB | [`SendError::Blocked`](crate::SendError::Blocked) for the next send |
//!
//! A frame of a compressed message may be longer than `max_frame` by a quarter and 64 bytes, because data that does
//! not compress becomes longer. The receiver inflates such a frame as it arrives and holds no more memory for it.
//!
//! All limits are enforced while bytes arrive, and an announcement allocates nothing. The read buffer in an `Inbox`
//! and a `VecMessage` each hold at most twice what has arrived, or has been inflated, plus 64 KiB; a `VecMessage`
//! whose message is not compressed, plus 16 KiB.
//!
//! Automatic output is bounded: Pongs share 508 bytes, in which the newest take the place of the oldest. A peer that
//! pings and never reads gains nothing.
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
//! delivered in chunks from the point where the memory is full, up to the same limits.
