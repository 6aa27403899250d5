//! Commands of the sending half, which put messages and control frames into the write queue.
//!
//! A command first checks whether the frame is allowed and fits. Then it encodes the frame into the queue and counts
//! it. Compression is in `compress.rs`, and writing without the queue is in `write_through.rs`.
//!
//! Invariants:
//! - Each command is checked in one place: [`Sender::is_acceptable`] checks data, and [`Sender::check_control`] checks
//!   Ping and Pong.
//! - A refused command changes nothing, except that `Blocked` causes an [`Event::Writable`](crate::Event::Writable)
//!   later.
//! - Each accepted message is counted once, in [`Sender::count_message`].

use super::control_queue::MAX_CONTROL_FRAME;
use super::{RESERVE, SendOptions, Sender, WriteQueue};
use crate::close::{CloseCode, CloseFrame, CloseReason};
use crate::connection::close_state::{CloseAction, CloseEvent, CloseState};
use crate::connection::event::MessageKind;
use crate::error::SendError;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode, write_frame};
use crate::role::Role;
use crate::time::Instant;

impl<O: WriteQueue> Sender<O> {
    /// Sends a text message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.data(Opcode::Text, true, text.as_bytes(), SendOptions::new())
    }

    /// Sends a binary message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed) or
    /// [`MessageOpen`](SendError::MessageOpen); nothing was sent.
    #[inline]
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.data(Opcode::Binary, true, data, SendOptions::new())
    }

    /// Sends the next fragment of a message (RFC 6455 section 5.4).
    ///
    /// The first fragment opens the message, and the fragment with `fin` ends it. Control frames may be sent between
    /// fragments. A fragment of text may end inside a code point. The caller must make sure that the whole message is
    /// valid UTF-8, because the sender does not check it.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed), or
    /// [`MessageOpen`](SendError::MessageOpen) if a message of another kind is open; nothing was sent.
    pub fn send_fragment(&mut self, kind: MessageKind, data: &[u8], fin: bool) -> Result<(), SendError> {
        self.send_fragment_with(kind, data, fin, SendOptions::new())
    }

    /// Sends the next fragment of a message, with options: see [`send_fragment`](Self::send_fragment).
    ///
    /// The options of the first fragment apply to the whole message. The options of the other fragments are ignored.
    ///
    /// A fragment that is both the first and the last is a whole message. So this method can send a borrowed message
    /// with options, while `send_with` needs an owned `Message`.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], [`TooLarge`](SendError::TooLarge), [`Closed`](SendError::Closed), or
    /// [`MessageOpen`](SendError::MessageOpen) if a message of another kind is open; nothing was sent.
    pub fn send_fragment_with(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        options: SendOptions,
    ) -> Result<(), SendError> {
        // A fragment that does not continue the open message begins a new message. If a message of another kind is
        // open, `accept` refuses the fragment with `MessageOpen`.
        let opcode = match kind {
            _ if self.open == Some(kind) => Opcode::Continuation,
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        };
        self.data(opcode, fin, data, options)?;
        self.open = (!fin).then_some(kind);
        Ok(())
    }

    /// Sends a Ping ahead of the messages in the write queue. The Pong is returned as an event and sets
    /// [`round_trip`](Self::round_trip).
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`], [`Blocked`](SendError::Blocked) or [`Closed`](SendError::Closed); nothing was
    /// sent.
    pub fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.check_control(Opcode::Ping, payload)?;
        if !self.push_ping(payload) {
            self.blocked = true;
            return Err(SendError::Blocked);
        }
        self.timers.ping_queued(now, payload);
        Ok(())
    }

    /// Sends a Pong ahead of the messages in the write queue. The Pong may answer a Ping. A Pong without a Ping shows
    /// that this endpoint is alive. While the Pong is queued, newer Pongs may replace it.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] or [`Closed`](SendError::Closed); nothing was sent.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.check_control(Opcode::Pong, payload)?;
        self.push_pong(payload);
        Ok(())
    }

    /// Closes the connection: sends a Close after all accepted messages, and waits for the peer's Close until the close
    /// timeout.
    ///
    /// Until the peer's Close, messages are still received. If there is no code, the Close has no body, and the peer
    /// reports the code 1005. The reason is a string or a [`CloseReason`]. To forward a Close of another peer, pass the
    /// code and the reason of its [`CloseFrame`].
    ///
    /// # Errors
    ///
    /// An error changes nothing.
    ///
    /// - [`SendError::Closed`]: closing has begun.
    /// - [`SendError::CodeNotAllowed`]: this role must not send the code, or a reason was given without a code.
    /// - [`SendError::ReasonTooLong`]: the reason is longer than [`CloseReason::MAX_LEN`] bytes.
    pub fn close(
        &mut self,
        now: Instant,
        code: impl Into<Option<CloseCode>>,
        reason: impl AsRef<str>,
    ) -> Result<(), SendError> {
        let frame = self.check_close(code.into(), reason.as_ref())?;
        self.start_close(now, &frame)
    }

    /// Checks whether the application may close the connection with this Close, and returns the Close.
    // This function is called once for each connection. `cold` keeps this function apart from the code that runs for
    // each message.
    #[cold]
    pub(super) fn check_close(&self, code: Option<CloseCode>, reason: &str) -> Result<CloseFrame, SendError> {
        // RFC 6455 5.5.1: a Close is sent once. Closing is checked first, so a second Close is always refused as
        // `Closed`.
        if self.closing.state() != CloseState::Open {
            return Err(SendError::Closed);
        }
        let allowed = code.map_or(reason.is_empty(), |code| code.is_sendable_by(self.encoder.role()));
        if !allowed {
            return Err(SendError::CodeNotAllowed);
        }
        let reason = CloseReason::new(reason).ok_or(SendError::ReasonTooLong)?;
        Ok(CloseFrame { code, reason })
    }

    /// Queues a Close that [`check_close`](Self::check_close) has allowed.
    #[cold]
    pub(super) fn start_close(&mut self, now: Instant, frame: &CloseFrame) -> Result<(), SendError> {
        if self.closing.handle(CloseEvent::Close) != CloseAction::SendClose {
            return Err(SendError::Closed);
        }
        self.queue_close(now, frame);
        Ok(())
    }
}

// --- frames into the queue ---

impl<O: WriteQueue> Sender<O> {
    /// Sends a data frame. `compress.rs` decides whether the frame is compressed.
    #[inline]
    pub(super) fn data(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
        options: SendOptions,
    ) -> Result<(), SendError> {
        #[cfg(not(feature = "deflate"))]
        let _ = options;
        #[cfg(feature = "deflate")]
        if let Some(agreed) = self.compression_for(opcode, fin, payload.len(), options) {
            if self.deflate(agreed, opcode, fin, payload)? {
                return Ok(());
            }
        }
        self.queue_uncompressed(opcode, fin, payload)
    }

    /// Accepts and queues a data frame without compression.
    #[inline(always)]
    pub(super) fn queue_uncompressed(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
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
        self.count(fin);
    }

    /// Queues a frame with an encoded header and an unmasked payload.
    ///
    /// The header has a constant length, so this is faster than [`Self::push`], which encodes any header.
    #[inline]
    pub(super) fn push_behind<const N: usize>(&mut self, header: [u8; N], payload: &[u8]) {
        let len = header.len() + payload.len();
        if let Some((head, body)) = self.out.write_space(len).and_then(<[u8]>::split_first_chunk_mut) {
            *head = header;
            if let Some(body) = body.get_mut(..payload.len()) {
                body.copy_from_slice(payload);
            }
            self.out.commit(len);
        }
    }

    /// Queues a data frame whose payload is longer than 125 bytes or masked.
    // This function is not inlined, so that it does not slow down small unmasked messages.
    #[inline(never)]
    pub(super) fn push_larger(&mut self, opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) {
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

    /// Queues a data frame with any header.
    #[inline(never)]
    pub(super) fn push_any(&mut self, opcode: Opcode, fin: bool, rsv: u8, payload: &[u8]) {
        let header = self.encoder.checked_header(opcode, fin, payload.len() as u64);
        self.push(&Header { rsv, ..header }, payload);
    }

    /// Queues a frame. Does nothing if the frame does not fit.
    #[inline]
    pub(super) fn push(&mut self, header: &Header, payload: &[u8]) {
        if let Some(write_space) = self.out.write_space(header.encoded_len() + payload.len()) {
            let len = write_frame(header, payload, write_space);
            self.out.commit(len);
        }
    }

    /// Checks whether a data frame of `len` bytes may be queued now.
    #[inline]
    pub(super) fn accept(&mut self, opcode: Opcode, fin: bool, len: usize) -> Result<(), SendError> {
        let is_full = self.out.len() >= self.config.high_water && !self.ignores_high_water;
        if self.is_acceptable(opcode, fin, len) && !is_full { Ok(()) } else { self.refuse(opcode, fin, len) }
    }

    /// Checks whether a message of `len` bytes may be sent now, as [`accept`](Self::accept) does. The queue must be
    /// empty.
    #[inline]
    pub(super) fn accept_for_empty_queue(&mut self, opcode: Opcode, len: usize) -> Result<(), SendError> {
        // The high-water mark is never 0, so an empty queue is not full, and the configuration need not be read.
        if self.is_acceptable(opcode, true, len) { Ok(()) } else { self.refuse(opcode, true, len) }
    }

    /// Returns whether a data frame of `len` bytes may be sent now, if the queue is not full.
    #[inline(always)]
    fn is_acceptable(&self, opcode: Opcode, fin: bool, len: usize) -> bool {
        // RFC 6455 5.5.1: no data follows a Close.
        self.closing.state() == CloseState::Open
            && self.encoder.check(opcode, fin, len as u64).is_ok()
            && self.out.space_left() >= space_for(len)
    }

    /// Returns why a data frame is not accepted.
    // This function is marked cold, so that the compiler expects accepted frames, and inlines their path.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, opcode: Opcode, fin: bool, len: usize) -> Result<(), SendError> {
        if self.closing.state() != CloseState::Open {
            return Err(SendError::Closed);
        }
        self.encoder.check(opcode, fin, len as u64)?;
        if self.out.max_len() < space_for(len) {
            return Err(SendError::TooLarge);
        }
        self.blocked = true;
        Err(SendError::Blocked)
    }

    /// Counts a queued frame, and records that the queue holds unwritten data.
    #[inline]
    pub(super) fn count(&mut self, fin: bool) {
        self.count_message(fin);
        self.has_unwritten_data = true;
    }

    /// Counts an accepted frame, and its message if the frame is the last one.
    #[inline]
    pub(super) fn count_message(&mut self, fin: bool) {
        self.counters.frames += 1;
        self.counters.messages += u64::from(fin);
    }

    /// Checks whether a Ping or Pong may be sent.
    pub(super) fn check_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), SendError> {
        if self.closing.state() != CloseState::Open {
            return Err(SendError::Closed);
        }
        Ok(self.encoder.check(opcode, true, payload.len() as u64)?)
    }

    /// Queues a Ping ahead of data. Returns whether there was space for the Ping.
    pub(super) fn push_ping(&mut self, payload: &[u8]) -> bool {
        let mut frame = [0; MAX_CONTROL_FRAME];
        let len = self.control_frame(Opcode::Ping, payload, &mut frame);
        let pushed = self.out.control_mut().push_ping(frame.get(..len).unwrap_or_default());
        self.counters.frames += u64::from(pushed);
        pushed
    }

    /// Queues a Pong ahead of data.
    pub(super) fn push_pong(&mut self, payload: &[u8]) {
        let mut frame = [0; MAX_CONTROL_FRAME];
        let len = self.control_frame(Opcode::Pong, payload, &mut frame);
        self.out.control_mut().push_pong(frame.get(..len).unwrap_or_default());
        self.counters.frames += 1;
    }

    /// Encodes a control frame and returns its length. The payload must not be too long.
    pub(super) fn control_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        to: &mut [u8; MAX_CONTROL_FRAME],
    ) -> usize {
        let header = self.encoder.checked_header(opcode, true, payload.len() as u64);
        write_frame(&header, payload, to)
    }
}

/// Returns how much space the queue needs for a frame with `len` bytes of payload, so that a Close still fits after it.
const fn space_for(len: usize) -> usize {
    len.saturating_add(MAX_HEADER_LEN).saturating_add(RESERVE)
}
