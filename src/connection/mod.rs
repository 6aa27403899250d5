//! The connection: receiving, sending, closing and timers composed, for both roles.
//!
//! A [`Machine`] has methods of four classes:
//!
//! | class | methods |
//! | --- | --- |
//! | what happened | [`poll`](Machine::poll) and [`poll_event`](Machine::poll_event) with the bytes that came in, `handle_*` |
//! | commands | verbs: [`send_text`](Machine::send_text), [`ping`](Machine::ping), [`close`](Machine::close) … |
//! | what the driver must do | `poll_*`: [`poll_transmit`](Machine::poll_transmit), [`poll_timeout`](Machine::poll_timeout), [`poll_transport`](Machine::poll_transport) |
//! | getters | [`ready_state`](Machine::ready_state), [`buffered_amount`](Machine::buffered_amount) … |
//!
//! One turn of a driver: read; [`poll_event`](Machine::poll_event) until `None`; call
//! [`handle_timeout`](Machine::handle_timeout); write what [`poll_transmit`](Machine::poll_transmit) gives and say how
//! much; do what [`poll_transport`](Machine::poll_transport) says; wait for the next byte or for
//! [`poll_timeout`](Machine::poll_timeout), whichever is first. [`manual::run_loop`](crate::manual::run_loop) has the
//! details.

use core::time::Duration;

use crate::arch::Memory;
use crate::close::{CloseCode, CloseFrame, State};
use crate::error::{ProtocolError, SendError};
use crate::frame::{MaskingKeys, Role};
use crate::time::Instant;

mod closing;
mod config;
#[cfg(feature = "deflate")]
mod deflate;
mod event;
mod fast;
#[cfg(feature = "deflate")]
mod inflate;
mod input;
mod message;
mod outbox;
#[cfg(feature = "alloc")]
mod owned;
#[cfg(feature = "alloc")]
mod prepared;
mod recv;
mod send;
mod straight;
mod timers;
mod transmit;
mod urgent;

pub use config::{Config, Delivery, Limits, SharedConfig};
pub use event::{
    ControlPayload, Counters, Cut, Event, Kind, Outcome, Owed, Ready, ReadyMessage, Timer, TransportAction,
};
#[cfg(feature = "alloc")]
pub use input::Inbox;
pub use input::Input;
pub use message::{Gather, LentMessage};
#[cfg(feature = "alloc")]
pub use message::{Message, MessageBuf, Refused};
#[cfg(feature = "alloc")]
pub use outbox::Outbox;
pub use outbox::{Lent, Output};
#[cfg(feature = "alloc")]
pub use prepared::Prepared;
pub use recv::Receiver;
pub use send::Sender;

/// A connection whose output waits in memory that grows.
#[cfg(feature = "alloc")]
pub type Connection = Machine<Outbox>;

/// The state that the browser's WebSocket calls `readyState`. A connection comes into being once the
/// handshake is done, so there is no `Connecting`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ReadyState {
    /// Messages can be sent and received.
    Open,
    /// A Close was sent or received.
    Closing,
    /// The connection has ended.
    Closed,
}

/// A connection: a [`Receiver`] and a [`Sender`], and what passes between them. `O` is where frames wait to
/// be written; with an allocator use [`Connection`].
///
/// It does no I/O, has no clock, keeps no input beyond a partial header and a partial control frame, and
/// owns no heap before its first use.
///
/// ```
/// use hybi::{Config, Connection, Event, Input, Instant, MessageBuf, Outbox};
///
/// let mut connection = Connection::server(Instant::ZERO, Config::new(), Outbox::new());
/// let mut message = MessageBuf::new();
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
#[cfg_attr(not(feature = "alloc"), doc = "", doc = "[`Connection`]: Machine")]
#[derive(Debug)]
// What each message touches comes last in the sender and first in the receiver, and so lies together: with many
// connections each piece of it is far away.
#[repr(C)]
pub struct Machine<O> {
    sender: Sender<O>,
    receiver: Receiver,
}

impl<O: Output> Machine<O> {
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
    /// value ([`Ready::owes`], [`Sender::settle`]); of the input tell the sender with
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
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        if self.receiver.rests(input) && !self.sender.has_event() {
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
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Option<ReadyMessage> {
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
        input: &mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Ready>, ProtocolError> {
        let before = self.receiver.counters().bytes;
        if !self.receiver.rests(input) {
            match self.receiver.poll_any(input) {
                Ok(Some(ready)) => {
                    let owed = ready.owes();
                    // In front of a control frame there may have been a part of a message.
                    self.sender.handle_received(now, owed.is_none() || self.receiver.saw_data());
                    if let Some(owed) = owed {
                        self.sender.settle(now, owed);
                    }
                    return Ok(Some(ready));
                }
                Ok(None) => {}
                Err(error) => {
                    self.sender.settle(now, error);
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
        if self.sender.close_state() == State::Ended {
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
        input: &'i mut Input<impl Memory, impl Gather>,
    ) -> Result<Option<Event<'i>>, ProtocolError> {
        // A message that lies in the input goes straight to its event: no Ready is made, which has room for a control frame.
        if let Some(ready) = self.receiver.poll_message(input) {
            // The timers are told in each arm. Behind the arms the compiler would join them, and ask again which kind of event
            // there is where the caller looks at it: 8 of 91 instructions for a client that receives 16 bytes.
            return Ok(Some(match ready.kind {
                Kind::Text => {
                    self.sender.handle_received(now, true);
                    Event::Text(input.text(ready.place))
                }
                Kind::Binary => {
                    self.sender.handle_received(now, true);
                    Event::Binary(input.data(ready.place))
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
        if matches!(self.sender.close_state(), State::Failed | State::Ended) {
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

    // --- commands ---

    /// See [`Sender::send_text`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.sender.send_text(text)
    }

    /// See [`Sender::send_binary`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.sender.send_binary(data)
    }

    /// See [`Sender::transmit_text`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn transmit_text(
        &mut self,
        now: Instant,
        text: &str,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.sender.transmit_text(now, text, write)
    }

    /// See [`Sender::transmit_binary`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn transmit_binary(
        &mut self,
        now: Instant,
        data: &[u8],
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.sender.transmit_binary(now, data, write)
    }

    /// See [`Sender::send_fragment`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_fragment(&mut self, kind: Kind, data: &[u8], fin: bool) -> Result<(), SendError> {
        self.sender.send_fragment(kind, data, fin)
    }

    /// See [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(now, payload)
    }

    /// See [`Sender::pong`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.pong(payload)
    }

    /// See [`Sender::close`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn close(
        &mut self,
        now: Instant,
        code: impl Into<Option<CloseCode>>,
        reason: &str,
    ) -> Result<(), SendError> {
        self.sender.close(now, code, reason)
    }

    /// See [`Sender::uncompressed`].
    pub const fn uncompressed(&mut self) -> &mut Self {
        self.sender.uncompressed();
        self
    }

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
            State::Open => ReadyState::Open,
            State::Sent | State::Both | State::Failed => ReadyState::Closing,
            State::Ended => ReadyState::Closed,
        }
    }

    /// What was agreed on for compression, as [`Self::with_deflate`] was told; a window that was not limited has
    /// 15 bits.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<crate::handshake::DeflateParams> {
        let (sent, received) = (self.sender.deflating.agreed?, self.receiver.inflating.agreed?);
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

#[cfg(feature = "alloc")]
impl Connection {
    /// See [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Refused> {
        self.sender.send(message)
    }

    /// See [`Sender::transmit`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn transmit(
        &mut self,
        now: Instant,
        message: &Message,
        write: impl FnOnce(&[&[u8]]) -> usize,
    ) -> Result<(), SendError> {
        self.sender.transmit(now, message, write)
    }

    /// See [`Sender::send_prepared`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        self.sender.send_prepared(prepared)
    }

    /// See [`Receiver::read_space`].
    #[inline]
    pub fn read_space<'i>(&self, inbox: &'i mut Inbox) -> &'i mut [u8] {
        self.receiver.read_space(inbox)
    }

    /// See [`Receiver::payload_space`].
    pub fn payload_space<'m>(&self, message: &'m mut MessageBuf) -> &'m mut [u8] {
        self.receiver.payload_space(message)
    }

    /// See [`Receiver::handle_payload`].
    pub fn handle_payload(&mut self, message: &mut MessageBuf, len: usize) {
        self.receiver.handle_payload(message, len);
    }
}

#[cfg(all(test, feature = "alloc", target_pointer_width = "64"))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn what_each_message_touches_lies_together() {
        let first = offset_of!(Connection, sender) + offset_of!(Sender<Outbox>, closing);
        let last = offset_of!(Connection, receiver) + offset_of!(Receiver, utf8);
        assert!(last - first <= 256, "{first} to {last}");
    }
}
