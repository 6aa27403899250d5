//! The connection: receiving, sending, closing and timers composed, for both roles.
//!
//! A [`Connection`] has methods of four classes:
//!
//! | class | methods |
//! | --- | --- |
//! | what happened | [`poll`](Connection::poll) and [`poll_event`](Connection::poll_event) with the bytes that came in, `handle_*` |
//! | commands | verbs: [`send_text`](Connection::send_text), [`ping`](Connection::ping), [`close`](Connection::close) … |
//! | what the driver must do | `poll_*`: [`poll_transmit`](Connection::poll_transmit), [`poll_timeout`](Connection::poll_timeout), [`poll_transport`](Connection::poll_transport) |
//! | getters | [`ready_state`](Connection::ready_state), [`buffered_amount`](Connection::buffered_amount) … |
//!
//! One turn of a driver: read; [`poll_event`](Connection::poll_event) until `None`; call
//! [`handle_timeout`](Connection::handle_timeout); write what [`poll_transmit`](Connection::poll_transmit) gives and say how
//! much; do what [`poll_transport`](Connection::poll_transport) says; wait for the next byte or for
//! [`poll_timeout`](Connection::poll_timeout), whichever is first. [`manual::run_loop`](crate::manual::run_loop) has the
//! details.

use core::time::Duration;

#[cfg(feature = "alloc")]
use crate::close::CloseFrame;
use crate::error::ProtocolError;
use crate::frame::{MaskingKeys, Role};
use crate::time::Instant;

pub use crate::kernel::{ReadBuffer, SliceWindow};

mod buffer;
mod close_state;
mod commands;
mod config;
mod event;
#[cfg(feature = "alloc")]
mod message;
mod receive;
mod send;
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
pub use send::{Sender, SliceOutbox, WriteQueue};

use event::Reply;

/// The write queue of a `Connection` whose type does not name one.
#[cfg(feature = "alloc")]
type DefaultQueue = Outbox;
#[cfg(not(feature = "alloc"))]
type DefaultQueue = SliceOutbox<'static>;

/// A connection: a [`Receiver`] and a [`Sender`], and what passes between them. `O` is where frames wait to
/// be written; with an allocator use [`Connection`].
///
/// It does no I/O, has no clock, keeps no input beyond a partial header and a partial control frame, and
/// owns no heap before its first use.
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
// What each message touches comes last in the sender and first in the receiver, and so lies together: with many
// connections each piece of it is far away.
#[repr(C)]
pub struct Connection<O = DefaultQueue> {
    sender: Sender<O>,
    receiver: Receiver,
}

impl<O: WriteQueue> Connection<O> {
    /// The server's end of a connection whose handshake is done.
    #[must_use]
    pub fn server(now: Instant, config: impl Into<SharedConfig>, out: O) -> Self {
        let config = config.into();
        Self {
            receiver: Receiver::new(Role::Server, config.clone()),
            sender: Sender::server(now, config, out),
        }
    }

    /// The client's end of a connection whose handshake is done. The masking keys are those of
    /// `MaskingKeys::from_os`, or of a seed of 32 bytes, which must then come from a strong source of
    /// entropy, fresh for each connection (RFC 6455 section 10.3).
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

    /// With permessage-deflate (RFC 7692) as agreed on in the handshake, if it was: the parameters that
    /// [`Request::negotiate_deflate`](crate::handshake::Request::negotiate_deflate) gave, or
    /// [`Opened::deflate`](crate::handshake::Opened::deflate).
    ///
    /// Messages are then compressed as [`Config::compression`] says, and those that come in inflated. Nothing
    /// is allocated before the first one in a direction.
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

    /// Puts two halves together.
    #[must_use]
    pub const fn from_halves(receiver: Receiver, sender: Sender<O>) -> Self {
        Self { receiver, sender }
    }

    /// Takes the connection apart, for a task that receives and one that sends. What receiving owes is a
    /// value ([`Input::reply`], [`Sender::apply`]); of the input tell the sender with
    /// [`handle_received`](Sender::handle_received), and of a timer that failed the connection the receiver
    /// with [`handle_ended`](Receiver::handle_ended).
    #[must_use]
    pub fn into_halves(self) -> (Receiver, Sender<O>) {
        (self.receiver, self.sender)
    }

    // --- what happened ---

    /// Takes in bytes up to the next event and no further, and says where it lies; `None` once all of
    /// `input` has been taken in. What the event means is done by then: a Pong is queued, a Close answered.
    ///
    /// [`Event::Writable`] and [`Event::Closed`] need no input: with an empty one they come too.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke, once. The Close that says so is queued, and further input is
    /// discarded. Go on as before: write, and poll until [`Event::Closed`].
    // That there is nothing is seen where this is called, once for each read.
    #[inline(always)]
    pub fn poll(
        &mut self,
        now: Instant,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<EventIndex>, ProtocolError> {
        if self.receiver.is_idle(input) && !self.sender.has_event() {
            return Ok(None);
        }
        match self.poll_message(now, input) {
            Some(ready) => Ok(Some(ready.into())),
            None => self.poll_any(now, input),
        }
    }

    /// As [`Receiver::poll_message`], with what is to be done for it.
    #[inline(always)]
    fn poll_message(
        &mut self,
        now: Instant,
        input: &mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Option<MessageIndex> {
        let message = self.receiver.poll_message(input)?;
        self.sender.handle_received(now, true);
        Some(message)
    }

    // Rare beside messages that lie in the input: their way is laid out without a jump.
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
                Ok(Some(ready)) => {
                    let reply = input.borrow_reply(ready);
                    // In front of a control frame there may have been a part of a message.
                    self.sender.handle_received(now, reply.is_none() || self.receiver.saw_data());
                    if let Some(reply) = reply {
                        self.sender.apply_reply(now, reply);
                    }
                    return Ok(Some(ready));
                }
                Ok(None) => {}
                Err(error) => {
                    self.sender.apply_reply(now, Reply::Failure(error));
                    return Err(error);
                }
            }
        }
        if self.receiver.counters().bytes != before {
            // A part of a large message is data as well.
            self.sender.handle_received(now, self.receiver.saw_data());
        }
        // Where there is nothing, nothing is moved.
        if !self.sender.has_event() {
            return Ok(None);
        }
        let ready = self.sender.poll();
        if self.sender.close_state() == CloseState::Ended {
            // Closed is the last event.
            self.receiver.handle_ended();
            input.discard();
        }
        Ok(ready)
    }

    /// As [`Self::poll`], with the event itself.
    ///
    /// # Errors
    ///
    /// As [`Self::poll`].
    #[inline]
    pub fn poll_event<'i>(
        &mut self,
        now: Instant,
        input: &'i mut Input<impl ReadBuffer, impl MessageBuffer>,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        // A message that lies in the input goes straight to its event: no Ready is made, which has room for a control frame.
        if let Some(ready) = self.receiver.poll_message(input) {
            // The timers are told in each arm. Behind the arms the compiler would join them, and ask again which kind of event
            // there is where the caller looks at it: 8 of 91 instructions for a client that receives 16 bytes.
            return Ok(Some(match ready.kind {
                MessageKind::Text => {
                    self.sender.handle_received(now, true);
                    Event::Text(input.text_in_place(ready.place))
                }
                MessageKind::Binary => {
                    self.sender.handle_received(now, true);
                    Event::Binary(input.binary_in_place(ready.place))
                }
            }));
        }
        match self.poll_any(now, input)? {
            Some(ready) => Ok(Some(input.event(ready))),
            None => Ok(None),
        }
    }

    /// The stream has ended, by end of file or by reset. To be called once poll has returned `None`, and not while
    /// [`is_paused`](Self::is_paused): what has arrived comes before the end. Then poll for [`Event::Closed`].
    pub fn handle_eof(&mut self) {
        self.sender.handle_eof(self.receiver.cut());
    }

    /// See [`Sender::handle_input_ended`].
    pub fn handle_input_ended(&mut self, now: Instant) {
        self.sender.handle_input_ended(now, self.receiver.cut());
    }

    /// Time has passed: does what is due by `now`. See [`Self::poll_timeout`].
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

    /// See [`Sender::handle_held_back`].
    pub fn handle_held_back(&mut self, now: Instant, held_back: bool) {
        self.sender.handle_held_back(now, held_back);
    }

    /// The sending half of the transport is closed, as [`Self::poll_transport`] asked for.
    pub fn handle_half_closed(&mut self) {
        self.sender.handle_half_closed();
    }

    /// The first `n` bytes of what [`Self::poll_transmit`] gave have been written; 0 where the transport
    /// takes nothing now.
    #[inline]
    pub fn transmitted(&mut self, now: Instant, n: usize) {
        self.sender.transmitted(now, n);
    }

    // --- commands: commands.rs ---

    /// See [`Receiver::set_inflate_budget`].
    pub const fn set_inflate_budget(&mut self, bytes: Option<u32>) {
        self.receiver.set_inflate_budget(bytes);
    }

    // --- what the driver must do ---

    /// See [`Sender::poll_transmit`]. Between it and [`transmitted`](Self::transmitted) nothing else may be
    /// called: a driver whose writes complete later copies the slices, reports them at once, and writes its
    /// copy.
    #[inline]
    pub fn poll_transmit<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        self.sender.poll_transmit(to)
    }

    /// See [`Sender::poll_offer`].
    pub fn poll_offer<'a>(&'a self, to: &mut [&'a [u8]]) -> usize {
        self.sender.poll_offer(to)
    }

    /// See [`Sender::offered`].
    pub fn offered(&mut self, now: Instant, n: usize) {
        self.sender.offered(now, n);
    }

    /// See [`Sender::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.sender.poll_timeout();
        #[cfg(feature = "deflate")]
        if let Some(release) = self.window_release() {
            return Some(timer.map_or(release, |timer| timer.min(release)));
        }
        timer
    }

    /// When the receiver is to give back what it inflates with.
    #[cfg(feature = "deflate")]
    fn window_release(&self) -> Option<Instant> {
        if self.receiver.holds_window() { self.sender.release_at() } else { None }
    }

    /// See [`Sender::poll_transport`].
    #[must_use]
    pub fn poll_transport(&self) -> Option<TransportAction> {
        self.sender.poll_transport()
    }

    // --- getters ---

    /// The receiving half.
    #[must_use]
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The receiving half, for [`Receiver::poll_message`]. What it gives is then the caller's to tell the sending
    /// half, as it is where the two are apart.
    #[must_use]
    pub const fn receiver_mut(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// The sending half.
    #[must_use]
    pub const fn sender(&self) -> &Sender<O> {
        &self.sender
    }

    /// The sending half, to be handed out where an event is answered.
    #[must_use]
    pub const fn sender_mut(&mut self) -> &mut Sender<O> {
        &mut self.sender
    }

    /// See [`Sender::latest_instant`].
    #[must_use]
    pub fn latest_instant(&self) -> Instant {
        self.sender.latest_instant()
    }

    /// Which end of the connection this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.sender.role()
    }

    /// Whether messages can be sent.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        match self.sender.close_state() {
            CloseState::Open => ReadyState::Open,
            CloseState::Sent | CloseState::Both | CloseState::Failed => ReadyState::Closing,
            CloseState::Ended => ReadyState::Closed,
        }
    }

    /// What was agreed on for compression, as [`Self::with_deflate`] was told; a window that was not limited has
    /// 15 bits.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<crate::handshake::DeflateParams> {
        let (sent, received) = (self.sender.agreed()?, self.receiver.agreed()?);
        let (server, client) = match self.role() {
            Role::Server => (sent, received),
            Role::Client => (received, sent),
        };
        Some(crate::handshake::DeflateParams {
            server_no_context_takeover: !server.takeover(),
            client_no_context_takeover: !client.takeover(),
            server_max_window_bits: Some(server.window_bits()),
            client_max_window_bits: Some(client.window_bits()),
        })
    }

    /// See [`Sender::buffered_amount`].
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// See [`Receiver::is_paused`].
    #[must_use]
    #[inline]
    pub const fn is_paused(&self) -> bool {
        self.receiver.is_paused()
    }

    /// See [`Receiver::read_hint`].
    #[must_use]
    pub fn read_hint(&self) -> usize {
        self.receiver.read_hint()
    }

    /// See [`Sender::round_trip`].
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    /// See [`Receiver::peer_close`].
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn peer_close(&self) -> Option<CloseFrame> {
        self.receiver.peer_close()
    }

    /// What has come in.
    #[must_use]
    pub const fn received(&self) -> Counters {
        self.receiver.counters()
    }

    /// See [`Sender::counters`].
    #[must_use]
    pub const fn sent(&self) -> Counters {
        self.sender.counters()
    }

    /// Gives back heap that is held for nothing. A buffer for messages is the caller's, and has a
    /// `release_idle` of its own.
    pub fn release_idle(&mut self) {
        self.sender.release_idle();
    }

    /// Gives back what messages are compressed and inflated with, but for what the peer may refer to: see
    /// [`Sender::release_window`] and [`Receiver::release_window`]. Done without being asked after
    /// [`Compression::release_after`](crate::deflate::Compression::release_after).
    #[cfg(feature = "deflate")]
    pub fn release_windows(&mut self) {
        self.sender.release_window();
        self.receiver.release_window();
    }
}

/// What embedded targets are promised. On 64-bit targets `tests/memory.rs` has the bounds.
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
    fn what_each_message_touches_lies_together() {
        let first = offset_of!(Connection, sender) + send::USED_FROM;
        let last = offset_of!(Connection, receiver) + receive::USED_TO;
        assert!(last - first <= 256, "{first} to {last}");
    }
}
