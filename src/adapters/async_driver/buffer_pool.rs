//! Memory that the connections of a thread share.

use core::time::Duration;
use std::cell::Cell;
use std::prelude::v1::*;
use std::thread::LocalKey;

use crate::{Event, EventIndex, Inbox, Instant, MessageIndex, Outbox, Sender};

/// Buffers larger than this, in bytes, are freed instead of being kept for the next connection.
///
/// A message of 1 MiB fits in any form. With four buffers a thread keeps 8 MiB at most. With 8 MiB each, a server of 16
/// threads could keep 512 MiB for the largest messages that have ever come. Messages of 4 MiB cost 38 % more processor time
/// than with 8 MiB each, because memory for each of them comes from the system; those of 1 MiB and 1.9 MiB cost the same.
const LARGEST: usize = 2 << 20;

/// So much an allocator has at hand, in bytes. More comes from the system, page by page, which takes longer than to
/// read a message there.
const AT_HAND: usize = 128 << 10;

/// How long the rest of a large message is waited for before memory that is there for it is given back.
const PATIENCE: Duration = Duration::from_secs(1);

/// Two of each kind: one task runs at a time, and few hold on to memory when it is another's turn.
type Kept<T> = [Cell<Option<T>>; 2];

std::thread_local! {
    static INBOXES: Kept<Box<Lent>> = const { [const { Cell::new(None) }; 2] };
    static OUTBOXES: Kept<Outbox> = const { [const { Cell::new(None) }; 2] };
}

/// Takes one that is kept. A thread that is at its end has nothing, and keeps nothing.
fn take<T>(kept: &'static LocalKey<Kept<T>>) -> Option<T> {
    kept.try_with(|[newer, older]| newer.take().or_else(|| older.take())).ok().flatten()
}

/// Keeps one, in the place of the oldest.
fn keep<T>(kept: &'static LocalKey<Kept<T>>, one: T) {
    let _ = kept.try_with(|[newer, older]| {
        if let Some(one) = newer.replace(Some(one)) {
            older.set(Some(one));
        }
    });
}

/// The inbox of a connection: its own as long as something is in it that it needs.
#[derive(Debug, Default)]
pub(super) struct Borrowed(Option<Box<Lent>>);

#[derive(Debug, Default)]
struct Lent {
    inbox: Inbox,
    /// Behind how many messages there is a part of one, and when what is spare meanwhile is given back.
    release: Option<(u64, Instant)>,
}

static NOTHING: Inbox = Inbox::empty();

impl Borrowed {
    /// Of a connection for which something has arrived already.
    pub(super) fn new(inbox: Inbox) -> Self {
        Self((!inbox.is_idle()).then(|| Box::new(Lent { inbox, release: None })))
    }

    /// The inbox, borrowed unless it is here.
    #[inline]
    pub(super) fn get(&mut self) -> &mut Inbox {
        &mut self.0.get_or_insert_with(|| take(&INBOXES).unwrap_or_default()).inbox
    }

    /// The inbox, if it is here.
    #[inline]
    pub(super) fn here(&mut self) -> Option<&mut Inbox> {
        self.0.as_deref_mut().map(|lent| &mut lent.inbox)
    }

    /// The event that `ready`, from the last poll, stands for.
    #[inline]
    pub(super) fn event(&self, ready: EventIndex) -> Event<'_> {
        self.0.as_deref().map_or(&NOTHING, |lent| &lent.inbox).event(ready)
    }

    /// As [`Self::event`], for a whole message.
    #[inline]
    pub(super) fn message(&self, ready: MessageIndex) -> Event<'_> {
        self.0.as_deref().map_or(&NOTHING, |lent| &lent.inbox).message(ready)
    }

    /// Gives it back, but for a part of a message, and for a while what the rest of that may need.
    #[inline]
    pub(super) fn give_back(&mut self) {
        self.give_back_idle();
        if !self.has_spare() {
            self.release_idle();
        }
    }

    /// Whether much more is here than the part of a message that is.
    #[inline]
    fn has_spare(&self) -> bool {
        self.0.as_ref().is_some_and(|lent| lent.inbox.spare() > AT_HAND)
    }

    /// When to [release](Self::release_idle) what is spare behind so many `messages`, if anything is: some time after
    /// this was first asked.
    #[inline]
    pub(super) fn release_at(&mut self, now: Instant, messages: u64) -> Option<Instant> {
        if !self.has_spare() {
            return None;
        }
        let release = &mut self.0.as_mut()?.release;
        // More of the message is no reason to wait for longer: it may come byte by byte.
        let (_, at) = release.filter(|(of, _)| *of == messages).unwrap_or((messages, now + PATIENCE));
        *release = Some((messages, at));
        Some(at)
    }

    /// Of what is here, keeps a part of a message and no more.
    #[inline]
    pub(super) fn release_idle(&mut self) {
        if let Some(inbox) = self.here() {
            inbox.release_idle();
        }
    }

    /// Gives it back where nothing is in it.
    #[inline]
    pub(super) fn give_back_idle(&mut self) {
        if let Some(mut lent) = self.0.take_if(|lent| lent.inbox.is_idle()) {
            if lent.inbox.capacity() <= LARGEST {
                lent.release = None;
                keep(&INBOXES, lent);
            }
        }
    }

    /// What it is, for good.
    pub(super) fn into_inbox(self) -> Inbox {
        self.0.map(|lent| lent.inbox).unwrap_or_default()
    }
}

/// Lends memory to queue frames in, unless there is some.
#[inline]
pub(super) fn lend_outbox(sender: &mut Sender<Outbox>) {
    if !sender.holds_memory() {
        lend_kept(sender);
    }
}

// Not with each message, and not in the way of those.
#[inline(never)]
fn lend_kept(sender: &mut Sender<Outbox>) {
    if let Some(memory) = take(&OUTBOXES) {
        sender.lend(memory);
    }
}

/// Takes it back where nothing waits.
#[inline]
pub(super) fn reclaim_outbox(sender: &mut Sender<Outbox>) {
    if let Some(memory) = sender.reclaim().filter(|memory| memory.capacity() <= LARGEST) {
        keep(&OUTBOXES, memory);
    }
}
