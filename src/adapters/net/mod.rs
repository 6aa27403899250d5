//! Blocking WebSockets over [`std::net`] and over any stream that reads and writes, TLS for example.
//!
//! ```no_run
//! use hybi::{Event, net};
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
//! timers of the core are driven by the socket's own read and write timeouts.
//!
//! # Blocking
//!
//! A call that sends waits until the peer has read enough. Two ends that each send much without ever reading
//! wait for each other until a timer ends it: have one thread receive and another send
//! ([`WebSocket::split`]).
//!
//! # TLS
//!
//! `connect` speaks plain TCP. For `wss` make the TLS stream with the library of your choice and hand it
//! to [`Client::open`] (or, on the other end, to [`Server::accept_over`]) with a function that finds the
//! [`TcpStream`] underneath: timeouts are set and the sending half is closed through it. With rustls:
//! `client.open(tls, |tls| Some(&tls.sock), "wss://example.com/")`.

use std::net::TcpStream;

mod client;
mod link;
mod server;
mod split;
mod websocket;

pub use super::error::Error;
pub use super::opening::{Acceptance, ConnectError, HttpAnswer, Refusal};
pub use client::Client;
pub use link::SocketOf;
pub use server::{AcceptError, HttpCall, Server};
pub use split::{Reader, Writer};
pub use websocket::{Responder, WebSocket};

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
