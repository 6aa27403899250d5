//! The traits [`Stream`] and [`Sink`] of the futures crates for [`WebSocket`].
//!
//! `StreamExt::split` of the futures crates lets two tasks use one WebSocket: one task polls the `Stream`, and the
//! other task polls the `Sink`. Every poll therefore passes its [`Side`] to [`poll_as`], which registers the wakers of
//! both tasks.
//!
//! The loop is in `run_loop`, and the wakeups of two tasks are in `tasks`.
//!
//! Invariant: the `Stream` polls as [`Side::Reader`], and the `Sink` polls as [`Side::Writer`].

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
                // The answer to the peer's Close may still be in the queue, so the queue is written now. A later
                // `poll_close` may never come: `SplitSink` of the futures crates first sends the message that it holds,
                // and stops at this error.
                let _ = wire.poll_write(stream, connection, cx);
            }
            ready
        })
    }

    /// Queues a message.
    ///
    /// Before each call, [`poll_ready`](Sink::poll_ready) must have returned `Ready(Ok(()))`.
    ///
    /// # Errors
    ///
    /// * [`Error::Send`] with [`SendError::Blocked`](crate::SendError::Blocked): the queue is full, because
    ///   `poll_ready` was not called first. The message is lost.
    /// * [`Error::Send`] with [`SendError::MessageOpen`](crate::SendError::MessageOpen): a fragmented message is open.
    ///   The message is lost.
    /// * [`Error::Send`] with [`SendError::Closed`](crate::SendError::Closed): closing has begun. The message is lost.
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        buffer_pool::reuse_queue_memory(&mut self.inner.connection);
        Ok(self.inner.connection.send(message).map_err(|refused| refused.error)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, Inner::poll_flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        poll_as(&mut *self.inner, Side::Writer, cx, |inner, cx| {
            if inner.connection.ready_state() == ReadyState::Open {
                let now = inner.wire.clock().read_clock();
                inner.connection.close(now, CloseCode::NORMAL, "")?;
            }
            inner.poll_flush(cx)
        })
    }
}
