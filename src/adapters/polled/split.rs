//! What the halves of a WebSocket share.

use std::prelude::v1::*;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::turnstile::{Side, Turnstile};
use super::wire::Wire;
use super::{Writes, memory};
use crate::adapters::desk::Desk;
use crate::adapters::error::Error;
use crate::close::State;
use crate::{Instant, Outbox, SendError, Sender};

#[derive(Debug)]
pub(super) struct Shared<O, R> {
    pub(super) desk: Desk,
    pub(super) out: Turnstile<Out<O, R>>,
}

/// What both halves send through.
#[derive(Debug)]
pub(super) struct Out<O, R> {
    pub(super) stream: O,
    pub(super) wire: Wire<R>,
    pub(super) sender: Sender<Outbox>,
}

impl<O, R> Out<O, R> {
    /// When something is due, be it here or where messages are inflated.
    fn next_deadline(&self) -> Option<Instant> {
        let at = self.sender.poll_timeout();
        #[cfg(feature = "deflate")]
        let at = [at, self.sender.release_at()].into_iter().flatten().min();
        at
    }
}

impl<O, R> Shared<O, R> {
    pub(super) fn new(stream: O, wire: Wire<R>, sender: Sender<Outbox>) -> Arc<Self> {
        let desk = Desk::new(&sender);
        Arc::new(Self { desk, out: Turnstile::new(Out { stream, wire, sender }) })
    }
}

impl<O, R: Writes<O>> Shared<O, R> {
    /// As [`Wire::poll_feed`], for the half that sends.
    pub(super) fn poll_feed(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&mut Sender<Outbox>, Instant) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender }, cx| {
            let now = wire.now();
            let fed = wire.poll_feed(stream, sender, cx, |sender| send(sender, now));
            if let Poll::Ready(Err(_)) = fed {
                // What closes the connection may wait here, and nobody else may come.
                let _ = wire.poll_write(stream, sender, cx);
            }
            fed
        })
    }

    /// Sends at once, where the other half is not just sending.
    pub(super) fn try_feed(
        &self,
        send: impl FnOnce(&mut Sender<Outbox>) -> Result<(), SendError>,
    ) -> Option<Result<(), SendError>> {
        self.out.peek(Side::Writer, |out| {
            self.settle(out);
            memory::lend_outbox(&mut out.sender);
            send(&mut out.sender)
        })
    }

    /// As [`Wire::poll_flush`], for the half that sends.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_out(cx, |Out { stream, wire, sender }, cx| wire.poll_flush(stream, sender, cx))
    }

    /// Lets the half that sends do something, and then does what it leads to.
    fn poll_out<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Out<O, R>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.out.poll(Side::Writer, cx, |out, cx, news| {
            let (before, deadline) = (out.sender.close_state(), out.next_deadline());
            self.settle(out);
            let polled = poll(out, cx);
            out.wire.poll_half_close(&mut out.stream, &mut out.sender, cx);
            let after = out.sender.close_state();
            // The half that receives has an end to tell, or to wait for; or waits for too long.
            let sooner = out.next_deadline().is_some_and(|at| deadline.is_none_or(|deadline| at < deadline));
            *news = after != before || after == State::Ended || sooner;
            polled
        })
    }

    /// Does what the half that receives has left on the desk.
    pub(super) fn settle(&self, out: &mut Out<O, R>) {
        let now = out.wire.tick();
        self.desk.settle(&mut out.sender, now);
    }
}
