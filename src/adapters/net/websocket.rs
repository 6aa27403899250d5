//! The run loop, blocking.
//!
//! One thread reads and writes. A turn of the loop, made once all input is decoded: timers, write, what the transport
//! needs, read. It writes all that is queued unless there is no room and something to read: then it reads, so that a
//! peer that must send before it reads can go on.

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::prelude::v1::*;

use super::deadline_stream::{DeadlineStream, HalfClose};
use super::interest::would_block;
use super::responder::Responder;
use super::split::{Reader, Writer, split};
use super::stream::{Over, SocketOf, Stream};
use super::write_driver::{Output, SLICE};
use crate::adapters::error::{Error, end_of_messages};
use crate::adapters::handshake_driver::{Handshake, Opened};
use crate::handshake::Headers;
use crate::{
    CloseCode, CloseFrame, Connection, Event, EventIndex, Inbox, Instant, Message, MessageKind, Outcome,
    Prepared, ReadyState, SendError, TransportAction,
};

/// A WebSocket over a stream that reads and writes, one thread at a time. [`WebSocket::split`] makes two
/// halves of one over a stream that two threads can use.
///
/// What is sent through it goes out before the call returns; what is sent through a [`Responder`] goes out
/// before [`next`](Self::next) blocks, together with whatever else is queued by then. Dropping it closes
/// the stream without a word: [`close`](Self::close) and [`wait_closed`](Self::wait_closed) do it
/// properly.
///
/// `None` from [`recv`](Self::recv) or [`next`](Self::next) says only that there is no more. [`outcome`](Self::outcome)
/// says whether the peer has closed or the stream broke off: [`Outcome::is_clean`]. [`peer_close`](Self::peer_close)
/// gives the reason of the peer. A loop that wants an error instead asks for it with
/// [`error_on_abnormal_end`](Self::error_on_abnormal_end).
#[derive(Debug)]
pub struct WebSocket<S> {
    link: DeadlineStream<S>,
    connection: Connection,
    inbox: Inbox,
    handshake: Handshake,
    outcome: Option<Outcome>,
    /// An end that is not clean is still to be told as an error.
    error_on_abnormal_end: bool,
}

impl<S: Read + Write> WebSocket<S> {
    /// A WebSocket on a stream that someone else has upgraded, with the bytes that were read behind the
    /// handshake in `inbox`. `socket` finds the TCP socket underneath; `|_| None` if there is none, but then
    /// nothing interrupts a call that blocks, and timers are looked at only when it returns.
    ///
    /// See [`from_stream`](Self::from_stream) for the clock, and for streams that are not above TCP.
    pub fn from_parts(stream: S, socket: SocketOf<S>, connection: Connection, inbox: Inbox) -> Self {
        Self::from_stream(Over::new(stream, socket), connection, inbox)
    }
}

impl<S> WebSocket<S> {
    /// As [`from_parts`](Self::from_parts), on any [`Stream`], or on one that is [driven by functions](Over).
    ///
    /// The clock begins with this call: at [`Instant::ZERO`] for a connection that was made with it. For one of
    /// [`into_parts`](Self::into_parts) it goes on from the latest instant that the connection
    /// [knows of](Connection::latest_instant), so its timers run on. They do not count the time in between.
    pub fn from_stream(stream: impl Into<Over<S>>, mut connection: Connection, inbox: Inbox) -> Self {
        let mut link = DeadlineStream::new(stream.into(), connection.latest_instant());
        if connection.sender().has_write_failed() {
            link.fail_writes();
        }
        if !link.is_unflushed() {
            // The stream holds nothing back, whatever the one before did.
            connection.handle_held_back(link.now(), false);
        }
        Self::opened(link, Opened { connection, inbox, handshake: Handshake::default() })
    }

    pub(super) fn opened(link: DeadlineStream<S>, opened: Opened) -> Self {
        let Opened { connection, inbox, handshake } = opened;
        Self { link, connection, inbox, handshake, outcome: None, error_on_abnormal_end: false }
    }

    /// The next event, and the means to answer it while it is borrowed; `None` after
    /// [`Event::Closed`]. Blocks until there is one, and writes what is queued before.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] once, after the peer was told; [`Error::Io`]. Calling again goes on to
    /// [`Event::Closed`].
    #[expect(clippy::should_implement_trait, reason = "the event borrows, which an iterator's item cannot")]
    pub fn next(&mut self) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        self.next_until(None)
    }

    /// As [`Self::next`], but waits for `timeout` at most. Zero does not wait: it gives an event that is there, and
    /// writes what there is room for. Nothing interrupts a stream that knows no timeouts, as
    /// [`from_parts`](Self::from_parts) tells.
    ///
    /// Zero sets the socket not to block for the moment of a read, unless the application may have done so itself, as
    /// it can with [`stream`](Self::stream). Then a read takes as long as the shortest timeout of the system, some
    /// milliseconds, until two of them have shown that the socket blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::next`]; [`Error::Io`] with [`ErrorKind::TimedOut`] where no event has come in time. Nothing is lost:
    /// call again.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        let until = self.link.tick() + timeout;
        self.next_until(Some(until))
    }

    fn next_until(&mut self, until: Option<Instant>) -> Result<Option<(Event<'_>, Responder<'_, S>)>, Error> {
        let Some(ready) = self.ready(until)? else { return Ok(None) };
        let Self { link, connection, inbox, .. } = self;
        let out = Output { link, sender: connection.sender_mut(), pending: None };
        Ok(Some((inbox.event(ready), Responder { out })))
    }

    /// The next message, as one that owns its data; `None` after the end. A large one is not copied. Control
    /// frames are passed over, having been answered; and with [`Delivery::Chunks`](crate::Delivery::Chunks) there are
    /// no messages: use [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.recv_until(None)
    }

    /// As [`Self::recv`], for `timeout` at most: see [`Self::next_timeout`].
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
    /// As there.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        let until = self.link.tick() + timeout;
        self.recv_until(Some(until))
    }

    fn recv_until(&mut self, until: Option<Instant>) -> Result<Option<Message>, Error> {
        while let Some(ready) = self.ready(until)? {
            let message = self.inbox.take_message(ready);
            if message.is_some() {
                return Ok(message);
            }
        }
        end_of_messages(self.outcome, &mut self.error_on_abnormal_end)
    }

    /// Reads on, passing over messages, until the connection has ended, and says how.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn wait_closed(&mut self) -> Result<Outcome, Error> {
        loop {
            if let Some(outcome) = self.outcome {
                return Ok(outcome);
            }
            if self.ready(None)?.is_none() && self.outcome.is_none() {
                // It had ended before it came here, which was told elsewhere.
                return Err(SendError::Closed.into());
            }
        }
    }

    /// Sends a text message. Waits until the peer has taken enough; what it sends meanwhile is read ahead, up to 64 KiB,
    /// for the next call that receives.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused, never as [`SendError::Blocked`]; also as [`SendError::Closed`] where it was
    /// accepted and then dropped, because the connection ended or the peer closed. [`Error::Io`] where the stream fails.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.and_write(|responder| responder.send_text(text))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.and_write(|responder| responder.send_binary(data))
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`](crate::Sender::send_fragment).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.and_write(|responder| responder.send_fragment(kind, data, fin))
    }

    /// Sends a message that owns its data; see [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.and_write(|responder| responder.send(message))
    }

    /// Sends a message prepared for many connections; see [`Prepared`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.and_write(|responder| responder.send_prepared(prepared))
    }

    /// The next message goes out as it is, whatever was agreed on; see [`Sender::uncompressed`](crate::Sender::uncompressed).
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.connection.uncompressed();
        self
    }

    /// Sends a Ping; see [`Sender::ping`](crate::Sender::ping).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.and_write(|responder| responder.ping(payload))
    }

    /// Sends a Pong that no Ping asked for; see [`Sender::pong`](crate::Sender::pong).
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.and_write(|responder| responder.pong(payload))
    }

    /// Queues a message that owns its data, to be written with what follows: by [`flush`](Self::flush), or before
    /// [`next`](Self::next) blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message)
    }

    /// Closes the connection; see [`Sender::close`](crate::Sender::close). Go on with [`next`](Self::next) or
    /// [`wait_closed`](Self::wait_closed) to its end.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        self.and_write(|responder| responder.close(code, reason))
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the stream fails. [`Error::Send`] with [`SendError::Closed`] where something that was accepted
    /// will never be written, because the connection ended or the peer closed.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.output().keep_time()?;
        self.output().flush()
    }

    /// The means to send without writing at once.
    pub const fn responder(&mut self) -> Responder<'_, S> {
        Responder { out: self.output() }
    }

    /// Sends something and writes it.
    fn and_write(
        &mut self,
        send: impl FnOnce(&mut Responder<'_, S>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.output().keep_time()?;
        send(&mut self.responder())?;
        self.output().flush()
    }

    const fn output(&mut self) -> Output<'_, S> {
        Output { link: &mut self.link, sender: self.connection.sender_mut(), pending: None }
    }

    /// Runs until an event is there, but no longer than `until`.
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let mut looked = false;
        while self.outcome.is_none() {
            match self.connection.poll(self.link.now(), &mut self.inbox) {
                Ok(Some(ready)) => match self.inbox.event(ready) {
                    // Whoever was held back has waited, and has sent.
                    Event::Writable => {}
                    Event::Closed(outcome) => {
                        self.outcome = Some(outcome);
                        match self.connection.poll_transport() {
                            Some(TransportAction::Abort) => self.link.abort(),
                            _ => self.link.close(),
                        }
                        return Ok(Some(ready));
                    }
                    _ => return Ok(Some(ready)),
                },
                Ok(None) if self.connection.ready_state() == ReadyState::Closed => break,
                Ok(None) if looked && until.is_some_and(|until| until <= self.link.now()) => {
                    return Err(Error::Io(ErrorKind::TimedOut.into()));
                }
                Ok(None) => {
                    self.turn(until)?;
                    looked = true;
                }
                Err(error) => {
                    // The violation is what the caller must know; that the peer could not be told will show.
                    let _ = self.output().write_out();
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// All input has been taken in: does what is due, writes, does what the transport needs, and waits for
    /// more, but no longer than `until`.
    fn turn(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let written = self.write(until);
        let write_blocks = written.as_ref().is_err_and(would_block);
        match written {
            // Where all that comes in is discarded, only writing is left.
            Err(error) if write_blocks && self.connection.receiver().is_done() => return Err(error),
            Err(error) if !write_blocks && !self.is_closing() => return Err(error),
            _ => {}
        }
        let look_up = self.half_close(until);
        if self.connection.ready_state() == ReadyState::Closed {
            return Ok(());
        }
        let due = self.connection.poll_timeout();
        let deadline = [due, until, look_up].into_iter().flatten().min();
        let space = self.connection.read_space(&mut self.inbox);
        match self.link.read(space, deadline) {
            Ok(Some(0)) => return self.end(write_blocks),
            Ok(Some(n)) => self.inbox.handle_read(n),
            Ok(None) if deadline != due => {}
            Ok(None) => {
                // Nothing has come for as long as a timer runs.
                self.connection.release_idle();
                self.inbox.release_idle();
            }
            Err(error) => {
                let error = Error::Io(error);
                if would_block(&error) {
                    return Err(self.output().interest().into());
                }
                // At the end, a reset is as good an end as any.
                let closing = self.is_closing();
                self.connection.handle_eof();
                if !closing {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Does what is due, and writes. Where nothing can be written any more, timers still run, and what has come in can
    /// still be read.
    fn write(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.link.has_read_ahead() {
            // What was read ahead is decoded first: it may hold what a timer waits for.
            return if self.link.write_failed() { Ok(()) } else { self.output().write_now().map(drop) };
        }
        self.connection.handle_timeout(self.link.read_at());
        if self.link.write_failed() {
            return Ok(());
        }
        self.output().write_or_hear(until)
    }

    /// The stream has ended. What is queued is written before that counts, as a peer that sends no more may still read.
    fn end(&mut self, write_blocks: bool) -> Result<(), Error> {
        if self.link.write_failed() || self.output().is_out() {
            self.connection.handle_eof();
            return Ok(());
        }
        self.link.keep_end();
        self.connection.handle_input_ended(self.link.now());
        if write_blocks { Err(self.output().interest().into()) } else { Ok(()) }
    }

    /// Closes the sending half if it is time. Gives when to look again, where the stream takes nothing now.
    fn half_close(&mut self, until: Option<Instant>) -> Option<Instant> {
        if self.connection.poll_transport() != Some(TransportAction::HalfClose) {
            return None;
        }
        let slice = self.link.now() + SLICE;
        match self.link.half_close(Some(until.map_or(slice, |until| until.min(slice)))) {
            HalfClose::Waits => return Some(self.link.now() + SLICE),
            HalfClose::Done => self.connection.handle_half_closed(),
            HalfClose::Impossible => {
                self.connection.handle_half_closed();
                // Only all of it can be closed.
                self.connection.handle_eof();
            }
        }
        None
    }

    fn is_closing(&self) -> bool {
        self.connection.ready_state() == ReadyState::Closing
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.handshake.subprotocol.as_deref()
    }

    /// The headers of the peer's handshake: of the request on a server, of the response on a client.
    #[must_use]
    pub const fn headers(&self) -> Headers<'_> {
        Headers::from_lines(&self.handshake.headers)
    }

    /// Gives back the memory of [`headers`](Self::headers), which are empty from here on.
    pub fn forget_headers(&mut self) {
        self.handshake.headers = Box::default();
    }

    /// As the browser's `readyState`.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.connection.ready_state()
    }

    /// How the connection ended, once [`Event::Closed`] was handed out.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The Close that the peer sent, with its code and reason, once it has come: also after the end. `None` says that the
    /// stream ended without one, or that the peer's was not valid.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.connection.peer_close()
    }

    /// Whether [`recv`](Self::recv) gives [`Error::Ended`] once where the messages end and the peer has not closed: the
    /// stream broke off, a timer ran out, or the peer broke the protocol. Off by default: the end is `None` in any case.
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
        self.error_on_abnormal_end = on;
    }

    /// The bytes that wait to be written.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.connection.buffered_amount()
    }

    /// The time from the last Ping that was answered to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.connection.round_trip()
    }

    /// The connection, for its getters.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The stream. Its socket can be set not to block: then calls that would wait fail with
    /// [`ErrorKind::WouldBlock`], and [`Error::interest`] says what to wait for.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.link.stream()
    }

    /// The stream, to be changed but neither read nor written. The timeouts of its socket are not yours: they
    /// follow the timers of the connection, and [`recv_timeout`](Self::recv_timeout).
    #[must_use]
    pub fn stream_mut(&mut self) -> &mut S {
        self.link.stream_mut()
    }

    /// The stream, the connection, and what has arrived and not been taken in: go on with this inbox, as a part of a
    /// message may lie in it. The connection holds all that was accepted and is not written, and the stream may hold
    /// bytes that are not flushed. [`from_parts`](Self::from_parts) goes on with all three.
    ///
    /// Where a write has failed, the connection [says so](crate::Sender::has_write_failed): what is made of the parts still
    /// receives, and refuses to send with [`ErrorKind::BrokenPipe`].
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox) {
        let Self { link, mut connection, mut inbox, .. } = self;
        if link.write_failed() {
            connection.sender_mut().handle_write_failed();
        }
        let stream = link.into_parts(&connection, &mut inbox);
        (stream, connection, inbox)
    }
}

impl<S: Stream + Send + 'static> WebSocket<S> {
    /// Takes the WebSocket apart: a half that receives, for one thread, and a half that sends, for any
    /// number of others. What receiving owes to the peer is sent by the receiving half.
    ///
    /// # Errors
    ///
    /// The stream cannot be shared: see [`Stream::try_clone`].
    pub fn split(self) -> std::io::Result<(Reader, Writer)> {
        let Self { link, connection, inbox, outcome, error_on_abnormal_end, .. } = self;
        split(link, connection, inbox, outcome, error_on_abnormal_end)
    }
}
