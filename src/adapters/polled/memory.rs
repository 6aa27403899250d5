//! Memory that the connections of a thread share.

use std::cell::RefCell;
use std::prelude::v1::*;

use crate::{Inbox, Outbox, Sender};

/// How many of each a thread keeps. One task runs at a time, and few hold on to memory when it is another's
/// turn.
const MOST: usize = 2;
/// What is larger is not kept, in bytes.
const LARGEST: usize = 2 << 20;

#[derive(Default)]
struct Kept {
    inboxes: Vec<Inbox>,
    outboxes: Vec<Outbox>,
}

std::thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A thread that is at its end has nothing, and keeps nothing.
fn kept<T>(with: impl FnOnce(&mut Kept) -> Option<T>) -> Option<T> {
    KEPT.try_with(|kept| kept.try_borrow_mut().ok().and_then(|mut kept| with(&mut kept))).ok().flatten()
}

/// Lends memory to read into, unless there is some.
#[inline]
pub(super) fn lend_inbox(inbox: &mut Inbox) {
    if inbox.capacity() == 0 && inbox.is_idle() {
        if let Some(memory) = kept(|kept| kept.inboxes.pop()) {
            *inbox = memory;
        }
    }
}

/// Takes it back, but for a part of a message.
#[inline]
pub(super) fn reclaim_inbox(inbox: &mut Inbox) {
    if !inbox.is_idle() {
        inbox.release_idle();
    } else if inbox.capacity() > 0 {
        let memory = core::mem::take(inbox);
        if memory.capacity() <= LARGEST {
            kept(|kept| {
                if kept.inboxes.len() < MOST {
                    kept.inboxes.push(memory);
                }
                Some(())
            });
        }
    }
}

/// Takes it back where nothing is in it.
#[inline]
pub(super) fn reclaim_idle_inbox(inbox: &mut Inbox) {
    if inbox.is_idle() {
        reclaim_inbox(inbox);
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
