//! A connection as a state machine without I/O: receiving, sending, closing and timers, for both roles.
//!
//! [`Connection`] composes a [`Receiver`] and a [`Sender`] and carries replies and failures from one to the other. It
//! does not read, write or look at a clock. A driver does, and passes bytes and instants in.
//!
//! ```text
//!         close()                 Close received
//!  Open ───────────▶ Sent ────────────────────────▶ Both ────┐
//!   │ └─ Close received: a Close is the answer ──────▲       │ end of the stream,
//!   │                 │                                      ├─────────────────────▶ Ended
//!   └─────────────────┴─ violation, or no Pong ─▶ Failed ────┘ or close_timeout
//! ```
//!
//! These are the states of [`CloseState`]. The end of the stream moves `Open` and `Sent` to `Ended` too;
//! `close_state.rs` has the table. The methods are grouped by class: what happened and what the driver must do are here,
//! commands in `commands.rs`, getters in `getters.rs`. `sending_half.rs` names what a write driver needs of a connection
//! or of its sending half alone. [`manual::run_loop`](crate::manual::run_loop) has the turn of a driver, which calls them in order.

use crate::error::ProtocolError;
use crate::frame::{MaskingKeys, Role};
use crate::time::Instant;

pub use crate::kernel::{ReadBuffer, SliceWindow};

mod buffer;
mod close_state;
mod commands;
mod config;
mod event;
mod getters;
#[cfg(feature = "alloc")]
mod message;
mod receive;
mod send;
#[cfg(feature = "alloc")]
mod sending_half;
mod timers;

#[cfg(feature = "alloc")]
pub use buffer::{Inbox, VecMessage};
pub use buffer::{Input, MessageBuffer, SliceInbox, SliceMessage};
pub use close_state::{CloseState, ReadyState};
pub use config::{Config, Delivery, Limits, SharedConfig};
pub use event::{
    ControlPayload, Counters, EofPosition, Event, EventIndex, MessageIndex, MessageKind, Outcome,
    PendingReply, TimerKind, TransportAction,
};
#[cfg(feature = "alloc")]
pub use message::{Message, UnsentMessage};
pub use receive::Receiver;
#[cfg(feature = "alloc")]
pub use send::{Outbox, Prepared};
pub use send::{SendOptions, Sender, SliceOutbox, WriteQueue};
#[cfg(feature = "alloc")]
pub use sending_half::SendingHalf;

use event::Reply;

/// The write queue of a `Connection` that names none.
#[cfg(feature = "alloc")]
type DefaultQueue = Outbox;
#[cfg(not(feature = "alloc"))]
type DefaultQueue = SliceOutbox<'static>;

/// A WebSocket connection after its handshake: a [`Receiver`] and a [`Sender`], composed.
/// `O` is the write queue: with an allocator, use [`Connection`] without a parameter. A connection does no I/O and has
/// no clock. It keeps no input but a partial header, and allocates nothing before its first use.
///
/// ```
/// use hybi::{Config, Connection, Event, Input, Instant, VecMessage, Outbox};
///
/// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
/// let mut message = VecMessage::new();
///
/// // A masked "Hello", as RFC 6455 section 5.7 prints it.
/// let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let mut input = Input::new(&mut bytes, &mut message);
/// while let Some(event) = connection.poll_event(Instant::ZERO, &mut input).unwrap() {
///     if let Event::Text(text) = event {
///         assert_eq!(text, "Hello");
///         connection.send_text(text).unwrap();   // `text` is still borrowed
///     }
/// }
///
/// let mut slices = [&[][..]; 8];
/// let n = connection.poll_transmit(&mut slices);
/// assert_eq!(slices[..n].concat(), b"\x81\x05Hello");
/// connection.transmitted(Instant::ZERO, 7);
/// assert_eq!(connection.buffered_amount(), 0);
/// ```
#[derive(Debug)]
// The fields that each message touches come last in the sender and first in the receiver, so that they are adjacent.
// With many connections, every cache line that a message touches is a miss.
#[repr(C)]
pub struct Connection<O = DefaultQueue> {
    sender: Sender<O>,
    receiver: Receiver,
}

impl<O: WriteQueue> Connection<O> {
    /// Creates the server's end of a connection whose handshake is done. `out` is its write queue.
    #[must_use]
    pub fn server(now: Instant, config: impl Into<SharedConfig>, out: O) -> Self {
        let config = config.into();
        Self {
            receiver: Receiver::new(Role::Server, config.clone()),
            sender: Sender::server(now, config, out),
        }
    }

    /// Creates the client's end of a connection whose handshake is done. `out` is its write queue. The masking keys
    /// come from `MaskingKeys::from_os`, or from a seed of 32 bytes: a strong random one, new for each connection (RFC
    /// 6455 section 10.3).
    #[must_use]
    pub fn client(
        now: Instant,
        config: impl Into<SharedConfig>,
        out: O,
        keys: impl Into<MaskingKeys>,
    ) -> Self {
        let config = config.into();
        Self {
            receiver: Receiver::new(Role::Client, config.clone()),
            sender: Sender::client(now, config, out, keys),
        }
    }

    /// Sets the permessage-deflate parameters that the handshake agreed on (RFC 7692); `None` for no compression.
    ///
    /// A server has them from [`Request::negotiate_deflate`](crate::handshake::Request::negotiate_deflate), a client
    /// from [`Opened::deflate`](crate::handshake::Opened::deflate). [`Config::compression`] says how messages are
    /// compressed. Memory is allocated with the first compressed message in a direction.
    ///
    /// ```
    /// use hybi::handshake::DeflateParams;
    /// use hybi::{Config, Connection, Instant, Outbox};
    ///
    /// let agreed = DeflateParams::default();
    /// let mut connection =
    ///     Connection::server(Instant::ZERO, Config::new(), Outbox::new()).with_deflate(agreed);
    /// connection.send_text(&"to and fro ".repeat(100))?;
    /// assert!(connection.buffered_amount() < 40);
    /// # Ok::<(), hybi::SendError>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(self, params: impl Into<Option<crate::handshake::DeflateParams>>) -> Self {
        let params = params.into();
        Self { receiver: self.receiver.with_deflate(params), sender: self.sender.with_deflate(params) }
    }

    /// Composes two halves to a connection.
    #[must_use]
    pub const fn from_halves(receiver: Receiver, sender: Sender<O>) -> Self {
        Self { receiver, sender }
    }

    /// Takes the connection apart, for a task that receives and one that sends. The receiving task hands values to
    /// [`Sender::apply`]: [`PendingReply::Received`] after each poll, and the reply to an event from [`Input::reply`].
    /// The sending task tells of a failure by a timer with [`Receiver::handle_ended`].
    #[must_use]
    pub fn into_halves(self) -> (Receiver, Sender<O>) {
        (self.receiver, self.sender)
    }

    // --- what happened ---

    /// Decodes up to the next event and no further, and returns its place; `None` once all of `input` has been decoded.
    /// The event has taken effect by then: the Pong to a Ping is queued, a Close is answered. [`Event::Writable`] and
    /// [`Event::Closed`] need no input, and come with an empty one too.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke, once. A Close that names it is queued, and further input is discarded. Continue to
    /// write and to poll until [`Event::Closed`].
    // Inlined: the last call for each read finds nothing, and the caller sees that without a call.
    #[inline(always)]
    pub fn poll(
        &mut self,
        now: Instant,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        if self.receiver.is_idle(input) && !self.sender.has_event() {
            return Ok(None);
        }
        match self.receiver.poll_message(input) {
            Some(index) => {
                self.sender.handle_received(now, true);
                Ok(Some(index.into()))
            }
            None => self.poll_any(now, input),
        }
    }

    /// Returns the next message if all of it lies in the input, without being told the time.
    ///
    /// This is the fast path of [`Self::poll`] for a driver that does not read its clock for each message. The timers
    /// count the message once [`catch_up`](Self::catch_up) or [`handle_timeout`](Self::handle_timeout) is called. Call
    /// `catch_up` before [`poll_timeout`](Self::poll_timeout), which returns a deadline that is too early until then.
    ///
    /// `None` says only that there is no such message. Call [`Self::poll`] next: it decodes all other input, and returns
    /// the rule that the peer broke if there is one.
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use hybi::{Config, Connection, Inbox, Instant, Outbox};
    ///
    /// let mut connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
    /// let mut inbox = Inbox::with_bytes(b"\x81\x03one\x81\x03two\x89\x00");
    /// let mut messages = Vec::new();
    /// while let Some(index) = connection.poll_message(&mut inbox) {
    ///     messages.extend(inbox.take_message(index.into()));
    /// }
    /// assert_eq!(messages, ["one".into(), "two".into()]);
    /// assert!(connection.is_behind());
    ///
    /// // The next read, or a write, needs the time anyway.
    /// let now = Instant::ZERO + std::time::Duration::from_secs(1);
    /// connection.catch_up(now);
    /// assert!(!connection.is_behind());
    /// assert!(connection.poll(now, &mut inbox).unwrap().is_some());   // the Ping
    /// # }
    /// ```
    #[inline(always)]
    pub fn poll_message(
        &mut self,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        let message = self.receiver.poll_message(input)?;
        self.sender.defer_received();
        Some(message)
    }

    /// Decodes up to the next event of any kind: the slow path of [`Self::poll`].
    // Cold, so that the compiler lays out the fast path without a jump.
    #[cold]
    #[inline(never)]
    fn poll_any(
        &mut self,
        now: Instant,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        let before = self.receiver.counters().bytes;
        if !self.receiver.is_idle(input) {
            match self.receiver.poll_any(input) {
                Ok(Some(index)) => {
                    let reply = input.borrow_reply(index);
                    // A part of a message may have preceded the control frame.
                    self.sender.handle_received(now, reply.is_none() || self.receiver.saw_data());
                    if let Some(reply) = reply {
                        self.sender.apply_reply(now, reply);
                    }
                    return Ok(Some(index));
                }
                Ok(None) => {}
                Err(error) => {
                    self.sender.apply_reply(now, Reply::Failure(error));
                    return Err(error);
                }
            }
        }
        if self.receiver.counters().bytes != before {
            // No event: a part of a message may have come, which counts as data.
            self.sender.handle_received(now, self.receiver.saw_data());
        }
        // Return before the large `Option<EventIndex>` is built and copied.
        if !self.sender.has_event() {
            return Ok(None);
        }
        let index = self.sender.poll();
        if self.sender.close_state() == CloseState::Ended {
            // `Closed` is the last event.
            self.receiver.handle_ended();
            input.discard();
        }
        Ok(index)
    }

    /// Decodes up to the next event and no further, and returns it; `None` once all of `input` has been decoded.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke, once, with the consequences that [`Self::poll`] lists.
    #[inline]
    pub fn poll_event<'i>(
        &mut self,
        now: Instant,
        input: &'i mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        // Fast path: a message that lies in the input becomes an event without an `EventIndex` in between, which would
        // be written to memory and read back.
        if let Some(index) = self.receiver.poll_message(input) {
            // `handle_received` is repeated in both arms on purpose. Called once behind the match, it makes the
            // compiler join the arms and test the kind again where the caller matches the event: 8 of 91 instructions
            // for a client that receives 16 bytes.
            return Ok(Some(match index.kind {
                MessageKind::Text => {
                    self.sender.handle_received(now, true);
                    Event::Text(input.text_in_place(index.place))
                }
                MessageKind::Binary => {
                    self.sender.handle_received(now, true);
                    Event::Binary(input.binary_in_place(index.place))
                }
            }));
        }
        match self.poll_any(now, input)? {
            Some(index) => Ok(Some(input.event(index))),
            None => Ok(None),
        }
    }

    /// Tells the timers the time, for messages of [`poll_message`](Self::poll_message).
    ///
    /// `now` is later than the messages came. So timers may run longer, and none fires too soon.
    #[inline]
    pub fn catch_up(&mut self, now: Instant) {
        self.sender.catch_up(now);
    }

    /// Records that input came in which will be decoded later: see [`Sender::handle_unread`].
    pub fn handle_unread(&mut self, now: Instant) {
        self.sender.handle_unread(now);
    }

    /// Handles the end of the stream, by end of file or by reset. Then poll for [`Event::Closed`]. Call it once poll
    /// has returned `None` and while [`is_paused`](Self::is_paused) is false: bytes that arrived before come first.
    pub fn handle_eof(&mut self) {
        self.sender.handle_eof(self.receiver.cut());
    }

    /// Handles the end of input while the peer may still read: see [`Sender::handle_input_ended`].
    pub fn handle_input_ended(&mut self, now: Instant) {
        self.sender.handle_input_ended(now, self.receiver.cut());
    }

    /// Does what is due by `now`. [`Self::poll_timeout`] returns when to call it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
        if matches!(self.sender.close_state(), CloseState::Failed | CloseState::Ended) {
            // RFC 6455 7.1.7: after failing the connection, nothing more is processed.
            self.receiver.handle_ended();
        }
        #[cfg(feature = "deflate")]
        if self.window_release().is_some_and(|at| at <= now) {
            self.receiver.release_window();
        }
    }

    /// Records whether the transport holds back bytes that it has taken: see [`Sender::handle_held_back`].
    pub fn handle_held_back(&mut self, now: Instant, held_back: bool) {
        self.sender.handle_held_back(now, held_back);
    }

    /// Records that a write to the transport has failed: see [`Sender::handle_write_failed`].
    pub fn handle_write_failed(&mut self) {
        self.sender.handle_write_failed();
    }

    /// Records that the sending half of the transport is closed, as [`Self::poll_transport`] asked for.
    pub fn handle_half_closed(&mut self) {
        self.sender.handle_half_closed();
    }

    /// Removes `n` written bytes of [`Self::poll_transmit`]; 0 says that the transport takes nothing now.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        self.sender.transmitted(now, n);
    }

    // --- commands: commands.rs; getters: getters.rs ---

    /// Limits how many bytes are inflated until the next call: see [`Receiver::set_inflate_budget`].
    pub const fn set_inflate_budget(&mut self, bytes: Option<u32>) {
        self.receiver.set_inflate_budget(bytes);
    }

    // --- what the driver must do ---

    /// Fills `to` with the bytes to write: see [`Sender::poll_transmit`]. Call nothing else between this and
    /// [`transmitted`](Self::transmitted). A driver whose writes complete later copies the slices, reports them at
    /// once, and writes its copy.
    #[inline]
    pub fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        self.sender.poll_transmit(to)
    }

    /// Fills `to` with bytes for a transport that may keep what it refused: see [`Sender::poll_offer`].
    pub fn poll_offer<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        self.sender.poll_offer(to)
    }

    /// Records that the transport refused `n` offered bytes: see [`Sender::offered`].
    pub fn offered(&mut self, now: Instant, n: usize) {
        self.sender.offered(now, n);
    }

    /// Returns when to call [`Self::handle_timeout`] next; `None` if no timer runs.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.sender.poll_timeout();
        #[cfg(feature = "deflate")]
        if let Some(release) = self.window_release() {
            return Some(timer.map_or(release, |timer| timer.min(release)));
        }
        timer
    }

    /// Returns when the receiver is due to release its inflater; `None` if it holds none.
    #[cfg(feature = "deflate")]
    fn window_release(&self) -> Option<Instant> {
        if self.receiver.holds_window() { self.sender.release_at() } else { None }
    }

    /// Returns what to do with the transport now: see [`Sender::poll_transport`].
    #[must_use]
    pub fn poll_transport(&self) -> Option<TransportAction> {
        self.sender.poll_transport()
    }
}

/// Size bounds for embedded targets. `tests/memory.rs` has those for 64-bit targets.
#[cfg(target_pointer_width = "32")]
const _: () = {
    assert!(size_of::<Event<'_>>() <= 32 && size_of::<EventIndex>() <= 32);
    assert!(size_of::<Connection<SliceOutbox<'_>>>() <= 400);
};

#[cfg(all(test, feature = "alloc", target_pointer_width = "64"))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn fields_that_each_message_touches_are_adjacent() {
        let first = offset_of!(Connection, sender) + send::USED_FROM;
        let last = offset_of!(Connection, receiver) + receive::USED_TO;
        assert!(last - first <= 256, "{first} to {last}");
    }
}
