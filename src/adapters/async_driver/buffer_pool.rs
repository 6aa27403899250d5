//! The thread-local pools of input and output buffers.
//!
//! A connection takes an inbox from a pool while there is input to decode. It takes memory for its write queue from a
//! second pool while there are frames to write. The connection returns both before it waits. So the number of buffers
//! depends on the connections that are working, not on the connections that are open.
//!
//! `Inbox` and `Outbox` decide what a buffer contains and when it grows.
//!
//! Invariants:
//! - An inbox that contains a part of a message stays with its connection. The memory that this part does not need is
//!   called spare. If there are at most [`MAX_SPARE_WHILE_WAITING`] bytes of spare memory, they are freed at once. If
//!   there are more, all of them are freed after [`SPARE_TIMEOUT`], because the rest of a large message usually arrives
//!   soon.
//! - A pool keeps at most two buffers, each of at most [`LARGEST`] bytes.
//! - During thread shutdown the pools are unavailable: a new buffer is allocated, and dropped after use.

use core::time::Duration;
use std::cell::Cell;
use std::prelude::v1::*;
use std::thread::LocalKey;

use crate::{Event, EventIndex, Inbox, Instant, MessageIndex, Outbox, SendingHalf};

/// Buffers larger than this, in bytes, are freed instead of being kept for the next connection.
///
/// A buffer of this size has space for a message of 1 MiB, compressed or not. Each thread has four buffers, so it keeps
/// 8 MiB at most.
///
/// A limit of 8 MiB was also measured. With the limit of 2 MiB, messages of 4 MiB cost 38 % more processor time than
/// with 8 MiB. The reason is that the system provides new memory for each message. Messages of 1 MiB and 1.9 MiB cost
/// the same with both limits. The limit is 2 MiB, because with 8 MiB a server with 16 threads could keep 512 MiB.
const LARGEST: usize = 2 << 20;

/// If there are at most this many bytes of spare memory, they are freed as soon as a connection waits. If there are
/// more, all of them are kept for [`SPARE_TIMEOUT`].
///
/// An allocator serves small requests from memory that it already has. Memory for larger requests comes from the system
/// page by page. Getting these pages takes longer than reading a message into them.
const MAX_SPARE_WHILE_WAITING: usize = 128 << 10;

/// A connection frees spare memory of more than [`MAX_SPARE_WHILE_WAITING`] bytes after it has waited this long for the
/// rest of the message.
const SPARE_TIMEOUT: Duration = Duration::from_secs(1);

/// A pool of two buffers. Two are enough: a thread runs one task at a time, and few tasks keep a buffer while another
/// task runs.
type TwoSlotPool<T> = [Cell<Option<T>>; 2];

std::thread_local! {
    static INBOXES: TwoSlotPool<Box<PooledInbox>> = const { [const { Cell::new(None) }; 2] };
    static OUTBOXES: TwoSlotPool<Outbox> = const { [const { Cell::new(None) }; 2] };
}

/// Takes from a pool the buffer that was returned to it last. Returns `None` if the pool is empty, and during thread
/// shutdown.
fn take<T>(pool: &'static LocalKey<TwoSlotPool<T>>) -> Option<T> {
    pool.try_with(|[newer, older]| newer.take().or_else(|| older.take())).ok().flatten()
}

/// Returns a buffer to a pool. If the pool is full, drops the oldest buffer of the pool.
fn keep<T>(pool: &'static LocalKey<TwoSlotPool<T>>, buffer: T) {
    let _ = pool.try_with(|[newer, older]| {
        if let Some(previous) = newer.replace(Some(buffer)) {
            older.set(Some(previous));
        }
    });
}

/// The slot for the inbox of a connection. `Some` while the inbox contains input or is in use.
#[derive(Debug, Default)]
pub(super) struct InboxSlot(Option<Box<PooledInbox>>);

/// An inbox of the pool.
#[derive(Debug, Default)]
struct PooledInbox {
    inbox: Inbox,
    /// A number that identifies the partial message, and the time when the spare memory is freed. The number says how
    /// many messages were received before this message.
    release: Option<(u64, Instant)>,
}

/// An empty inbox. `InboxSlot::event` and `InboxSlot::message` use it if the connection has no inbox.
static EMPTY: Inbox = Inbox::empty();

impl InboxSlot {
    /// Creates the inbox of a connection from `inbox`, which may contain input.
    pub(super) fn new(inbox: Inbox) -> Self {
        Self((!inbox.is_idle()).then(|| Box::new(PooledInbox { inbox, release: None })))
    }

    /// Returns the inbox. If the connection has none, takes one from the pool.
    #[inline]
    pub(super) fn get(&mut self) -> &mut Inbox {
        &mut self.0.get_or_insert_with(|| take(&INBOXES).unwrap_or_default()).inbox
    }

    /// Returns the inbox, or `None` if the connection has none.
    #[inline]
    pub(super) fn get_if_present(&mut self) -> Option<&mut Inbox> {
        self.0.as_deref_mut().map(|pooled| &mut pooled.inbox)
    }

    /// Returns the event that `ready` refers to. `ready` must be the result of the last poll.
    #[inline]
    pub(super) fn event(&self, ready: EventIndex) -> Event<'_> {
        self.0.as_deref().map_or(&EMPTY, |pooled| &pooled.inbox).event(ready)
    }

    /// Returns the message that `ready` refers to. `ready` must be the result of the last poll.
    #[inline]
    pub(super) fn message(&self, ready: MessageIndex) -> Event<'_> {
        self.0.as_deref().map_or(&EMPTY, |pooled| &pooled.inbox).message(ready)
    }

    /// Returns the inbox to the pool if the inbox is empty. An inbox that contains a part of a message is kept. If it
    /// has at most [`MAX_SPARE_WHILE_WAITING`] bytes of spare memory, they are freed. If it has more,
    /// [`Self::release_at`] tells when to free them.
    #[inline]
    pub(super) fn give_back(&mut self) {
        self.give_back_idle();
        if !self.has_spare() {
            self.release_idle();
        }
    }

    /// Returns whether the inbox has more than [`MAX_SPARE_WHILE_WAITING`] bytes of spare memory.
    #[inline]
    fn has_spare(&self) -> bool {
        self.0.as_ref().is_some_and(|pooled| pooled.inbox.spare() > MAX_SPARE_WHILE_WAITING)
    }

    /// Returns when to call [`Self::release_idle`]: [`SPARE_TIMEOUT`] after the first call of this method for the same
    /// message. Returns `None` if there are at most [`MAX_SPARE_WHILE_WAITING`] bytes of spare memory. `messages` is
    /// the number of messages that have been received.
    #[inline]
    pub(super) fn release_at(&mut self, now: Instant, messages: u64) -> Option<Instant> {
        if !self.has_spare() {
            return None;
        }
        let release = &mut self.0.as_mut()?.release;
        // More bytes of the same message do not change the time. Otherwise a peer that sends the message byte by byte
        // could keep the memory allocated.
        let (_, at) = release.filter(|(of, _)| *of == messages).unwrap_or((messages, now + SPARE_TIMEOUT));
        *release = Some((messages, at));
        Some(at)
    }

    /// Frees the spare memory of the inbox.
    #[inline]
    pub(super) fn release_idle(&mut self) {
        if let Some(inbox) = self.get_if_present() {
            inbox.release_idle();
        }
    }

    /// Returns the inbox to the pool if the inbox is empty.
    #[inline]
    pub(super) fn give_back_idle(&mut self) {
        if let Some(mut pooled) = self.0.take_if(|pooled| pooled.inbox.is_idle()) {
            if pooled.inbox.capacity() <= LARGEST {
                pooled.release = None;
                keep(&INBOXES, pooled);
            }
        }
    }

    /// Returns the inbox to the caller, and not to the pool. Creates a new inbox if the connection has none.
    pub(super) fn into_inbox(self) -> Inbox {
        self.0.map(|pooled| pooled.inbox).unwrap_or_default()
    }
}

/// Gives memory from the pool to a write queue that has no memory.
#[inline]
pub(super) fn reuse_queue_memory(half: &mut impl SendingHalf) {
    if !half.sender().holds_memory() {
        reuse_pooled_memory(half);
    }
}

// Kept out of line, because most messages are queued in a write queue that already has memory.
#[inline(never)]
fn reuse_pooled_memory(half: &mut impl SendingHalf) {
    if let Some(memory) = take(&OUTBOXES) {
        half.reuse_queue_memory(memory);
    }
}

/// Returns the memory of an empty write queue to the pool.
#[inline]
pub(super) fn return_queue_memory(half: &mut impl SendingHalf) {
    if let Some(memory) = half.take_queue_memory().filter(|memory| memory.capacity() <= LARGEST) {
        keep(&OUTBOXES, memory);
    }
}
