//! A WebSocket in two halves, for threads that receive and threads that send.

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

/// What both halves share.
#[derive(Debug)]
struct Shared {
    pending: ThreadReplies,
    out: Mutex<Out>,
}

/// A stream that can be used from two threads.
type Half = Box<dyn Stream + Send>;

/// What both halves send through. It is locked while a write blocks.
#[derive(Debug)]
struct Out {
    link: DeadlineStream<Half>,
    sender: Sender<Outbox>,
}

impl Out {
    fn output<'w>(&'w mut self, pending: &'w ThreadReplies) -> Output<'w, Half> {
        Output { link: &mut self.link, sender: &mut self.sender, pending: Some(pending) }
    }

    /// Writes all that is queued, and does what the transport needs then: the other half may wait for it.
    fn write(&mut self, pending: &ThreadReplies) -> Result<(), Error> {
        let written = self.output(pending).flush();
        self.end_transport();
        written
    }

    /// As [`write`](Self::write), without waiting: for the half that receives, which must not stop reading. Whether
    /// all is out.
    fn write_now(&mut self, pending: &ThreadReplies) -> bool {
        // A stream that fails shows when it is read.
        let written = self.output(pending).write_now().unwrap_or(self.link.write_failed());
        self.end_transport() && written
    }

    /// As [`write_now`](Self::write_now), for who has nothing to read any more: it waits, until `until` at most.
    fn write_until(&mut self, pending: &ThreadReplies, until: Option<Instant>) -> Result<bool, Error> {
        let written = match self.output(pending).write_or_hear(until) {
            Err(error) if would_block(&error) => return Err(error),
            Err(_) => true,
            Ok(()) => self.output(pending).is_out(),
        };
        Ok(self.end_transport() && written)
    }

    /// Does what the transport needs; whether nothing is left to be done.
    fn end_transport(&mut self) -> bool {
        let Self { link, sender } = self;
        match sender.poll_transport() {
            Some(TransportAction::HalfClose) => match link.half_close(Some(link.now())) {
                HalfClose::Waits => return false,
                HalfClose::Done => sender.handle_half_closed(),
                HalfClose::Impossible => {
                    sender.handle_half_closed();
                    // Only all of it can be closed.
                    sender.handle_eof(EofPosition::BetweenMessages);
                    link.abort();
                }
            },
            Some(TransportAction::Abort) => link.abort(),
            Some(_) => {
                link.half_close(Some(link.now()));
                // The half that receives may wait for input.
                link.abort();
            }
            None => {}
        }
        true
    }
}

impl Shared {
    /// Waits until nobody writes, but no longer than `most`.
    fn wait_for_writer(&self, most: Duration) {
        self.pending.wait_unless(|| try_lock(&self.out).is_some(), most);
    }

    /// Writes what is owed to the peer, with `write`. If a thread is writing already, it will, as it clears the desk
    /// before it leaves, and looks again once it has left.
    fn write_owed(&self, mut write: impl FnMut(&mut Out, &ThreadReplies)) {
        while self.pending.is_owing() {
            let Some(mut out) = try_lock(&self.out) else { return };
            write(&mut out, &self.pending);
        }
    }
}

/// The half that receives, of [`WebSocket::split`](super::WebSocket::split). It answers Pings and Closes and
/// runs the timers, so it must be kept in a call of [`next`](Self::next). It goes on to read while a peer that does
/// not read holds up the other half, or its own answers.
///
/// A peer that has closed and ends its half of the stream may still read. The frame that a [`Writer`] has begun is written
/// to its end, and our Close follows; [`Config::close_timeout`](crate::Config::close_timeout) bounds that. Where the stream
/// ends without a Close, a writer that is held up is freed at once.
#[derive(Debug)]
pub struct Reader {
    link: DeadlineStream<Half>,
    receiver: Receiver,
    inbox: Inbox,
    shared: Arc<Shared>,
    /// When something that this half owes last found no room.
    no_room_at: Option<Instant>,
    outcome: Option<Outcome>,
    /// The connection had ended before it came here, which was told elsewhere.
    had_ended: bool,
    /// An end that is not clean is still to be told as an error.
    error_on_abnormal_end: bool,
}

/// The half that sends, of [`WebSocket::split`](super::WebSocket::split). It can be cloned.
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
    /// The next event; `None` after [`Event::Closed`]. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    #[expect(clippy::should_implement_trait, reason = "the event borrows, which an iterator's item cannot")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        Ok(self.ready(None)?.map(|ready| self.inbox.event(ready)))
    }

    /// As [`Self::next`], but reads for `timeout` at most: zero looks what is there.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next_timeout`](super::WebSocket::next_timeout).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Event<'_>>, Error> {
        let until = self.link.tick() + timeout;
        Ok(self.ready(Some(until))?.map(|ready| self.inbox.event(ready)))
    }

    /// The next message, as one that owns its data; `None` after the end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`](super::WebSocket::next).
    pub fn recv(&mut self) -> Result<Option<Message>, Error> {
        self.recv_until(None)
    }

    /// As [`Self::recv`], but reads for `timeout` at most: zero looks what is there.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next_timeout`](super::WebSocket::next_timeout).
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
    /// As [`WebSocket::next`](super::WebSocket::next).
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

    /// How the connection ended, once it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The Close that the peer sent, with its code and reason: see
    /// [`WebSocket::peer_close`](super::WebSocket::peer_close).
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.receiver.peer_close()
    }

    /// Whether [`recv`](Self::recv) gives [`Error::Ended`] once where the messages end and the peer has not closed: see
    /// [`WebSocket::error_on_abnormal_end`](super::WebSocket::error_on_abnormal_end).
    pub fn error_on_abnormal_end(&mut self, on: bool) {
        self.error_on_abnormal_end = on;
    }

    /// Runs until an event is there, but no longer than `until`.
    fn ready(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let mut looked = false;
        while self.outcome.is_none() && !self.had_ended {
            let polled = self.receiver.poll(&mut self.inbox);
            if self.receiver.saw_data() {
                self.shared.pending.received(true);
            }
            match polled {
                Ok(Some(ready)) => {
                    if let Some(owed) = self.inbox.reply(ready) {
                        self.owe(owed);
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
                    self.owe(error.into());
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    fn owe(&mut self, owed: PendingReply) {
        let Self { link, shared, no_room_at, .. } = self;
        let is_pong = matches!(owed, PendingReply::Pong(_));
        shared.pending.owe(owed);
        // What there is no room for is tried again before the next read. Over a stream that cannot be set not to block
        // each attempt takes some milliseconds: too long for each Ping of a flood.
        if is_pong && no_room_at.is_some_and(|at| link.tick() < at + SLICE) {
            return;
        }
        *no_room_at = None;
        shared.write_owed(|out, pending| {
            if !out.write_now(pending) {
                *no_room_at = Some(out.link.now());
            }
        });
    }

    /// All input has been taken in: does what is due, and waits for more, but no longer than `until`.
    fn turn(&mut self, until: Option<Instant>) -> Result<Option<EventIndex>, Error> {
        let Shared { pending, out } = &*self.shared;
        // Whoever holds the lock looks after the timers meanwhile. When the next one is due is not known here then, so
        // this half looks again soon.
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
                // What was blocked has been written by whoever sent it.
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
                // Nothing has come for as long as a timer runs.
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
                // At the end, a reset is as good an end as any.
                if self.end() == CloseState::Open {
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// No more input will come. What is queued is written before that counts, as a peer that sends no more may still read. If
    /// a writer is at it, this waits until it has finished its frame and our Close, but no longer than until `deadline`. The
    /// close timeout bounds the writer.
    fn end_input(&mut self, stalled: bool, deadline: Option<Instant>) {
        let Self { link, receiver, shared, .. } = self;
        let (cut, now) = (receiver.cut(), link.now());
        let Some(mut out) = try_lock(&shared.out) else {
            if stalled || receiver.peer_close().is_some() {
                link.keep_end();
                shared.pending.end_input(cut);
                let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(now));
                shared.wait_for_writer(left.min(SLICE));
            } else {
                // RFC 6455 7.1.7: without a Close the connection has failed, and a write that is held up is of no use.
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

    /// The stream has failed; gives how far closing had come.
    fn end(&mut self) -> CloseState {
        let Self { link, shared, .. } = self;
        let Shared { pending, out } = &**shared;
        let mut out = try_lock(out).unwrap_or_else(|| {
            // A write that blocks would keep the end waiting, and is of no use any more.
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
    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_text(&self, text: &str) -> Result<(), Error> {
        self.with(|responder| responder.send_text(text))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_binary(&self, data: &[u8]) -> Result<(), Error> {
        self.with(|responder| responder.send_binary(data))
    }

    /// Sends a fragment of a message; see [`Sender::send_fragment`]. Where others send too, nothing keeps their
    /// messages out of this one but that they are refused.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_fragment(&self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), Error> {
        self.with(|responder| responder.send_fragment(kind, data, fin))
    }

    /// Sends a message that owns its data.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.with(|responder| responder.send(message))
    }

    /// Sends a message as it is, whatever was agreed on; see [`Sender::uncompressed`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_uncompressed(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.with(|responder| responder.uncompressed().send(message))
    }

    /// Sends a message prepared for many connections.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn send_prepared(&self, prepared: &Prepared) -> Result<(), Error> {
        self.with(|responder| responder.send_prepared(prepared))
    }

    /// Sends a Ping.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.with(|responder| responder.ping(payload))
    }

    /// Closes the connection. The receiving half goes on to its end.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_text`](super::WebSocket::send_text).
    pub fn close(&self, code: impl Into<Option<CloseCode>>, reason: &str) -> Result<(), Error> {
        self.with(|responder| responder.close(code, reason))
    }

    /// The time from the last Ping that was answered to its Pong. Where a thread is writing as that comes, it is known
    /// once that is done.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared.pending.round_trip()
    }

    fn with(&self, send: impl FnOnce(&mut Responder<'_, Half>) -> Result<(), Error>) -> Result<(), Error> {
        let Shared { pending, out } = &*self.shared;
        let sent = {
            let mut out = lock(out);
            let on_time = out.output(pending).keep_time();
            let sent = on_time.and_then(|()| send(&mut Responder { out: out.output(pending) }));
            sent.and(out.write(pending))
        };
        self.shared.write_owed(|out, pending| {
            // A stream that fails shows at the next read or send.
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
    fn the_round_trip_waits_for_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = std::format!("ws://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut ws = Server::new().accept(listener.accept().unwrap().0).unwrap();
            while ws.recv().unwrap().is_some() {}
        });
        let (mut reader, writer) = Client::new().connect(&url).unwrap().split().unwrap();
        writer.ping(b"").unwrap();
        assert_eq!(writer.round_trip(), None);
        assert!(matches!(reader.next(), Ok(Some(Event::Pong(_)))));
        let _writing = lock(&writer.shared.out);
        assert!(writer.round_trip().is_some());
        drop(_writing);
        writer.close(CloseCode::NORMAL, "").unwrap();
        while reader.next().unwrap().is_some() {}
        server.join().unwrap();
    }

    #[test]
    fn a_half_that_cannot_know_when_a_timer_is_due_looks_again_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = Connection::server(Instant::ZERO, crate::Config::new(), Outbox::new());
        let ws = crate::adapters::net::WebSocket::from_stream(stream, connection, Inbox::empty());
        let (mut reader, writer) = ws.split().unwrap();
        let writing = lock(&writer.shared.out);
        let before = std::time::Instant::now();
        assert_eq!(reader.turn(None).unwrap(), None);
        // The shortest of its timers has ten seconds.
        assert!(before.elapsed() < Duration::from_secs(5));
        drop(writing);
    }

    #[test]
    fn data_before_a_ping_is_data() {
        use crate::adapters::net::WebSocket;
        use crate::{Config, Instant};
        use std::io::Write;
        use std::net::TcpStream;

        // The idle timer alone runs.
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
                reader.next().unwrap().unwrap();
                events -= 1;
            }
            let now = deadline();
            assert_eq!(now > last, data, "{bytes:?}");
            last = now;
        }
    }

    /// The wire does not show what the receiving half holds.
    #[cfg(feature = "deflate")]
    #[test]
    fn the_receiving_half_gives_its_window_back_while_it_waits() {
        use std::sync::mpsc::channel;

        use crate::Config;
        use crate::deflate::Compression;
        use crate::handshake::{DeflateConfig, DeflateOffer};

        let release_after = Some(Duration::from_millis(60));
        let compression = Compression { release_after, ..Compression::new() };
        // No other timer runs.
        let config = Config::new().compression(compression).ping_interval(None).close_timeout(None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = std::format!("ws://{}", listener.local_addr().unwrap());
        let (done, wait) = channel::<()>();
        let client = thread::spawn(move || {
            let mut ws = Client::new().deflate(DeflateOffer::default()).connect(&url).unwrap();
            ws.send_text(&"to and fro ".repeat(100)).unwrap();
            // Each of these puts it off: it takes one wait that is long enough.
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
