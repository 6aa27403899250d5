//! Messages of a split WebSocket that wait for the lock of the write queue, and what is known of the queue without it.
//!
//! A call that never waits cannot take the lock while another thread or task writes. [`WaitingMessages`] keeps its
//! message, and whoever holds the lock moves it into the write queue with [`WaitingMessages::apply`]. [`SenderStatus`]
//! is a copy of two getters, stored each time the lock is released, so that a getter does not wait for a writing
//! thread.
//!
//! Replies of the receiving half are in `pending_replies.rs`.
//!
//! Invariants:
//! - Memory is bounded: a message is taken while less than [`MOST_WAITING`] bytes wait.
//! - Messages are sent in the order in which they were taken. A message that waits behind a full queue is moved before
//!   any later message is queued.
//! - The lock in here is held for a few instructions. It is never held during a call on a stream or on the connection.

use std::collections::VecDeque;
use std::prelude::v1::*;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

use super::lock::lock;
use super::sync::Mutex;
use crate::{Message, Outbox, ReadyState, SendError, Sender, SendingHalf, UnsentMessage};

/// A message is taken while fewer bytes than this wait. The lock is held for one poll or write, so messages wait here
/// for a short time.
const MOST_WAITING: usize = 16 << 10;

/// Bytes that a frame header adds to a message at most (RFC 6455 section 5.2).
const HEADER: usize = 14;

/// Messages that wait for the lock of the write queue.
#[derive(Debug)]
pub(super) struct WaitingMessages {
    stored: Mutex<Stored>,
    /// Whether `stored` has messages. Lets the holder of the write queue skip the lock.
    non_empty: AtomicBool,
    /// Whether the first message waits for the end of a fragmented message, and not for room.
    behind_fragments: AtomicBool,
    /// Whether a message was refused after it had been taken. The next flush reports it.
    refused: AtomicBool,
}

#[derive(Debug, Default)]
struct Stored {
    messages: VecDeque<Message>,
    /// Sum of the sizes of `messages`, frame headers included.
    bytes: usize,
}

/// Returns the most bytes that the frame of `message` can have.
fn size(message: &Message) -> usize {
    message.len().saturating_add(HEADER)
}

impl WaitingMessages {
    /// Makes an empty store.
    pub(super) fn new() -> Self {
        Self {
            stored: Mutex::default(),
            non_empty: AtomicBool::new(false),
            behind_fragments: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Takes a message. Afterwards the caller must check once more whether the lock of the write queue is free:
    /// its holder may have looked for messages before this one came.
    ///
    /// # Errors
    ///
    /// [`SendError::Blocked`], with the message, if [`MOST_WAITING`] bytes wait.
    pub(super) fn push(&self, message: Message) -> Result<(), UnsentMessage> {
        {
            let mut stored = lock(&self.stored);
            if stored.bytes >= MOST_WAITING {
                return Err(UnsentMessage { error: SendError::Blocked, message });
            }
            stored.bytes = stored.bytes.saturating_add(size(&message));
            stored.messages.push_back(message);
            self.non_empty.store(true, Ordering::Release);
        }
        // Order the store before the caller's attempt to lock the write queue. The fence in `came_meanwhile` orders the
        // release of that lock before the load. So either the attempt succeeds, or the holder sees the message.
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Moves messages into the write queue until it is full. Returns whether at least one was moved or refused.
    #[inline]
    pub(super) fn apply(&self, half: &mut impl SendingHalf) -> bool {
        !self.is_empty() && self.apply_stored(half)
    }

    #[cold]
    fn apply_stored(&self, half: &mut impl SendingHalf) -> bool {
        let mut moved = false;
        loop {
            let Some(message) = lock(&self.stored).messages.pop_front() else {
                return moved;
            };
            let len = size(&message);
            // Compressing and copying take time, so no lock is held meanwhile.
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
                    stored.bytes = stored.bytes.saturating_sub(len);
                    self.non_empty.store(!stored.messages.is_empty(), Ordering::Release);
                    if sent.is_err() {
                        self.refused.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Returns whether no message waits. Exact for the holder of the write queue, but for messages that come right now.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.non_empty.load(Ordering::Acquire)
    }

    /// Returns whether messages wait for room in the write queue, as of the last [`apply`](Self::apply).
    #[inline]
    pub(super) fn need_room(&self) -> bool {
        !self.is_empty() && !self.behind_fragments.load(Ordering::Relaxed)
    }

    /// Returns whether messages have come that can be moved. Called after the lock of the write queue was released.
    #[cfg(feature = "net")]
    pub(super) fn came_meanwhile(&self) -> bool {
        fence(Ordering::SeqCst);
        self.need_room()
    }

    /// Returns how many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        if self.is_empty() { 0 } else { lock(&self.stored).bytes }
    }

    /// Returns whether a message was refused after it had been taken, because closing had begun meanwhile. Returns
    /// `true` once.
    #[inline]
    pub(super) fn take_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed) && self.refused.swap(false, Ordering::Relaxed)
    }
}

/// What is known of the sending half while another thread or task holds it.
#[derive(Debug)]
pub(super) struct SenderStatus {
    buffered: AtomicUsize,
    /// The number of a [`ReadyState`].
    state: AtomicU8,
}

impl SenderStatus {
    /// Makes the status of `sender`.
    pub(super) fn new(sender: &Sender<Outbox>) -> Self {
        let status = Self { buffered: AtomicUsize::new(0), state: AtomicU8::new(0) };
        status.update(sender);
        status
    }

    /// Stores the status of `sender`, before its lock is released.
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
    use crate::{CloseCode, Config, Instant, MessageKind};

    fn sender(high_water: usize) -> Sender<Outbox> {
        Sender::server(Instant::ZERO, Config::new().high_water(high_water), Outbox::new())
    }

    #[test]
    fn messages_keep_their_order_behind_a_full_queue() {
        let mut sender = sender(4);
        let waiting = WaitingMessages::new();
        assert!(waiting.is_empty());
        sender.send_text("full").unwrap();
        // The first message is taken whatever its size, and then the bound is reached.
        waiting.push(Message::from(&[1; 2 * MOST_WAITING][..])).unwrap();
        let refused = waiting.push(Message::from("two")).unwrap_err();
        assert_eq!((refused.error, refused.message), (SendError::Blocked, Message::from("two")));
        assert!(!waiting.apply(&mut sender) && waiting.need_room());
        assert_eq!((sender.buffered_amount(), waiting.bytes()), (6, 2 * MOST_WAITING + HEADER));
        sender.transmitted(Instant::ZERO, 6);
        assert!(waiting.apply(&mut sender) && waiting.is_empty());
        assert_eq!(waiting.bytes(), 0);
        waiting.push(Message::from("two")).unwrap();
        let large = sender.buffered_amount();
        assert!(large > 2 * MOST_WAITING && !waiting.apply(&mut sender));
        sender.transmitted(Instant::ZERO, large);
        waiting.apply(&mut sender);
        assert_eq!(sender.buffered_amount(), 5);
        assert!(!waiting.take_refused());
    }

    #[test]
    fn s5_4_messages_wait_for_the_end_of_a_fragmented_one() {
        let mut sender = sender(100);
        let waiting = WaitingMessages::new();
        sender.send_fragment(MessageKind::Text, b"a", false).unwrap();
        waiting.push(Message::from("whole")).unwrap();
        assert!(!waiting.apply(&mut sender));
        // Room does not help, so the holder of the queue must not try again and again.
        assert!(!waiting.is_empty() && !waiting.need_room());
        sender.send_fragment(MessageKind::Text, b"b", true).unwrap();
        assert!(waiting.apply(&mut sender) && waiting.is_empty());
        assert_eq!(sender.buffered_amount(), 3 + 3 + 7);
    }

    #[test]
    fn s5_5_1_messages_that_come_too_late_are_reported() {
        let mut sender = sender(100);
        let waiting = WaitingMessages::new();
        waiting.push(Message::from("late")).unwrap();
        waiting.push(Message::from("later")).unwrap();
        sender.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
        let buffered = sender.buffered_amount();
        assert!(waiting.apply(&mut sender));
        assert_eq!((sender.buffered_amount(), waiting.bytes()), (buffered, 0));
        assert!(waiting.is_empty() && waiting.take_refused() && !waiting.take_refused());
    }

    #[test]
    fn the_status_is_that_of_the_last_update() {
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
