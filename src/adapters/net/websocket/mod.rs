//! The blocking WebSocket, used by one thread at a time.
//!
//! A [`WebSocket`] consists of a run loop (`run_loop.rs`) and the facts about the handshake. The calls that receive are
//! in this file and run the loop. The calls that send are in `sending.rs`, and `byte_stream.rs` makes a WebSocket a
//! stream of bytes. [`WebSocket::split`] makes two halves for several threads (`reader.rs`, `writer.rs`).
//!
//! The handshake is in `client.rs` and `server.rs`. The run loop decides when to read and when to write.

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
use super::stream::Stream;
use super::wrapped_stream::{SocketOf, WrappedStream};
use super::writer::Writer;
#[cfg(doc)]
use crate::SendError;
use crate::adapters::error::Error;
use crate::adapters::handshake_driver::Opened;
use crate::handshake::{HandshakeInfo, Headers};
use crate::{CloseFrame, Connection, Event, Inbox, Message, Outcome, ReadyState};

mod byte_stream;
mod sending;

pub use byte_stream::ByteStream;

/// A blocking WebSocket, for one thread at a time. [`WebSocket::split`] makes two halves for several threads.
///
/// # Blocking and timeouts
///
/// If a call sends a message, it blocks until the stream has taken the message. A [`Responder`] queues its messages,
/// and [`next_event`](Self::next_event) writes them before it blocks. If the queue is full, a call on the `Responder`
/// first writes the queue, and may block. If a call receives, it blocks until there is an event or a message.
/// [`next_event_timeout`](Self::next_event_timeout) and [`recv_timeout`](Self::recv_timeout) block for a given time at
/// most.
///
/// The timers of [`Config`](crate::Config) run only during calls. Over a stream without timeouts, a call that blocks
/// delays the timers until the call returns.
///
/// The application may set the socket to non-blocking mode. In this mode, a call that would block returns [`Error::Io`]
/// with [`ErrorKind::WouldBlock`]. [`Error::interest`] returns the conditions to wait for.
///
/// # The end of the connection
///
/// [`recv`](Self::recv) and [`next_event`](Self::next_event) return `None` after the end of the connection.
/// [`outcome`](Self::outcome) tells whether the peer closed the connection or the stream broke off: see
/// [`Outcome::is_clean`]. [`peer_close`](Self::peer_close) returns the code and the reason of the peer. To get an error
/// at an abnormal end, turn on [`error_on_abnormal_end`](Self::error_on_abnormal_end).
///
/// Dropping the WebSocket drops the stream without sending a Close. For the closing handshake (RFC 6455 section 7.1.2),
/// call [`close`](Self::close) and then [`wait_closed`](Self::wait_closed).
#[derive(Debug)]
pub struct WebSocket<S> {
    run: RunLoop<S>,
    handshake: HandshakeInfo,
}

impl<S: Read + Write> WebSocket<S> {
    /// Creates a WebSocket from a stream whose handshake is done.
    ///
    /// `inbox` has the bytes that were read after the handshake. `socket` returns the TCP socket below the stream. The
    /// function `|_| None` is for a stream without such a socket. With this function, nothing can interrupt a call that
    /// blocks, and the timers run only when the call returns.
    ///
    /// [`from_stream`](Self::from_stream) describes the clock. That function also accepts a [`Stream`], which can have
    /// timeouts and half-close without a TCP socket.
    pub fn from_parts(stream: S, socket: SocketOf<S>, connection: Connection, inbox: Inbox) -> Self {
        Self::from_stream(WrappedStream::new(stream, socket), connection, inbox)
    }
}

impl<S> WebSocket<S> {
    /// Creates a WebSocket from any [`Stream`], or from a [`WrappedStream`], whose handshake is done.
    ///
    /// `inbox` has the bytes that were read after the handshake. The clock starts with this call, at the time
    /// [`Connection::latest_instant`]. For a new connection this is the time that was passed to [`Connection::server`]
    /// or [`Connection::client`]. The timers of a connection from [`into_parts`](Self::into_parts) continue. They do
    /// not count the time between that call and this call.
    pub fn from_stream(
        stream: impl Into<WrappedStream<S>>,
        mut connection: Connection,
        inbox: Inbox,
    ) -> Self {
        let mut link = DeadlineStream::new(stream.into(), connection.latest_instant());
        if connection.sender().has_write_failed() {
            link.fail_writes();
        }
        if !link.is_unflushed() {
            // The connection may have been used with another stream, which had bytes in its buffer. This stream has no
            // such bytes.
            connection.set_unflushed(link.now(), false);
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
    /// Writes the queue, and blocks until there is an event. If the peer is dead, the timers of the connection end the
    /// wait.
    ///
    /// # Errors
    ///
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued, and
    ///   the call has tried to write it.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no event yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read or a write failed, and the connection was not closing.
    ///
    /// After each of these errors, further calls return the events that follow, up to [`Event::Closed`].
    pub fn next_event(&mut self) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        self.run.next_event(None)
    }

    /// Returns the next event like [`Self::next_event`], and blocks for `timeout` at most.
    ///
    /// If `timeout` is zero, the call does not block. It writes as much of the queue as the stream takes at once, and
    /// returns an event only if an event has already arrived. A stream without timeouts, such as one from
    /// [`from_parts`](Self::from_parts) with `|_| None`, can block for longer than `timeout`.
    ///
    /// If `timeout` is zero, the call switches the socket to non-blocking mode during each read. After a call of
    /// [`stream`](Self::stream) the mode of the socket is unknown, because the application may have changed it. While
    /// the mode is unknown, it is not switched. Instead, a read blocks for the shortest timeout of the system, some
    /// milliseconds. When two reads have blocked until this timeout, the mode counts as blocking. Later calls switch
    /// the mode during each read, as before.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no event came within `timeout`. Nothing is lost: call this method
    ///   again.
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no event yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read or a write failed, and the connection was not closing.
    pub fn next_event_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        let until = self.run.read_clock() + timeout;
        self.run.next_event(Some(until))
    }

    /// Returns the next message, which owns its data, or `None` after the end of the connection.
    ///
    /// Blocks like [`Self::next_event`]. A large message is not copied. Control frames are handled and not returned.
    /// [`Delivery::Chunks`](crate::Delivery::Chunks) delivers no whole messages: use [`next_event`](Self::next_event)
    /// with that setting.
    ///
    /// # Errors
    ///
    /// - [`Error::Ended`], once, if [`error_on_abnormal_end`](Self::error_on_abnormal_end) is on: the connection ended
    ///   without a Close from the peer.
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no message yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read or a write failed, and the connection was not closing.
    ///
    /// After each of these errors, further calls return the messages that follow, and then `None`.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.run.next_message(None)
    }

    /// Returns the next message like [`Self::recv`], and blocks for `timeout` at most.
    ///
    /// [`Self::next_event_timeout`] explains what happens if `timeout` is zero, or if the stream has no timeouts.
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
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no message came within `timeout`. Nothing is lost: call this
    ///   method again.
    /// - [`Error::Ended`], once, if [`error_on_abnormal_end`](Self::error_on_abnormal_end) is on: the connection ended
    ///   without a Close from the peer.
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no message yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read or a write failed, and the connection was not closing.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.run.next_message(Some(timeout))
    }

    /// Blocks until the connection has ended, and returns its outcome. Discards the messages that arrive.
    ///
    /// After [`close`](Self::close) the wait is bounded by [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: the connection had already ended when this WebSocket was created
    ///   from it. The outcome was returned to an earlier owner of the connection.
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and the connection has not
    ///   ended yet. Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method
    ///   again.
    /// - [`Error::Io`] with another kind: a read or a write failed, and the connection was not closing.
    ///
    /// After `Protocol` and `Io`, call this method again. The further call continues to the end.
    pub fn wait_closed(&mut self) -> Result<Outcome, Error> {
        self.run.run_to_end()
    }

    /// Sets the values that [`target`](Self::target), [`subprotocol`](Self::subprotocol) and [`headers`](Self::headers)
    /// return. They are empty in a WebSocket that was created from parts.
    #[must_use]
    pub fn with_handshake(mut self, handshake: HandshakeInfo) -> Self {
        self.handshake = handshake;
        self
    }

    /// Returns the target, the subprotocol and the headers of the handshake. They are empty if the WebSocket was
    /// created from parts and [`with_handshake`](Self::with_handshake) was not called.
    #[must_use]
    pub const fn handshake(&self) -> &HandshakeInfo {
        &self.handshake
    }

    /// Returns the target of the request: path and query, or an absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        self.handshake.target()
    }

    /// Returns the subprotocol that the handshake agreed on, or `None` if it agreed on none.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.handshake.subprotocol()
    }

    /// Returns the headers of the peer's handshake: those of the request on a server, those of the response on a
    /// client.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.handshake.headers()
    }

    /// Frees the memory of [`headers`](Self::headers), which returns no headers from then on.
    pub fn forget_headers(&mut self) {
        self.handshake.forget_headers();
    }

    /// Returns the state of the connection, like `readyState` in a browser.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.run.connection().ready_state()
    }

    /// Returns how the connection ended, or `None` until a call that receives has reached the end.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.run.outcome()
    }

    /// Returns the Close that the peer sent, with its code and reason. The Close stays available after the end.
    ///
    /// Returns `None` if no Close has arrived, or if the peer's Close was not valid.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.run.connection().peer_close()
    }

    /// Sets whether [`recv`](Self::recv) returns [`Error::Ended`] once if the connection ends without a Close from the
    /// peer.
    ///
    /// Examples of such an end are a stream that broke off, a timer that ended the connection, and a violation of the
    /// protocol. The setting is off by default. While it is off, `recv` returns `None` at every end.
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

    /// Returns how many bytes are queued and not written, including headers and control frames.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.run.connection().buffered_amount()
    }

    /// Returns the time from the last answered Ping to its Pong, or `None` before the first Pong.
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
    /// The application may set the socket of the stream to non-blocking mode. In this mode, calls that would block
    /// return [`Error::Io`] with [`ErrorKind::WouldBlock`]. [`Error::interest`] returns the conditions to wait for.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.run.link().stream()
    }

    /// Returns the stream, for example to set its options. Do not read, write, or set timeouts.
    ///
    /// The WebSocket sets the timeouts of the socket itself, for the timers of the connection and for calls such as
    /// [`recv_timeout`](Self::recv_timeout).
    #[must_use]
    pub fn stream_mut(&mut self) -> &mut S {
        self.run.link_mut().stream_mut()
    }

    /// Returns the stream, the connection, and the inbox with the input that has not been decoded.
    ///
    /// A new WebSocket that is created from these parts, for example by [`from_parts`](Self::from_parts), continues
    /// where this WebSocket stopped. Use all three parts. The inbox can hold a part of a message, the connection holds
    /// the queued frames, and the stream may have bytes that are not flushed. The facts about the handshake are not
    /// among the parts. To keep them, first clone [`handshake`](Self::handshake), and later pass the clone to
    /// [`with_handshake`](Self::with_handshake).
    ///
    /// If a write has failed, the connection [records the failure](crate::Sender::has_write_failed). A WebSocket that
    /// is created from these parts can still receive. Its calls that send fail with [`ErrorKind::BrokenPipe`].
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox) {
        self.run.into_parts()
    }
}

impl<S: Stream + Send + 'static> WebSocket<S> {
    /// Splits the WebSocket into a [`Reader`] for one thread and a [`Writer`] for any number of threads.
    ///
    /// The `Reader` sends the replies to Pings and Closes, and runs the timers. So a thread must always call a method
    /// of the `Reader` that receives.
    ///
    /// # Errors
    ///
    /// The error of [`Stream::try_clone`]. After an error the stream is dropped.
    ///
    /// - [`ErrorKind::Unsupported`]: two threads cannot use this stream.
    /// - Another kind: the system could not duplicate the socket.
    pub fn split(self) -> std::io::Result<(Reader, Writer)> {
        let (link, connection, inbox, ending) = self.run.into_loop_parts();
        let (receiver, sender) = connection.into_halves();
        let [reads, writes] = link.take_apart()?;
        let shared = Arc::new(Shared::new(writes, sender));
        let writer = Writer::new(Arc::clone(&shared));
        Ok((Reader::new(reads, receiver, inbox, ending, shared), writer))
    }
}
