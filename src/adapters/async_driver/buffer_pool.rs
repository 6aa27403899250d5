//! The thread-local pools of input and output buffers.
//!
//! A connection borrows an inbox while there is input to decode, and memory for its write queue while there are frames
//! to write. It returns both before it waits. So a server holds buffers for the connections that work and not for those
//! that are open.
//!
//! Not here: the contents and growth of a buffer (`Inbox`, `Outbox`).
//!
//! Invariants:
//! - An inbox with a part of a message stays with its connection. Spare memory of at most [`AT_HAND`] bytes is freed at
//!   once. More is freed after [`PATIENCE`], because the rest of the message may be about to come.
//! - A pool keeps two buffers, and none that is larger than [`LARGEST`].
//! - During thread shutdown the pools are unavailable: a new buffer is allocated, and dropped after use.

use core::time::Duration;
use std::cell::Cell;
use std::prelude::v1::*;
use std::thread::LocalKey;

use crate::{Event, EventIndex, Inbox, Instant, MessageIndex, Outbox, SendingHalf};

/// Buffers larger than this, in bytes, are freed instead of being kept for the next connection.
///
/// A message of 1 MiB fits in any form. With four buffers a thread keeps 8 MiB at most. With 8 MiB each, a server of 16
/// threads could keep 512 MiB for the largest messages that have ever come. Messages of 4 MiB cost 38 % more processor
/// time than with 8 MiB each, because memory for each of them comes from the system; those of 1 MiB and 1.9 MiB cost
/// the same.
const LARGEST: usize = 2 << 20;

/// Spare memory of at most this many bytes is freed as soon as a connection waits. More is kept for [`PATIENCE`].
///
/// An allocator serves small requests from memory that it holds. Memory for larger ones comes from the system page by
/// page, which takes longer than reading a message into it.
const AT_HAND: usize = 128 << 10;

/// How long a connection waits for the rest of a large message before it frees the memory for that rest.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pool of two buffers. A thread runs one task at a time, and few tasks keep a buffer while another one runs.
type Kept<T> = [Cell<Option<T>>; 2];

std::thread_local! {
    static INBOXES: Kept<Box<PooledInbox>> = const { [const { Cell::new(None) }; 2] };
    static OUTBOXES: Kept<Outbox> = const { [const { Cell::new(None) }; 2] };
}

/// Takes the newest buffer of a pool. Returns `None` if the pool is empty, or during thread shutdown.
fn take<T>(kept: &'static LocalKey<Kept<T>>) -> Option<T> {
    kept.try_with(|[newer, older]| newer.take().or_else(|| older.take())).ok().flatten()
}

/// Returns a buffer to a pool. If the pool is full, its oldest buffer is dropped.
fn keep<T>(kept: &'static LocalKey<Kept<T>>, one: T) {
    let _ = kept.try_with(|[newer, older]| {
        if let Some(one) = newer.replace(Some(one)) {
            older.set(Some(one));
        }
    });
}

/// The inbox of a connection, present while it holds input or is in use.
#[derive(Debug, Default)]
pub(super) struct Borrowed(Option<Box<PooledInbox>>);

/// An inbox of the pool.
#[derive(Debug, Default)]
struct PooledInbox {
    inbox: Inbox,
    /// The number of messages that were received before the partial one, and when its spare memory is freed.
    release: Option<(u64, Instant)>,
}

/// The inbox that stands in when there is none.
static NOTHING: Inbox = Inbox::empty();

impl Borrowed {
    /// Creates the inbox of a connection that may have received input already.
    pub(super) fn new(inbox: Inbox) -> Self {
        Self((!inbox.is_idle()).then(|| Box::new(PooledInbox { inbox, release: None })))
    }

    /// Returns the inbox, and takes one from the pool if there is none.
    #[inline]
    pub(super) fn get(&mut self) -> &mut Inbox {
        &mut self.0.get_or_insert_with(|| take(&INBOXES).unwrap_or_default()).inbox
    }

    /// Returns the inbox, if there is one.
    #[inline]
    pub(super) fn here(&mut self) -> Option<&mut Inbox> {
        self.0.as_deref_mut().map(|pooled| &mut pooled.inbox)
    }

    /// Returns the event of the last poll that `ready` refers to.
    #[inline]
    pub(super) fn event(&self, ready: EventIndex) -> Event<'_> {
        self.0.as_deref().map_or(&NOTHING, |pooled| &pooled.inbox).event(ready)
    }

    /// Returns the whole message of the last poll that `ready` refers to.
    #[inline]
    pub(super) fn message(&self, ready: MessageIndex) -> Event<'_> {
        self.0.as_deref().map_or(&NOTHING, |pooled| &pooled.inbox).message(ready)
    }

    /// Returns an empty inbox to the pool. Beside a part of a message, frees little spare memory at once, and leaves
    /// much of it to [`Self::release_at`].
    #[inline]
    pub(super) fn give_back(&mut self) {
        self.give_back_idle();
        if !self.has_spare() {
            self.release_idle();
        }
    }

    /// Whether the inbox has much spare memory beside a part of a message.
    #[inline]
    fn has_spare(&self) -> bool {
        self.0.as_ref().is_some_and(|pooled| pooled.inbox.spare() > AT_HAND)
    }

    /// Returns when to [free](Self::release_idle) much spare memory: [`PATIENCE`] after the first call for the same
    /// message. `messages` is the number of messages that have been received.
    #[inline]
    pub(super) fn release_at(&mut self, now: Instant, messages: u64) -> Option<Instant> {
        if !self.has_spare() {
            return None;
        }
        let release = &mut self.0.as_mut()?.release;
        // More bytes of the message do not move the time: a peer may send it byte by byte.
        let (_, at) = release.filter(|(of, _)| *of == messages).unwrap_or((messages, now + PATIENCE));
        *release = Some((messages, at));
        Some(at)
    }

    /// Frees all memory of the inbox beside a part of a message.
    #[inline]
    pub(super) fn release_idle(&mut self) {
        if let Some(inbox) = self.here() {
            inbox.release_idle();
        }
    }

    /// Returns an empty inbox to the pool.
    #[inline]
    pub(super) fn give_back_idle(&mut self) {
        if let Some(mut pooled) = self.0.take_if(|pooled| pooled.inbox.is_idle()) {
            if pooled.inbox.capacity() <= LARGEST {
                pooled.release = None;
                keep(&INBOXES, pooled);
            }
        }
    }

    /// Returns the inbox for good, or a new one if there is none.
    pub(super) fn into_inbox(self) -> Inbox {
        self.0.map(|pooled| pooled.inbox).unwrap_or_default()
    }
}

/// Gives a write queue memory from the pool, unless it has some.
#[inline]
pub(super) fn lend_outbox(half: &mut impl SendingHalf) {
    if !half.sender().holds_memory() {
        lend_kept(half);
    }
}

// Kept out of line so that a message into a queue with memory does not pay for it.
#[inline(never)]
fn lend_kept(half: &mut impl SendingHalf) {
    if let Some(memory) = take(&OUTBOXES) {
        half.lend(memory);
    }
}

/// Returns the memory of an empty write queue to the pool.
#[inline]
pub(super) fn reclaim_outbox(half: &mut impl SendingHalf) {
    if let Some(memory) = half.reclaim().filter(|memory| memory.capacity() <= LARGEST) {
        keep(&OUTBOXES, memory);
    }
}
