//! WebSocket (RFC 6455) as pure state machines: bytes and the time go in; events, bytes to send and the
//! next deadline come out. There is no socket, no thread, no clock and no runtime inside, so one
//! implementation serves a blocking server, an async runtime, a fuzzer and a microcontroller alike.
//!
//! # Layers
//!
//! Take the highest one that leaves you in control of what you want to control:
//!
//! | layer | takes and gives | needs |
//! | --- | --- | --- |
//! | `net` | a ready WebSocket over `std::net` or any stream that blocks | `net` |
//! | `tokio`, `futures_io` | the same on tokio, smol and async-std, or any stream that is polled | `tokio`, `futures-io` |
//! | [`Machine`] | a connection after its handshake: events out of bytes, bytes out of messages, closing, timers | nothing; `Connection` with `alloc` |
//! | [`handshake`] | the opening handshake of both roles, over bytes | nothing |
//! | [`frame`], [`utf8`], [`close`] | the parts: a frame codec, a validator, the closing negotiation | nothing |
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
//! /// Everything that is readable is handled, then all that is queued is written at once.
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
//! // Both Closes are out: the server closes its half, and waits for the end, or for a deadline.
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
//! The README has the same loop over a socket, handshake and timers included.
//!
//! # In scope, out of scope
//!
//! In scope: RFC 6455 in full, for both roles, and with the feature `deflate` RFC 7692. Out of scope: HTTP
//! beyond the handshake, TLS, name resolution (but for `connect` of `net` and `tokio`), reconnecting, connection pools.
//!
//! # Bounds
//!
//! A connection takes at most 512 bytes, and owns no heap before its first use or after `release_idle()`. It
//! keeps at most 14 bytes of a header and 125 of a control frame; memory follows what has arrived, not what a
//! peer announces. One call
//! gives at most one event, and work is linear in the bytes that arrive. [`manual`] has the rest: where
//! memory lies, how connections end, what the timers do, what the limits are.
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
mod adapters;
#[allow(unsafe_code, reason = "the one place for it")]
mod arch;
pub mod close;
pub mod connection;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod deflate;
mod error;
pub mod frame;
pub mod handshake;
pub mod manual;
pub mod time;
pub mod utf8;

#[cfg(feature = "futures-io")]
#[cfg_attr(docsrs, doc(cfg(feature = "futures-io")))]
pub use adapters::futures_io;
#[cfg(feature = "net")]
#[cfg_attr(docsrs, doc(cfg(feature = "net")))]
pub use adapters::net;
#[cfg(any(feature = "net", feature = "tokio", feature = "futures-io"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "net", feature = "tokio", feature = "futures-io"))))]
pub use adapters::opening;
#[cfg(any(feature = "tokio", feature = "futures-io"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "tokio", feature = "futures-io"))))]
pub use adapters::polled;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use adapters::tokio;
#[cfg(feature = "alloc")]
pub use arch::Text;
pub use close::{CloseCode, CloseFrame, CloseReason};
pub use connection::{
    Config, ControlPayload, Counters, Cut, Delivery, Event, Gather, Input, Kind, Lent, LentMessage, Limits,
    Machine, Outcome, Output, Owed, Ready, ReadyMessage, ReadyState, Receiver, Sender, SharedConfig, Timer,
    TransportAction,
};
#[cfg(feature = "alloc")]
pub use connection::{Connection, Inbox, Message, MessageBuf, Outbox, Prepared, Refused};
pub use error::{ProtocolError, SendError};
pub use frame::Role;
pub use time::Instant;

/// The README's examples are tests.
#[cfg(all(doctest, feature = "net", feature = "tokio", feature = "deflate"))]
#[doc = include_str!("../README.md")]
mod readme {}
