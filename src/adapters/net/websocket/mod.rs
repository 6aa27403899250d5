//! The blocking WebSocket, used by one thread at a time: what it offers to an application.
//!
//! A [`WebSocket`] is a run loop (`run_loop.rs`) and what it remembers of the handshake. A call that receives runs the
//! loop. The calls that send are in `sending.rs`. [`WebSocket::split`] makes two halves for several threads
//! (`reader.rs`, `writer.rs`).
//!
//! Not here: the handshake (`client.rs`, `server.rs`), and the decision when to read and when to write.

use core::time::Duration;
#[cfg(doc)]
use std::io::ErrorKind;
use std::io::{Read, Write};
use std::prelude::v1::*;
use std::sync::Arc;

use super::deadline_stream::DeadlineStream;
use super::reader::Reader;
use super::receive::Receive;
use super::responder::Responder;
use super::run_loop::RunLoop;
use super::split::Shared;
use super::stream::{Over, SocketOf, Stream};
use super::writer::Writer;
#[cfg(doc)]
use crate::SendError;
use crate::adapters::error::Error;
use crate::adapters::handshake_driver::Opened;
use crate::handshake::{HandshakeInfo, Headers};
use crate::{CloseFrame, Connection, Event, Inbox, Message, Outcome, ReadyState};

mod sending;

/// A blocking WebSocket, for one thread at a time. [`WebSocket::split`] makes two halves for several threads.
///
/// # Blocking and timeouts
///
/// A call that sends writes the message and blocks until the stream has taken it. A message sent through a
/// [`Responder`] is queued, and written before [`next_event`](Self::next_event) blocks. A call that receives blocks
/// until there is an event or a message; [`next_event_timeout`](Self::next_event_timeout) and
/// [`recv_timeout`](Self::recv_timeout) block for a given time at most.
///
/// The timers of [`Config`](crate::Config) run only during calls. Over a stream without timeouts, a call that blocks
/// delays the timers until the call returns.
///
/// The application may set the socket to non-blocking mode. A call that would block then returns [`Error::Io`] with
/// [`ErrorKind::WouldBlock`], and [`Error::interest`] names the condition to wait for.
///
/// # The end of the connection
///
/// [`recv`](Self::recv) and [`next_event`](Self::next_event) return `None` after the end of every connection, clean or
/// not. [`Outcome::is_clean`] of [`outcome`](Self::outcome) tells the two apart. [`peer_close`](Self::peer_close) has
/// the peer's code and reason. After [`error_on_abnormal_end`](Self::error_on_abnormal_end), `recv` returns an error at
/// an end that is not clean.
///
/// Dropping the WebSocket drops the stream without sending a Close. Call [`close`](Self::close) and
/// [`wait_closed`](Self::wait_closed) for the closing handshake (RFC 6455 section 7.1.2).
#[derive(Debug)]
pub struct WebSocket<S> {
    run: RunLoop<S>,
    handshake: HandshakeInfo,
}

impl<S: Read + Write> WebSocket<S> {
    /// Makes a WebSocket of a stream whose handshake is done.
    ///
    /// `inbox` has the bytes that were read behind the handshake. `socket` returns the TCP socket below the stream.
    /// With `|_| None` there is no socket: nothing interrupts a call that blocks, and timers are handled only when the
    /// call returns.
    ///
    /// [`from_stream`](Self::from_stream) describes the clock, and takes streams that are not layers above TCP.
    pub fn from_parts(stream: S, socket: SocketOf<S>, connection: Connection, inbox: Inbox) -> Self {
        Self::from_stream(Over::new(stream, socket), connection, inbox)
    }
}

impl<S> WebSocket<S> {
    /// Makes a WebSocket of any [`Stream`], or of an [`Over`], whose handshake is done.
    ///
    /// `inbox` has the bytes that were read behind the handshake. The clock starts with this call, at
    /// [`Connection::latest_instant`]: for a new connection, the instant with which it was made. The timers of a
    /// connection from [`into_parts`](Self::into_parts) continue, and do not count the time between the two calls.
    pub fn from_stream(stream: impl Into<Over<S>>, mut connection: Connection, inbox: Inbox) -> Self {
        let mut link = DeadlineStream::new(stream.into(), connection.latest_instant());
        if connection.sender().has_write_failed() {
            link.fail_writes();
        }
        if !link.is_unflushed() {
            // The connection may come from another stream, which did hold bytes back. This stream does not.
            connection.handle_held_back(link.now(), false);
        }
        Self::opened(link, Opened { connection, inbox, handshake: HandshakeInfo::default() })
    }

    pub(super) fn opened(link: DeadlineStream<S>, opened: Opened) -> Self {
        let Opened { connection, inbox, handshake } = opened;
        Self { run: RunLoop::new(link, connection, inbox), handshake }
    }

    /// Returns the next event, with a [`Responder`] to answer it while the event is borrowed. Returns `None` after
    /// [`Event::Closed`].
    ///
    /// Writes the queue, and blocks until there is an event. The timers of the connection bound the wait if the peer
    /// is dead.
    ///
    /// # Errors
    ///
    /// - [`Error::Protocol`], once: the peer broke the protocol, and a Close with the code of the violation was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and there is no event yet.
    ///   Nothing is lost: wait for [`Error::interest`] and call again.
    /// - [`Error::Io`] with another kind: the stream failed.
    ///
    /// After each of these errors, further calls return the events that are left, up to [`Event::Closed`].
    pub fn next_event(&mut self) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        self.run.next_event(None)
    }

    /// Returns the next event like [`Self::next_event`], and blocks for `timeout` at most.
    ///
    /// With a `timeout` of zero the call does not block. It returns an event that has arrived, and writes as much as
    /// the stream takes at once. A stream without timeouts, such as one from [`from_parts`](Self::from_parts) with
    /// `|_| None`, can block for longer than `timeout`.
    ///
    /// A zero `timeout` switches the socket to non-blocking mode during each read. After the application has called
    /// [`stream`](Self::stream) the mode of the socket is unknown, and is not switched. A read then takes the shortest
    /// timeout of the system, some milliseconds, until two reads have shown that the socket blocks.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no event came within `timeout`. Nothing is lost: call again.
    /// - [`Error::Protocol`] and [`Error::Io`] with other kinds under the conditions that [`Self::next_event`] lists.
    pub fn next_event_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        let until = self.run.tick() + timeout;
        self.run.next_event(Some(until))
    }

    /// Returns the next message, which owns its data, or `None` after the end of the connection.
    ///
    /// Blocks like [`Self::next_event`]. A large message is not copied. Control frames are answered and skipped. With
    /// [`Delivery::Chunks`](crate::Delivery::Chunks) there are no messages to return: use
    /// [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// - [`Error::Ended`], once, if [`error_on_abnormal_end`](Self::error_on_abnormal_end) is on: the connection ended
    ///   without a Close from the peer.
    /// - [`Error::Protocol`] and [`Error::Io`] under the conditions that [`Self::next_event`] lists. Further calls
    ///   return the messages that are left, and then `None`.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.run.next_message(None)
    }

    /// Returns the next message like [`Self::recv`], and blocks for `timeout` at most.
    ///
    /// [`Self::next_event_timeout`] describes a `timeout` of zero and streams without timeouts.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use std::time::Duration;
    ///
    /// use hybi::adapters::net::{Client, Error, Server};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let url = format!("ws://{}/", listener.local_addr()?);
    /// let server = std::thread::spawn(move || {
    ///     let mut ws = Server::new().accept(listener.accept().unwrap().0).unwrap();
    ///     while let Some(message) = ws.recv().unwrap() {
    ///         ws.send(message).unwrap();
    ///     }
    /// });
    /// let mut ws = Client::new().connect(&url)?;
    /// let silence = ws.recv_timeout(Duration::from_millis(1));
    /// assert!(matches!(silence, Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut));
    /// ws.send_text("hello")?;
    /// assert_eq!(ws.recv_timeout(Duration::from_secs(60))?, Some("hello".into()));
    /// # drop(ws);
    /// # let _ = server.join();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no message came within `timeout`. Nothing is lost: call again.
    /// - [`Error::Ended`], [`Error::Protocol`] and [`Error::Io`] with other kinds under the conditions that
    ///   [`Self::recv`] lists.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.run.next_message(Some(timeout))
    }

    /// Reads and discards messages until the connection has ended, and returns its outcome.
    ///
    /// Blocks until then. After [`close`](Self::close) the wait is bounded by
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: the connection had already ended before this WebSocket was made of
    ///   it, so its outcome was returned elsewhere.
    /// - [`Error::Protocol`] and [`Error::Io`] under the conditions that [`Self::next_event`] lists. A further call
    ///   continues to the end.
    pub fn wait_closed(&mut self) -> Result<Outcome, Error> {
        self.run.run_to_end()
    }

    /// Sets what [`target`](Self::target), [`subprotocol`](Self::subprotocol) and [`headers`](Self::headers) return, for
    /// a WebSocket that was made of parts.
    #[must_use]
    pub fn with_handshake(mut self, handshake: HandshakeInfo) -> Self {
        self.handshake = handshake;
        self
    }

    /// Returns the facts about the handshake. They are empty if the WebSocket was made of parts, unless
    /// [`with_handshake`](Self::with_handshake) has set them.
    #[must_use]
    pub const fn handshake(&self) -> &HandshakeInfo {
        &self.handshake
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.handshake.target()
    }

    /// Returns the negotiated subprotocol.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.handshake.subprotocol()
    }

    /// Returns the headers of the peer's handshake: those of the request on a server, of the response on a client.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.handshake.headers()
    }

    /// Frees the memory of [`headers`](Self::headers), which are empty afterwards.
    pub fn forget_headers(&mut self) {
        self.handshake.forget_headers();
    }

    /// Returns the state of the connection, with the values of the browser's `readyState`.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.run.connection().ready_state()
    }

    /// Returns how the connection ended, once [`Event::Closed`] was returned.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.run.outcome()
    }

    /// Returns the Close that the peer sent, with its code and reason. The Close stays available after the end.
    ///
    /// `None` means that no valid Close has arrived.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.run.connection().peer_close()
    }

    /// Sets whether [`recv`](Self::recv) returns [`Error::Ended`] once if the connection ends without a Close from the
    /// peer.
    ///
    /// This includes a stream that broke off, a timer that ran out, and a peer that broke the protocol. Off by default:
    /// `recv` returns `None` at every end.
    ///
    /// ```
    /// # use hybi::{Config, Connection, Inbox, Instant, Outbox};
    /// use hybi::adapters::net::{Error, WebSocket};
    ///
    /// # let connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
    /// # let stream = std::io::Cursor::new(b"\x82\x03abc".to_vec());
    /// # let mut ws = WebSocket::from_parts(stream, |_| None, connection, Inbox::empty());
    /// // The server sends one message, and crashes.
    /// ws.error_on_abnormal_end(true);
    /// assert_eq!(ws.recv()?, Some(b"abc".to_vec().into()));
    /// assert!(matches!(ws.recv(), Err(Error::Ended(outcome)) if !outcome.is_clean()));
    /// assert_eq!(ws.recv()?, None);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.run.error_on_abnormal_end(on);
    }

    /// Returns the number of bytes in the write queue, frame headers included.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.run.connection().buffered_amount()
    }

    /// Returns the time from the last answered Ping to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.run.connection().round_trip()
    }

    /// Returns the connection, for its getters.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        self.run.connection()
    }

    /// Returns the stream.
    ///
    /// The application may set its socket to non-blocking mode. Calls that would block then return [`Error::Io`] with
    /// [`ErrorKind::WouldBlock`], and [`Error::interest`] names the condition to wait for.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.run.link().stream()
    }

    /// Returns the stream, for changes to its settings. Do not read, write, or set timeouts.
    ///
    /// The WebSocket sets the timeouts of the socket, from the timers of the connection and from
    /// [`recv_timeout`](Self::recv_timeout).
    #[must_use]
    pub fn stream_mut(&mut self) -> &mut S {
        self.run.link_mut().stream_mut()
    }

    /// Takes the WebSocket apart: the stream, the connection, and the inbox with input that is not decoded.
    ///
    /// Keep all three together, for [`from_parts`](Self::from_parts) for example. The inbox may hold a part of a
    /// message, the connection holds the write queue, and the stream may hold bytes that are not flushed. The facts about
    /// the handshake are not among the parts: clone [`handshake`](Self::handshake) before, and pass it to
    /// [`with_handshake`](Self::with_handshake).
    ///
    /// After a failed write, [`Sender::has_write_failed`](crate::Sender::has_write_failed) of the connection is `true`.
    /// A WebSocket made of the parts can receive, and refuses to send with [`ErrorKind::BrokenPipe`].
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox) {
        self.run.into_parts()
    }
}

impl<S: Stream + Send + 'static> WebSocket<S> {
    /// Splits the WebSocket into a [`Reader`] for one thread and a [`Writer`] for any number of threads.
    ///
    /// The `Reader` sends the replies to Pings and Closes.
    ///
    /// # Errors
    ///
    /// The error of [`Stream::try_clone`]: [`ErrorKind::Unsupported`] if two threads cannot use the stream, or another
    /// kind if the system could not duplicate the socket.
    pub fn split(self) -> std::io::Result<(Reader, Writer)> {
        let (link, connection, inbox, ending) = self.run.into_loop_parts();
        let (receiver, sender) = connection.into_halves();
        let [reads, writes] = link.take_apart()?;
        let shared = Arc::new(Shared::new(writes, sender));
        let writer = Writer::new(Arc::clone(&shared));
        Ok((Reader::new(reads, receiver, inbox, ending, shared), writer))
    }
}
