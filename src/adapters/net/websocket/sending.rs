//! The methods of a blocking [`WebSocket`] that send.
//!
//! Each method queues one frame through a [`Responder`], and then writes the whole write queue (`write_driver.rs`).
//! `feed` and the messages of [`WebSocket::responder`] are only queued. `run_loop.rs` writes them when the application
//! receives.
//!
//! Invariant: a call that sends handles timers that are due before it queues its message.

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
    /// Blocks until the stream has taken the whole queue. The peer may send during the wait: what it sends meanwhile is
    /// read ahead, up to 64 KiB, for the next call that receives.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun or the connection has ended. This message or
    ///   earlier ones were refused, or were accepted and then dropped.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The message may
    ///   be in the queue. Wait for [`Error::interest`] and call [`flush`](Self::flush).
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier.
    ///
    /// [`SendError::Blocked`] is not returned: the call waits instead.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.and_write(|responder| responder.send_text(text))
    }

    /// Sends a binary message. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::send_text`] lists.
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.and_write(|responder| responder.send_binary(data))
    }

    /// Sends a fragment of a message (RFC 6455 section 5.4). Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send_fragment`](crate::Sender::send_fragment) describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a message of another kind is open.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Self::send_text`]
    ///   lists.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.and_write(|responder| responder.send_fragment(kind, data, fin))
    }

    /// Sends a fragment of a message, with options. Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send_fragment_with`](crate::Sender::send_fragment_with) describes the arguments.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::send_fragment`] lists.
    pub fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.and_write(|responder| responder.send_fragment_with(kind, data, fin, options))
    }

    /// Sends a message that owns its data. Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send`](crate::Sender::send) says which messages are sent without being copied.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::send_text`] lists.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.and_write(|responder| responder.send(message))
    }

    /// Sends a message that owns its data, with options. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::send_text`] lists.
    pub fn send_with(&mut self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.and_write(|responder| responder.send_with(message, options))
    }

    /// Sends a message that was [prepared](Prepared) for many connections. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::send_text`] lists.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.and_write(|responder| responder.send_prepared(prepared))
    }

    /// Sends a Ping (RFC 6455 section 5.5.2). Blocks like [`Self::send_text`].
    ///
    /// The Pong arrives as [`Event::Pong`], and updates [`round_trip`](Self::round_trip).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload has more than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD) bytes.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Self::send_text`]
    ///   lists.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.and_write(|responder| responder.ping(payload))
    }

    /// Sends an unsolicited Pong (RFC 6455 section 5.5.3). Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::ping`] lists.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.and_write(|responder| responder.pong(payload))
    }

    /// Queues a message that owns its data. The next [`flush`](Self::flush) writes it, or any other call that writes.
    ///
    /// Blocks only if the queue is full, to write the queue.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`] or [`SendError::MessageOpen`]: the message was refused.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the queue is full and the stream is in non-blocking mode. The
    ///   message was not queued, and is dropped.
    /// - [`Error::Io`] with another kind: the queue was full, and the stream failed.
    pub fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.responder().send(message)
    }

    /// Queues a message that was [prepared](Prepared) for many connections. It is written when a message of
    /// [`feed`](Self::feed) is.
    ///
    /// Blocks only if the queue is full, to write the queue.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Self::feed`] lists.
    pub fn feed_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.responder().send_prepared(prepared)
    }

    /// Queues a message without waiting, and writes as much of the queue as the stream takes now.
    ///
    /// The rest is written by the next call that sends, or before a call that receives blocks.
    ///
    /// If the queue is full, what the stream takes now is written first. Timers do not run in this call. Over a stream
    /// without timeouts, such as one from [`from_parts`](Self::from_parts) with `|_| None`, a write can block.
    ///
    /// # Errors
    ///
    /// [`UnsentMessage`] hands the message back, and nothing of it is sent. Its error is
    ///
    /// - [`SendError::Blocked`]: the queue is full, because the peer reads too slowly. Block in [`feed`](Self::feed) or [`flush`](Self::flush),
    ///   or drop the message.
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
    /// // A client that reads nothing costs the high-water mark and one message, and no time.
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
        // The stream keeps the error of this write, and returns it with the next write.
        let _ = self.run.output().write_now();
        Ok(())
    }

    /// Starts the closing handshake by sending a Close (RFC 6455 section 7.1.2). Blocks like [`Self::send_text`].
    ///
    /// Afterwards call [`next_event`](Self::next_event) or [`wait_closed`](Self::wait_closed) until the end of the
    /// connection. [`Sender::close`](crate::Sender::close) describes the arguments.
    ///
    /// `Ok` means that closing has begun and no message was dropped. The connection can end before the Close is
    /// written. [`wait_closed`](Self::wait_closed) returns the [`Outcome`]: it is clean if both Closes were exchanged.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::CodeNotAllowed`] or [`SendError::ReasonTooLong`]: the Close was refused, and
    ///   the connection stays open.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Self::send_text`]
    ///   lists.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        self.and_write(|responder| responder.close(code, reason))
    }

    /// Writes the whole queue, and flushes the stream. Blocks until the stream has taken everything.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: messages that had been accepted will not be written, because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. Wait for
    ///   [`Error::interest`] and call again.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.run.output().keep_time()?;
        self.run.output().flush()
    }

    /// Returns a [`Responder`], whose messages are queued and not written at once.
    pub const fn responder(&mut self) -> Responder<'_, S> {
        Responder::new(self.run.output())
    }

    /// Queues a frame with `send`, and writes the queue.
    fn and_write(
        &mut self,
        send: impl FnOnce(&mut Responder<'_, S>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.run.output().keep_time()?;
        send(&mut self.responder())?;
        self.run.output().flush()
    }
}
