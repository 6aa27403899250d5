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
//! [`Server`] and [`Client`] have the settings, and open WebSockets. [`WebSocket::next_event`] reads, writes, and runs
//! the timers. To run a timer in time, the adapter sets a read or write timeout on the stream.
//!
//! # Blocking
//!
//! If a call sends, it blocks until the stream has taken the whole write queue. During the wait it runs the timers and
//! reads input, of which it keeps up to 64 KiB for the next call that receives. This input shows that the peer is
//! alive, so the timers do not end the connection of a program that only sends. The reading also helps a peer that must
//! send a little before it reads our data.
//!
//! Two endpoints can wait for each other, if both only send, and each sends more than the other one can keep. The wait
//! lasts until a timer ends the connection. To avoid such a wait, [split](WebSocket::split) the WebSocket, and use one
//! thread that receives and another that sends.
//!
//! If the application sets the socket to non-blocking mode, a call that would block returns an error.
//! [`Error::interest`] then returns the conditions to wait for. So one thread can serve many sockets with its own poll
//! loop.
//!
//! # Streams
//!
//! A WebSocket runs over TCP, Unix sockets, boxed streams, and any other type that implements [`Stream`]. Pass such a
//! stream to [`Server::accept_stream`], [`Client::open_stream`] or [`WebSocket::from_stream`].
//!
//! # TLS
//!
//! With the feature `rustls` or `native-tls`, [`connect`] takes `wss://` URLs. `Server::accept_tls` and
//! `Server::accept_native_tls` accept clients over TLS. The module `hybi::tls` lists the features that provide
//! cryptography and root certificates.
//!
//! To use another library, wrap its TLS stream in a [`WrappedStream`] with two functions. The first function returns
//! the [`TcpStream`] below the TLS stream. The second function closes the sending direction with `close_notify`. For a
//! stream of the crate native-tls:
//!
//! ```text
//! WrappedStream::new(tls, |tls| Some(tls.get_ref())).close_write(|tls| tls.shutdown())
//! ```
//!
//! Pass the `WrappedStream` to [`Client::open_stream`] or [`Server::accept_stream`]. A WebSocket over this
//! `WrappedStream` cannot be [split](WebSocket::split).
//!
//! Without the second function, for example with [`Client::open`], connections are never half-closed: a TLS peer treats
//! a FIN without `close_notify` as an attack. When such a connection has ended, take the stream with
//! [`WebSocket::into_parts`], and call the shutdown function of the TLS library.
//!
//! # Proxies
//!
//! [`Client::proxy`](super::handshake_driver::Client::proxy) sets an HTTP or SOCKS5 proxy, or the proxies that the
//! environment names. By default no proxy is used.

use std::net::TcpStream;

mod blocking_mode;
mod byte_halves;
mod client;
mod client_stream;
mod clock;
mod connections;
mod deadline_stream;
mod dial;
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
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls_stream;
mod websocket;
mod wrapped_stream;
mod write_driver;
mod writer;

pub use super::byte_stream::ByteStreamError;
pub use super::error::Error;
pub use super::handshake_driver::{
    Acceptance, ConnectError, ReceivedResponse, ReconnectStopped, ReconnectTarget,
};
pub use byte_halves::{ByteReader, ByteWriter};
pub use client::Client;
pub use client_stream::ClientStream;
pub use connections::Connections;
pub use http_call::{AcceptError, HttpCall};
pub use interest::Interest;
pub use pending_request::PendingRequest;
pub use reader::Reader;
pub use responder::Responder;
pub use server::Server;
pub use stream::Stream;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
pub use tls_stream::TlsStream;
pub use websocket::{ByteStream, WebSocket};
pub use wrapped_stream::{SocketOf, WrappedStream};
pub use writer::Writer;

/// The type parameter of [`Server`] and [`Client`] in this module. It selects blocking calls instead of an asynchronous
/// runtime.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Blocking;

/// Accepts a WebSocket on a connection from a [`TcpListener`](std::net::TcpListener), with the defaults of
/// [`Server`]. Blocks until the handshake is done.
///
/// # Errors
///
/// - [`AcceptError::Io`](super::handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
///   response too slowly.
/// - [`AcceptError::Rejected`](super::handshake_driver::AcceptError::Rejected): the request broke a rule, or was not
///   complete in time. The server has sent the response of the rejection.
/// - [`AcceptError::NotWebSocket`](super::handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
///   response was sent. Answer the request with the [`HttpCall`] in the error.
pub fn accept(stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
    Server::new().accept(stream)
}

/// Connects to a `ws://` or `wss://` URL, with the defaults of [`Client`]. Blocks until the handshake is done.
///
/// A `wss://` URL needs the feature `rustls` or `native-tls`. With the features `rustls-ring` and `webpki-roots`, or
/// with `native-tls`, it needs no configuration. For a proxy use
/// [`Client::proxy`](super::handshake_driver::Client::proxy).
///
/// # Errors
///
/// - [`ConnectError::Url`]: `url` cannot be parsed.
/// - [`ConnectError::NeedsTls`]: `url` is a `wss://` URL, and no feature for TLS is on.
/// - `ConnectError::Tls`: the TLS configuration or the certificate of the server is not valid, or the TLS handshake has
///   failed.
/// - [`ConnectError::Connect`]: the host was not found, or no connection to any of its addresses succeeded.
/// - [`ConnectError::Deadline`]: the WebSocket was not open in time.
/// - [`ConnectError::Io`]: the stream failed or ended during the handshake, or the system provides no entropy.
/// - [`ConnectError::Handshake`]: the response is not valid.
/// - [`ConnectError::Http`]: the server answered with a status other than 101.
pub fn connect(url: &str) -> Result<WebSocket<ClientStream>, ConnectError<ClientStream>> {
    Client::new().connect(url)
}
