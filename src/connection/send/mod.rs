//! Sending: encodes messages and control frames into bytes to write, closes the connection, and owns the timers.
//!
//! [`Sender`] holds the state of the sending half. It does not write to a transport, and it does not decode. The
//! driver, which is the code that calls the sender, writes the bytes. The receiving half passes its replies to the
//! sender as values.
//!
//! - `mod.rs` has the methods that report what happened (`handle_*`) and what the driver must do next (`poll_*`).
//! - `getters.rs` has the getters.
//! - `commands.rs`, `send_message.rs`, `prepared.rs` and `compress.rs` put messages and control frames into the queue.
//! - `options.rs` has the options of a single message.
//! - `write_through.rs` writes messages directly, without putting them into the queue first.
//! - `transmit.rs` passes queued bytes to the transport.
//! - `close.rs` queues our Close, and `deadlines.rs` carries out the actions of the timers.
//! - `write_queue.rs`, `outbox.rs`, `slice_outbox.rs` and `control_queue.rs` hold the queued frames.
//!
//! Invariants:
//! - No data frame is queued once `closing` has left `Open`, and no control frame is written after a Close (RFC 6455
//!   section 5.5.1).
//! - A frame that is partly written is completed before another frame is written. The started frames end at `boundary`
//!   (`transmit.rs`).

mod close;
mod commands;
#[cfg(feature = "deflate")]
mod compress;
mod control_queue;
mod deadlines;
mod getters;
mod options;
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

pub use options::SendOptions;
#[cfg(feature = "alloc")]
pub use outbox::Outbox;
#[cfg(feature = "alloc")]
pub use prepared::Prepared;
pub use slice_outbox::SliceOutbox;
pub use write_queue::WriteQueue;

use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseNegotiation, CloseState, Ending};
use crate::frame::{Encoder, MaskingKeys, Role};
use crate::time::Instant;

use crate::connection::config::SharedConfig;
use crate::connection::event::{
    Counters, EventIndex, EventKind, MessageKind, PendingReply, Reply, TransportAction,
};
use crate::connection::outcome::{EofPosition, Outcome};
use crate::connection::send::control_queue::MAX_CONTROL_FRAME;
use crate::connection::timers::Timers;

/// The number of bytes that a [`WriteQueue`] of fixed size keeps free for a Close.
const RESERVE: usize = MAX_CONTROL_FRAME;

/// The sending half of a connection. It encodes messages and control frames, performs the closing handshake, and owns
/// the timers.
///
/// A [`Connection`](crate::Connection) consists of a sender and a [`Receiver`](crate::Receiver). A task that only sends
/// can use a sender alone. This task passes the replies of the receiving half to [`apply`](Self::apply).
#[derive(Debug)]
// `Connection` explains the order of the fields.
#[repr(C)]
pub struct Sender<O> {
    dropped: u64,
    #[cfg(feature = "deflate")]
    deflater: Option<std::boxed::Box<crate::deflate::Deflater>>,
    /// How the connection ended. Before the end, this field says how the connection would end if the stream ended now.
    outcome: Outcome,
    /// The kind of the message that is sent in fragments and whose last fragment is missing.
    open: Option<MessageKind>,
    transport: Transport,
    /// Whether the transport has accepted bytes that it has not flushed.
    held_back: bool,
    /// Whether [`Event::Closed`](crate::Event::Closed) was returned.
    reported: bool,
    encoder: Encoder,
    // Every message uses the fields from here on.
    closing: CloseNegotiation,
    own_close: OwnClose,
    #[cfg(feature = "deflate")]
    deflating: Deflating,
    last_write: LastWriteResult,
    /// Whether a send failed with `Blocked`, so that [`Event::Writable`](crate::Event::Writable) must follow.
    blocked: bool,
    /// Whether the queue holds data that is not completely written.
    has_unwritten_data: bool,
    /// Whether messages are accepted even if the high-water mark is reached. True only in `close_after`.
    ignores_high_water: bool,
    config: SharedConfig,
    /// Offset in `out` at which the started frames end; 0 if no frame is started.
    boundary: usize,
    out: O,
    timers: Timers,
    counters: Counters,
}

/// The queue that holds our Close, and the length of the Close in the write queue. The type is one byte, so that a
/// connection stays small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OwnClose(u8);

impl OwnClose {
    /// Our Close is not queued.
    const NO: Self = Self(0);
    /// Our Close is in the control queue, ahead of all data.
    const URGENT: Self = Self(u8::MAX);

    /// Our Close is the last frame in the write queue and `len` bytes long, at most 131.
    fn queued(len: usize) -> Self {
        Self(u8::try_from(len).unwrap_or(u8::MAX - 1))
    }

    /// Returns the length of our Close in the write queue; 0 if the write queue does not hold our Close.
    fn queued_len(self) -> usize {
        if self == Self::URGENT { 0 } else { self.0.into() }
    }
}

/// The state of the transport. The driver reports `Failed` and `HalfClosed`. `Aborted` tells the driver to drop the
/// transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transport {
    Open,
    /// A write has failed. The transport can only be read.
    Failed,
    /// The sending half of the transport is closed.
    HalfClosed,
    /// The driver must drop the transport together with any unsent bytes in it.
    Aborted,
}

/// The result of the last write to the transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LastWriteResult {
    /// The transport accepted all bytes.
    Complete,
    /// The transport accepted a part of the bytes. After the peer's Close, this value can also mean that our queued
    /// Close has not been written yet. The wait for the end of the stream begins when our Close is written.
    Partial,
    /// The transport accepted no bytes. If it accepts bytes again, the peer has read some bytes.
    Full,
}

/// The state of compression in a sender.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug, Default)]
struct Deflating {
    agreed: Option<crate::deflate::Agreed>,
    /// Whether the message that is open in fragments is compressed.
    open_message_compressed: bool,
}

impl<O: WriteQueue> Sender<O> {
    /// Creates the sending half of a server, with the write queue `out`.
    #[must_use]
    pub fn server(now: Instant, config: impl Into<SharedConfig>, out: O) -> Self {
        Self::new(now, config.into(), out, Encoder::server())
    }

    /// Creates the sending half of a client, with the write queue `out`. `keys` generates the masking keys: see
    /// [`MaskingKeys`].
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
            last_write: LastWriteResult::Complete,
            blocked: false,
            has_unwritten_data: false,
            ignores_high_water: false,
            transport: Transport::Open,
            held_back: false,
            reported: false,
            dropped: 0,
            counters: Counters::default(),
        }
    }

    // --- what happened ---

    /// Carries out a value of the receiving half: queues the frame of a reply, or records received input for the
    /// timers.
    pub fn apply(&mut self, now: Instant, reply: impl Into<PendingReply>) {
        self.apply_reply(now, Reply::from(&reply.into()));
    }

    /// Carries out a reply, as [`apply`](Self::apply) does. The payload of the reply may be borrowed.
    pub(super) fn apply_reply(&mut self, now: Instant, reply: Reply<'_>) {
        match reply {
            Reply::RoundTrip(payload) => self.timers.pong(now, payload),
            Reply::Pong(payload) => {
                if self.config.auto_pong && self.may_answer() {
                    // RFC 6455 5.5.3: only the newest of several Pings must be answered. The control queue keeps as
                    // many Pongs as fit.
                    self.push_pong(payload);
                }
            }
            Reply::Close(code, reason) => self.answer_close(now, code, reason),
            Reply::Failure(error) => {
                self.fail(now, Outcome::Failed(error), error.close_code(), error.close_reason());
            }
            Reply::Received { data } => self.timers.received_earlier(now, data),
            Reply::Undecoded => self.timers.received_undecoded_rest(now),
            Reply::PeerHalfClosed(position) => self.handle_peer_half_closed(now, position),
        }
    }

    /// Answers the peer's Close, or treats it as the answer to our Close.
    #[cold]
    fn answer_close(&mut self, now: Instant, code: Option<CloseCode>, reason: &str) {
        let frame = CloseFrame { code, reason: CloseReason::truncated(reason) };
        let before = self.closing.state();
        match (before, self.closing.handle(CloseEvent::Received)) {
            // RFC 6455 5.5.1: the answer typically echoes the code. It echoes the reason too, because APIs show the
            // code and the reason together.
            (_, CloseAction::AnswerClose) => self.close_at_once(now, &frame),
            // Both sides closed at the same time, so our own Close is the answer.
            (CloseState::Sent, _) => self.expedite_own_close(),
            _ => return,
        }
        self.outcome = Outcome::Clean { code: frame.code_seen() };
        self.await_end(now);
        if self.buffered_amount() > 0 && self.last_write == LastWriteResult::Complete {
            // With `Partial`, `transmitted` later finds that everything is written, and starts the wait for the end of
            // the stream.
            self.last_write = LastWriteResult::Partial;
        }
    }

    /// Records that input was received, so the peer is alive. `data` says whether it contained a part of a data frame.
    #[inline]
    pub(super) fn handle_received(&mut self, now: Instant, data: bool) {
        self.timers.received(now, data);
    }

    /// Records that a message was received. A later call of [`record_received`](Self::record_received) supplies the
    /// time.
    #[inline]
    pub(super) const fn defer_received(&mut self) {
        self.timers.defer_received();
    }

    /// Counts `now` as the time of messages that were received without a time: see
    /// [`Connection::poll_message`](crate::Connection::poll_message). [`Self::handle_timeout`] does this too.
    #[inline]
    pub fn record_received(&mut self, now: Instant) {
        self.timers.record_received(now);
    }

    /// Records that input was received that will be decoded later. So the peer is alive, and the input may contain data
    /// and the answer to a Ping.
    ///
    /// The Pong timeout of the Pings that are written stops, and the input counts as data for the idle timeout. After
    /// the input is decoded, call [`handle_all_decoded`](Self::handle_all_decoded).
    pub fn handle_undecoded(&mut self, now: Instant) {
        self.timers.received_undecoded(now);
    }

    /// Records that all input is decoded, and that a later read found no more input. If the input did not contain the
    /// Pong, this call resumes the Pong timeout that [`handle_undecoded`](Self::handle_undecoded) or
    /// [`PendingReply::Undecoded`] stopped. Input that contained no data does not count as data any more.
    ///
    /// Without this call, a peer that answers no Ping is found dead only after the next Ping, and an idle connection
    /// may be closed late.
    pub fn handle_all_decoded(&mut self) {
        self.timers.all_decoded();
    }

    /// Handles the end of the stream, by end of file or by reset. `position` comes from
    /// [`Receiver::eof_position`](crate::Receiver::eof_position).
    ///
    /// A peer that ends its half of the stream may still read. So write the queued bytes before this call. If the
    /// answer to the peer's Close is not written yet, the outcome is [`Outcome::Unanswered`].
    pub fn handle_eof(&mut self, position: EofPosition) {
        let all_written = self.is_flushed();
        if let CloseAction::End(ending) = self.closing.handle(CloseEvent::Eof) {
            self.outcome = match (ending, self.outcome) {
                // If the idle timer closed the connection, the outcome stays `TimedOut`.
                (Ending::Abnormal, outcome @ Outcome::TimedOut(_)) => outcome,
                (Ending::Abnormal, _) => Outcome::Abnormal(position),
                // RFC 6455 7.1.4: a close is clean after the closing handshake, in which both sides send a Close.
                (Ending::Clean, Outcome::Clean { code }) if !all_written => Outcome::Unanswered { code },
                (_, outcome) => outcome,
            };
            self.end();
        }
    }

    /// Handles the end of the input when the peer may still read our output. `position` comes from
    /// [`Receiver::eof_position`](crate::Receiver::eof_position).
    ///
    /// After this call, queued bytes can still be written, until
    /// [`Config::close_timeout`](crate::Config::close_timeout) ends the connection. Call
    /// [`handle_eof`](Self::handle_eof) when they are written, or at once if they do not matter.
    pub fn handle_peer_half_closed(&mut self, now: Instant, position: EofPosition) {
        if matches!(self.outcome, Outcome::Abnormal(_)) {
            self.outcome = Outcome::Abnormal(position);
        }
        // The peer sends nothing more, so it answers no Ping. Stop all timers that wait for input.
        self.timers.close(now, &self.config);
    }

    /// Records whether the transport holds back accepted bytes until it is flushed.
    ///
    /// Call this method while the connection closes, if the transport has a buffer, as TLS libraries have. Pass
    /// `true` before [`transmitted`](Self::transmitted), and `false` when the flush is done. In between, our Close does
    /// not count as written. Otherwise the connection could end as clean although the Close was never sent.
    pub fn set_unflushed(&mut self, now: Instant, held_back: bool) {
        self.held_back = held_back;
        self.await_end(now);
    }

    /// Records that a write to the transport has failed. The driver must not write again, because it is unknown how
    /// many bytes of that write were sent. Input can still be read.
    ///
    /// The only effect on the connection is that [`poll_transport`](Self::poll_transport) no longer returns
    /// [`HalfClose`](TransportAction::HalfClose). The adapters call this method when a WebSocket whose write has failed
    /// is taken apart. So an adapter that is created from the parts does not write either.
    pub fn handle_write_failed(&mut self) {
        if self.transport == Transport::Open {
            self.transport = Transport::Failed;
        }
    }

    /// Records that the driver closed the sending half of the transport, as [`Self::poll_transport`] requested.
    pub fn handle_half_closed(&mut self) {
        self.transport = Transport::HalfClosed;
    }

    // --- what the driver must do ---

    /// Returns the next event of the sending half: [`Event::Writable`](crate::Event::Writable), and at the end of the
    /// connection [`Event::Closed`](crate::Event::Closed).
    pub fn poll(&mut self) -> Option<EventIndex> {
        if self.closing.state() == CloseState::Ended {
            let first = !core::mem::replace(&mut self.reported, true);
            return first.then_some(EventKind::Closed(self.outcome).into());
        }
        let open = self.blocked && self.closing.state() == CloseState::Open;
        // Queued Pongs do not count, because a peer that sends Pings without end must not block the application.
        if open && self.out.has_drained(self.config.high_water) && !self.out.control().has_ping() {
            self.blocked = false;
            return Some(EventKind::Writable.into());
        }
        None
    }

    /// Returns whether [`Self::poll`] may return an event.
    #[inline]
    pub(super) fn has_event(&self) -> bool {
        self.blocked || self.closing.state() == CloseState::Ended
    }

    /// Returns when to call [`Self::handle_timeout`] next; `None` if no timer runs.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_deadline().map(|(at, _)| at)
    }

    /// Returns what the driver must do with the transport now. Returns the same action until the driver has taken it.
    #[must_use]
    pub fn poll_transport(&self) -> Option<TransportAction> {
        match self.closing.state() {
            CloseState::Ended if self.transport == Transport::Aborted => Some(TransportAction::Abort),
            CloseState::Ended => Some(TransportAction::Close),
            // RFC 6455 7.1.1: the server closes TCP first, and the client waits for that. An endpoint that fails the
            // connection closes TCP too. The Close must be flushed before that, because a reset could destroy the
            // Close.
            CloseState::Both if self.encoder.role() == Role::Client => None,
            CloseState::Both | CloseState::Failed
                if self.is_flushed() && self.transport == Transport::Open =>
            {
                Some(TransportAction::HalfClose)
            }
            _ => None,
        }
    }

    // --- commands: commands.rs; getters: getters.rs ---

    /// Frees the heap memory of the write queue, if the queue is empty.
    pub fn release_idle(&mut self) {
        self.out.release();
    }

    // --- helpers ---

    /// Shortens a client's wait for the end of the stream, once a Close was sent and received.
    fn await_end(&mut self, now: Instant) {
        // RFC 6455 7.1.1: a client waits until the server closes the TCP connection, but may close the connection
        // itself at any time.
        if self.closing.state() == CloseState::Both
            && self.is_flushed()
            && self.encoder.role() == Role::Client
        {
            self.timers.await_end(now, &self.config);
        }
    }

    /// Returns whether everything is written and flushed.
    fn is_flushed(&self) -> bool {
        self.buffered_amount() == 0 && !self.held_back
    }
}

/// Offset of the first field that every message uses.
#[cfg(all(test, feature = "alloc", target_pointer_width = "64"))]
pub(super) const USED_FROM: usize = core::mem::offset_of!(Sender<Outbox>, closing);
