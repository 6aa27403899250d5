//! A connection as a state machine without I/O: receiving, sending, closing and timers, for both roles.
//!
//! A [`Connection`] consists of a [`Receiver`] and a [`Sender`]. It passes the receiver's replies to the sender, and a
//! failure of one half to the other half. The connection itself does no I/O and reads no clock. The code that calls the
//! connection is the driver. The driver reads and writes the bytes, and passes the current time to the calls.
//!
//! ```text
//!         close()                 Close received
//!  Open ───────────▶ Sent ────────────────────────▶ Both ────┐
//!   │ └─ Close received: a Close is the answer ──────▲       │ end of the stream,
//!   │                 │                                      ├─────────────────────▶ Ended
//!   └─────────────────┴─ violation, or no Pong ─▶ Failed ────┘ or close_timeout
//! ```
//!
//! The diagram shows the states of [`CloseState`]. The end of the stream also moves `Open` and `Sent` to `Ended`.
//! `close_state.rs` has the complete table.
//!
//! The methods are grouped by purpose. This file has the methods that report what happened, and the methods that say
//! what the driver must do next. Commands are in `commands.rs`, and getters are in `getters.rs`. The trait in
//! `sending_half.rs` lists the methods that writing needs; a connection and a sending half both implement it.
//! [`manual::run_loop`](crate::manual::run_loop) shows in which order a driver calls the methods.

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
mod outcome;
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
    ControlPayload, Counters, Event, EventIndex, MessageIndex, MessageKind, PendingReply, TransportAction,
};
#[cfg(feature = "alloc")]
pub use message::{Message, UnsentMessage};
pub use outcome::{EofPosition, Outcome, TimerKind};
pub use receive::Receiver;
#[cfg(feature = "alloc")]
pub use send::{Outbox, Prepared};
pub use send::{SendOptions, Sender, SliceOutbox, WriteQueue};
#[cfg(feature = "alloc")]
pub use sending_half::SendingHalf;

use event::Reply;

/// The write queue of a `Connection` without a type parameter.
#[cfg(feature = "alloc")]
type DefaultQueue = Outbox;
#[cfg(not(feature = "alloc"))]
type DefaultQueue = SliceOutbox<'static>;

/// A WebSocket connection after its handshake: a [`Receiver`] together with a [`Sender`].
///
/// A connection does no I/O and has no clock. The only undecoded input that it stores is a partial frame header. A new
/// connection of a server allocates nothing, except for a configuration that differs from the default. A client's
/// connection also allocates its masking keys. `O` is the type of the write queue. With an allocator, use
/// [`Connection`] without a parameter.
///
/// ```
/// use hybi::{Config, Connection, Event, Input, Instant, VecMessage, Outbox};
///
/// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
/// let mut message = VecMessage::new();
///
/// // The masked "Hello" from RFC 6455 section 5.7.
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
// The fields that every message uses are the last fields of the sender and the first fields of the receiver. So they
// are adjacent, and a message uses few cache lines. With many connections, each of those lines is a cache miss.
#[repr(C)]
pub struct Connection<O = DefaultQueue> {
    sender: Sender<O>,
    receiver: Receiver,
}

impl<O: WriteQueue> Connection<O> {
    /// Creates a server's connection, after its handshake. `out` is the write queue.
    #[must_use]
    pub fn server(now: Instant, config: impl Into<SharedConfig>, out: O) -> Self {
        let config = config.into();
        Self {
            receiver: Receiver::new(Role::Server, config.clone()),
            sender: Sender::server(now, config, out),
        }
    }

    /// Creates a client's connection, after its handshake. `out` is the write queue.
    ///
    /// `keys` generates the masking keys. Pass the result of `MaskingKeys::from_os`, or a seed of 32 bytes. The seed
    /// must come from a strong source of entropy, and each connection needs a new seed (RFC 6455 section 10.3).
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
    /// A server gets the parameters from [`Request::negotiate_deflate`](crate::handshake::Request::negotiate_deflate),
    /// a client from [`Opened::deflate`](crate::handshake::Opened::deflate). [`Config::compression`] sets how messages
    /// are compressed. The memory for each direction is allocated with the first compressed message in that direction.
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

    /// Creates a connection from its two halves.
    #[must_use]
    pub const fn from_halves(receiver: Receiver, sender: Sender<O>) -> Self {
        Self { receiver, sender }
    }

    /// Splits the connection into halves, for two tasks: one receives, and the other sends.
    ///
    /// The receiving task passes [`PendingReply`] values to the sending task, which calls [`Sender::apply`] with each.
    /// After each poll, the receiving task passes [`PendingReply::Received`]. After each event, it also passes the
    /// reply that [`Input::reply`] returns.
    ///
    /// If a timer fails the connection, the sending task reports this to the receiving task, which calls
    /// [`Receiver::handle_ended`].
    #[must_use]
    pub fn into_halves(self) -> (Receiver, Sender<O>) {
        (self.receiver, self.sender)
    }

    // --- what happened ---

    /// Decodes up to the next event and no further, and returns the index of the event. Returns `None` once all of
    /// `input` has been decoded.
    ///
    /// The connection has already reacted to the event when this method returns: the Pong for a Ping is queued, and a
    /// Close is answered. [`Event::Writable`] and [`Event::Closed`] need no input; they are also returned if `input` is
    /// empty.
    ///
    /// # Errors
    ///
    /// Returns the protocol rule that the peer broke. An error is returned at most once. A Close that names the rule is
    /// queued, unless an earlier Close of this endpoint is sent instead. Further input is discarded. Continue to
    /// write and to poll until [`Event::Closed`].
    // This function is inlined, so that a poll that has nothing to do costs no function call. A driver makes such a
    // poll after each read.
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

    /// Returns the next message if all of it lies in the input. The call needs no current time.
    ///
    /// This method is the fast path of [`Self::poll`], for a driver that does not read its clock for each message. The
    /// timers count the message when [`record_received`](Self::record_received) or
    /// [`handle_timeout`](Self::handle_timeout) is called next. Call `record_received` before
    /// [`poll_timeout`](Self::poll_timeout), because the returned deadline would be too early otherwise.
    ///
    /// `None` means only that the next input is not a whole message. Call [`Self::poll`] next. That method decodes all
    /// other input, and returns an error if the peer broke a rule.
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
    /// assert!(connection.has_unrecorded_messages());
    ///
    /// // The next read, or a write, needs the time anyway.
    /// let now = Instant::ZERO + std::time::Duration::from_secs(1);
    /// connection.record_received(now);
    /// assert!(!connection.has_unrecorded_messages());
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
    // This function is marked cold, so that the compiler generates the fast path without a jump.
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
                    // The input may have contained a part of a message before the control frame.
                    self.sender.handle_received(now, reply.is_none() || self.receiver.last_poll_had_data());
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
            // The receiver returned no event, but may have received a part of a message. The part counts as data.
            self.sender.handle_received(now, self.receiver.last_poll_had_data());
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

    /// Decodes up to the next event and no further, and returns the event. Returns `None` once all of `input` has been
    /// decoded.
    ///
    /// # Errors
    ///
    /// Returns the protocol rule that the peer broke, as [`Self::poll`] does.
    #[inline]
    pub fn poll_event<'i>(
        &mut self,
        now: Instant,
        input: &'i mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        // Fast path: a message that lies in the input is turned directly into an event. An intermediate `EventIndex`
        // would be written to memory and read back.
        if let Some(index) = self.receiver.poll_message(input) {
            self.sender.handle_received(now, true);
            return Ok(input.event_in_place(index));
        }
        match self.poll_any(now, input)? {
            Some(index) => Ok(Some(input.event(index))),
            None => Ok(None),
        }
    }

    /// Counts `now` as the time when the messages of [`poll_message`](Self::poll_message) were received.
    ///
    /// `now` may be later than the messages. In this case a timer can expire later, but never too early.
    #[inline]
    pub fn record_received(&mut self, now: Instant) {
        self.sender.record_received(now);
    }

    /// Records that input was received that will be decoded later: see [`Sender::handle_undecoded`].
    pub fn handle_undecoded(&mut self, now: Instant) {
        self.sender.handle_undecoded(now);
    }

    /// Records that all input is decoded, and that a later read found no more input: see
    /// [`Sender::handle_all_decoded`].
    pub fn handle_all_decoded(&mut self) {
        self.sender.handle_all_decoded();
    }

    /// Handles the end of the stream, by end of file or by reset. After this call, poll for [`Event::Closed`].
    ///
    /// Call this only after poll has returned `None` and while [`must_poll_again`](Self::must_poll_again) is false. At
    /// this point, all bytes that arrived before the end of the stream have been decoded.
    pub fn handle_eof(&mut self) {
        self.sender.handle_eof(self.receiver.eof_position());
    }

    /// Handles the end of the input when the peer may still read our output: see [`Sender::handle_peer_half_closed`].
    pub fn handle_peer_half_closed(&mut self, now: Instant) {
        self.sender.handle_peer_half_closed(now, self.receiver.eof_position());
    }

    /// Carries out all actions of timers that are due at `now`. [`Self::poll_timeout`] returns when to call this next.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
        if matches!(self.sender.close_state(), CloseState::Failed | CloseState::Ended) {
            // RFC 6455 7.1.7: after the connection has failed, no more input is processed.
            self.receiver.handle_ended();
        }
        #[cfg(feature = "deflate")]
        if self.inflater_release_at().is_some_and(|at| at <= now) {
            self.receiver.release_inflater();
        }
    }

    /// Records whether the transport holds back bytes that it has accepted: see [`Sender::set_unflushed`].
    pub fn set_unflushed(&mut self, now: Instant, held_back: bool) {
        self.sender.set_unflushed(now, held_back);
    }

    /// Records that a write to the transport has failed: see [`Sender::handle_write_failed`].
    pub fn handle_write_failed(&mut self) {
        self.sender.handle_write_failed();
    }

    /// Records that the driver closed the sending half of the transport, as [`Self::poll_transport`] requested.
    pub fn handle_half_closed(&mut self) {
        self.sender.handle_half_closed();
    }

    /// Removes the first `n` bytes that [`Self::poll_transmit`] returned, because they have been written. 0 means that
    /// the transport accepts no bytes now.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        self.sender.transmitted(now, n);
    }

    // --- commands: commands.rs; getters: getters.rs ---

    /// Limits how many bytes may be inflated until the next call of this method: see [`Receiver::set_inflate_budget`].
    pub const fn set_inflate_budget(&mut self, bytes: Option<u32>) {
        self.receiver.set_inflate_budget(bytes);
    }

    // --- what the driver must do ---

    /// Fills `to` with the bytes to write, and returns the number of slices: see [`Sender::poll_transmit`].
    ///
    /// Call no other method between this one and [`transmitted`](Self::transmitted). If a driver's writes complete
    /// later, the driver copies the slices, reports them as transmitted at once, and writes its copy.
    #[inline]
    pub fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        self.sender.poll_transmit(to)
    }

    /// Fills `to` with bytes for a transport that may keep bytes of a refused write, as TLS does: see
    /// [`Sender::poll_transmit_retryable`].
    pub fn poll_transmit_retryable<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        self.sender.poll_transmit_retryable(to)
    }

    /// Records that the transport did not accept the first `n` bytes of [`Self::poll_transmit_retryable`]: see
    /// [`Sender::transmit_refused`].
    pub fn transmit_refused(&mut self, n: usize) {
        self.sender.transmit_refused(n);
    }

    /// Returns when to call [`Self::handle_timeout`] next; `None` if no timer runs.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.sender.poll_timeout();
        #[cfg(feature = "deflate")]
        if let Some(release) = self.inflater_release_at() {
            return Some(timer.map_or(release, |timer| timer.min(release)));
        }
        timer
    }

    /// Returns when the receiver should release its inflater; `None` if it holds no inflater.
    #[cfg(feature = "deflate")]
    fn inflater_release_at(&self) -> Option<Instant> {
        if self.receiver.can_release_inflater() { self.sender.release_at() } else { None }
    }

    /// Returns what the driver must do with the transport now: see [`Sender::poll_transport`].
    #[must_use]
    pub fn poll_transport(&self) -> Option<TransportAction> {
        self.sender.poll_transport()
    }
}

/// Maximum sizes on 32-bit targets. `tests/memory.rs` checks the sizes on 64-bit targets.
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
