//! A [`WebSocket`] as a [`Stream`] and a [`Sink`].
//!
//! `StreamExt::split` of the futures crates lets two tasks use the two traits in turns. Every poll therefore names its
//! side, and [`poll_as`] registers the wakers of both tasks.
//!
//! Not here: the loop itself (`run_loop`), and how two tasks are woken (`tasks`).
//!
//! Invariant: the stream belongs to [`Side::Reader`] and the sink to [`Side::Writer`].

use core::pin::Pin;
use std::prelude::v1::*;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use super::{Inner, WebSocket};
use crate::adapters::async_driver::shared_lock::Side;
use crate::adapters::async_driver::tasks::poll_as;
use crate::adapters::async_driver::{Transport, buffer_pool};
use crate::adapters::error::Error;
use crate::{CloseCode, Message, ReadyState};

impl<S, R: Transport<S>> Stream for WebSocket<S, R> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_as(&mut *self.inner, Side::Reader, cx, Inner::poll_recv).map(Result::transpose)
    }
}

impl<S, R: Transport<S>> FusedStream for WebSocket<S, R> {
    fn is_terminated(&self) -> bool {
        self.inner.outcome.is_some() && !self.inner.error_on_abnormal_end
    }
}

impl<S, R: Transport<S>> Sink<Message> for WebSocket<S, R> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, |inner, cx| {
            let Inner { stream, wire, connection, .. } = inner;
            let ready = wire.poll_feed(stream, connection, cx, |connection| connection.can_send());
            if let Poll::Ready(Err(_)) = ready {
                // `SplitSink` of the futures crates stops at this error while it holds a message, even when it is
                // closed. The answer to the peer's Close may still be queued, so it is written now.
                let _ = wire.poll_write(stream, connection, cx);
            }
            ready
        })
    }

    /// Queues a message.
    ///
    /// If [`poll_ready`](Sink::poll_ready) was not called before and the queue is full, the message is refused with
    /// [`SendError::Blocked`](crate::SendError::Blocked), and lost.
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        buffer_pool::lend_outbox(&mut self.inner.connection);
        Ok(self.inner.connection.send(message).map_err(|refused| refused.error)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, Inner::poll_flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, |inner, cx| {
            if inner.connection.ready_state() == ReadyState::Open {
                let now = inner.wire.clock().tick();
                inner.connection.close(now, CloseCode::NORMAL, "")?;
            }
            inner.poll_flush(cx)
        })
    }
}
