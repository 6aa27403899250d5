//! The server's side of the opening handshake over blocking streams.
//!
//! [`Server`] has the settings, and is shared by all adapters (`handshake_driver/server.rs`). This file runs the first
//! phase of the handshake on a [`DeadlineStream`], and so receives the request. The result is a [`PendingRequest`],
//! which sends the response in the second phase (`pending_request.rs`), or an [`HttpCall`], which the application
//! answers (`http_call.rs`). The application listens for connections.
//!
//! Invariant: if the server rejects a request, it closes the stream. A plain HTTP request is returned with its stream.

use std::net::TcpStream;
#[cfg(feature = "rustls")]
use std::sync::Arc;

use super::Blocking;
use super::deadline_stream::DeadlineStream;
use super::handshake;
use super::http_call::{AcceptError, HttpCall};
use super::pending_request::PendingRequest;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::stream::Stream;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use super::tls_stream::TlsStream;
use super::websocket::WebSocket;
use super::wrapped_stream::WrappedStream;
use crate::Instant;
use crate::adapters::handshake_driver;
#[cfg(feature = "rustls")]
use crate::tls::ServerConfig;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use crate::tls::Session;
#[cfg(feature = "native-tls")]
use crate::tls::native_tls::TlsAcceptor;

/// A server for blocking streams: the settings that it uses for each connection.
///
/// # Blocking and timeouts
///
/// The methods that accept or receive a request block.
/// [`handshake_timeout`](handshake_driver::Server::handshake_timeout) limits how long they block. If the stream
/// supports no timeouts, nothing interrupts a read that blocks. Accept each connection in its own thread, so that a
/// silent client delays no other client.
///
/// ```no_run
/// use hybi::adapters::net::Server;
///
/// # fn main() -> std::io::Result<()> {
/// let server = Server::new().subprotocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     let (server, stream) = (server.clone(), stream?);
///     // A thread for each connection, so that a silent client delays no other client.
///     std::thread::spawn(move || match server.accept(stream) {
///         Ok(ws) => println!("open, speaking {:?}", ws.subprotocol()),
///         Err(error) => println!("refused: {error}"),
///     });
/// }
/// # Ok(())
/// # }
/// ```
pub type Server = handshake_driver::Server<Blocking>;

impl Server {
    /// Returns a server with the defaults: no subprotocols, any origin, ten seconds for the handshake, and the defaults
    /// of [`Config`](crate::Config) and [`HeadLimits`](crate::handshake::HeadLimits).
    #[must_use]
    pub fn new() -> Self {
        Self::with_runtime(Blocking)
    }

    /// Accepts a WebSocket on a connected socket, with the settings of this server. Blocks until the handshake is done.
    ///
    /// This call combines [`receive`](Self::receive) and [`PendingRequest::accept`]. It sets the socket to blocking
    /// mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the 101 response cannot be
    ///   sent. The server has sent a response with status 500.
    pub fn accept(&self, stream: TcpStream) -> Result<WebSocket<TcpStream>, AcceptError<TcpStream>> {
        self.receive(stream)?.accept_at_once()
    }

    /// Receives a request to open a WebSocket on a connected socket. Blocks until the request has arrived. The
    /// application then accepts or rejects the request, at any later time.
    ///
    /// The request obeys the rules of RFC 6455 section 4.2.1, and comes from an [allowed origin](Self::origins). The
    /// socket is set to blocking mode.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response of a rejection too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    pub fn receive(&self, stream: TcpStream) -> Result<PendingRequest<TcpStream>, AcceptError<TcpStream>> {
        self.run(DeadlineStream::tcp(stream, false)?, Instant::ZERO)
    }

    /// Accepts a WebSocket over any [`Stream`](super::Stream) or [`WrappedStream`], with the settings of this server.
    /// Blocks until the handshake is done.
    ///
    /// This call combines [`receive_stream`](Self::receive_stream) and [`PendingRequest::accept`]. It does not change
    /// the blocking mode of the stream. If a type implements `Read` and `Write` but not [`Stream`](super::Stream), pass
    /// `WrappedStream::new(stream, |_| None)`. For such a stream, nothing interrupts a call that blocks.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    /// - [`AcceptError::Response`](handshake_driver::AcceptError::Response): a header of the 101 response cannot be
    ///   sent. The server has sent a response with status 500.
    pub fn accept_stream<S>(
        &self,
        stream: impl Into<WrappedStream<S>>,
    ) -> Result<WebSocket<S>, AcceptError<S>> {
        self.receive_stream(stream)?.accept_at_once()
    }

    /// Receives a request like [`receive`](Self::receive), over any [`Stream`](super::Stream) or [`WrappedStream`]. The
    /// blocking mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Io`](handshake_driver::AcceptError::Io): the stream failed or ended, or the peer read the
    ///   response of a rejection too slowly.
    /// - [`AcceptError::Rejected`](handshake_driver::AcceptError::Rejected): the request broke a rule, was not complete
    ///   in time, or came from an origin that is not allowed. The server has sent the response of the rejection.
    /// - [`AcceptError::NotWebSocket`](handshake_driver::AcceptError::NotWebSocket): the request is plain HTTP. No
    ///   response was sent. Answer the request with the [`HttpCall`] in the error.
    pub fn receive_stream<S>(
        &self,
        stream: impl Into<WrappedStream<S>>,
    ) -> Result<PendingRequest<S>, AcceptError<S>> {
        self.run(DeadlineStream::new(stream.into(), Instant::ZERO), Instant::ZERO)
    }

    /// Accepts a WebSocket over TLS on a connected socket. Blocks until the TLS handshake and the WebSocket handshake
    /// are done.
    ///
    /// This call combines [`receive_tls`](Self::receive_tls) and [`PendingRequest::accept`].
    ///
    /// ```no_run
    /// # #[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))] {
    /// use std::sync::Arc;
    ///
    /// use hybi::adapters::net::Server;
    /// use hybi::tls::rustls::ServerConfig;
    /// use hybi::tls::rustls::pki_types::pem::PemObject;
    /// use hybi::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("key.pem")?;
    /// let config = ServerConfig::builder_with_provider(hybi::tls::crypto_provider()?)
    ///     .with_safe_default_protocol_versions()?
    ///     .with_no_client_auth()
    ///     .with_single_cert(chain, key)?;
    /// let config = Arc::new(config);
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:9443")?;
    /// for stream in listener.incoming() {
    ///     let (config, stream) = (config.clone(), stream?);
    ///     std::thread::spawn(move || match Server::new().accept_tls(config, stream) {
    ///         Ok(ws) => println!("open, speaking {:?}", ws.subprotocol()),
    ///         Err(error) => println!("refused: {error}"),
    ///     });
    /// }
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Tls`](handshake_driver::AcceptError::Tls): the configuration is not valid, or the TLS handshake
    ///   has failed or was not complete in time.
    /// - The errors of [`accept`](Self::accept).
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn accept_tls(
        &self,
        config: Arc<ServerConfig>,
        stream: TcpStream,
    ) -> Result<WebSocket<TlsStream<TcpStream>>, AcceptError<TlsStream<TcpStream>>> {
        self.receive_tls(config, stream)?.accept_at_once()
    }

    /// Runs the TLS handshake on a connected socket, and receives a request like [`receive`](Self::receive).
    ///
    /// [`handshake_timeout`](handshake_driver::Server::handshake_timeout) limits the TLS handshake and the receiving of
    /// the request together.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Tls`](handshake_driver::AcceptError::Tls): the configuration is not valid, or the TLS handshake
    ///   has failed or was not complete in time.
    /// - The errors of [`receive`](Self::receive).
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn receive_tls(
        &self,
        config: Arc<ServerConfig>,
        stream: TcpStream,
    ) -> Result<PendingRequest<TlsStream<TcpStream>>, AcceptError<TlsStream<TcpStream>>> {
        let session = Session::server(config)?;
        self.receive_over_tls(session, DeadlineStream::tcp(stream, false)?)
    }

    /// Accepts a WebSocket over TLS like [`accept_tls`](Self::accept_tls), over any [`Stream`]. The blocking mode of
    /// the stream is not changed.
    ///
    /// # Errors
    ///
    /// The errors of [`accept_tls`](Self::accept_tls).
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn accept_tls_stream<S: Stream>(
        &self,
        config: Arc<ServerConfig>,
        stream: S,
    ) -> Result<WebSocket<TlsStream<S>>, AcceptError<TlsStream<S>>> {
        self.receive_tls_stream(config, stream)?.accept_at_once()
    }

    /// Receives a request over TLS like [`receive_tls`](Self::receive_tls), over any [`Stream`]. The blocking mode of
    /// the stream is not changed.
    ///
    /// # Errors
    ///
    /// The errors of [`receive_tls`](Self::receive_tls).
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn receive_tls_stream<S: Stream>(
        &self,
        config: Arc<ServerConfig>,
        stream: S,
    ) -> Result<PendingRequest<TlsStream<S>>, AcceptError<TlsStream<S>>> {
        let session = Session::server(config)?;
        self.receive_over_tls(session, DeadlineStream::new(stream.into(), Instant::ZERO))
    }

    /// Accepts a WebSocket over TLS like `accept_tls`, but with native-tls.
    ///
    /// This call combines [`receive_native_tls`](Self::receive_native_tls) and [`PendingRequest::accept`].
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Tls`](handshake_driver::AcceptError::Tls): the library refuses the configuration, or the TLS
    ///   handshake has failed or was not complete in time.
    /// - The errors of [`accept`](Self::accept).
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub fn accept_native_tls(
        &self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
    ) -> Result<WebSocket<TlsStream<TcpStream>>, AcceptError<TlsStream<TcpStream>>> {
        self.receive_native_tls(acceptor, stream)?.accept_at_once()
    }

    /// Runs the TLS handshake with native-tls, and receives a request like [`receive`](Self::receive).
    ///
    /// [`handshake_timeout`](handshake_driver::Server::handshake_timeout) limits the TLS handshake and the receiving of
    /// the request together.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Tls`](handshake_driver::AcceptError::Tls): the library refuses the configuration, or the TLS
    ///   handshake has failed or was not complete in time.
    /// - The errors of [`receive`](Self::receive).
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub fn receive_native_tls(
        &self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
    ) -> Result<PendingRequest<TlsStream<TcpStream>>, AcceptError<TlsStream<TcpStream>>> {
        let session = Session::native_server(acceptor)?;
        self.receive_over_tls(session, DeadlineStream::tcp(stream, false)?)
    }

    /// Accepts a WebSocket over TLS like [`accept_native_tls`](Self::accept_native_tls), over any [`Stream`]. The
    /// blocking mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// The errors of [`accept_native_tls`](Self::accept_native_tls).
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub fn accept_native_tls_stream<S: Stream>(
        &self,
        acceptor: &TlsAcceptor,
        stream: S,
    ) -> Result<WebSocket<TlsStream<S>>, AcceptError<TlsStream<S>>> {
        self.receive_native_tls_stream(acceptor, stream)?.accept_at_once()
    }

    /// Receives a request over TLS like [`receive_native_tls`](Self::receive_native_tls), over any [`Stream`]. The
    /// blocking mode of the stream is not changed.
    ///
    /// # Errors
    ///
    /// The errors of [`receive_native_tls`](Self::receive_native_tls).
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    pub fn receive_native_tls_stream<S: Stream>(
        &self,
        acceptor: &TlsAcceptor,
        stream: S,
    ) -> Result<PendingRequest<TlsStream<S>>, AcceptError<TlsStream<S>>> {
        let session = Session::native_server(acceptor)?;
        self.receive_over_tls(session, DeadlineStream::new(stream.into(), Instant::ZERO))
    }

    /// Runs the TLS handshake, and receives a request.
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    fn receive_over_tls<S: Stream>(
        &self,
        session: Session,
        mut link: DeadlineStream<S>,
    ) -> Result<PendingRequest<TlsStream<S>>, AcceptError<TlsStream<S>>> {
        let start = link.read_clock();
        let mut securing = self.securing(start, session);
        handshake::run(&mut link, &mut securing);
        let session = securing.finish()?;
        self.run(link.with_layer(|socket| TlsStream::new(socket, session)), start)
    }

    /// Receives a request: the first phase of the handshake. The time limit began at `start`.
    fn run<S>(
        &self,
        mut link: DeadlineStream<S>,
        start: Instant,
    ) -> Result<PendingRequest<S>, AcceptError<S>> {
        link.read_clock();
        let mut receiving = self.receiving(start);
        handshake::run(&mut link, &mut receiving);
        match receiving.finish() {
            Ok(pending) => Ok(PendingRequest::new(link, pending)),
            Err(why) => Err(why.into_error(|request| HttpCall::new(link.into_wrapped(), request))),
        }
    }
}
