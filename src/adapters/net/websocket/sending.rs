//! The methods of a blocking [`WebSocket`] that send.
//!
//! Each method queues one frame through a [`Responder`], and then writes the whole write queue (`write_driver.rs`).
//! `feed` and the methods of [`WebSocket::responder`] queue a message, and write the queue only if it is full. The next
//! call that sends or receives writes the queued messages.
//!
//! Invariant: a call that sends first runs the timers that are due, and then queues its frame. The exceptions are
//! `try_send`, which runs no timers, and the `feed` calls, which run timers only while the queue is full.

#[cfg(doc)]
use std::io::ErrorKind;
use std::prelude::v1::*;

use super::WebSocket;
use crate::adapters::error::Error;
use crate::adapters::net::responder::Responder;
use crate::{CloseCode, Message, MessageKind, Prepared, SendOptions, UnsentMessage};
#[cfg(doc)]
use crate::{Event, Outcome, SendError};

impl<S> WebSocket<S> {
    /// Sends a text message.
    ///
    /// Blocks until the stream has taken the whole queue. During the wait the call also reads what the peer sends, up
    /// to 64 KiB, and keeps it for the next call that receives.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The message may be
    ///   in the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    ///
    /// The call does not return [`SendError::Blocked`]. It blocks while the write queue is full.
    ///
    /// After a failed write, a later call that sends still queues its message if the queue has space, and then returns
    /// the error. The message is never written. [`try_send`](Self::try_send) refuses such a message, and returns it.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send_text(text))
    }

    /// Sends a binary message. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send_binary(data))
    }

    /// Sends a fragment of a message (RFC 6455 section 5.4). Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send_fragment`](crate::Sender::send_fragment) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   sent.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send_fragment(kind, data, fin))
    }

    /// Sends a fragment of a message, with options. Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send_fragment_with`](crate::Sender::send_fragment_with) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   sent.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send_fragment_with(kind, data, fin, options))
    }

    /// Sends a message that owns its data. Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send`](crate::Sender::send) tells which messages are not copied.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send(message))
    }

    /// Sends a message that owns its data, with options. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_with(&mut self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send_with(message, options))
    }

    /// Sends a message that was [prepared](Prepared) once for many connections. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.send_prepared(prepared))
    }

    /// Sends a Ping (RFC 6455 section 5.5.2). Blocks like [`Self::send_text`].
    ///
    /// The Pong arrives as [`Event::Pong`], and updates [`round_trip`](Self::round_trip).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was sent.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.ping(payload))
    }

    /// Sends an unsolicited Pong (RFC 6455 section 5.5.3). Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was sent.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.pong(payload))
    }

    /// Queues a message that owns its data. The next call that writes, for example [`flush`](Self::flush), writes the
    /// message.
    ///
    /// If the queue is full, the call writes the queue, and blocks until the queue accepts the message.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the queue is full, and the stream is in non-blocking mode and
    ///   full. The message was not queued, and is lost.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    ///
    /// After a failed write, the call still queues the message if the queue has space, and can return `Ok`. The message
    /// is never written, and the next [`flush`](Self::flush) returns an error.
    pub fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message)
    }

    /// Queues a message that was [prepared](Prepared) once for many connections. The message is written at the same
    /// time as a message of [`feed`](Self::feed).
    ///
    /// If the queue is full, the call writes the queue, and blocks until the queue accepts the message.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun. Nothing was queued.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the queue is full, and the stream is in non-blocking mode and
    ///   full. The message was not queued, and is lost.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed while the call wrote the queue.
    ///   Nothing more can be sent.
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared)
    }

    /// Queues a message without waiting, and writes as much of the queue as the stream takes now.
    ///
    /// The next call that sends writes the rest. A call that receives also writes the rest, before that call blocks.
    ///
    /// If the queue is full, the call first writes as much of the queue as the stream takes now. This call does not run
    /// timers. Over a stream without timeouts, such as one from [`from_parts`](Self::from_parts) with `|_| None`, the
    /// write can block.
    ///
    /// # Errors
    ///
    /// The error is an [`UnsentMessage`], which returns the message. No part of the message was sent. The field `error`
    /// is one of:
    ///
    /// - [`SendError::Blocked`]: the queue is full, because the peer reads too slowly. Wait for space with
    ///   [`feed`](Self::feed) or [`flush`](Self::flush), or drop the message.
    /// - [`SendError::MessageOpen`]: a fragmented message is open.
    /// - [`SendError::Closed`]: closing has begun, or a write has failed before.
    ///
    /// ```
    /// use hybi::SendError;
    /// use hybi::adapters::net::{Client, Server};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let url = format!("ws://{}/", listener.local_addr()?);
    /// let client = std::thread::spawn(move || Client::new().connect(&url).unwrap());
    /// let mut ws = Server::new().accept(listener.accept()?.0)?;
    /// let slow = client.join().unwrap();
    ///
    /// // If the client reads nothing, the queue grows to the high-water mark plus one message.
    /// let refused = loop {
    ///     if let Err(refused) = ws.try_send(vec![7; 100_000]) {
    ///         break refused;
    ///     }
    /// };
    /// assert_eq!((refused.error, refused.message.len()), (SendError::Blocked, 100_000));
    /// # drop(slow);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        self.responder().try_send(message)?;
        // An error of this write is stored. The next write returns it.
        let _ = self.run.output().write_now();
        Ok(())
    }

    /// Starts the closing handshake by sending a Close (RFC 6455 section 7.1.2). Blocks like [`Self::send_text`].
    ///
    /// This call does not wait for the peer's Close. Afterwards call [`wait_closed`](Self::wait_closed), or call
    /// [`next_event`](Self::next_event) until it returns `None`. [`Sender::close`](crate::Sender::close) describes the
    /// arguments.
    ///
    /// `Ok` means that closing has begun and no message was dropped. The connection can still end before the Close is
    /// written. [`wait_closed`](Self::wait_closed) returns the [`Outcome`], which is clean if both endpoints have sent
    /// a Close.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::CodeNotAllowed`]: this role must not send `code`, or there is a reason but
    ///   no code. The connection stays open.
    /// - [`Error::Send`] with [`SendError::ReasonTooLong`]: `reason` is longer than
    ///   [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN). The connection stays open.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue. Wait for the conditions that [`Error::interest`] returns, and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        self.run_timers_and_send(|responder| responder.close(code, reason))
    }

    /// Writes the whole queue, and flushes the stream. Blocks until the stream has taken everything.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: a queued message was dropped because the peer closed or the
    ///   connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. Wait for the
    ///   conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.run.output().keep_time()?;
        self.run.output().flush()
    }

    /// Returns a [`Responder`], which queues frames that a later call writes.
    pub const fn responder(&mut self) -> Responder<'_, S> {
        Responder::new(self.run.output())
    }

    /// Runs the timers that are due, queues a frame with `send`, and writes the queue.
    fn run_timers_and_send(
        &mut self,
        send: impl FnOnce(&mut Responder<'_, S>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let on_time = self.run.output().keep_time();
        // The frame is queued even if writing has failed. It can be a Close, which must start the close timeout.
        let sent = send(&mut self.responder());
        on_time.and(sent)?;
        self.run.output().flush()
    }
}
