//! Memory that the connections of a thread share.

use std::cell::RefCell;
use std::prelude::v1::*;

use crate::{Event, Inbox, Outbox, Ready, Sender};

/// How many of each a thread keeps. One task runs at a time, and few hold on to memory when it is another's
/// turn.
const MOST: usize = 2;
/// What is larger is not kept, in bytes.
const LARGEST: usize = 2 << 20;

#[derive(Default)]
struct Kept {
    #[expect(clippy::vec_box, reason = "each goes in and out as a box")]
    inboxes: Vec<Box<Inbox>>,
    outboxes: Vec<Outbox>,
}

std::thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A thread that is at its end has nothing, and keeps nothing.
fn kept<T>(with: impl FnOnce(&mut Kept) -> Option<T>) -> Option<T> {
    KEPT.try_with(|kept| kept.try_borrow_mut().ok().and_then(|mut kept| with(&mut kept))).ok().flatten()
}

/// The inbox of a connection: its own as long as something is in it that it needs.
#[derive(Debug, Default)]
pub(super) struct Borrowed(Option<Box<Inbox>>);

static NOTHING: Inbox = Inbox::empty();

impl Borrowed {
    /// Of a connection for which something has arrived already.
    pub(super) fn new(inbox: Inbox) -> Self {
        Self((!inbox.is_idle()).then(|| Box::new(inbox)))
    }

    /// The inbox, borrowed unless it is here.
    #[inline]
    pub(super) fn get(&mut self) -> &mut Inbox {
        self.0.get_or_insert_with(|| kept(|kept| kept.inboxes.pop()).unwrap_or_default())
    }

    /// The inbox, if it is here.
    #[inline]
    pub(super) fn here(&mut self) -> Option<&mut Inbox> {
        self.0.as_deref_mut()
    }

    /// The event that `ready`, from the last poll, stands for.
    #[inline]
    pub(super) fn event(&self, ready: Ready) -> Event<'_> {
        self.0.as_deref().unwrap_or(&NOTHING).event(ready)
    }

    /// Gives it back, but for a part of a message.
    #[inline]
    pub(super) fn give_back(&mut self) {
        self.give_back_idle();
        if let Some(inbox) = &mut self.0 {
            inbox.release_idle();
        }
    }

    /// Gives it back where nothing is in it.
    #[inline]
    pub(super) fn give_back_idle(&mut self) {
        if let Some(inbox) = self.0.take_if(|inbox| inbox.is_idle()) {
            if inbox.capacity() <= LARGEST {
                kept(|kept| {
                    if kept.inboxes.len() < MOST {
                        kept.inboxes.push(inbox);
                    }
                    Some(())
                });
            }
        }
    }

    /// What it is, for good.
    pub(super) fn into_inbox(self) -> Inbox {
        self.0.map(|inbox| *inbox).unwrap_or_default()
    }
}

/// Lends memory to queue frames in, unless there is some.
#[inline]
pub(super) fn lend_outbox(sender: &mut Sender<Outbox>) {
    if !sender.holds_memory() {
        if let Some(memory) = kept(|kept| kept.outboxes.pop()) {
            sender.lend(memory);
        }
    }
}

/// Takes it back where nothing waits.
#[inline]
pub(super) fn reclaim_outbox(sender: &mut Sender<Outbox>) {
    if let Some(memory) = sender.reclaim().filter(|memory| memory.capacity() <= LARGEST) {
        kept(|kept| {
            if kept.outboxes.len() < MOST {
                kept.outboxes.push(memory);
            }
            Some(())
        });
    }
}
