//! WebSocket (RFC 6455) as state machines without I/O.
//!
//! The input of a state machine is the received bytes and the current time. Its output is events, bytes to send, and
//! the next deadline. These state machines are the core of the crate. The core contains no sockets, threads, clock or
//! runtime. So the same implementation serves a blocking server, an async runtime, a fuzzer and a microcontroller. The
//! adapters add the I/O and provide a complete WebSocket.
//!
//! # Layers
//!
//! Use the highest layer that gives you the control that you need:
//!
//! | layer | what it provides | required feature |
//! | --- | --- | --- |
//! | `adapters::net` | a complete WebSocket over `std::net` or any blocking stream | `net` |
//! | `adapters::tokio`, `adapters::futures_io` | a complete WebSocket on tokio, smol and async-std, or over any asynchronous stream | `tokio`, `futures-io` |
//! | [`Connection`] | a connection after its handshake: it decodes events, encodes messages, closes, and has timers | none; `alloc` for buffers that grow |
//! | [`handshake`] | the opening handshake of both roles, without I/O | none |
//! | `proxy` | the handshake that opens a tunnel through an HTTP or SOCKS5 proxy, without I/O, and the proxy variables of the environment; the adapters use both | `alloc` |
//! | `redirect` | whether to follow a redirect, to which URL, and with which headers: a policy without I/O | `alloc` |
//! | [`dial`], [`reconnect`] | which address to connect to, and when to connect again: policies without I/O | none |
//! | `tls` | a TLS session without I/O, which the adapters use for `wss://` URLs | `rustls`, `native-tls` |
//! | [`frame`], [`utf8`], [`CloseFrame`] | a frame codec, a UTF-8 validator, close codes and reasons | none |
//!
//! # The run loop
//!
//! The driver is the code that calls a connection and does the I/O. It uses four kinds of methods:
//!
//! - `handle_*`, `transmitted`, and `poll_event` with its variants `poll` and `poll_message` tell the connection
//!   *what happened*.
//! - Methods such as `send_text` and `close` are *commands*.
//! - The other `poll_*` methods return *what the driver must do*.
//! - All other methods are *getters*.
//!
//! A driver calls these methods in a loop:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{CloseCode, Config, Connection, Event, Inbox, Instant, Outbox, TransportAction};
//!
//! /// Handles all bytes that have arrived, and then writes all queued bytes.
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
//!         let written = slices[..len].concat();                // a transport may accept less
//!         connection.transmitted(now, written.len());
//!         wire.extend(written);
//!     }
//! }
//!
//! let now = Instant::ZERO;                                     // use any monotonic clock
//! let mut server = Connection::server(now, Config::new(), Outbox::new());
//! let mut client = Connection::client(now, Config::new(), Outbox::new(), [7; 32]); // use a random seed
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
//! // Both endpoints have sent a Close. The server closes its sending half, and waits for the end of the stream or a
//! // deadline.
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
//! [`manual::run_loop`] has the same loop over a socket, with the handshake and the timers.
//!
//! # Scope
//!
//! The crate implements all of RFC 6455 for both roles, and RFC 7692 with the feature `deflate`. With the feature
//! `rustls` or `native-tls`, the adapters use TLS. The crate implements only the parts of HTTP that the handshake and
//! CONNECT need, and it has no connection pools. Only the functions `connect` of the adapters resolve host names. The
//! modules [`dial`] and [`reconnect`] decide which address to connect to, and when to connect again. Each `connect`
//! uses `dial` and the proxy of the client. `Client::reconnecting` of `net` and `tokio` uses `reconnect` as well. The
//! module `redirect` decides about redirects, which `connect` follows on request.
//!
//! # Limits
//!
//! A connection takes at most 312 bytes. It owns no heap memory before its first use and after `release_idle()`, except
//! the masking keys of a client. It keeps at most 14 bytes of a header. The size of its memory depends on the number of
//! bytes that arrived, not on the length that a peer announces. One call returns at most one event. The work is
//! proportional to the number of bytes that arrive.
//!
//! # Guides
//!
//! [`manual`] describes how to read without copies, how connections end, and what the timers do. It also describes
//! after which errors a connection can continue, how to broadcast, and how to test.
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
pub mod dial;
mod error;
pub mod frame;
pub mod handshake;
#[allow(unsafe_code, reason = "the only module that needs it")]
mod kernel;
pub mod manual;
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub mod proxy;
pub mod reconnect;
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub mod redirect;
mod role;
mod time;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
pub mod tls;
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

/// Runs the examples of the README as tests.
#[cfg(all(doctest, feature = "net", feature = "tokio", feature = "deflate"))]
#[doc = include_str!("../README.md")]
mod readme {}
