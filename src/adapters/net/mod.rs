//! Blocking WebSockets over [`std::net`] and over any stream that reads and writes, TLS for example.
//!
//! ```no_run
//! use hybi::adapters::net;
//! use hybi::Event;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ws = net::connect("ws://127.0.0.1:9001/")?;
//! ws.send_text("hello")?;
//! while let Some((event, _)) = ws.next()? {
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
//! [`Server`] and [`Client`] hold what both ends can be told; [`WebSocket::next`] is the run loop. The
//! timers of the core are driven by the read and write timeouts of the stream.
//!
//! # Blocking
//!
//! A call that sends waits until the peer has read enough. Meanwhile it handles the timers and looks for input again and
//! again, of which it keeps up to 64 KiB for the next call that receives. So a live peer is not given up although nobody receives, and
//! a peer that must send a little before it reads can go on. Two ends that each send more than that without receiving
//! wait for each other until a timer ends it: have one thread receive and another send ([`WebSocket::split`]).
//!
//! A socket that is set not to block makes calls fail that would wait. [`Error::interest`] then says what to wait for,
//! so that one thread can serve many sockets with a poll of its own.
//!
//! # Streams
//!
//! A WebSocket runs over TCP, Unix sockets, boxed streams, and any other type that implements [`Stream`]:
//! [`Server::accept_stream`], [`Client::open_stream`], [`WebSocket::from_stream`].
//!
//! # TLS
//!
//! `connect` speaks plain TCP. For `wss` make the TLS stream with the library of your choice, and say with [`Over`] how to
//! find the [`TcpStream`] underneath and how to end the sending half with `close_notify`:
//!
//! | library | stream |
//! | --- | --- |
//! | native-tls | <code>Over::new(tls, &#124;tls&#124; Some(tls.get_ref())).close_write(&#124;tls&#124; tls.shutdown())</code> |
//! | rustls | <code>Over::new(tls, &#124;tls&#124; Some(&tls.sock)).close_write(&#124;tls&#124; { tls.conn.send_close_notify(); tls.flush() })</code> |
//!
//! Hand it to [`Client::open_stream`], or on the other end to [`Server::accept_stream`]. [`Client::open`] and
//! [`Server::accept_over`] take the stream and the first function. Such a connection is never half-closed: a FIN without
//! `close_notify` would look like an attack to the peer. Once it has ended, call the library's own shutdown on the stream
//! of [`WebSocket::into_parts`].

use std::net::TcpStream;

mod blocking_mode;
mod client;
mod deadline_stream;
mod interest;
mod read_ahead;
mod responder;
mod server;
mod split;
mod stream;
mod thread_replies;
mod websocket;
mod write_driver;

pub use super::error::Error;
pub use super::handshake_driver::{Acceptance, ConnectError, HttpAnswer, Refusal};
pub use client::Client;
pub use interest::Interest;
pub use responder::Responder;
pub use server::{AcceptError, HttpCall, Server};
pub use split::{Reader, Writer};
pub use stream::{Over, SocketOf, Stream};
pub use websocket::WebSocket;

/// What [`Server`] and [`Client`] run on here: threads that block.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Blocking;

/// Accepts a WebSocket on a connection from a [`TcpListener`](std::net::TcpListener), with the defaults of
/// [`Server`].
///
/// # Errors
///
/// As [`Server::accept`].
pub fn accept(stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
    Server::new().accept(stream)
}

/// Connects to a `ws://` URL, with the defaults of [`Client`].
///
/// # Errors
///
/// As [`Client::connect`].
pub fn connect(url: &str) -> Result<WebSocket<TcpStream>, ConnectError<TcpStream>> {
    Client::new().connect(url)
}
