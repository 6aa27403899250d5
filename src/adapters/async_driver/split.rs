//! What the halves of a WebSocket share: the stream, and everything that sends.

use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::shared_lock::{SharedLock, Side};
use super::write_driver::WriteDriver;
use super::{Timer, Transport, buffer_pool};
use crate::CloseState;
use crate::adapters::error::Error;
use crate::adapters::lock::lock;
use crate::adapters::pending_replies::PendingReplies;
use crate::adapters::sync::Mutex;
use crate::{Instant, Message, Outbox, SendError, Sender};

#[derive(Debug)]
pub(super) struct Shared<S, R> {
    pub(super) pending: PendingReplies,
    /// A message that [`Sink::start_send`](futures_sink::Sink::start_send) took while the other half was at the stream.
    /// Whoever is at it next queues it.
    pub(super) handed_over: Mutex<Option<Message>>,
    pub(super) out: SharedLock<Out<S, R>>,
}

/// What both halves use in turns.
#[derive(Debug)]
pub(super) struct Out<S, R> {
    pub(super) stream: S,
    pub(super) wire: WriteDriver<R>,
    pub(super) sender: Sender<Outbox>,
    /// A message that was handed over has been refused, as the connection was closing by then: the next flush says so.
    refused: bool,
}

impl<S, R> Out<S, R> {
    /// When something is due: here, and where messages are inflated. They are two, as the half that receives waits for
    /// the second one only while it has a window to release.
    fn deadlines(&self) -> [Option<Instant>; 2] {
        #[cfg(feature = "deflate")]
        let release = self.sender.release_at();
        #[cfg(not(feature = "deflate"))]
        let release = None;
        [self.sender.poll_timeout(), release]
    }
}

impl<S, R> Shared<S, R> {
    pub(super) fn new(stream: S, wire: WriteDriver<R>, sender: Sender<Outbox>) -> Arc<Self> {
        let pending = PendingReplies::new(&sender);
        let out = SharedLock::new(Out { stream, wire, sender, refused: false });
        Arc::new(Self { pending, handed_over: Mutex::new(None), out })
    }
}

impl<S, R: Timer> Shared<S, R> {
    /// Does what the half that receives has left on the desk, and queues a message that was handed over.
    pub(super) fn apply(&self, out: &mut Out<S, R>) {
        let now = out.wire.tick();
        self.settle_at(out, now);
    }

    /// As [`Self::apply`], without reading the clock.
    pub(super) fn settle_at(&self, out: &mut Out<S, R>, now: Instant) {
        // Before a Close is answered: what was accepted goes out first.
        let message = lock(&self.handed_over).take();
        if let Some(message) = message {
            buffer_pool::lend_outbox(&mut out.sender);
            // There was room, and nobody else sends: it is refused only where the connection is closing.
            out.refused |= out.sender.send(message).is_err();
        }
        self.pending.apply(&mut out.sender, now);
    }
}

impl<S, R: Transport<S>> Shared<S, R> {
    /// As [`WriteDriver::poll_feed`], for the half that sends.
    pub(super) fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender, .. }, cx| {
            let now = wire.now();
            let fed = wire.poll_feed(stream, sender, cx, |sender| send(sender, now));
            if let Poll::Ready(Err(_)) = fed {
                // What closes the connection may wait here, and nobody else may come.
                let _ = wire.poll_write(stream, sender, cx);
            }
            fed
        })
    }

    /// Sends at once, where the other half is not just at the stream.
    pub(super) fn try_feed(
        &self,
        send: impl FnOnce(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Option<Result<(), SendError>> {
        self.out.peek(Side::Writer, |out| {
            self.apply(out);
            buffer_pool::lend_outbox(&mut out.sender);
            send(&mut out.sender)
        })
    }

    /// As [`WriteDriver::poll_flush`], for the half that sends.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender, refused }, cx| {
            let flushed = ready!(wire.poll_flush(stream, sender, cx));
            let refused = core::mem::take(refused);
            Poll::Ready(if refused { flushed.and(Err(SendError::Closed.into())) } else { flushed })
        })
    }

    /// Lets the half that sends do something, and then does what it leads to.
    fn poll_out<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<S, R>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.out.poll(Side::Writer, cx, |out, cx, news| {
            let (before, deadlines, ahead) =
                (out.sender.close_state(), out.deadlines(), out.wire.read_ahead_len());
            self.apply(out);
            let polled = poll(out, cx);
            out.wire.poll_half_close(&mut out.stream, &mut out.sender, cx);
            let after = out.sender.close_state();
            // The half that receives has something to take in, an end to tell or to wait for; or waits for too long.
            let mut both = out.deadlines().into_iter().zip(deadlines);
            let sooner =
                both.any(|(now, before)| now.is_some_and(|at| before.is_none_or(|before| at < before)));
            *news =
                out.wire.read_ahead_len() > ahead || after != before || after == CloseState::Ended || sooner;
            polled
        })
    }
}
