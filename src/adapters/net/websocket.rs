//! The run loop, blocking.

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::prelude::v1::*;

use super::link::{Link, MAX_SLICES, SocketOf};
use super::split::{Desk, Reader, Writer, split};
use crate::adapters::error::Error;
use crate::adapters::opening::{Handshake, Opened};
use crate::close::State;
use crate::handshake::Headers;
use crate::{
    CloseCode, Connection, Event, Inbox, Instant, Kind, Message, Outbox, Outcome, Prepared, Ready,
    ReadyState, SendError, Sender, TransportAction,
};

/// A WebSocket over a stream that reads and writes, one thread at a time. [`WebSocket::split`] makes two
/// halves of one over TCP.
///
/// What is sent through it goes out before the call returns; what is sent through a [`Responder`] goes out
/// before [`next`](Self::next) blocks, together with whatever else is queued by then. Dropping it closes
/// the stream without a word: [`close`](Self::close) and [`wait_closed`](Self::wait_closed) do it
/// properly.
#[derive(Debug)]
pub struct WebSocket<S> {
    link: Link<S>,
    connection: Connection,
    inbox: Inbox,
    handshake: Handshake,
    outcome: Option<Outcome>,
}

impl<S: Read + Write> WebSocket<S> {
    /// A WebSocket on a stream that someone else has upgraded, with the bytes that were read behind the
    /// handshake in `inbox`. `socket` finds the TCP socket underneath; `|_| None` if there is none, but then
    /// nothing interrupts a call that blocks, and timers are looked at only when it returns.
    ///
    /// The clock begins with this call: make `connection` with [`Instant::ZERO`](crate::Instant::ZERO).
    pub fn from_parts(stream: S, socket: SocketOf<S>, connection: Connection, inbox: Inbox) -> Self {
        let handshake = Handshake::default();
        Self::opened(Link::new(stream, socket), Opened { connection, inbox, handshake })
    }

    pub(super) fn opened(link: Link<S>, opened: Opened) -> Self {
        let Opened { connection, inbox, handshake } = opened;
        Self { link, connection, inbox, handshake, outcome: None }
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

    /// As [`Self::next`], but reads for `timeout` at most: zero looks what is there. What is queued is written before,
    /// however long that takes. Without a socket underneath that is known, as [`from_parts`](Self::from_parts) tells,
    /// nothing interrupts a read.
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
        let responder = Responder { link: &mut self.link, sender: self.connection.sender_mut(), desk: None };
        Ok(Some((self.inbox.event(ready), responder)))
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
    /// use hybi::net::{Client, Error, Server};
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
        Ok(None)
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

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused, [`Error::Io`] where the stream fails.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.responder().send_text(text)?;
        self.flush()
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.responder().send_binary(data)?;
        self.flush()
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_fragment(&mut self, kind: Kind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.responder().send_fragment(kind, data, fin)?;
        self.flush()
    }

    /// Sends a message that owns its data; see [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message)?;
        self.flush()
    }

    /// Sends a message prepared for many connections; see [`Prepared`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared)?;
        self.flush()
    }

    /// The next message goes out as it is, whatever was agreed on; see [`Sender::uncompressed`].
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.connection.uncompressed();
        self
    }

    /// Sends a Ping; see [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.responder().ping(payload)?;
        self.flush()
    }

    /// Sends a Pong that no Ping asked for; see [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.responder().pong(payload)?;
        self.flush()
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

    /// Closes the connection; see [`Sender::close`]. Go on with [`next`](Self::next) or
    /// [`wait_closed`](Self::wait_closed) to its end.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        self.responder().close(code, reason)?;
        self.flush()
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the stream fails.
    pub fn flush(&mut self) -> Result<(), Error> {
        write_out(&mut self.link, self.connection.sender_mut(), None)
    }

    /// The means to send without writing at once.
    pub fn responder(&mut self) -> Responder<'_, S> {
        Responder { link: &mut self.link, sender: self.connection.sender_mut(), desk: None }
    }

    /// Runs until an event is there, but no longer than `until`.
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<Ready>, Error> {
        let mut looked = false;
        while self.outcome.is_none() {
            match self.connection.poll(self.link.now(), &mut self.inbox) {
                Ok(Some(ready)) => match self.inbox.event(ready) {
                    // Whoever was held back has waited, and has sent.
                    Event::Writable => {}
                    Event::Closed(outcome) => {
                        self.outcome = Some(outcome);
                        self.link.shut_down();
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
                    let _ = self.flush();
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// All input has been taken in: does what is due, writes, does what the transport needs, and waits for
    /// more, but no longer than `until`.
    fn turn(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.connection.handle_timeout(self.link.read_at());
        // Where nothing can be written, what has come in can still be read.
        if !self.link.write_failed() {
            match self.flush() {
                // Where all that comes in is discarded, only writing is left.
                Err(error) if would_block(&error) && self.connection.receiver().is_done() => {
                    return Err(error);
                }
                Err(error) if !would_block(&error) && !self.is_closing() => return Err(error),
                _ => {}
            }
        }
        if self.connection.poll_transport() == Some(TransportAction::HalfClose) {
            self.connection.handle_half_closed();
            if !self.link.half_close() {
                // Only all of it can be closed.
                self.connection.handle_eof();
            }
        }
        if self.connection.ready_state() == ReadyState::Closed {
            return Ok(());
        }
        let due = self.connection.poll_timeout();
        let deadline = [due, until].into_iter().flatten().min();
        let space = self.connection.read_space(&mut self.inbox);
        match self.link.read(space, deadline) {
            Ok(Some(0)) => self.connection.handle_eof(),
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
                    return Err(error);
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

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &S {
        self.link.stream()
    }

    /// The stream, to be changed but neither read nor written. The time outs of its socket are not yours: they
    /// follow the timers of the connection, and [`recv_timeout`](Self::recv_timeout).
    #[must_use]
    pub const fn stream_mut(&mut self) -> &mut S {
        self.link.stream_mut()
    }

    /// The stream, the connection, and what has arrived and not been taken in: go on with this inbox, as a part of a
    /// message may lie in it.
    #[must_use]
    pub fn into_parts(self) -> (S, Connection, Inbox) {
        (self.link.into_stream(), self.connection, self.inbox)
    }
}

impl WebSocket<TcpStream> {
    /// Takes the WebSocket apart: a half that receives, for one thread, and a half that sends, for any
    /// number of others. What receiving owes to the peer is sent by the receiving half.
    ///
    /// # Errors
    ///
    /// The socket cannot be shared.
    pub fn split(self) -> std::io::Result<(Reader, Writer)> {
        split(self.link, self.connection, self.inbox, self.outcome)
    }
}

/// The means to answer an event. What it sends is queued, and goes out before
/// [`WebSocket::next`] blocks, or earlier where much is queued.
#[derive(Debug)]
pub struct Responder<'w, S> {
    pub(super) link: &'w mut Link<S>,
    pub(super) sender: &'w mut Sender<Outbox>,
    pub(super) desk: Option<&'w Desk>,
}

impl<S: Write> Responder<'_, S> {
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused; never as [`SendError::Blocked`], as it is waited until there is
    /// room. [`Error::Io`] where the stream fails at that.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_text(text))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_binary(data))
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_fragment(&mut self, kind: Kind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_fragment(kind, data, fin))
    }

    /// Sends a message that owns its data; see [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let mut waiting = message.into();
        loop {
            match self.sender.send(waiting) {
                Ok(()) => return Ok(()),
                Err(refused) if refused.error == SendError::Blocked => {
                    write_out(self.link, self.sender, self.desk)?;
                    waiting = refused.message;
                }
                Err(refused) => return Err(refused.error.into()),
            }
        }
    }

    /// Sends a message prepared for many connections.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.unblocked(|sender| sender.send_prepared(prepared))
    }

    /// The next message goes out as it is, whatever was agreed on; see [`Sender::uncompressed`].
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.sender.uncompressed();
        self
    }

    /// Sends a Ping; see [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let now = self.link.tick();
        self.unblocked(|sender| sender.ping(now, payload))
    }

    /// Sends a Pong; see [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.unblocked(|sender| sender.pong(payload))
    }

    /// Closes the connection; see [`Sender::close`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] where it is refused.
    pub fn close(&mut self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        Ok(self.sender.close(self.link.tick(), code, reason)?)
    }

    /// Sends, and where too much waits, writes it and sends again.
    fn unblocked(
        &mut self,
        mut send: impl FnMut(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        while let Err(error) = send(self.sender) {
            if error != SendError::Blocked {
                return Err(error.into());
            }
            write_out(self.link, self.sender, self.desk)?;
        }
        Ok(())
    }
}

/// How long a write may be held up before a timer runs out over it. The application may have been busy for
/// long, and what the peer has sent meanwhile lies unread; but that it takes what is written shows it alive.
const GRACE: Duration = Duration::from_secs(1);

/// Writes all that is queued, unless the connection ends over it. `desk` is where another thread that
/// receives leaves what it owes.
pub(super) fn write_out<S: Write>(
    link: &mut Link<S>,
    sender: &mut Sender<Outbox>,
    desk: Option<&Desk>,
) -> Result<(), Error> {
    let settle = |sender: &mut Sender<Outbox>, now| {
        if let Some(desk) = desk {
            desk.settle(sender, now);
        }
    };
    let mut progress = link.tick();
    loop {
        settle(sender, link.now());
        let mut slices = [&[][..]; MAX_SLICES];
        let len = sender.poll_transmit(&mut slices);
        let waiting = slices.get(..len).unwrap_or_default();
        let grace = if sender.close_state() == State::Open { GRACE } else { Duration::ZERO };
        let due = sender.poll_timeout().map(|due| due.max(progress + grace));
        // A write that blocks hears nothing of what is laid on the desk.
        let look_up = desk.and_then(Desk::nap).map(|nap| link.now() + nap);
        let deadline = [due, look_up].into_iter().flatten().min();
        if waiting.is_empty() {
            if link.flush(deadline)? || sender.close_state() == State::Ended {
                return Ok(());
            }
        } else {
            match link.write(waiting, deadline) {
                Ok(Some(n)) => {
                    progress = link.now();
                    sender.transmitted(progress, n);
                    continue;
                }
                Ok(None) => sender.transmitted(link.now(), 0),
                Err(error) => {
                    sender.transmitted(link.now(), 0);
                    return Err(error.into());
                }
            }
        }
        settle(sender, link.now());
        if due.is_some_and(|due| due <= link.now()) {
            sender.handle_timeout(link.now());
        }
    }
}

pub(super) fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
