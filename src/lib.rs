//! WebSocket (RFC 6455) as pure state machines. Bytes and the time go in; events, bytes to send and the next deadline
//! come out. There is no socket, no thread, no clock and no runtime inside. One implementation serves a blocking
//! server, an async runtime, a fuzzer and a microcontroller. Adapters make it a ready WebSocket.
//!
//! # Layers
//!
//! Take the highest one that leaves you in control of what you want to control:
//!
//! | layer | takes and gives | needs |
//! | --- | --- | --- |
//! | `adapters::net` | a ready WebSocket over `std::net` or any stream that blocks | `net` |
//! | `adapters::tokio`, `adapters::futures_io` | the same on tokio, smol and async-std, or any stream that is polled | `tokio`, `futures-io` |
//! | [`Connection`] | a connection after its handshake: events out of bytes, bytes out of messages, closing, timers | nothing; with `alloc` growable memory |
//! | [`handshake`] | the opening handshake of both roles, over bytes | nothing |
//! | [`frame`], [`utf8`], [`close`] | the parts: a frame codec, a validator, close codes and reasons | nothing |
//!
//! # The run loop
//!
//! Methods sort into four classes: *what happened* (`handle_*`, `poll_event`), *commands* (verbs: `send_text`,
//! `close`), *what the driver must do* (`poll_*`), and *getters*. A driver is a loop over them:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{CloseCode, Config, Connection, Event, Inbox, Instant, Outbox, TransportAction};
//!
//! /// Handles everything that has arrived, then writes all that is queued at once.
//! fn turn(connection: &mut Connection, inbox: &mut Inbox, now: Instant, wire: &mut Vec<u8>) -> Vec<String> {
//!     let mut log = Vec::new();
//!     loop {
//!         match connection.poll_event(now, inbox) {
//!             Ok(Some(Event::Text(text))) => {
//!                 log.push(text.to_string());
//!                 if connection.role() == hybi::Role::Server {
//!                     connection.send_text(text).unwrap();     // `text` is still borrowed
//!                 }
//!             }
//!             Ok(Some(Event::Closed(outcome))) => log.push(outcome.to_string()),
//!             Ok(Some(_)) => {}
//!             Ok(None) => break,
//!             Err(violation) => log.push(violation.to_string()),
//!         }
//!     }
//!     loop {
//!         let mut slices = [&[][..]; 8];
//!         let len = connection.poll_transmit(&mut slices);
//!         if len == 0 {
//!             return log;
//!         }
//!         let written = slices[..len].concat();                // a transport may take less
//!         connection.transmitted(now, written.len());
//!         wire.extend(written);
//!     }
//! }
//!
//! let now = Instant::ZERO;                                     // any monotonic clock will do
//! let mut server = Connection::server(now, Config::new(), Outbox::new());
//! let mut client = Connection::client(now, Config::new(), Outbox::new(), [7; 32]); // a random seed!
//! client.send_text("hello")?;
//!
//! let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
//! turn(&mut client, &mut Inbox::empty(), now, &mut to_server);
//! assert_eq!(turn(&mut server, &mut Inbox::with_bytes(&to_server), now, &mut to_client), ["hello"]);
//! assert_eq!(turn(&mut client, &mut Inbox::with_bytes(&to_client), now, &mut Vec::new()), ["hello"]);
//!
//! server.close(now, CloseCode::NORMAL, "that is all")?;
//! to_client.clear();
//! to_server.clear();
//! turn(&mut server, &mut Inbox::empty(), now, &mut to_client);
//! turn(&mut client, &mut Inbox::with_bytes(&to_client), now, &mut to_server);
//! turn(&mut server, &mut Inbox::with_bytes(&to_server), now, &mut Vec::new());
//!
//! // Both Closes are out: the server closes its sending half, and waits for the end of the stream or for a deadline.
//! assert_eq!(server.poll_transport(), Some(TransportAction::HalfClose));
//! server.handle_half_closed();
//! let deadline = server.poll_timeout().unwrap();
//! server.handle_timeout(deadline);
//! let log = turn(&mut server, &mut Inbox::empty(), deadline, &mut Vec::new());
//! assert_eq!(log, ["closed by both sides with code 1000 (normal closure)"]);
//! # }
//! # Ok::<(), hybi::SendError>(())
//! ```
//!
//! [`manual::run_loop`] has the same loop over a socket, handshake and timers included.
//!
//! # In scope, out of scope
//!
//! In scope: RFC 6455 in full, for both roles, and with the feature `deflate` RFC 7692. Out of scope: HTTP beyond the
//! handshake, TLS, name resolution (but for `connect` of `net` and `tokio`), reconnecting, connection pools.
//!
//! # Bounds
//!
//! A connection takes at most 312 bytes. It owns no heap before its first use or after `release_idle()`, but for the
//! masking keys of a client. It keeps at most 14 bytes of a header. Memory follows what has arrived, not what a peer announces.
//! One call gives at most one event, and work is linear in the bytes that arrive.
//!
//! # Guides
//!
//! [`manual`] says where memory lies, how connections end, what timers do, which errors to go on after, how to
//! broadcast and how to test.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::unreachable,
        reason = "tests make bytes out of counters"
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(any(feature = "net", feature = "tokio", feature = "futures-io"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "net", feature = "tokio", feature = "futures-io"))))]
pub mod adapters;
mod close;
mod connection;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod deflate;
mod error;
pub mod frame;
pub mod handshake;
#[allow(unsafe_code, reason = "the one place for it")]
mod kernel;
pub mod manual;
mod role;
mod time;
pub mod utf8;

pub use close::{CloseCode, CloseFrame, CloseReason};
pub use connection::{
    CloseState, Config, Connection, ControlPayload, Counters, Delivery, EofPosition, Event, EventIndex,
    Input, Limits, MessageBuffer, MessageIndex, MessageKind, Outcome, PendingReply, ReadBuffer, ReadyState,
    Receiver, SendOptions, Sender, SharedConfig, SliceInbox, SliceMessage, SliceOutbox, SliceWindow,
    TimerKind, TransportAction, WriteQueue,
};
#[cfg(feature = "alloc")]
pub use connection::{Inbox, Message, Outbox, Prepared, SendingHalf, UnsentMessage, VecMessage};
pub use error::{ProtocolError, SendError};
#[cfg(feature = "alloc")]
pub use kernel::Text;
pub use role::Role;
pub use time::Instant;

/// The README's examples are tests.
#[cfg(all(doctest, feature = "net", feature = "tokio", feature = "deflate"))]
#[doc = include_str!("../README.md")]
mod readme {}
