//! Sending: commands in, bytes to write out.

mod close;
mod commands;
#[cfg(feature = "deflate")]
mod compress;
mod control_queue;
mod deadlines;
#[cfg(feature = "alloc")]
mod outbox;
#[cfg(feature = "alloc")]
mod prepared;
#[cfg(feature = "alloc")]
mod send_message;
mod slice_outbox;
mod transmit;
mod write_queue;
mod write_through;

#[cfg(feature = "alloc")]
pub use outbox::Outbox;
#[cfg(feature = "alloc")]
pub use prepared::Prepared;
pub use slice_outbox::SliceOutbox;
pub use write_queue::WriteQueue;

use core::time::Duration;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseNegotiation, CloseState, Ending};
use crate::error::SendError;
use crate::frame::{Encoder, MaskingKeys, Role};
use crate::time::{Instant, Term};

use crate::connection::config::{Config, SharedConfig};
use crate::connection::event::{
    Counters, EofPosition, EventIndex, MessageKind, Outcome, PendingReply, Reply, TransportAction, What,
};
use crate::connection::send::control_queue::MAX_CONTROL_FRAME;
use crate::connection::timers::Timers;

/// Kept free in an [`WriteQueue`] of fixed size, for a Close.
const RESERVE: usize = MAX_CONTROL_FRAME;

/// The sending half of a connection: messages and control frames into bytes, the closing handshake, and
/// the timers.
///
/// [`Connection`](crate::Connection) composes it with a [`Receiver`](crate::Receiver). Used on its own, in a
/// task that only sends, it is told by [`settle`](Self::apply) what receiving owes.
#[derive(Debug)]
// For the order see `Connection`.
#[repr(C)]
pub struct Sender<O> {
    dropped: u64,
    #[cfg(feature = "deflate")]
    deflater: Option<std::boxed::Box<crate::deflate::Deflater>>,
    /// How the connection ended, or would end as things stand.
    outcome: Outcome,
    /// The message that is open in fragments.
    open: Option<MessageKind>,
    transport: Transport,
    /// The transport has taken bytes, a Close among them, and has not flushed them.
    held_back: bool,
    /// [`Event::Closed`](crate::Event::Closed) was given out.
    reported: bool,
    encoder: Encoder,
    // From here on with each message.
    closing: CloseNegotiation,
    own_close: OwnClose,
    #[cfg(feature = "deflate")]
    deflating: Deflating,
    congestion: Congestion,
    /// A send was handed back.
    blocked: bool,
    /// Data was queued since the last write.
    fresh_data: bool,
    config: SharedConfig,
    /// Where the frame that is being written ends in `out`; 0 between frames.
    boundary: usize,
    out: O,
    timers: Timers,
    counters: Counters,
}

/// Where our Close is, in a byte: a connection is to stay small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OwnClose(u8);

impl OwnClose {
    const NO: Self = Self(0);
    /// Ahead of everything.
    const URGENT: Self = Self(u8::MAX);

    /// Behind all that was accepted before it, in a frame of `len` bytes, which are at most 131.
    fn queued(len: usize) -> Self {
        Self(u8::try_from(len).unwrap_or(u8::MAX - 1))
    }

    /// How many bytes it is, where it is in the queue.
    fn queued_len(self) -> usize {
        if self == Self::URGENT { 0 } else { self.0.into() }
    }
}

/// What has become of the transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transport {
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
enum Congestion {
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
struct Deflating {
    agreed: Option<crate::deflate::Agreed>,
    /// The message that is open in fragments is compressed.
    in_message: bool,
    /// The next message is not to be compressed.
    declined: bool,
}

impl<O: WriteQueue> Sender<O> {
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
            closing: CloseNegotiation::default(),
            own_close: OwnClose::NO,
            #[cfg(feature = "deflate")]
            deflating: Deflating::default(),
            #[cfg(feature = "deflate")]
            deflater: None,
            outcome: Outcome::Abnormal(EofPosition::BetweenMessages),
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

    // --- what happened ---

    /// Does what receiving owes to the wire.
    pub fn apply(&mut self, now: Instant, reply: impl Into<PendingReply>) {
        self.apply_reply(now, Reply::from(&reply.into()));
    }

    pub(super) fn apply_reply(&mut self, now: Instant, reply: Reply<'_>) {
        match reply {
            Reply::RoundTrip(payload) => self.timers.pong(now, payload),
            Reply::Pong(payload) => {
                if self.config.auto_pong && self.may_answer() {
                    // RFC 6455 5.5.3: of several Pings, the newest alone may be answered. The last few are, as
                    // far as they fit.
                    self.push_pong(payload);
                }
            }
            Reply::Close(code, reason) => self.answer_close(now, code, reason),
            Reply::Failure(error) => {
                self.fail(now, Outcome::Failed(error), error.close_code(), error.close_reason());
            }
        }
    }

    #[cold]
    fn answer_close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) {
        let frame = CloseFrame { code, reason: CloseReason::truncated(reason) };
        let before = self.closing.state();
        match (before, self.closing.handle(CloseEvent::Received)) {
            // RFC 6455 5.5.1: the answer typically echoes the code. The reason goes with it, as the peer's
            // application is shown both as one.
            (_, CloseAction::AnswerClose) => self.send_prompt_close(now, &frame),
            // Both sides closed at the same time: our own Close is the answer.
            (CloseState::Sent, _) => self.expedite_own_close(),
            _ => return,
        }
        self.outcome = Outcome::Clean { code: frame.code_seen() };
        self.await_end(now);
        if self.buffered_amount() > 0 && self.congestion == Congestion::None {
            // Writing is looked at closely from here on: once all is out, the wait for the end begins.
            self.congestion = Congestion::Partial;
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
    pub fn handle_eof(&mut self, position: EofPosition) {
        let all_written = self.is_flushed();
        if let CloseAction::End(ending) = self.closing.handle(CloseEvent::Eof) {
            self.outcome = match (ending, self.outcome) {
                // A connection that was closed because it was idle stays one that timed out.
                (Ending::Abnormal, outcome @ Outcome::TimedOut(_)) => outcome,
                (Ending::Abnormal, _) => Outcome::Abnormal(position),
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
    pub fn handle_input_ended(&mut self, now: Instant, position: EofPosition) {
        if matches!(self.outcome, Outcome::Abnormal(_)) {
            self.outcome = Outcome::Abnormal(position);
        }
        // From here on no timer may run that only input would stop: a peer that sends no more answers no Ping.
        self.timers.close(now, &self.config);
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
    pub fn poll(&mut self) -> Option<EventIndex> {
        if self.closing.state() == CloseState::Ended {
            let first = !core::mem::replace(&mut self.reported, true);
            return first.then_some(What::Closed(self.outcome).into());
        }
        let open = self.blocked && self.closing.state() == CloseState::Open;
        // Pongs do not count: a peer that never stops pinging must not hold the application back.
        if open && self.out.has_drained(self.config.high_water) && !self.out.control().has_ping() {
            self.blocked = false;
            return Some(What::Writable.into());
        }
        None
    }

    /// Whether [`Self::poll`] may give something.
    #[inline]
    pub(super) fn has_event(&self) -> bool {
        self.blocked || self.closing.state() == CloseState::Ended
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
            CloseState::Ended if self.transport == Transport::Aborted => Some(TransportAction::Abort),
            CloseState::Ended => Some(TransportAction::Close),
            // RFC 6455 7.1.1: the server closes TCP first, a client waits for it to; and whoever fails the
            // connection closes it. The Close must be out before, and must not be lost to a reset.
            CloseState::Both if self.encoder.role() == Role::Client => None,
            CloseState::Both | CloseState::Failed
                if self.is_flushed() && self.transport == Transport::Open =>
            {
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
            None => self.out.len() + self.out.control().rest().len(),
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
        if self.closing.state() != CloseState::Open {
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
    pub const fn close_state(&self) -> CloseState {
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
    const fn last_data(&self) -> Instant {
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

    /// Once both Closes have passed, a client waits for the end of the stream for a shorter time.
    fn await_end(&mut self, now: Instant) {
        // RFC 6455 7.1.1: a client waits for the server to close the TCP connection, but may close it at any time.
        if self.closing.state() == CloseState::Both
            && self.is_flushed()
            && self.encoder.role() == Role::Client
        {
            self.timers.await_end(now, &self.config);
        }
    }

    fn is_flushed(&self) -> bool {
        self.buffered_amount() == 0 && !self.held_back
    }
}

/// Where the fields begin that each message touches.
#[cfg(all(test, feature = "alloc", target_pointer_width = "64"))]
pub(super) const USED_FROM: usize = core::mem::offset_of!(Sender<Outbox>, closing);
