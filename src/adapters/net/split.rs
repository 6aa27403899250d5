//! A blocking WebSocket in two halves: a [`Reader`] for one thread, and a [`Writer`] for any number of threads.
//!
//! ```text
//!   Reader ── receiver, inbox, stream to read ──┐                            ┌── ThreadReplies: replies, wakeups
//!                                               ├──▶ Shared, in an Arc ──────┤
//!   Writer, cloned at will ─────────────────────┘                            └── Out, locked: sender, stream to write
//! ```
//!
//! The reader decodes a Ping or a Close and must have it answered. The reply is stored in [`ThreadReplies`]. The reader
//! writes the reply if no other thread holds the lock on [`Out`]. Otherwise the thread with the lock writes the reply.
//!
//! This file decides which half does what, and when. `write_driver.rs` writes the queue, and `thread_replies.rs`
//! stores the replies and wakes the reader.
//!
//! Invariants:
//! - The reader never blocks on the lock of [`Out`] while the connection is open, so a slow write cannot delay it.
//!   Once input has ended, it waits for the writer in slices of at most [`SLICE`]. After a failure it aborts the
//!   stream first, which ends a blocked write.
//! - A thread that releases the lock checks for replies once more, so no reply is left behind.
//! - The timers are handled by the thread that holds the lock. The reader looks at the timers at least once
//!   per [`nap`](ThreadReplies::nap).

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::prelude::v1::*;
use std::sync::Arc;

use super::deadline_stream::{DeadlineStream, HalfClose};
use super::interest::{Interest, would_block};
use super::responder::Responder;
use super::stream::Stream;
use super::thread_replies::{SHORTEST_NAP, ThreadReplies};
use super::write_driver::{Output, SLICE};
use crate::CloseState;
use crate::adapters::error::{Error, end_of_messages};
use crate::adapters::lock::{lock, try_lock};
use crate::adapters::sync::Mutex;
use crate::{
    CloseCode, CloseFrame, Connection, EofPosition, Event, EventIndex, Inbox, Instant, Message, MessageKind,
    Outbox, Outcome, PendingReply, Prepared, Receiver, SendError, Sender, TransportAction,
};

/// The state that both halves share.
#[derive(Debug)]
struct Shared {
    pending: ThreadReplies,
    out: Mutex<Out>,
}

/// A stream that can be used from two threads.
type Half = Box<dyn Stream + Send>;

/// The sending side of the connection, and the stream that it writes to. It stays locked while a write blocks.
#[derive(Debug)]
struct Out {
    link: DeadlineStream<Half>,
    sender: Sender<Outbox>,
}

impl Out {
    fn output<'w>(&'w mut self, pending: &'w ThreadReplies) -> Output<'w, Half> {
        Output { link: &mut self.link, sender: &mut self.sender, pending: Some(pending) }
    }

    /// Writes the whole queue, then half-closes or ends the stream if the core asks for it. The reader may wait for
    /// either.
    fn write(&mut self, pending: &ThreadReplies) -> Result<(), Error> {
        let written = self.output(pending).flush();
        self.end_transport();
        written
    }

    /// Writes as much as the stream takes without blocking, for the reader, which must not stop reading. Returns
    /// whether everything was written.
    fn write_now(&mut self, pending: &ThreadReplies) -> bool {
        // The next read reports a stream that has failed.
        let written = self.output(pending).write_now().unwrap_or(self.link.write_failed());
        self.end_transport() && written
    }

    /// Writes the queue for a reader whose input has ended. Blocks until `until` at most. Returns whether everything
    /// was written.
    fn write_until(&mut self, pending: &ThreadReplies, until: Option<Instant>) -> Result<bool, Error> {
        let written = match self.output(pending).write_or_hear(until) {
            Err(error) if would_block(&error) => return Err(error),
            Err(_) => true,
            Ok(()) => self.output(pending).is_out(),
        };
        Ok(self.end_transport() && written)
    }

    /// Half-closes or ends the stream if the core asks for it. Returns `false` if the stream is full, and the call must
    /// be repeated.
    fn end_transport(&mut self) -> bool {
        let Self { link, sender } = self;
        match sender.poll_transport() {
            Some(TransportAction::HalfClose) => match link.half_close(Some(link.now())) {
                HalfClose::Waits => return false,
                HalfClose::Done => sender.handle_half_closed(),
                HalfClose::Impossible => {
                    sender.handle_half_closed();
                    // The stream has no half-close, so both directions end now.
                    sender.handle_eof(EofPosition::BetweenMessages);
                    link.abort();
                }
            },
            Some(TransportAction::Abort) => link.abort(),
            Some(_) => {
                link.half_close(Some(link.now()));
                // The reader may block in a read, which the abort ends.
                link.abort();
            }
            None => {}
        }
        true
    }
}

impl Shared {
    /// Blocks until no thread writes, but for `most` at the longest.
    fn wait_for_writer(&self, most: Duration) {
        self.pending.wait_unless(|| try_lock(&self.out).is_some(), most);
    }

    /// Writes the stored replies with `write`.
    ///
    /// If another thread holds the lock, that thread writes the replies: it applies them before it releases the lock,
    /// and calls this method after the release.
    fn write_replies(&self, mut write: impl FnMut(&mut Out, &ThreadReplies)) {
        while self.pending.has_replies() {
            let Some(mut out) = try_lock(&self.out) else { return };
            write(&mut out, &self.pending);
        }
    }
}

/// The receiving half of a blocking WebSocket, made by [`WebSocket::split`](super::WebSocket::split).
///
/// The reader answers Pings and Closes and runs the timers, so keep it in a call of [`next_event`](Self::next_event) or
/// [`recv`](Self::recv).
///
/// # Blocking and timeouts
///
/// A call blocks until there is an event or a message. [`next_event_timeout`](Self::next_event_timeout) and
/// [`recv_timeout`](Self::recv_timeout) read for a given time at most. The reader continues to read while a peer that
/// does not read blocks a [`Writer`] or the reader's own replies. If the application has set the socket to non-blocking
/// mode, a call that would block returns [`Error::Io`] with [`ErrorKind::WouldBlock`].
///
/// # The end of the stream
///
/// A peer that has sent a Close and half-closes the stream may still read. A frame that a [`Writer`] has begun is
/// written to its end, followed by our Close. [`Config::close_timeout`](crate::Config::close_timeout) bounds both. If
/// the stream ends without a Close from the peer, a blocked writer is freed at once.
#[derive(Debug)]
pub struct Reader {
    link: DeadlineStream<Half>,
    receiver: Receiver,
    inbox: Inbox,
    shared: Arc<Shared>,
    /// When a reply last found the stream full.
    no_room_at: Option<Instant>,
    outcome: Option<Outcome>,
    /// True if the connection had ended before the split. An earlier owner got its outcome.
    had_ended: bool,
    /// True while an end that is not clean is yet to be returned as an error.
    error_on_abnormal_end: bool,
}

/// The sending half of a blocking WebSocket, made by [`WebSocket::split`](super::WebSocket::split). Clones share the
/// connection.
///
/// # Blocking and timeouts
///
/// A call blocks until the stream has taken the message, and until other threads that are sending have finished. The
/// timers of [`Config`](crate::Config) end the connection if the peer stops reading and stays silent. If the
/// application has set the socket to non-blocking mode, a call that would block returns [`Error::Io`] with
/// [`ErrorKind::WouldBlock`]. The reader then writes the rest of the queue.
///
/// # Errors
///
/// Every method that sends returns
///
/// - [`Error::Send`] with [`SendError::Closed`] if closing has begun or the connection has ended: this message or
///   earlier ones were refused, or were accepted and then dropped;
/// - [`Error::Send`] with [`SendError::MessageOpen`] if a fragmented message is open, except for control frames;
/// - [`Error::Io`] with [`ErrorKind::WouldBlock`] if the stream is in non-blocking mode and full: the message may be in
///   the queue;
/// - [`Error::Io`] with another kind if the stream failed, now or earlier.
///
/// [`SendError::Blocked`] is not returned: the call waits instead.
#[derive(Clone, Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

pub(super) fn split<S: Stream + Send + 'static>(
    link: DeadlineStream<S>,
    connection: Connection,
    inbox: Inbox,
    outcome: Option<Outcome>,
    error_on_abnormal_end: bool,
) -> io::Result<(Reader, Writer)> {
    let (receiver, sender) = connection.into_halves();
    let pending = ThreadReplies::new(&sender);
    let [link, writes] = link.take_apart()?;
    let shared = Arc::new(Shared { pending, out: Mutex::new(Out { link: writes, sender }) });
    let writer = Writer { shared: Arc::clone(&shared) };
    let (no_room_at, had_ended) = (None, false);
    let reader =
        Reader { link, receiver, inbox, shared, no_room_at, outcome, had_ended, error_on_abnormal_end };
    Ok((reader, writer))
}

impl Reader {
    /// Returns the next event, or `None` after [`Event::Closed`]. Blocks until there is an event.
    ///
    /// # Errors
    ///
    /// - [`Error::Protocol`], once: the peer broke the protocol, and a Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode and there is no event yet.
    ///   Nothing is lost: wait for [`Error::interest`] and call again.
    /// - [`Error::Io`] with another kind: the stream failed.
    ///
    /// After each of these errors, further calls return the events that are left, up to [`Event::Closed`].
    #[expect(clippy::should_implement_trait, reason = "the event borrows, which an iterator's item cannot")]
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        Ok(self.ready(None)?.map(|ready| self.inbox.event(ready)))
    }

    /// Returns the next event like [`Self::next_event`], and reads for `timeout` at most.
    ///
    /// With a `timeout` of zero the call does not block. It returns an event that has arrived.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no event came within `timeout`. Nothing is lost: call again.
    /// - [`Error::Protocol`] and [`Error::Io`] with other kinds under the conditions that [`Self::next_event`] lists.
    pub fn next_event_timeout(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        let until = self.link.tick() + timeout;
        Ok(self.ready(Some(until))?.map(|ready| self.inbox.event(ready)))
    }

    /// Returns the next message, which owns its data, or `None` after the end of the connection.
    ///
    /// Blocks until there is a message or the connection has ended.
    ///
    /// # Errors
    ///
    /// - [`Error::Ended`], once, if [`error_on_abnormal_end`](Self::error_on_abnormal_end) is on: the connection ended
    ///   without a Close from the peer.
    /// - [`Error::Protocol`] and [`Error::Io`] under the conditions that [`Self::next_event`] lists. Further calls return the
    ///   messages that are left, and then `None`.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.recv_until(None)
    }

    /// Returns the next message like [`Self::recv`], and reads for `timeout` at most.
    ///
    /// With a `timeout` of zero the call does not block. It returns a message that has arrived.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no message came within `timeout`. Nothing is lost: call again.
    /// - [`Error::Ended`], [`Error::Protocol`] and [`Error::Io`] with other kinds under the conditions that
    ///   [`Self::recv`] lists.
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

    /// Reads and discards messages until the connection has ended, and returns its outcome. Blocks until then.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: the connection had ended before the split, so its outcome was
    ///   returned elsewhere.
    /// - [`Error::Protocol`] and [`Error::Io`] under the conditions that [`Self::next_event`] lists. A further call continues
    ///   to the end.
    pub fn wait_closed(&mut self) -> Result<Outcome, Error> {
        loop {
            if let Some(outcome) = self.outcome {
                return Ok(outcome);
            }
            if self.ready(None)?.is_none() && self.outcome.is_none() {
                return Err(SendError::Closed.into());
            }
        }
    }

    /// Returns how the connection ended, once [`Event::Closed`] was returned.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Returns the Close that the peer sent, with its code and reason. The Close stays available after the end.
    ///
    /// `None` means that no valid Close has arrived.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.receiver.peer_close()
    }

    /// Sets whether [`recv`](Self::recv) returns [`Error::Ended`] once if the connection ends without a Close from the
    /// peer. [`WebSocket::error_on_abnormal_end`](super::WebSocket::error_on_abnormal_end) gives the details.
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.error_on_abnormal_end = on;
    }

    /// Runs the loop until there is an event, but not beyond `until`.
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let mut looked = false;
        while self.outcome.is_none() && !self.had_ended {
            let polled = self.receiver.poll(&mut self.inbox);
            if self.receiver.saw_data() {
                self.shared.pending.received(true);
            }
            match polled {
                Ok(Some(ready)) => {
                    if let Some(reply) = self.inbox.reply(ready) {
                        self.send_reply(reply);
                    }
                    return Ok(Some(ready));
                }
                Ok(None) if looked && until.is_some_and(|until| until <= self.link.now()) => {
                    return Err(Error::Io(ErrorKind::TimedOut.into()));
                }
                Ok(None) => {
                    if let Some(ready) = self.turn(until)? {
                        return Ok(Some(ready));
                    }
                    looked = true;
                }
                Err(error) => {
                    self.send_reply(error.into());
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// Stores a reply, and writes it unless another thread does or the stream is full.
    fn send_reply(&mut self, reply: PendingReply) {
        let Self { link, shared, no_room_at, .. } = self;
        let is_pong = matches!(reply, PendingReply::Pong(_));
        shared.pending.owe(reply);
        // Each turn tries to write the stored replies before it reads. If the stream has no non-blocking mode, an
        // attempt takes some milliseconds: too long for each Ping of a flood.
        if is_pong && no_room_at.is_some_and(|at| link.tick() < at + SLICE) {
            return;
        }
        *no_room_at = None;
        shared.write_replies(|out, pending| {
            if !out.write_now(pending) {
                *no_room_at = Some(out.link.now());
            }
        });
    }

    /// Makes one turn of the loop: handles timers, writes what the stream takes, and reads once. All input has been
    /// decoded. The call does not block beyond `until`.
    fn turn(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let Shared { pending, out } = &*self.shared;
        // The thread that holds the lock handles the timers meanwhile. Without the lock the next deadline is unknown,
        // so this thread looks again soon.
        let mut deadline = pending.nap().map(|nap| self.link.tick() + nap.min(SHORTEST_NAP));
        let mut stalled = false;
        if let Some(mut out) = try_lock(out) {
            deadline = pending.nap().map(|nap| self.link.now() + nap);
            let now = out.link.tick();
            pending.apply(&mut out.sender, now);
            out.sender.handle_timeout(self.link.read_at());
            if out.sender.close_state() == CloseState::Failed {
                self.receiver.handle_ended();
            }
            let written = match self.link.input_has_ended() {
                true => out.write_until(pending, until)?,
                false => out.write_now(pending),
            };
            if !written {
                (stalled, deadline) = (true, Some(out.link.now() + SLICE));
            }
            while let Some(ready) = out.sender.poll() {
                if let Event::Closed(outcome) = self.inbox.event(ready) {
                    self.outcome = Some(outcome);
                    return Ok(Some(ready));
                }
                // `Writable` needs no handling: a send that finds the queue full writes it in its own thread.
            }
            if out.sender.close_state() == CloseState::Ended {
                self.had_ended = true;
                return Ok(None);
            }
            deadline = [out.sender.poll_timeout(), deadline].into_iter().flatten().min();
            #[cfg(feature = "deflate")]
            if let Some(at) = out.sender.release_at().filter(|_| self.receiver.holds_window()) {
                if at <= self.link.read_at() {
                    self.receiver.release_window();
                } else {
                    deadline = Some(deadline.map_or(at, |deadline| deadline.min(at)));
                }
            }
        }
        let due = deadline;
        deadline = [due, until].into_iter().flatten().min();
        let space = self.receiver.read_space(&mut self.inbox);
        match self.link.read(space, deadline) {
            Ok(Some(0)) => self.end_input(stalled, deadline),
            Ok(Some(n)) => {
                self.inbox.handle_read(n);
                pending.received(false);
            }
            Ok(None) if stalled || deadline != due => {}
            Ok(None) => {
                // No input came until a timer was due: the connection is idle, and frees buffers that are empty.
                self.inbox.release_idle();
                if let Some(mut out) = try_lock(out) {
                    out.sender.release_idle();
                }
            }
            Err(error) => {
                let error = Error::Io(error);
                if would_block(&error) {
                    let now = self.link.now();
                    let within = deadline.map(|deadline| deadline.saturating_duration_since(now));
                    return Err(Interest { readable: true, writable: stalled, within }.into());
                }
                // While the connection closes, a read error ends it just as the end of the stream does.
                if self.end() == CloseState::Open {
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Handles the end of the stream. The queue is written before the connection ends, because a peer that has
    /// half-closed may still read.
    ///
    /// If another thread is writing, this call blocks until that thread has written its frame and our Close, but not
    /// beyond `deadline`. The close timeout bounds the writing thread.
    fn end_input(&mut self, stalled: bool, deadline: Option<Instant>) {
        let Self { link, receiver, shared, .. } = self;
        let (cut, now) = (receiver.cut(), link.now());
        let Some(mut out) = try_lock(&shared.out) else {
            if stalled || receiver.peer_close().is_some() {
                link.keep_end();
                shared.pending.owe(PendingReply::InputEnded(cut));
                let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(now));
                shared.wait_for_writer(left.min(SLICE));
            } else {
                // RFC 6455 7.1.7: without a Close the connection has failed, so a blocked write is aborted.
                self.end();
            }
            return;
        };
        shared.pending.apply(&mut out.sender, now);
        let is_out = !stalled && out.output(&shared.pending).is_out();
        if is_out || out.link.write_failed() {
            out.sender.handle_eof(cut);
        } else {
            link.keep_end();
            out.sender.handle_input_ended(now, cut);
        }
    }

    /// Ends the connection after the stream has failed. Returns the close state before the failure.
    fn end(&mut self) -> CloseState {
        let Self { link, shared, .. } = self;
        let Shared { pending, out } = &**shared;
        let mut out = try_lock(out).unwrap_or_else(|| {
            // Another thread may block in a write. The abort ends that write, so that the lock becomes free.
            link.abort();
            lock(out)
        });
        let Out { link, sender } = &mut *out;
        pending.apply(sender, link.tick());
        let before = sender.close_state();
        sender.handle_eof(self.receiver.cut());
        before
    }
}

impl Writer {
    /// Sends a text message. Blocks until the stream has taken it.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Writer`] lists.
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.with(|responder| responder.send_text(text))
    }

    /// Sends a binary message. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Writer`] lists.
    pub fn send_binary(&self, data: &[u8]) -> Result<(), Error> {
        self.with(|responder| responder.send_binary(data))
    }

    /// Sends a fragment of a message (RFC 6455 section 5.4). Blocks like [`Self::send_text`].
    ///
    /// [`Sender::send_fragment`] describes the arguments. While the message is open, whole messages from other threads
    /// are refused with [`SendError::MessageOpen`]. Fragments of the same kind from other threads are not refused, and
    /// become part of the message.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::MessageOpen`]: a message of another kind is open.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Writer`] lists.
    pub fn send_fragment(&self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.with(|responder| responder.send_fragment(kind, data, fin))
    }

    /// Sends a message that owns its data. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Writer`] lists.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.with(|responder| responder.send(message))
    }

    /// Sends a message uncompressed, even if compression was negotiated. Blocks like [`Self::send_text`].
    ///
    /// [`Sender::uncompressed`] gives the details.
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Writer`] lists.
    pub fn send_uncompressed(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.with(|responder| responder.uncompressed().send(message))
    }

    /// Sends a message that was [prepared](Prepared) for many connections. Blocks like [`Self::send_text`].
    ///
    /// # Errors
    ///
    /// [`Error::Send`] and [`Error::Io`] under the conditions that [`Writer`] lists.
    pub fn send_prepared(&self, prepared: &Prepared) -> Result<(), Error> {
        self.with(|responder| responder.send_prepared(prepared))
    }

    /// Sends a Ping (RFC 6455 section 5.5.2). Blocks like [`Self::send_text`].
    ///
    /// The Pong arrives as [`Event::Pong`] at the [`Reader`], and updates [`round_trip`](Self::round_trip).
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::ControlTooLong`]: the payload has more than
    ///   [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD) bytes.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Writer`] lists.
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.with(|responder| responder.ping(payload))
    }

    /// Starts the closing handshake by sending a Close (RFC 6455 section 7.1.2). Blocks like [`Self::send_text`].
    ///
    /// The [`Reader`] receives the end of the connection. [`Sender::close`] describes the arguments.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::CodeNotAllowed`] or [`SendError::ReasonTooLong`]: the Close was refused, and
    ///   the connection stays open.
    /// - [`Error::Send`] with [`SendError::Closed`], and [`Error::Io`], under the conditions that [`Writer`] lists.
    pub fn close(&self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        self.with(|responder| responder.close(code, reason))
    }

    /// Returns the time from the last answered Ping to its Pong.
    ///
    /// If a thread is writing when the Pong arrives, the new time is available once that thread has finished.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.pending.round_trip()
    }

    /// Queues a frame with `send`, writes the queue, and wakes a reader that waits for the lock.
    fn with(&self, send: impl FnOnce(&mut Responder<'_, Half>) -> Result<(), Error>) -> Result<(), Error> {
        let Shared { pending, out } = &*self.shared;
        let sent = {
            let mut out = lock(out);
            let on_time = out.output(pending).keep_time();
            let sent = on_time.and_then(|()| send(&mut Responder { out: out.output(pending) }));
            sent.and(out.write(pending))
        };
        self.shared.write_replies(|out, pending| {
            // The next read or send reports a stream that has failed.
            let _ = out.write(pending);
        });
        self.shared.pending.wake_reader();
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::adapters::net::{Client, Server};

    #[test]
    fn round_trip_does_not_wait_for_a_writing_thread() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = std::format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut ws = Server::new().accept(listener.accept().unwrap().0).unwrap();
            while ws.recv().unwrap().is_some() {}
        });
        let (mut reader, writer) = Client::new().connect(&url).unwrap().split().unwrap();
        writer.ping(b"").unwrap();
        assert_eq!(writer.round_trip(), None);
        assert!(matches!(reader.next_event(), Ok(Some(Event::Pong(_)))));
        let _writing = lock(&writer.shared.out);
        assert!(writer.round_trip().is_some());
        drop(_writing);
        writer.close(CloseCode::NORMAL, "").unwrap();
        while reader.next_event().unwrap().is_some() {}
        server.join().unwrap();
    }

    #[test]
    fn a_reader_without_the_lock_looks_at_the_timers_again_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = Connection::server(Instant::ZERO, crate::Config::new(), Outbox::new());
        let ws = crate::adapters::net::WebSocket::from_stream(stream, connection, Inbox::empty());
        let (mut reader, writer) = ws.split().unwrap();
        let writing = lock(&writer.shared.out);
        let before = std::time::Instant::now();
        assert_eq!(reader.turn(None).unwrap(), None);
        // The shortest timer of the connection runs for ten seconds.
        assert!(before.elapsed() < Duration::from_secs(5));
        drop(writing);
    }

    #[test]
    fn data_before_a_ping_restarts_the_idle_timer() {
        use crate::adapters::net::WebSocket;
        use crate::{Config, Instant};
        use std::io::Write;
        use std::net::TcpStream;

        // Only the idle timer runs.
        let config = Config::new().ping_interval(None).pong_timeout(None).close_timeout(None);
        let connection = Connection::client(
            Instant::ZERO,
            config.idle_timeout(Some(Duration::from_secs(3600))),
            Outbox::new(),
            [1; 32],
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let ws = WebSocket::from_parts(stream, |stream| Some(stream), connection, Inbox::empty());
        let (mut reader, writer) = ws.split().unwrap();
        let deadline = || {
            let mut out = lock(&writer.shared.out);
            let now = out.link.tick();
            writer.shared.pending.apply(&mut out.sender, now);
            out.sender.poll_timeout().unwrap()
        };
        let mut last = deadline();
        for (bytes, data) in [
            (&b"\x89\x01p"[..], false),
            (b"\x02\x03abc\x89\x01p", true),
            (b"\x8a\x00", false),
            (b"\x80\x02de\x89\x01p", true),
        ] {
            peer.write_all(bytes).unwrap();
            let mut events = if bytes[0] == 0x80 { 2 } else { 1 };
            while events > 0 {
                reader.next_event().unwrap().unwrap();
                events -= 1;
            }
            let now = deadline();
            assert_eq!(now > last, data, "{bytes:?}");
            last = now;
        }
    }

    /// The memory of the receiving half cannot be observed from outside, so this test reads a private field.
    #[cfg(feature = "deflate")]
    #[test]
    fn the_reader_frees_its_inflate_window_while_it_waits() {
        use std::sync::mpsc::channel;

        use crate::Config;
        use crate::deflate::Compression;
        use crate::handshake::{DeflateConfig, DeflateOffer};

        let release_after = Some(Duration::from_millis(60));
        let compression = Compression { release_after, ..Compression::new() };
        // Only the timer that releases the window runs.
        let config = Config::new().compression(compression).ping_interval(None).close_timeout(None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = std::format!("ws://{}", listener.local_addr().unwrap());
        let (done, wait) = channel::<()>();
        let client = thread::spawn(move || {
            let mut ws = Client::new().deflate(DeflateOffer::default()).connect(&url).unwrap();
            ws.send_text(&"to and fro ".repeat(100)).unwrap();
            // Each message puts the release off, so one of the waits must be long enough.
            for n in 0..20 {
                if wait.recv_timeout(Duration::from_millis(100 + 20 * n)).is_ok() {
                    return;
                }
                ws.send_text("as it is").unwrap();
            }
        });
        let server = Server::new().config(config.pong_timeout(None)).deflate(DeflateConfig::new());
        let (mut reader, _writer) = server.accept(listener.accept().unwrap().0).unwrap().split().unwrap();
        assert_eq!(reader.recv().unwrap().unwrap().as_bytes().len(), 1100);
        assert!(reader.receiver.holds_window());
        while reader.receiver.holds_window() {
            assert_eq!(reader.recv().unwrap(), Some("as it is".into()));
        }
        done.send(()).unwrap();
        client.join().unwrap();
    }
}
