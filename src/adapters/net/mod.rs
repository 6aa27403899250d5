//! Blocking WebSockets over [`std::net`] and over any other stream that reads and writes, for example TLS.
//!
//! ```no_run
//! use hybi::adapters::net;
//! use hybi::Event;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ws = net::connect("ws://127.0.0.1:9001/")?;
//! ws.send_text("hello")?;
//! while let Some((event, _)) = ws.next_event()? {
//!     if let Event::Text(text) = event {
//!         println!("{text}");
//!         break;
//!     }
//! }
//! ws.close(hybi::CloseCode::NORMAL, "bye")?;
//! println!("{}", ws.wait_closed()?);
//! # Ok(())
//! # }
//! ```
//!
//! [`Server`] and [`Client`] have the settings and open connections. [`WebSocket::next_event`] runs a connection: it
//! reads, writes, and handles the timers. The adapter converts the deadlines of the timers into read and write timeouts
//! of the stream.
//!
//! # Blocking
//!
//! A call that sends blocks until the stream has taken everything. During the wait it handles the timers and reads
//! input, of which it keeps up to 64 KiB for the next call that receives. A live peer therefore stays connected
//! although no call receives, and a peer that must send a little before it reads can continue.
//!
//! Two ends that each send more than that without receiving wait for each other until a timer ends the connection.
//! Avoid this with one thread that receives and another that sends: [`WebSocket::split`].
//!
//! In non-blocking mode of the socket, a call that would block returns an error. [`Error::interest`] then names the
//! conditions to wait for, so that one thread can serve many sockets with its own poll loop.
//!
//! # Streams
//!
//! A WebSocket runs over TCP, Unix sockets, boxed streams, and any other type that implements [`Stream`]:
//! [`Server::accept_stream`], [`Client::open_stream`], [`WebSocket::from_stream`].
//!
//! # TLS
//!
//! [`connect`] uses plain TCP. For `wss`, make the TLS stream with a library of your choice. Wrap it in an [`Over`],
//! with one function that returns the [`TcpStream`] below and one that closes the sending direction with
//! `close_notify`:
//!
//! | library | stream |
//! | --- | --- |
//! | native-tls | <code>Over::new(tls, &#124;tls&#124; Some(tls.get_ref())).close_write(&#124;tls&#124; tls.shutdown())</code> |
//! | rustls | <code>Over::new(tls, &#124;tls&#124; Some(&tls.sock)).close_write(&#124;tls&#124; { tls.conn.send_close_notify(); tls.flush() })</code> |
//!
//! Pass it to [`Client::open_stream`] or [`Server::accept_stream`].
//!
//! Without the second function, as with [`Client::open`], connections are
//! never half-closed: a FIN without `close_notify` looks like an attack to the peer. Once such a connection has
//! ended, call the library's own shutdown on the stream of [`WebSocket::into_parts`].

use std::net::TcpStream;

mod blocking_mode;
mod client;
mod clock;
mod deadline_stream;
mod handshake;
mod http_call;
mod interest;
mod pending_request;
mod read_ahead;
mod reader;
mod receive;
mod responder;
mod run_loop;
mod server;
mod split;
mod stream;
mod thread_replies;
mod timeouts;
mod websocket;
mod write_driver;
mod writer;

pub use super::error::Error;
pub use super::handshake_driver::{Acceptance, ConnectError, ReceivedResponse};
pub use client::Client;
pub use http_call::{AcceptError, HttpCall};
pub use interest::Interest;
pub use pending_request::PendingRequest;
pub use reader::Reader;
pub use responder::Responder;
pub use server::Server;
pub use stream::{Over, SocketOf, Stream};
pub use websocket::WebSocket;
pub use writer::Writer;

/// The runtime marker of [`Server`] and [`Client`] in this module: blocking threads.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Blocking;

/// Accepts a WebSocket on a connection from a [`TcpListener`](std::net::TcpListener), with the defaults of
/// [`Server`]. Blocks until the handshake is done.
///
/// # Errors
///
/// The variants of [`AcceptError`] under the conditions that [`Server::accept`] lists.
pub fn accept(stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
    Server::new().accept(stream)
}

/// Connects to a `ws://` URL, with the defaults of [`Client`]. Blocks until the handshake is done.
///
/// # Errors
///
/// The variants of [`ConnectError`] under the conditions that [`Client::connect`] lists.
pub fn connect(url: &str) -> Result<WebSocket<TcpStream>, ConnectError<TcpStream>> {
    Client::new().connect(url)
}
