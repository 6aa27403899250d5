//! The part of a split WebSocket's state that is used without the lock of the write queue. This part consists of
//! messages that wait for the lock, and of a copy of the state of the sending half.
//!
//! While another thread or task writes, a call that must not wait cannot take the lock. Such a call stores its message
//! in [`WaitingMessages`]. The thread or task that holds the lock moves the message into the write queue with
//! [`WaitingMessages::apply`]. [`SenderStatus`] has the results of two getters. The results are stored each time the
//! lock is released, so that a getter does not wait for a writing thread.
//!
//! Replies of the receiving half are in `pending_replies.rs`.
//!
//! Invariants:
//! - Memory is bounded: a message is accepted only if fewer than [`MAX_WAITING`] bytes are stored.
//! - Messages are sent in the order in which they were accepted. If the write queue is full, the stored messages are
//!   moved to the queue before any later message is queued. A Close of the application follows all stored messages:
//!   [`WaitingMessages::send_all_and_close`] moves them into the queue even if the queue is full.
//! - The lock of `stored` is held for a few instructions. It is never held during a call on a stream or on the
//!   connection.

use core::{iter, mem};
use std::collections::VecDeque;
use std::prelude::v1::*;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use super::lock::lock;
use super::lock_handover::LockHandover;
use super::sync::Mutex;
use crate::{CloseCode, Instant, Message, Outbox, ReadyState, SendError, Sender, SendingHalf, UnsentMessage};

/// A message is accepted only if fewer bytes than this are stored. A small number is enough, because messages wait only
/// for a short time. The lock of the write queue is held for one poll or one write.
const MAX_WAITING: usize = 16 << 10;

/// The maximum length of a frame header, in bytes (RFC 6455 section 5.2).
const HEADER: usize = 14;

/// Messages that wait for the lock of the write queue.
#[derive(Debug)]
pub(super) struct WaitingMessages {
    stored: Mutex<Stored>,
    /// Whether messages were stored since the last [`apply`](Self::apply).
    handover: LockHandover,
    /// True while `stored` contains messages. If it is false, `apply` does not lock `stored`.
    non_empty: AtomicBool,
    /// True if the first message waits for the end of a fragmented message, false if it waits for space in the queue.
    behind_fragments: AtomicBool,
    /// True if the write queue has refused a message that was accepted here. Each later flush reports the refusal.
    refused: AtomicBool,
}

#[derive(Debug, Default)]
struct Stored {
    messages: VecDeque<Message>,
    /// The number of messages that were removed since the start.
    removed: u64,
    /// The sum of the sizes of `messages` in bytes, with the longest possible frame headers.
    bytes: usize,
}

/// Returns the maximum length of the frame of `message`, in bytes.
fn size(message: &Message) -> usize {
    message.len().saturating_add(HEADER)
}

impl WaitingMessages {
    /// Creates an empty store.
    pub(super) fn new() -> Self {
        Self {
            stored: Mutex::default(),
            handover: LockHandover::new(),
            non_empty: AtomicBool::new(false),
            behind_fragments: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Stores a message. `status` is the copy of the state of the sending half.
    ///
    /// Afterwards the caller must try the lock of the write queue once more. The thread that held the lock may have
    /// looked for messages just before this message was stored.
    ///
    /// # Errors
    ///
    /// The error has the message.
    ///
    /// - [`SendError::Closed`]: closing has begun.
    /// - [`SendError::Blocked`]: at least [`MAX_WAITING`] bytes are stored.
    pub(super) fn push(&self, message: Message, status: &SenderStatus) -> Result<(), UnsentMessage> {
        if status.ready_state() != ReadyState::Open {
            return Err(UnsentMessage { error: SendError::Closed, message });
        }
        {
            let mut stored = lock(&self.stored);
            if stored.bytes >= MAX_WAITING {
                return Err(UnsentMessage { error: SendError::Blocked, message });
            }
            stored.bytes = stored.bytes.saturating_add(size(&message));
            stored.messages.push_back(message);
            self.non_empty.store(true, Ordering::Release);
        }
        self.handover.announce();
        Ok(())
    }

    /// Returns the number of messages that were stored since the start. A thread that moves only these messages into
    /// the write queue finishes, even if another thread stores messages without end. Returns 0 if no message is stored.
    pub(super) fn mark(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let stored = lock(&self.stored);
        stored.removed.saturating_add(stored.messages.len() as u64)
    }

    /// Moves messages into the write queue, until the queue is full or a message waits for the end of a fragmented
    /// message. Moves only messages that were stored before [`mark`](Self::mark) returned `mark`. Returns whether at
    /// least one message left the store, because the queue accepted the message or refused it for good.
    #[inline]
    pub(super) fn apply(&self, half: &mut impl SendingHalf, mark: u64) -> bool {
        !self.is_empty() && self.apply_stored(half, mark)
    }

    #[cold]
    fn apply_stored(&self, half: &mut impl SendingHalf, mark: u64) -> bool {
        self.handover.collect();
        let mut moved = false;
        loop {
            let message = {
                let mut stored = lock(&self.stored);
                if stored.removed >= mark {
                    if !stored.messages.is_empty() {
                        // The caller checks for messages again after it has released the lock.
                        self.handover.leave();
                    }
                    return moved;
                }
                stored.messages.pop_front()
            };
            let Some(message) = message else { return moved };
            let len = size(&message);
            // Compressing and copying take time, so `stored` is not locked during this call.
            let sent = half.send(message);
            let mut stored = lock(&self.stored);
            match sent {
                Err(UnsentMessage {
                    error: error @ (SendError::Blocked | SendError::MessageOpen),
                    message,
                }) => {
                    stored.messages.push_front(message);
                    self.behind_fragments.store(error == SendError::MessageOpen, Ordering::Relaxed);
                    return moved;
                }
                sent => {
                    moved = true;
                    stored.removed = stored.removed.saturating_add(1);
                    stored.bytes = stored.bytes.saturating_sub(len);
                    self.non_empty.store(!stored.messages.is_empty(), Ordering::Release);
                    // Another message is the first message now. It is not known whether this message must wait for the
                    // end of a fragmented message.
                    self.behind_fragments.store(false, Ordering::Relaxed);
                    if sent.is_err() {
                        self.refused.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Closes the connection, and sends the stored messages before the Close, even if the write queue is full. Messages
    /// that other threads store meanwhile are refused after the Close.
    ///
    /// # Errors
    ///
    /// The errors of [`SendingHalf::close`]. Nothing has changed.
    #[cold]
    pub(super) fn send_all_and_close(
        &self,
        half: &mut impl SendingHalf,
        now: Instant,
        code: Option<CloseCode>,
        reason: &str,
    ) -> Result<(), SendError> {
        // All messages are taken at once. So a thread that stores messages without end does not delay the Close. The
        // messages are taken when the connection asks for the first message. The connection asks only if it accepts the
        // Close.
        let mut messages = iter::once_with(|| self.take_all()).flatten();
        half.close_after(now, code, reason, &mut messages)
    }

    /// Removes and returns all stored messages.
    fn take_all(&self) -> VecDeque<Message> {
        self.handover.collect();
        let mut stored = lock(&self.stored);
        self.non_empty.store(false, Ordering::Release);
        self.behind_fragments.store(false, Ordering::Relaxed);
        stored.bytes = 0;
        let messages = mem::take(&mut stored.messages);
        stored.removed = stored.removed.saturating_add(messages.len() as u64);
        messages
    }

    /// Returns whether no message is stored. Another thread can store a message immediately after this check.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.non_empty.load(Ordering::Acquire)
    }

    /// Returns whether messages that were stored before `mark` wait for space in the write queue. Returns `false` if
    /// the last [`apply`](Self::apply) has found that the first message waits for the end of a fragmented message.
    #[inline]
    pub(super) fn need_space(&self, mark: u64) -> bool {
        !self.is_empty()
            && !self.behind_fragments.load(Ordering::Relaxed)
            && lock(&self.stored).removed < mark
    }

    /// Returns whether messages were stored since the last [`apply`](Self::apply). Call this after the lock of the
    /// write queue was released. If the result is true, take the lock again and apply the messages, unless another
    /// thread or task has taken the lock.
    #[inline]
    pub(super) fn came_meanwhile(&self) -> bool {
        self.handover.is_announced() && !self.is_empty()
    }

    /// Returns the number of stored bytes, with the longest possible frame headers.
    pub(super) fn bytes(&self) -> usize {
        if self.is_empty() { 0 } else { lock(&self.stored).bytes }
    }

    /// Returns whether the write queue has ever refused an accepted message, because closing had begun in the meantime.
    ///
    /// The result stays `true`. So the thread that sent the message learns of the loss, whichever thread flushes first.
    #[inline]
    pub(super) fn has_lost_messages(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A copy of the state of the sending half, for use while another thread or task has the lock of the write queue.
#[derive(Debug)]
pub(super) struct SenderStatus {
    buffered: AtomicUsize,
    /// The [`ReadyState`] of the connection, as a number.
    state: AtomicU8,
}

impl SenderStatus {
    /// Creates a copy of the state of `sender`.
    pub(super) fn new(sender: &Sender<Outbox>) -> Self {
        let status = Self { buffered: AtomicUsize::new(0), state: AtomicU8::new(0) };
        status.update(sender);
        status
    }

    /// Stores the state of `sender`. Call this before the lock of the write queue is released.
    #[inline]
    pub(super) fn update(&self, sender: &Sender<Outbox>) {
        self.buffered.store(sender.buffered_amount(), Ordering::Relaxed);
        self.state.store(sender.ready_state() as u8, Ordering::Relaxed);
    }

    /// Returns the length of the write queue in bytes.
    pub(super) fn buffered_amount(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    /// Returns the state of the connection.
    pub(super) fn ready_state(&self) -> ReadyState {
        const OPEN: u8 = ReadyState::Open as u8;
        const CLOSING: u8 = ReadyState::Closing as u8;
        match self.state.load(Ordering::Relaxed) {
            OPEN => ReadyState::Open,
            CLOSING => ReadyState::Closing,
            _ => ReadyState::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, MessageKind};

    fn sender(high_water: usize) -> Sender<Outbox> {
        Sender::server(Instant::ZERO, Config::new().high_water(high_water), Outbox::new())
    }

    #[test]
    fn messages_keep_their_order_behind_a_full_queue() {
        let mut sender = sender(4);
        let (waiting, status) = (WaitingMessages::new(), SenderStatus::new(&sender));
        assert!(waiting.is_empty());
        sender.send_text("full").unwrap();
        // An empty store accepts a message of any size. After this message the limit is reached.
        waiting.push(Message::from(&[1; 2 * MAX_WAITING][..]), &status).unwrap();
        let refused = waiting.push(Message::from("two"), &status).unwrap_err();
        assert_eq!((refused.error, refused.message), (SendError::Blocked, Message::from("two")));
        assert!(!waiting.apply(&mut sender, u64::MAX) && waiting.need_space(u64::MAX));
        assert_eq!((sender.buffered_amount(), waiting.bytes()), (6, 2 * MAX_WAITING + HEADER));
        sender.transmitted(Instant::ZERO, 6);
        assert!(waiting.apply(&mut sender, u64::MAX) && waiting.is_empty());
        assert_eq!(waiting.bytes(), 0);
        waiting.push(Message::from("two"), &status).unwrap();
        let large = sender.buffered_amount();
        assert!(large > 2 * MAX_WAITING && !waiting.apply(&mut sender, u64::MAX));
        sender.transmitted(Instant::ZERO, large);
        waiting.apply(&mut sender, u64::MAX);
        assert_eq!(sender.buffered_amount(), 5);
        assert!(!waiting.has_lost_messages());
    }

    /// If a caller also moved later messages, it would never finish while another thread stores messages without end.
    #[test]
    fn messages_that_are_stored_later_are_left_to_the_next_caller() {
        let mut sender = sender(100);
        let (waiting, status) = (WaitingMessages::new(), SenderStatus::new(&sender));
        assert_eq!(waiting.mark(), 0);
        waiting.push(Message::from("one"), &status).unwrap();
        let mark = waiting.mark();
        waiting.push(Message::from("two"), &status).unwrap();
        assert!(waiting.apply(&mut sender, mark) && !waiting.apply(&mut sender, mark));
        assert_eq!(sender.buffered_amount(), 5);
        assert!(!waiting.need_space(mark) && waiting.came_meanwhile());
        assert!(waiting.apply(&mut sender, waiting.mark()) && !waiting.came_meanwhile());
        // A Close takes all messages.
        waiting.push(Message::from("three"), &status).unwrap();
        waiting.send_all_and_close(&mut sender, Instant::ZERO, None, "").unwrap();
        assert_eq!((waiting.bytes(), waiting.mark(), sender.buffered_amount()), (0, 0, 5 + 5 + 7 + 2));
        waiting.push(Message::from("late"), &status).unwrap();
        assert_eq!(waiting.mark(), 4);
    }

    #[test]
    fn s5_4_messages_wait_for_the_end_of_a_fragmented_message() {
        let mut sender = sender(100);
        let (waiting, status) = (WaitingMessages::new(), SenderStatus::new(&sender));
        sender.send_fragment(MessageKind::Text, b"a", false).unwrap();
        waiting.push(Message::from("whole"), &status).unwrap();
        assert!(!waiting.apply(&mut sender, u64::MAX));
        // More space in the queue does not help, so a thread that has the lock must not try again and again.
        assert!(!waiting.is_empty() && !waiting.need_space(u64::MAX));
        sender.send_fragment(MessageKind::Text, b"b", true).unwrap();
        assert!(waiting.apply(&mut sender, u64::MAX) && waiting.is_empty());
        assert_eq!(sender.buffered_amount(), 3 + 3 + 7);
        // A message that is stored later does not wait for fragments.
        waiting.push(Message::from("later"), &status).unwrap();
        assert!(waiting.need_space(u64::MAX));
    }

    #[test]
    fn s5_5_1_messages_that_a_close_has_overtaken_are_reported_as_lost() {
        let mut sender = sender(100);
        let (waiting, status) = (WaitingMessages::new(), SenderStatus::new(&sender));
        waiting.push(Message::from("late"), &status).unwrap();
        waiting.push(Message::from("later"), &status).unwrap();
        sender.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        let buffered = sender.buffered_amount();
        assert!(waiting.apply(&mut sender, u64::MAX));
        assert_eq!((sender.buffered_amount(), waiting.bytes()), (buffered, 0));
        // Every flush reports the loss, not only the first one.
        assert!(waiting.is_empty() && waiting.has_lost_messages() && waiting.has_lost_messages());
    }

    #[test]
    fn the_status_equals_the_sender_at_the_last_update() {
        let mut sender = sender(100);
        let status = SenderStatus::new(&sender);
        assert_eq!((status.buffered_amount(), status.ready_state()), (0, ReadyState::Open));
        sender.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        status.update(&sender);
        assert_eq!((status.buffered_amount(), status.ready_state()), (4, ReadyState::Closing));
        sender.handle_eof(crate::EofPosition::BetweenMessages);
        status.update(&sender);
        assert_eq!((status.buffered_amount(), status.ready_state()), (0, ReadyState::Closed));
    }
}
