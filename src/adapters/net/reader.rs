//! The receiving half of a split WebSocket, and its run loop.
//!
//! [`Reader`] decodes the input that has arrived. When all input is decoded, the loop performs a turn: it runs the
//! timers, writes and reads. A part of the turn needs the lock of the sending side, which the writers also use:
//!
//! ```text
//!   ┌──▶ decode ── event ──▶ store and write the reply ──▶ the caller
//!   │       │ no event
//!   │       ▼
//!   │    with the lock, if no other thread has it: timers that are due ──▶ write what the stream takes ──▶ read
//!   └─────────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! `split.rs` has the lock and the state that both halves share. `run_loop.rs` has the loop of a WebSocket that is not
//! split. `receive.rs` has the calls that use either loop.
//!
//! Invariants:
//! - The reader never blocks on the lock while the connection is open, so a slow write of another thread cannot delay
//!   the reader. When the input has ended, the reader may wait for the writing thread, for at most [`WRITE_TIME_SLICE`]
//!   at a time. After a failure the reader aborts the stream, which ends a blocked write, before it waits for the lock.
//! - The thread that holds the lock runs the timers. If no thread holds the lock, the reader runs them. The reader
//!   checks the timers at least once per [`max_block_time`](super::thread_replies::ThreadReplies::max_block_time), the
//!   longest time for which it blocks in a read.

use core::ops::ControlFlow;
use core::time::Duration;
use std::io::ErrorKind;
use std::prelude::v1::*;
use std::sync::Arc;

use super::deadline_stream::DeadlineStream;
use super::interest::{Interest, would_block};
use super::receive::{Ending, Receive};
use super::split::{Half, Shared};
use super::thread_replies::SHORTEST_NAP;
use super::write_driver::WRITE_TIME_SLICE;
use crate::CloseState;
#[cfg(doc)]
use crate::SendError;
use crate::adapters::error::Error;
use crate::{
    CloseFrame, Delivery, EofPosition, Event, EventIndex, Inbox, Instant, Message, Outcome, PendingReply,
    Receiver,
};

/// The receiving half of a blocking WebSocket, made by [`WebSocket::split`](super::WebSocket::split).
///
/// The reader answers Pings and Closes, and runs the timers. So a thread must always call
/// [`next_event`](Self::next_event) or [`recv`](Self::recv), until the connection has ended.
///
/// If the thread is busy and nobody reads, the Pong of a live peer waits in the socket. So the peer counts as alive as
/// long as the stream takes the bytes that the [`Writer`](super::Writer)s write. The same is true after the reader was
/// dropped: the peer counts as dead only if the peer stops reading. To end the connection instead, call
/// [`Writer::close`](super::Writer::close).
///
/// # Blocking and timeouts
///
/// A call blocks until there is an event or a message. [`next_event_timeout`](Self::next_event_timeout) and
/// [`recv_timeout`](Self::recv_timeout) read for a given time at most. If the peer does not read, a
/// [`Writer`](super::Writer) blocks, but the reader still reads. If the application has set the socket to non-blocking
/// mode, a call that would block returns [`Error::Io`] with [`ErrorKind::WouldBlock`]. [`Error::interest`] returns the
/// conditions to wait for.
///
/// # The end of the stream
///
/// A peer that has sent a Close and then half-closes the stream may still read. So the adapter completes the frame that
/// a [`Writer`](super::Writer) has begun, and then writes our Close.
/// [`Config::close_timeout`](crate::Config::close_timeout) bounds both writes. If the stream ends without a Close from
/// the peer, a blocked call of a `Writer` returns at once.
#[derive(Debug)]
pub struct Reader {
    link: DeadlineStream<Half>,
    receiver: Receiver,
    inbox: Inbox,
    ending: Ending,
    /// True if the connection had already ended when the WebSocket was created from it, with `from_stream` or
    /// `from_parts`. The outcome was returned to an earlier owner of the connection.
    had_ended: bool,
    shared: Arc<Shared>,
    /// The time when the stream was too full for a Pong. `None` if the last reply was written.
    no_space_at: Option<Instant>,
}

/// The conditions that end the wait in a read.
struct Wait {
    /// The time at which the read must end although no input has arrived.
    deadline: Option<Instant>,
    /// True if the stream was full and did not take the whole queue.
    stalled: bool,
}

impl Reader {
    pub(super) const fn new(
        link: DeadlineStream<Half>,
        receiver: Receiver,
        inbox: Inbox,
        ending: Ending,
        shared: Arc<Shared>,
    ) -> Self {
        Self { link, receiver, inbox, ending, had_ended: false, shared, no_space_at: None }
    }

    /// Returns the next event, or `None` after [`Event::Closed`]. Blocks until there is an event.
    ///
    /// # Errors
    ///
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no event yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read failed while the connection was open.
    ///
    /// After each of these errors, further calls return the events that follow, up to [`Event::Closed`].
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        Ok(self.ready(None)?.map(|ready| self.inbox.event(ready)))
    }

    /// Returns the next event like [`Self::next_event`], and reads for `timeout` at most.
    ///
    /// If `timeout` is zero, the call does not block. It returns an event only if an event has already arrived.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`ErrorKind::TimedOut`]: no event came within `timeout`. Nothing is lost: call this method
    ///   again.
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no event yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read failed while the connection was open.
    pub fn next_event_timeout(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        let until = self.link.read_clock() + timeout;
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
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and there is no message yet.
    ///   Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method again.
    /// - [`Error::Io`] with another kind: a read failed while the connection was open.
    ///
    /// After each of these errors, further calls return the messages that follow, and then `None`.
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.next_message(None)
    }

    /// Returns the next message like [`Self::recv`], and reads for `timeout` at most.
    ///
    /// If `timeout` is zero, the call does not block. It returns a message only if a message has already arrived.
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
    /// - [`Error::Io`] with another kind: a read failed while the connection was open.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        self.next_message(Some(timeout))
    }

    /// Blocks until the connection has ended, and returns its outcome. Discards the messages that arrive.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`] with [`SendError::Closed`]: the connection had already ended when the WebSocket was created
    ///   from it. The outcome was returned to an earlier owner of the connection.
    /// - [`Error::Protocol`], once: the peer broke the protocol. A Close with the code of the violation was queued.
    /// - [`Error::Io`] with [`ErrorKind::WouldBlock`]: the stream is in non-blocking mode, and the connection has not
    ///   ended yet. Nothing is lost: wait for the conditions that [`Error::interest`] returns, and call this method
    ///   again.
    /// - [`Error::Io`] with another kind: a read failed while the connection was open.
    ///
    /// After `Protocol` and `Io`, call this method again. The further call continues to the end.
    pub fn wait_closed(&mut self) -> Result<Outcome, Error> {
        self.run_to_end()
    }

    /// Returns how the connection ended, or `None` until a call that receives has reached the end.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.ending.outcome()
    }

    /// Returns the Close that the peer sent, with its code and reason. The Close stays available after the end.
    ///
    /// Returns `None` if no Close has arrived, or if the peer's Close was not valid.
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.receiver.peer_close()
    }

    /// Sets whether [`recv`](Self::recv) returns [`Error::Ended`] once if the connection ends without a Close from the
    /// peer. [`WebSocket::error_on_abnormal_end`](super::WebSocket::error_on_abnormal_end) gives the details.
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.ending.error_on_abnormal_end(on);
    }

    /// Sets how messages are delivered from the next message on.
    pub(super) fn set_delivery(&mut self, delivery: Delivery) {
        self.receiver.set_delivery(delivery);
    }

    /// Returns the input that was received.
    pub(super) const fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Stores a reply, and writes the stored replies unless another thread holds the lock or the stream is full.
    fn send_reply(&mut self, reply: PendingReply) {
        let Self { link, shared, no_space_at, .. } = self;
        let is_pong = matches!(reply, PendingReply::Pong(_));
        shared.pending().owe(reply);
        // Each turn writes the stored replies before it reads, so a Pong can wait for the next turn. If the stream has
        // no non-blocking mode, one attempt to write takes some milliseconds. A peer that sends many Pings must not
        // cause such an attempt for each Ping.
        if is_pong && no_space_at.is_some_and(|at| link.read_clock() < at + WRITE_TIME_SLICE) {
            return;
        }
        *no_space_at = None;
        shared.write_replies(|out| {
            let written = out.write_now();
            if !written {
                *no_space_at = Some(out.now());
            }
            written
        });
    }

    /// Performs one turn of the loop: runs the timers, writes as much as the stream takes, and reads once. Call this
    /// only when all input is decoded. Does not block beyond `until`. Returns the last event if the connection has
    /// ended.
    fn turn(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        match self.run_sender(until)? {
            ControlFlow::Break(ready) => return Ok(ready),
            ControlFlow::Continue(mut wait) => {
                // While this thread held the lock, a writer may have stored a message instead of waiting for the lock.
                // This thread writes the message before it blocks in a read.
                self.shared.write_replies(|out| {
                    let written = out.write_now();
                    if !written {
                        wait = Wait { deadline: Some(out.now() + WRITE_TIME_SLICE), stalled: true };
                    }
                    written
                });
                self.read(&wait, until)?;
            }
        }
        Ok(None)
    }

    /// If no other thread holds the lock, runs the timers and writes as much as the stream takes. Returns `Continue`
    /// with the conditions to wait for. Returns `Break` at the end: with the last event, or with `None` if an earlier
    /// owner got that event.
    fn run_sender(&mut self, until: Option<Instant>) -> Result<ControlFlow<Option<EventIndex>, Wait>, Error> {
        let max_block_time = self.shared.pending().max_block_time();
        let Some(mut out) = self.shared.try_lock() else {
            // The thread that holds the lock runs the timers. Without the lock the next deadline is unknown, so this
            // thread tries again soon. After the peer's Close there is always a reason to try again: the other thread
            // may write our Close, which starts `Config::end_timeout`. A further reason is output that the last read
            // has produced, for example an answer of TLS. The other thread may have flushed the stream before this
            // read.
            let retries = max_block_time.is_some()
                || self.receiver.peer_close().is_some()
                || self.link.check_output_of_reads();
            let nap = max_block_time.map_or(SHORTEST_NAP, |time| time.min(SHORTEST_NAP));
            let deadline = retries.then(|| self.link.read_clock() + nap);
            return Ok(ControlFlow::Continue(Wait { deadline, stalled: false }));
        };
        let mut deadline = max_block_time.map(|max_block_time| self.link.read_clock() + max_block_time);
        let now = out.read_clock();
        out.apply_replies(now);
        out.sender().handle_timeout(self.link.read_at());
        if out.sender().close_state() == CloseState::Failed {
            self.receiver.handle_ended();
        }
        let written = match self.link.input_has_ended() {
            true => out.write_until(until)?,
            false => out.write_now(),
        };
        if !written {
            deadline = Some(out.now() + WRITE_TIME_SLICE);
        }
        while let Some(ready) = out.sender().poll() {
            if let Event::Closed(outcome) = self.inbox.event(ready) {
                self.ending.end(outcome);
                return Ok(ControlFlow::Break(Some(ready)));
            }
            // `Writable` needs no handling: a call that finds the queue full writes the queue itself, in its own
            // thread.
        }
        if out.sender().close_state() == CloseState::Ended {
            self.had_ended = true;
            return Ok(ControlFlow::Break(None));
        }
        deadline = [out.sender().poll_timeout(), deadline].into_iter().flatten().min();
        #[cfg(feature = "deflate")]
        if let Some(at) = out.sender().release_at().filter(|_| self.receiver.can_release_inflater()) {
            if at <= self.link.read_at() {
                self.receiver.release_inflater();
            } else {
                deadline = Some(deadline.map_or(at, |deadline| deadline.min(at)));
            }
        }
        Ok(ControlFlow::Continue(Wait { deadline, stalled: !written }))
    }

    /// Reads once, and handles the result. Does not block beyond `until`.
    fn read(&mut self, wait: &Wait, until: Option<Instant>) -> Result<(), Error> {
        let Wait { deadline: due, stalled } = *wait;
        let deadline = [due, until].into_iter().flatten().min();
        let space = self.receiver.read_space(&mut self.inbox);
        self.shared.pending().read_begins(self.link.now());
        let read = self.link.read(space, deadline);
        if !matches!(read, Ok(Some(1..))) {
            self.shared.pending().read_found_nothing(self.link.read_at());
        }
        if matches!(&read, Ok(None))
            || read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        {
            self.handle_silence();
        }
        match read {
            Ok(Some(0)) => self.end_input(stalled, deadline),
            Ok(Some(n)) => {
                self.inbox.handle_read(n);
                // The input may have been read ahead, long before this call.
                let input_at = self.link.take_undecoded_since().unwrap_or(self.link.read_at());
                self.shared.pending().set_read_at(input_at, self.link.read_at());
            }
            Ok(None) if stalled || deadline != due => {}
            Ok(None) => {
                // A timer was due before any input arrived. So the connection is idle, and its empty buffers are freed.
                self.inbox.release_idle();
                if let Some(mut out) = self.shared.try_lock() {
                    out.sender().release_idle();
                }
            }
            Err(error) => {
                let error = Error::Io(error);
                if would_block(&error) {
                    let now = self.link.now();
                    let within = deadline.map(|deadline| deadline.saturating_duration_since(now));
                    return Err(Interest { readable: true, writable: stalled, within }.into());
                }
                // While the connection is closing, a read error counts as the end of the stream.
                if self.end() == CloseState::Open {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Runs the timers that are due, after a read has found nothing. Writes the Ping or the Close that they cause, as
    /// far as the stream takes it, because the caller may return. If another thread has the lock, that thread runs the
    /// timers, and this call tells it that nothing has arrived.
    fn handle_silence(&self) {
        if let Some(mut out) = self.shared.try_lock() {
            let now = out.read_clock();
            out.apply_replies(now);
            out.sender().handle_all_decoded();
            out.sender().handle_timeout(self.link.read_at());
            out.write_now();
        } else {
            self.shared.pending().all_decoded();
        }
        // While this thread held the lock, a writer may have stored a message instead of waiting for the lock.
        self.shared.write_replies(|out| out.write_now());
    }

    /// Handles the end of the stream. The queue is written first, because a peer that has half-closed the stream may
    /// still read.
    ///
    /// If another thread is writing, there are two cases:
    ///
    /// - The peer has sent a Close, or `stalled` is true: the stream was full in this turn. In this case this call
    ///   waits for the writing thread, but not beyond `deadline`, and for [`WRITE_TIME_SLICE`] at most. The next read
    ///   returns the end again. The close timeout bounds the writing thread.
    /// - Otherwise the write of the other thread is aborted.
    fn end_input(&mut self, stalled: bool, deadline: Option<Instant>) {
        let Self { link, receiver, shared, .. } = self;
        let (position, now) = (receiver.eof_position(), link.now());
        let Some(mut out) = shared.try_lock() else {
            if stalled || receiver.peer_close().is_some() {
                link.keep_end();
                shared.pending().owe(PendingReply::PeerHalfClosed(position));
                let left =
                    deadline.map_or(WRITE_TIME_SLICE, |deadline| deadline.saturating_duration_since(now));
                shared.wait_for_writer(left.min(WRITE_TIME_SLICE));
            } else {
                // Without a Close from the peer the connection has failed (RFC 6455 section 7.1.7), so a blocked write
                // is aborted.
                self.end();
            }
            return;
        };
        out.apply_replies(now);
        let is_out = !stalled && out.output().is_out();
        if is_out || out.write_failed() {
            out.sender().handle_eof(position);
        } else {
            link.keep_end();
            out.sender().handle_peer_half_closed(now, position);
        }
    }

    /// Ends the connection after the stream has failed, or has ended without a Close. Returns the close state before
    /// the call.
    fn end(&mut self) -> CloseState {
        let Self { link, shared, .. } = self;
        let mut out = shared.try_lock().unwrap_or_else(|| {
            // Another thread may block in a write. The abort ends this write, and that thread then releases the lock.
            link.abort();
            shared.lock()
        });
        out.apply_replies(link.read_clock());
        let before = out.sender().close_state();
        out.sender().handle_eof(self.receiver.eof_position());
        before
    }
}

impl Receive for Reader {
    fn read_clock(&mut self) -> Instant {
        self.link.read_clock()
    }

    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let mut had_turn = false;
        while self.ending.outcome().is_none() && !self.had_ended {
            let polled = self.receiver.poll(&mut self.inbox);
            if self.receiver.last_poll_had_data() {
                self.shared.pending().received(true);
            }
            match polled {
                Ok(Some(ready)) => {
                    if let Some(reply) = self.inbox.reply(ready) {
                        self.send_reply(reply);
                    }
                    if self.inbox.remaining() == 0 {
                        self.shared.pending().set_decoded_all(true);
                    }
                    return Ok(Some(ready));
                }
                Ok(None) if had_turn && until.is_some_and(|until| until <= self.link.now()) => {
                    return Err(Error::Io(ErrorKind::TimedOut.into()));
                }
                Ok(None) => {
                    self.shared.pending().set_decoded_all(true);
                    if let Some(ready) = self.turn(until)? {
                        return Ok(Some(ready));
                    }
                    had_turn = true;
                }
                Err(error) => {
                    self.send_reply(error.into());
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    fn received(&mut self) -> (&mut Inbox, &mut Ending) {
        (&mut self.inbox, &mut self.ending)
    }

    fn position(&self) -> EofPosition {
        self.receiver.eof_position()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{Connection, Outbox};

    #[test]
    fn a_reader_without_the_lock_looks_at_the_timers_again_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = Connection::server(Instant::ZERO, crate::Config::new(), Outbox::new());
        let ws = crate::adapters::net::WebSocket::from_stream(stream, connection, Inbox::empty());
        let (mut reader, _writer) = ws.split().unwrap();
        let shared = Arc::clone(&reader.shared);
        let writing = shared.lock();
        let before = std::time::Instant::now();
        assert_eq!(reader.turn(None).unwrap(), None);
        // The shortest timeout of the connection is ten seconds.
        assert!(before.elapsed() < Duration::from_secs(5));
        drop(writing);
    }

    #[test]
    fn s7_1_1_a_reader_without_the_lock_tries_again_after_the_close_of_the_peer() {
        use std::io::Write;

        use crate::Config;

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        // Only the timer for the end of the stream is on.
        let config = Config::new().ping_interval(None).pong_timeout(None).close_timeout(None);
        let connection = Connection::client(Instant::ZERO, config, Outbox::new(), [1; 32]);
        let ws = crate::adapters::net::WebSocket::from_stream(stream, connection, Inbox::empty());
        let (mut reader, _writer) = ws.split().unwrap();
        let shared = Arc::clone(&reader.shared);
        let writing = shared.lock();
        let deadline = |reader: &mut Reader| match reader.run_sender(None).unwrap() {
            ControlFlow::Continue(wait) => Some(wait.deadline),
            ControlFlow::Break(_) => None,
        };
        assert_eq!(deadline(&mut reader), Some(None));
        peer.write_all(b"\x88\x02\x03\xE8").unwrap();
        assert!(matches!(reader.next_event().unwrap(), Some(Event::CloseReceived { .. })));
        assert!(matches!(deadline(&mut reader), Some(Some(_))));
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
        let (mut reader, _writer) = ws.split().unwrap();
        let shared = Arc::clone(&reader.shared);
        let deadline = || {
            let mut out = shared.lock();
            let now = out.read_clock();
            out.apply_replies(now);
            out.sender().poll_timeout().unwrap()
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
        use std::thread;

        use crate::adapters::net::{Client, Server};

        use std::sync::mpsc::channel;

        use crate::Config;
        use crate::deflate::Compression;
        use crate::handshake::{DeflateConfig, DeflateOffer};

        let release_after = Some(Duration::from_millis(60));
        let compression = Compression::new().release_after(release_after);
        // Only the timer that releases the window runs.
        let config = Config::new().compression(compression).ping_interval(None).close_timeout(None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = std::format!("ws://{}", listener.local_addr().unwrap());
        let (done, wait) = channel::<()>();
        let client = thread::spawn(move || {
            let mut ws = Client::new().deflate(DeflateOffer::default()).connect(&url).unwrap();
            ws.send_text(&"to and fro ".repeat(100)).unwrap();
            // Each message postpones the release of the window. So the client waits longer after each message, until
            // one wait is long enough for the release.
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
        assert!(reader.receiver.can_release_inflater());
        while reader.receiver.can_release_inflater() {
            assert_eq!(reader.recv().unwrap(), Some("as it is".into()));
        }
        done.send(()).unwrap();
        client.join().unwrap();
    }
}
