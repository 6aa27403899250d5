//! Sending: commands in, bytes to write out.

use core::time::Duration;

use crate::close::{Action, CloseCode, CloseFrame, CloseReason, Closing, Ending, Event, State};
use crate::error::SendError;
use crate::frame::{Encoder, Header, MAX_HEADER_LEN, MaskingKeys, Opcode, Role, write_frame};
use crate::time::{Instant, Term};

use super::config::{Config, SharedConfig};
use super::event::{Counters, Cut, Kind, Outcome, Owed, Ready, Timer, TransportAction, What};
use super::outbox::Output;
use super::timers::{Due, Timers};
use super::urgent::MAX_CONTROL_FRAME;

/// Kept free in an [`Output`] of fixed size, for a Close.
const RESERVE: usize = MAX_CONTROL_FRAME;

/// The sending half of a connection: messages and control frames into bytes, the closing handshake, and
/// the timers.
///
/// [`Machine`](crate::Machine) composes it with a [`Receiver`](crate::Receiver). Used on its own, in a
/// task that only sends, it is told by [`settle`](Self::settle) what receiving owes.
#[derive(Debug)]
// For the order see `Machine`.
#[repr(C)]
pub struct Sender<O> {
    pub(super) dropped: u64,
    #[cfg(feature = "deflate")]
    pub(super) deflater: Option<std::boxed::Box<crate::deflate::Deflater>>,
    /// How the connection ended, or would end as things stand.
    pub(super) outcome: Outcome,
    /// The message that is open in fragments.
    pub(super) open: Option<Kind>,
    pub(super) transport: Transport,
    /// The transport has taken bytes, a Close among them, and has not flushed them.
    pub(super) held_back: bool,
    /// [`Event::Closed`](crate::Event::Closed) was given out.
    pub(super) reported: bool,
    pub(super) encoder: Encoder,
    // From here on with each message.
    pub(super) closing: Closing,
    pub(super) own_close: OwnClose,
    #[cfg(feature = "deflate")]
    pub(super) deflating: Deflating,
    pub(super) congestion: Congestion,
    /// A send was handed back.
    pub(super) blocked: bool,
    /// Data was queued since the last write.
    pub(super) fresh_data: bool,
    pub(super) config: SharedConfig,
    /// Where the frame that is being written ends in `out`; 0 between frames.
    pub(super) boundary: usize,
    pub(super) out: O,
    pub(super) timers: Timers,
    pub(super) counters: Counters,
}

/// Where our Close is, in a byte: a connection is to stay small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OwnClose(u8);

impl OwnClose {
    pub(super) const NO: Self = Self(0);
    /// Ahead of everything.
    pub(super) const URGENT: Self = Self(u8::MAX);

    /// Behind all that was accepted before it, in a frame of `len` bytes, which are at most 131.
    pub(super) fn queued(len: usize) -> Self {
        Self(u8::try_from(len).unwrap_or(u8::MAX - 1))
    }

    /// How many bytes it is, where it is in the queue.
    pub(super) fn queued_len(self) -> usize {
        if self == Self::URGENT { 0 } else { self.0.into() }
    }
}

/// What has become of the transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transport {
    Open,
    /// A write has failed: it can only be read.
    Failed,
    /// Its sending half is closed.
    HalfClosed,
    /// It is to be dropped with what may lie unsent in it.
    Aborted,
}

/// What the transport said when it was last written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Congestion {
    /// It took all that it was given.
    None,
    /// It took a part; or it has not taken our Close yet, after which a shorter wait begins.
    Partial,
    /// It took nothing: bytes that it takes next show that the peer reads.
    Full,
}

/// What a sender knows of compression.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deflating {
    pub(super) agreed: Option<crate::deflate::Agreed>,
    /// The message that is open in fragments is compressed.
    pub(super) in_message: bool,
    /// The next message is not to be compressed.
    pub(super) declined: bool,
}

impl<O: Output> Sender<O> {
    /// The sending half of a server, which queues what it sends in `out`.
    #[must_use]
    pub fn server(now: Instant, config: impl Into<SharedConfig>, out: O) -> Self {
        Self::new(now, config.into(), out, Encoder::server())
    }

    /// The sending half of a client, which draws its masking keys from `keys`: see [`MaskingKeys`].
    #[must_use]
    pub fn client(
        now: Instant,
        config: impl Into<SharedConfig>,
        out: O,
        keys: impl Into<MaskingKeys>,
    ) -> Self {
        Self::new(now, config.into(), out, Encoder::client(keys.into()))
    }

    fn new(now: Instant, config: SharedConfig, out: O, encoder: Encoder) -> Self {
        Self {
            out,
            boundary: 0,
            encoder,
            open: None,
            config,
            timers: Timers::new(now),
            closing: Closing::default(),
            own_close: OwnClose::NO,
            #[cfg(feature = "deflate")]
            deflating: Deflating::default(),
            #[cfg(feature = "deflate")]
            deflater: None,
            outcome: Outcome::Abnormal(Cut::BetweenMessages),
            congestion: Congestion::None,
            blocked: false,
            fresh_data: false,
            transport: Transport::Open,
            held_back: false,
            reported: false,
            dropped: 0,
            counters: Counters::default(),
        }
    }

    // --- commands ---

    /// Sends a text message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.data(Opcode::Text, true, text.as_bytes())
    }

    /// Sends a binary message in one frame.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`].
    #[inline]
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.data(Opcode::Binary, true, data)
    }

    /// Sends the next fragment of a message (RFC 6455 section 5.4). The first one opens the message, the
    /// one with `fin` ends it; control frames may be sent in between. Fragments of text may be cut
    /// anywhere; it is the caller's duty that they are UTF-8 when put together.
    ///
    /// # Errors
    ///
    /// As [`Self::send_text`]; [`SendError::MessageOpen`] where a message of another kind is open.
    pub fn send_fragment(&mut self, kind: Kind, data: &[u8], fin: bool) -> Result<(), SendError> {
        // A fragment of another kind than the open message counts as the first of a new message. `accept` refuses it,
        // and gives the same reason as for any other message.
        let opcode = match kind {
            _ if self.open == Some(kind) => Opcode::Continuation,
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        };
        self.data(opcode, fin, data)?;
        self.open = (!fin).then_some(kind);
        Ok(())
    }

    /// The next message that is accepted goes out as it is, whatever was agreed on: for one that has a secret
    /// in it (RFC 7692 section 8). To be said before the first fragment: a message that is open goes on as it began.
    /// See [`manual::security`](crate::manual::security).
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use hybi::{Config, Connection, Instant, Outbox};
    /// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
    /// connection.uncompressed().send_text("the token is 3GOEp6qX")?;
    /// # }
    /// # Ok::<(), hybi::SendError>(())
    /// ```
    pub const fn uncompressed(&mut self) -> &mut Self {
        #[cfg(feature = "deflate")]
        {
            self.deflating.declined = true;
        }
        self
    }

    /// Sends a Ping, ahead of messages that wait. Its Pong comes as an event, and sets
    /// [`round_trip`](Self::round_trip).
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], [`Blocked`](SendError::Blocked) or [`Closed`](SendError::Closed);
    /// nothing was sent.
    pub fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.check_control(Opcode::Ping, payload)?;
        if !self.push_ping(payload) {
            self.blocked = true;
            return Err(SendError::Blocked);
        }
        self.timers.ping_queued(now, payload);
        Ok(())
    }

    /// Sends a Pong, ahead of messages that wait: for those who have turned automatic ones off, or who
    /// want to show that they are there. While it waits, newer Pongs may take its place.
    ///
    /// # Errors
    ///
    /// As [`Self::ping`].
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.check_control(Opcode::Pong, payload)?;
        self.push_pong(payload);
        Ok(())
    }

    /// Closes the connection: sends a Close behind everything that was accepted, and waits for the peer's
    /// until the close timeout. Messages still come in meanwhile. Without a code the frame has no body, and
    /// the peer sees 1005.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] where closing has begun, [`CodeNotAllowed`](SendError::CodeNotAllowed) or
    /// [`ReasonTooLong`](SendError::ReasonTooLong); nothing has changed.
    // Once a connection: not in the way of what a loop does with each message.
    #[cold]
    pub fn close(
        &mut self,
        now: Instant,
        code: impl Into<Option<CloseCode>>,
        reason: &str,
    ) -> Result<(), SendError> {
        // RFC 6455 5.5.1: a Close is sent once. Another one is refused for that, whatever else is wrong with it.
        if self.closing.state() != State::Open {
            return Err(SendError::Closed);
        }
        let code = code.into();
        let allowed = code.map_or(reason.is_empty(), |code| code.is_sendable_by(self.encoder.role()));
        if !allowed {
            return Err(SendError::CodeNotAllowed);
        }
        let reason = CloseReason::new(reason).ok_or(SendError::ReasonTooLong)?;
        if self.closing.handle(Event::Close) != Action::SendClose {
            return Err(SendError::Closed);
        }
        self.close_behind(now, &CloseFrame { code, reason });
        Ok(())
    }

    // --- what happened ---

    /// Does what receiving owes to the wire.
    pub fn settle(&mut self, now: Instant, owed: impl Into<Owed>) {
        match owed.into() {
            Owed::RoundTrip(payload) => self.timers.pong(now, &payload),
            Owed::Pong(payload) => {
                if self.config.auto_pong && self.may_answer() {
                    // RFC 6455 5.5.3: of several Pings, the newest alone may be answered. The last few are, as
                    // far as they fit.
                    self.push_pong(&payload);
                }
            }
            Owed::Close(frame) => {
                let before = self.closing.state();
                match (before, self.closing.handle(Event::Received)) {
                    // RFC 6455 5.5.1: the answer typically echoes the code. The reason goes with it, as the peer's
                    // application is shown both as one.
                    (_, Action::AnswerClose) => self.close_at_once(now, &frame),
                    // Both sides closed at the same time: our own Close is the answer.
                    (State::Sent, _) => self.own_close_at_once(),
                    _ => return,
                }
                self.outcome = Outcome::Clean { code: frame.code_seen() };
                self.await_end(now);
                if self.buffered_amount() > 0 && self.congestion == Congestion::None {
                    // Writing is looked at closely from here on: once all is out, the wait for the end begins.
                    self.congestion = Congestion::Partial;
                }
            }
            Owed::Failure(error) => {
                self.fail(now, Outcome::Failed(error), error.close_code(), error.close_reason());
            }
        }
    }

    /// Input came in, with `data` or with control frames alone: the peer is alive.
    #[inline]
    pub fn handle_received(&mut self, now: Instant, data: bool) {
        self.timers.received(now, data);
    }

    /// Input came in that is kept and will be decoded later: the peer is alive, and may have answered a Ping.
    pub fn handle_unread(&mut self, now: Instant) {
        self.timers.received_unread(now);
    }

    /// The stream has ended, by end of file or by reset; [`Receiver::cut`](crate::Receiver::cut) tells where.
    ///
    /// A peer that ends its half of the stream may still read. Write what is queued first: if the answer to the peer's
    /// Close is among it, the outcome is [`Outcome::Unanswered`] otherwise.
    pub fn handle_eof(&mut self, cut: Cut) {
        let all_written = self.is_flushed();
        if let Action::End(ending) = self.closing.handle(Event::Eof) {
            self.outcome = match (ending, self.outcome) {
                // A connection that was closed because it was idle stays one that timed out.
                (Ending::Abnormal, outcome @ Outcome::TimedOut(_)) => outcome,
                (Ending::Abnormal, _) => Outcome::Abnormal(cut),
                // RFC 6455 7.1.4: it is closed cleanly after the closing handshake, for which both send a Close.
                (Ending::Clean, Outcome::Clean { code }) if !all_written => Outcome::Unanswered { code },
                (_, outcome) => outcome,
            };
            self.end();
        }
    }

    /// No more input will come, but the peer may still read: what is queued can be written for as long as
    /// [`Config::close_timeout`] allows, after which the connection ends. Call [`handle_eof`](Self::handle_eof) once it
    /// is written, or at once where it does not matter. [`Receiver::cut`](crate::Receiver::cut) tells where the input ended.
    pub fn handle_input_ended(&mut self, now: Instant, cut: Cut) {
        if matches!(self.outcome, Outcome::Abnormal(_)) {
            self.outcome = Outcome::Abnormal(cut);
        }
        // From here on no timer may run that only input would stop: a peer that sends no more answers no Ping.
        self.timers.close(now, &self.config);
    }

    /// Time has passed: does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, due)) = self.next_deadline() {
            if at > now {
                return;
            }
            match due {
                Due::Ping => {
                    if self.out.urgent().has_ping() {
                        self.timers.ping_waits(now);
                    } else {
                        let payload = self.timers.next_ping(now);
                        self.push_ping(&payload);
                    }
                }
                Due::Expired(Timer::Pong) => {
                    let reason = CloseReason::truncated("no answer to a ping");
                    self.fail(now, Outcome::TimedOut(Timer::Pong), CloseCode::INTERNAL_ERROR, reason);
                    // RFC 6455 7.1.1: nobody is there who would answer or end the stream. The driver tries to write
                    // the Close before it asks for the next deadline.
                    self.timers.end_after_one_write(now);
                    return;
                }
                Due::Expired(Timer::Idle) => {
                    let reason = CloseReason::truncated("idle for too long");
                    if self.closing.handle(Event::Close) == Action::SendClose {
                        self.close_behind(now, &CloseFrame { code: Some(CloseCode::GOING_AWAY), reason });
                        self.outcome = Outcome::TimedOut(Timer::Idle);
                    }
                }
                Due::Expired(Timer::Close) => {
                    let flushed = self.is_flushed();
                    if let Action::End(ending) = self.closing.handle(Event::Timeout) {
                        let unsent_answer = ending == Ending::Clean && !flushed;
                        if ending == Ending::TimedOut || unsent_answer {
                            self.outcome = Outcome::TimedOut(Timer::Close);
                        }
                        let dead = self.outcome == Outcome::TimedOut(Timer::Pong);
                        if !flushed || dead || ending == Ending::TimedOut {
                            self.transport = Transport::Aborted;
                        }
                        self.end();
                    }
                }
                #[cfg(feature = "deflate")]
                Due::Release => self.release_window(),
            }
        }
    }

    /// The transport holds back bytes that it has taken until it is flushed, or has been flushed.
    ///
    /// Of interest while the connection closes, and only to transports with a buffer of their own, as TLS libraries
    /// have one. Say `true` before [`transmitted`](Self::transmitted), and `false` when the flush is done: until then
    /// our Close is not counted as written, so the connection does not end as if it were.
    pub fn handle_held_back(&mut self, now: Instant, held_back: bool) {
        self.held_back = held_back;
        self.await_end(now);
    }

    /// A write to the transport has failed, for the driver that goes on with this connection: nobody knows how much of
    /// that write the transport took, so nothing may be written to it any more. What comes in can still be read.
    ///
    /// The adapters say so when they are taken apart, and heed it when they are put together. All that changes here is that
    /// [`poll_transport`](Self::poll_transport) does not ask for half-close any more.
    pub fn handle_write_failed(&mut self) {
        if self.transport == Transport::Open {
            self.transport = Transport::Failed;
        }
    }

    /// The sending half of the transport is closed, as [`Self::poll_transport`] asked for.
    pub fn handle_half_closed(&mut self) {
        self.transport = Transport::HalfClosed;
    }

    // --- what the driver must do ---

    /// What Sender alone has to say: [`Event::Writable`](crate::Event::Writable), and at the end
    /// [`Event::Closed`](crate::Event::Closed).
    pub fn poll(&mut self) -> Option<Ready> {
        if self.closing.state() == State::Ended {
            let first = !core::mem::replace(&mut self.reported, true);
            return first.then_some(What::Closed(self.outcome).into());
        }
        let open = self.blocked && self.closing.state() == State::Open;
        // Pongs do not count: a peer that never stops pinging must not hold the application back.
        if open && self.out.has_drained(self.config.high_water) && !self.out.urgent().has_ping() {
            self.blocked = false;
            return Some(What::Writable.into());
        }
        None
    }

    /// Whether [`Self::poll`] may give something.
    #[inline]
    pub(super) fn has_event(&self) -> bool {
        self.blocked || self.closing.state() == State::Ended
    }

    /// When [`Self::handle_timeout`] is to be called next; `None` for not at all.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_deadline().map(|(at, _)| at)
    }

    /// What is to be done with the transport now. The answer stays the same until it is done.
    #[must_use]
    pub fn poll_transport(&self) -> Option<TransportAction> {
        match self.closing.state() {
            State::Ended if self.transport == Transport::Aborted => Some(TransportAction::Abort),
            State::Ended => Some(TransportAction::Close),
            // RFC 6455 7.1.1: the server closes TCP first, a client waits for it to; and whoever fails the
            // connection closes it. The Close must be out before, and must not be lost to a reset.
            State::Both if self.encoder.role() == Role::Client => None,
            State::Both | State::Failed if self.is_flushed() && self.transport == Transport::Open => {
                Some(TransportAction::HalfClose)
            }
            _ => None,
        }
    }

    // --- getters ---

    /// The bytes that wait to be written, headers included.
    #[inline]
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        match self.out.in_one_piece() {
            Some(all) => all.len(),
            None => self.out.len() + self.out.urgent().rest().len(),
        }
    }

    /// Whether a message would be accepted now.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`] where as much waits as the configuration allows, [`SendError::Closed`] once
    /// closing has begun. Unlike a send that is handed back, this does not ask for
    /// [`Event::Writable`](crate::Event::Writable).
    pub fn can_send(&self) -> Result<(), SendError> {
        if self.closing.state() != State::Open {
            Err(SendError::Closed)
        } else if self.out.len() >= self.config.high_water {
            Err(SendError::Blocked)
        } else {
            Ok(())
        }
    }

    /// The shortest time that a timer runs here: what starts now is not due before it has passed. So for so
    /// long whoever waits beside a half that sends need not ask [`poll_timeout`](Self::poll_timeout) again.
    /// `None` where there are no timers.
    #[must_use]
    pub fn shortest_timeout(&self) -> Option<Duration> {
        let &Config { ping_interval, pong_timeout, close_timeout, idle_timeout, .. } = self.config();
        // A window too is held from when something is sent.
        #[cfg(feature = "deflate")]
        let release = Term::new(self.deflating.agreed.and(self.config.compression.release_after));
        #[cfg(not(feature = "deflate"))]
        let release = Term::NEVER;
        ping_interval.min(pong_timeout).min(close_timeout).min(idle_timeout).min(release).duration()
    }

    /// The latest instant that is known to have passed on the clock of this connection. A driver that goes on with a
    /// connection of another one starts its clock there, so that no timer waits for a time that has long been.
    #[must_use]
    pub fn latest_instant(&self) -> Instant {
        self.timers.latest(&self.config)
    }

    /// How far closing has come.
    #[must_use]
    pub const fn close_state(&self) -> State {
        self.closing.state()
    }

    /// The time from the last Ping that was answered to its Pong.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.timers.round_trip()
    }

    /// What has gone out: messages and frames as they were accepted, bytes as they were written.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The bytes of messages, headers included, that had been accepted and were dropped, because the peer
    /// closed or the connection failed or ended before they were written.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a write to the transport has failed, as [`handle_write_failed`](Self::handle_write_failed) was told.
    #[must_use]
    pub const fn has_write_failed(&self) -> bool {
        matches!(self.transport, Transport::Failed)
    }

    /// When data last went either way.
    #[cfg(feature = "deflate")]
    pub(super) const fn last_data(&self) -> Instant {
        self.timers.data()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The role this half sends in.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.encoder.role()
    }

    /// Gives back heap that is held for nothing.
    pub fn release_idle(&mut self) {
        self.out.release();
    }

    // --- helpers ---

    #[inline]
    pub(super) fn data(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if let Some(agreed) = self.compresses(opcode, fin, payload.len()) {
            if self.deflate(agreed, opcode, fin, payload)? {
                return Ok(());
            }
        }
        self.plain(opcode, fin, payload)
    }

    /// A data frame that is not compressed.
    #[inline]
    pub(super) fn plain(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<(), SendError> {
        self.accept(opcode, fin, payload.len())?;
        self.push_data(opcode, fin, 0, payload);
        Ok(())
    }

    /// Queues a data frame that was accepted.
    #[inline]
    pub(super) fn push_data(&mut self, opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) {
        match u8::try_from(payload.len()) {
            Ok(len @ 0..=125) if self.encoder.role() == Role::Server => {
                self.encoder.follow(opcode, fin);
                self.push_behind([Header::first_byte(fin, rsv, opcode), len], payload);
            }
            _ => self.push_larger(opcode, fin, rsv, payload),
        }
        self.count(opcode, fin);
    }

    /// As [`Self::push`], behind a header that is known, and says that the payload is not masked.
    #[inline]
    fn push_behind<const N: usize>(&mut self, header: [u8; N], payload: &[u8]) {
        let len = header.len() + payload.len();
        if let Some((head, body)) = self.out.gap(len).and_then(<[u8]>::split_first_chunk_mut) {
            *head = header;
            if let Some(body) = body.get_mut(..payload.len()) {
                body.copy_from_slice(payload);
            }
            self.out.push(len);
        }
    }

    /// Queues a data frame that is not small.
    // In the way neither of small ones nor of masks.
    #[inline(never)]
    fn push_larger(&mut self, opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) {
        match u16::try_from(payload.len()) {
            // RFC 6455 5.2: the length in 16 bits.
            Ok(len @ 126..) if self.encoder.role() == Role::Server => {
                let [high, low] = len.to_be_bytes();
                self.encoder.follow(opcode, fin);
                self.push_behind([Header::first_byte(fin, rsv, opcode), 126, high, low], payload);
            }
            _ => self.push_any(opcode, fin, rsv, payload),
        }
    }

    #[inline(never)]
    fn push_any(&mut self, opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) {
        let header = self.encoder.checked_header(opcode, fin, payload.len() as u64);
        self.push(&Header { rsv, ..header }, payload);
    }

    /// Queues a frame. Nothing happens where it does not fit.
    #[inline]
    pub(super) fn push(&mut self, header: &Header, payload: &[u8]) {
        if let Some(gap) = self.out.gap(header.encoded_len() + payload.len()) {
            let len = write_frame(header, payload, gap);
            self.out.push(len);
        }
    }

    /// Whether a data frame may be queued now.
    #[inline]
    pub(super) fn accept(&mut self, opcode: Opcode, fin: bool, len: usize) -> Result<(), SendError> {
        // RFC 6455 5.5.1: no data follows a Close.
        if self.closing.state() != State::Open {
            return Err(SendError::Closed);
        }
        self.encoder.check(opcode, fin, len as u64)?;
        let need = len.saturating_add(MAX_HEADER_LEN).saturating_add(RESERVE);
        if self.out.len() >= self.config.high_water || self.out.room() < need {
            if self.out.capacity() < need {
                return Err(SendError::TooLarge);
            }
            self.blocked = true;
            return Err(SendError::Blocked);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn count(&mut self, opcode: Opcode, fin: bool) {
        self.count_message(opcode, fin);
        self.fresh_data = true;
    }

    /// A frame was accepted.
    #[inline]
    pub(super) fn count_message(&mut self, opcode: Opcode, fin: bool) {
        #[cfg(feature = "deflate")]
        if opcode != Opcode::Continuation {
            self.deflating.declined = false;
        }
        #[cfg(not(feature = "deflate"))]
        let _ = opcode;
        self.counters.frames += 1;
        self.counters.messages += u64::from(fin);
    }

    /// Whether a Ping or Pong may be sent.
    fn check_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), SendError> {
        if self.closing.state() != State::Open {
            return Err(SendError::Closed);
        }
        Ok(self.encoder.check(opcode, true, payload.len() as u64)?)
    }

    /// A Ping ahead of the queue, if there is room.
    fn push_ping(&mut self, payload: &[u8]) -> bool {
        let mut frame = [0; MAX_CONTROL_FRAME];
        let len = self.control_frame(Opcode::Ping, payload, &mut frame);
        let pushed = self.out.urgent_mut().push_ping(frame.get(..len).unwrap_or_default());
        self.counters.frames += u64::from(pushed);
        pushed
    }

    /// A Pong ahead of the queue.
    fn push_pong(&mut self, payload: &[u8]) {
        let mut frame = [0; MAX_CONTROL_FRAME];
        let len = self.control_frame(Opcode::Pong, payload, &mut frame);
        self.out.urgent_mut().push_pong(frame.get(..len).unwrap_or_default());
        self.counters.frames += 1;
    }

    /// Writes a control frame, whose payload is not too long, and gives its length.
    pub(super) fn control_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        to: &mut [u8; MAX_CONTROL_FRAME],
    ) -> usize {
        let header = self.encoder.checked_header(opcode, true, payload.len() as u64);
        write_frame(&header, payload, to)
    }

    /// Once both Closes have passed, a client waits for the end of the stream for a shorter time.
    pub(super) fn await_end(&mut self, now: Instant) {
        // RFC 6455 7.1.1: a client waits for the server to close the TCP connection, but may close it at any time.
        if self.closing.state() == State::Both && self.is_flushed() && self.encoder.role() == Role::Client {
            self.timers.await_end(now, &self.config);
        }
    }

    fn is_flushed(&self) -> bool {
        self.buffered_amount() == 0 && !self.held_back
    }

    fn next_deadline(&self) -> Option<(Instant, Due)> {
        if self.closing.state() == State::Ended {
            return None;
        }
        let next = self.timers.next(&self.config);
        #[cfg(feature = "deflate")]
        let next = if self.deflating.agreed.is_some() { self.next_or_release(next) } else { next };
        (next.0 != Instant::NEVER).then_some(next)
    }

    /// The sooner one of what is `next` and the release of a window that is held.
    // Of its own: who does not compress does not touch what it looks at.
    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn next_or_release(&self, next: (Instant, Due)) -> (Instant, Due) {
        match self.release_at() {
            Some(at) if self.holds_window() && at < next.0 => (at, Due::Release),
            _ => next,
        }
    }
}
