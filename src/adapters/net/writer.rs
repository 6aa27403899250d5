//! The sending half of a split WebSocket, for any number of threads.
//!
//! A call locks the sending side (`split.rs`), queues a frame, and writes the queue (`write_driver.rs`). It keeps the
//! lock until the stream has taken the whole queue, so the messages of two threads never mix. Before and after the lock
//! is released, the call also writes the replies that the [`Reader`](super::Reader) has stored.
//!
//! Invariants:
//! - A call first runs the timers that are due, and then queues its message. Only `try_send` runs no timers.
//! - After a call has released the lock, it wakes a reader that waits for the lock.

use core::mem;
use core::time::Duration;
#[cfg(doc)]
use std::io::ErrorKind;
use std::prelude::v1::*;
use std::sync::Arc;

use super::interest::would_block;
use super::split::{Half, LockedOut, Shared};
use super::write_driver::Output;
use crate::adapters::error::Error;
use crate::{
    CloseCode, Message, MessageKind, Outbox, Prepared, ReadyState, SendError, SendOptions, Sender,
    UnsentMessage,
};
#[cfg(doc)]
use crate::{Event, Outcome};

/// The sending half of a blocking WebSocket, made by [`WebSocket::split`](super::WebSocket::split). Clones share the
/// connection.
///
/// Whole messages of two threads never mix. Fragments can mix: if two threads send fragments of the same kind, all
/// these fragments become parts of one message. So let only one thread at a time send a message in fragments.
///
/// # Blocking and timeouts
///
/// A call blocks until other threads that are sending have finished, and then until the stream has taken the message.
/// If the peer does not read and sends nothing, the timers of [`Config`](crate::Config) end the connection. If the
/// application has set the socket to non-blocking mode, a call that would block returns [`Error::Io`] with
/// [`ErrorKind::WouldBlock`]. After this error the reader writes the rest of the queue.
///
/// Only [`try_send`](Self::try_send) returns [`SendError::Blocked`]. The other calls block while the write queue is
/// full.
///
/// # Several threads
///
/// The methods that send take `&mut self`, so each thread needs its own clone. A clone is cheap: it only increments a
/// reference count.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

type WriterOutput<'w> = Output<'w, Half, Sender<Outbox>>;

impl Writer {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a text message. Blocks until the stream has taken the message.
    ///
    /// The other methods that send block in the same way, except [`try_send`](Self::try_send). Instead of returning
    /// [`SendError::Blocked`], they block while the write queue is full.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    ///
    /// After a failed write, a later call that sends still queues its message if the queue has space, and then returns
    /// the error. The message is never written.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.with(|out| out.queue(|sender| sender.send_text(text)))
    }

    /// Sends a binary message. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.with(|out| out.queue(|sender| sender.send_binary(data)))
    }

    /// Sends a fragment of a message (RFC 6455 section 5.4). Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send_fragment`] describes the arguments. Until the last fragment was sent, whole messages from other
    /// threads are refused with [`SendError::MessageOpen`]. Fragments of the same kind from other threads are accepted,
    /// and become parts of the message.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message of the other kind is open. Nothing was
    ///   sent.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.with(|out| out.queue(|sender| sender.send_fragment(kind, data, fin)))
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
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), Error> {
        self.with(|out| out.queue(|sender| sender.send_fragment_with(kind, data, fin, options)))
    }

    /// Sends a message that owns its data. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.with(|out| out.queue_message(message.into(), SendOptions::new()))
    }

    /// Sends a message that owns its data, with options. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_with(&mut self, message: impl Into<Message>, options: SendOptions) -> Result<(), Error> {
        self.with(|out| out.queue_message(message.into(), options))
    }

    /// Sends a message that was [prepared](Prepared) once for many connections. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a fragmented message is open. Nothing was sent.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.with(|out| out.queue(|sender| sender.send_prepared(prepared)))
    }

    /// Queues a message that owns its data.
    ///
    /// The message is written by the next call of a `Writer` that sends, by [`flush`](Self::flush), or by the
    /// [`Reader`](super::Reader) after its next read.
    ///
    /// Blocks until other threads that are sending have finished. If the queue is full, the call also writes the queue,
    /// and blocks until the queue accepts the message.
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
        self.only_queue(|out| out.queue_message(message.into(), SendOptions::new()))
    }

    /// Queues a message that was [prepared](Prepared) once for many connections. The message is written at the same
    /// time as a message of [`feed`](Self::feed).
    ///
    /// Blocks like [`Self::feed`].
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
        self.only_queue(|out| out.queue(|sender| sender.send_prepared(prepared)))
    }

    /// Queues a message without waiting, and writes as much of the queue as the stream takes now.
    ///
    /// If the stream does not take everything, the next call of any `Writer` that sends or feeds writes the rest. The
    /// [`Reader`](super::Reader) also writes the rest, after its next read. A read of the `Reader` ends when input
    /// arrives, and at the latest after the shortest timeout of [`Config`](crate::Config), by default 10 seconds.
    /// `end_timeout` does not count. The read does not end if all timeouts are off and the peer sends nothing. So a
    /// program that makes no further call should call [`flush`](Self::flush), in a thread that may block.
    ///
    /// If another thread is sending, that thread also writes the message. A [`close`](Self::close) of any thread is
    /// sent after all messages that were accepted before. If the peer closes or the connection fails first, the message
    /// may be dropped, and the next [`flush`](Self::flush) returns [`SendError::Closed`].
    ///
    /// If the queue is full, the call first writes as much of the queue as the stream takes now. This call does not run
    /// timers. Over a stream without timeouts, such as one from [`from_parts`](super::WebSocket::from_parts) with `|_|
    /// None`, the write can block.
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
    pub fn try_send(&mut self, message: impl Into<Message>) -> Result<(), UnsentMessage> {
        let message = message.into();
        let sent = match self.shared.try_lock() {
            Some(mut out) => {
                let sent = out.output().try_queue(message);
                // A reply of the reader, such as the answer to a Close, is written even if the message is refused. If
                // the message is refused because the queue is full, the call has already written.
                if !sent.as_ref().is_err_and(|refused| refused.error == SendError::Blocked) {
                    out.write_now();
                }
                sent
            }
            None => {
                let pending = self.shared.pending();
                pending.messages().push(message, pending.status())
            }
        };
        self.after_release(|out| out.write_now());
        sent
    }

    /// Sends a Ping (RFC 6455 section 5.5.2). Blocks like [`Self::send_text`].
    ///
    /// The [`Reader`](super::Reader) returns the Pong as [`Event::Pong`], and [`round_trip`](Self::round_trip) returns
    /// the time between the Ping and this Pong.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload is longer than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD). Nothing was sent.
    /// - [`Error::Send`] with [`SendError::Closed`]: closing has begun, or a queued message was dropped because the
    ///   peer closed or the connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The frame may be in
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.with(|out| out.queue_ping(payload))
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
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.with(|out| out.queue(|sender| sender.pong(payload)))
    }

    /// Starts the closing handshake by sending a Close (RFC 6455 section 7.1.2). Blocks like [`Self::send_text`].
    ///
    /// If another thread is sending, that thread queues the Close behind its message. From then on
    /// [`Config::close_timeout`](crate::Config::close_timeout) bounds both calls. If this timeout is off, or the stream
    /// has no timeouts, nothing bounds the two calls. [`Sender::close`] describes the arguments.
    ///
    /// `Ok` means that closing has begun and no message was dropped. The connection can still end before the Close is
    /// written. The [`Reader`](super::Reader) returns the [`Outcome`], which is clean if both endpoints have sent a
    /// Close.
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
    ///   the queue, from which the reader writes it later.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn close(
        &mut self,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), Error> {
        let (code, reason) = (code.into(), reason.as_ref());
        if let Some(out) = self.shared.try_lock() {
            return self.run(out, |out| out.queue_close(code, reason), |out, _| out.write());
        }
        // Another thread has the lock. It queues the Close, and the close timeout then bounds its write.
        let requested = self.shared.pending().request_close(code, reason);
        let close = |out: &mut WriterOutput<'_>| match requested.as_ref().and_then(|result| result.get()) {
            Some(result) => Ok((*result)?),
            None => out.queue_close(code, reason),
        };
        self.run(self.shared.lock(), close, |out, _| out.write())
    }

    /// Writes the whole queue, and flushes the stream. Blocks until other threads that are sending have finished, and
    /// then until the stream has taken the whole queue.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: a queued message was dropped because the peer closed or the
    ///   connection ended.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and full. The reader writes
    ///   the rest of the queue.
    /// - [`Error::Io`] with another kind: the stream failed, now or earlier. Nothing more can be sent.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.with(|_| Ok(()))
    }

    /// Returns the number of bytes in the write queue, frame headers included.
    ///
    /// Never waits for a thread that is sending. While a thread is writing, the number is updated after each of its
    /// writes.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        let pending = self.shared.pending();
        pending.status().buffered_amount().saturating_add(pending.messages().bytes())
    }

    /// Returns the state of the connection, with the values of the browser's `readyState`.
    ///
    /// Never waits for a thread that is sending. While a thread is sending, a change of the state is visible only after
    /// the next write of this thread, or when its call returns.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.shared.pending().status().ready_state()
    }

    /// Returns the time from the last answered Ping to its Pong, or `None` before the first Pong.
    ///
    /// If a thread is writing when the Pong arrives, the new time is available once that thread has finished.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.pending().round_trip()
    }

    /// Sends a binary message. If the stream is in non-blocking mode and full, the call returns an error only if the
    /// message was not queued. The rest of a queued message is written later.
    pub(super) fn queue_bytes(&self, data: &[u8]) -> Result<(), Error> {
        let send = |out: &mut WriterOutput<'_>| {
            out.make_space().and_then(|()| out.queue(|sender| sender.send_binary(data)))
        };
        self.run(self.shared.lock(), send, |out, _| match out.write() {
            Err(error) if would_block(&error) => Ok(()),
            written => written,
        })
    }

    /// Locks the sending side, and calls [`Self::run`] to queue a frame and write the queue.
    fn with(&self, send: impl FnOnce(&mut WriterOutput<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.run(self.shared.lock(), |out| out.make_space().and_then(|()| send(out)), |out, _| out.write())
    }

    /// Locks the sending side, and calls [`Self::run`] to queue a frame without writing it.
    ///
    /// The call may move stored replies or messages of other threads into the queue. In this case it also writes as
    /// much as the stream takes now, because the other threads rely on the thread that holds the lock. The call also
    /// writes the rest that a call without waiting has left, because the reader may be blocked in a read.
    fn only_queue(&self, send: impl FnOnce(&mut WriterOutput<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let write = |out: &mut LockedOut<'_>, moved| {
            if moved || out.has_rest() {
                out.write_now();
            }
            Ok(())
        };
        self.run(self.shared.lock(), |out| out.make_space().and_then(|()| send(out)), write)
    }

    /// Runs the timers that are due, queues a frame with `send`, calls `write`, and wakes a reader that waits for the
    /// lock. The second argument of `write` is true if replies or messages of other threads were moved into the queue.
    fn run(
        &self,
        mut out: LockedOut<'_>,
        send: impl FnOnce(&mut WriterOutput<'_>) -> Result<(), Error>,
        write: impl FnOnce(&mut LockedOut<'_>, bool) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let before = out.sender().buffered_amount();
        let on_time = out.output().keep_time();
        let moved = out.sender().buffered_amount() > before;
        // The frame is queued even if writing has failed. It can be a Close, which must start the close timeout.
        let sent = on_time.and(send(&mut out.output()));
        let sent = sent.and(write(&mut out, moved));
        drop(out);
        // Other threads expect that this thread writes the messages that they stored during its write. So this call
        // blocks once for them. Further writes do not block, because other threads may store messages without end. An
        // error is ignored, because the next read or send reports the failed stream.
        let mut blocks = true;
        self.after_release(|out| if mem::take(&mut blocks) { out.write().is_ok() } else { out.write_now() });
        sent
    }

    /// Writes the replies and messages that other threads have stored while this thread held the lock. Wakes a reader
    /// that waits for the lock.
    fn after_release(&self, write: impl FnMut(&mut LockedOut<'_>) -> bool) {
        self.shared.write_replies(write);
        self.shared.pending().wake_reader();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::adapters::net::{Client, Server};
    use crate::{Event, SendError};

    #[test]
    fn round_trip_does_not_wait_for_a_writing_thread() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = std::format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut ws = Server::new().accept(listener.accept().unwrap().0).unwrap();
            while ws.recv().unwrap().is_some() {}
        });
        let (mut reader, mut writer) = Client::new().connect(&url).unwrap().split().unwrap();
        writer.ping(b"").unwrap();
        assert_eq!(writer.round_trip(), None);
        assert!(matches!(reader.next_event(), Ok(Some(Event::Pong(_)))));
        let _writing = writer.shared.lock();
        assert!(writer.round_trip().is_some());
        drop(_writing);
        writer.close(CloseCode::NORMAL, "").unwrap();
        while reader.next_event().unwrap().is_some() {}
        server.join().unwrap();
    }

    /// A split WebSocket over TCP, and the stream of its peer.
    fn halves() -> (crate::adapters::net::Reader, Writer, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = crate::Connection::server(crate::Instant::ZERO, crate::Config::new(), Outbox::new());
        let inbox = crate::Inbox::empty();
        let ws = crate::adapters::net::WebSocket::from_stream(stream, connection, inbox);
        let (reader, writer) = ws.split().unwrap();
        (reader, writer, listener.accept().unwrap().0)
    }

    /// The thread that stored the message has found the lock taken, and expects that the holder of the lock writes it.
    #[test]
    fn a_feed_writes_the_messages_that_other_threads_have_stored() {
        let (_reader, mut writer, _peer) = halves();
        let pending = writer.shared.pending();
        pending.messages().push(Message::from("stored"), pending.status()).unwrap();
        writer.feed("fed").unwrap();
        assert_eq!(writer.buffered_amount(), 0);
        writer.feed("fed").unwrap();
        assert_eq!(writer.buffered_amount(), 5);
    }

    #[test]
    fn s5_5_1_after_a_close_a_message_is_refused_even_if_the_lock_is_taken() {
        let (_reader, mut writer, _peer) = halves();
        let mut other = writer.clone();
        let writing = writer.shared.lock();
        other.try_send("in time").unwrap();
        drop(writing);
        writer.close(CloseCode::NORMAL, "").unwrap();
        let _writing = writer.shared.lock();
        let refused = other.try_send("late").unwrap_err();
        assert_eq!(refused, UnsentMessage { error: SendError::Closed, message: "late".into() });
    }
}
