//! The asynchronous WebSocket as a stream of bytes.
//!
//! A [`ByteStream`] reads the data of binary messages, and sends each write as a binary message. This file has the poll
//! functions. `tokio/byte_stream.rs` and `futures_io/byte_stream.rs` implement the traits of the runtimes with these
//! functions. `adapters/byte_stream.rs` decides what a reader gets for each event.
//!
//! ```text
//!   poll_fill:      data is held? ──no──▶ decode the inbox ──no event──▶ run loop: read, write, timers, wait
//!   poll_send:      queue below the high-water mark? ──no──▶ wait       ──yes──▶ queue the message, write, do not wait
//!   poll_shut_down: queue a Close ──▶ write all ──▶ if the peer has closed: run loop, up to the end of the connection
//! ```
//!
//! Invariants:
//! - Each poll that reads polls as [`Side::Reader`], and each poll that writes as [`Side::Writer`]. So one task can
//!   read while another one writes.
//! - While data is held, no event is decoded and the inbox is not returned to the pool, because the data lies in the
//!   inbox.
//! - A failed write does not end reading: data that has arrived is still returned.

use std::io::{self, IoSlice};
use std::prelude::v1::*;
use std::task::{Context, Poll, ready};

use super::{Inner, WebSocket};
use crate::adapters::async_driver::Transport;
use crate::adapters::async_driver::responder::Responder;
use crate::adapters::async_driver::shared_lock::Side;
use crate::adapters::async_driver::tasks::poll_as;
#[cfg(doc)]
use crate::adapters::byte_stream::ByteStreamError;
use crate::adapters::byte_stream::{ByteInput, message_of, write_error};
use crate::adapters::error::Error;
use crate::{CloseCode, Delivery, EventIndex, ReadyState};

/// A WebSocket as a stream of bytes: binary messages whose boundaries are ignored. Made by
/// [`WebSocket::into_byte_stream`].
///
/// The type implements the traits `AsyncRead`, `AsyncBufRead` and `AsyncWrite` of tokio (feature `tokio`) and of
/// futures-io (feature `futures-io`). It is for programs that tunnel another protocol through a WebSocket.
///
/// # Reading
///
/// * Data is returned as it arrives, also in the middle of a message. So a message of any length needs no memory beyond
///   the read buffer. The limits of [`Config`](crate::Config) still apply. `AsyncBufRead` returns the data in place,
///   and `AsyncRead` copies it once, into the buffer of the caller.
/// * A read of 0 bytes means that the data is complete: the peer has closed between two messages, with code 1000 or
///   without a code.
/// * Every other end is an error, and each further read returns the error again. The error contains a
///   [`ByteStreamError`]. So a connection that breaks off never looks like complete data. If the stream below fails,
///   one read returns the error of that stream, before the first [`ByteStreamError`].
/// * A text message is an error of the kind `InvalidData`, and fails the connection with 1003.
/// * A read also answers Pings, writes the write queue and runs the timers, like [`WebSocket::recv`]. If the
///   application does not read, Pings that lie behind unread data are not answered, and the peer may give up the
///   connection.
///
/// # Writing
///
/// * Each write sends a binary message, of at most 64 KiB. A vectored write joins its slices to one message. To send
///   few large messages instead of many small ones, put a `BufWriter` in front.
/// * While the write queue has reached [`Config::high_water`](crate::Config::high_water), a write is pending. When the
///   queue is shorter, the write queues its message, and writes as much as the stream takes now. The rest is written by
///   the next write, flush or shutdown, or while a read waits. So a program that only writes must flush, as with every
///   buffered stream.
/// * After the peer has closed, or after a shutdown, a write returns an error of the kind `BrokenPipe`. A flush returns
///   this error if queued messages were dropped, because the peer has closed or the connection has ended.
///
/// # Shutdown
///
/// `poll_shutdown` of tokio and `poll_close` of futures-io send a Close with code 1000 after all queued messages, and
/// write the queue. After that, nothing more can be sent, but data is still read until the peer closes.
/// [`Config::close_timeout`](crate::Config::close_timeout) limits the time for which data is still read. If the peer
/// has already closed, both calls also wait until the connection has ended, as RFC 6455 section 7.1.1 requires.
///
/// This is not the half-close of TCP: a WebSocket endpoint that receives a Close answers with its own Close, and sends
/// no data after its Close. [`manual::tunnels`](crate::manual::tunnels) describes the consequences.
///
/// Dropping the byte stream without a shutdown closes the stream without a Close. The peer then sees an abnormal end.
///
/// # Two tasks
///
/// One task may read while another one writes, for example with `tokio::io::split` or `AsyncReadExt::split` of the
/// futures crates. A poll that returned `Pending` has changed nothing for its caller, so its future can be dropped.
#[derive(Debug)]
pub struct ByteStream<S, R> {
    ws: WebSocket<S, R>,
    input: ByteInput,
    /// How messages were delivered before the WebSocket became a byte stream.
    delivery: Delivery,
}

impl<S, R> WebSocket<S, R> {
    /// Turns the WebSocket into a stream of bytes, for example to tunnel another protocol.
    ///
    /// If a part of a binary message has arrived already, the whole message is collected before its data is read. All
    /// further messages are read in pieces. If you are sending a message in fragments, send its last fragment before
    /// this call.
    ///
    /// ```
    /// # #[cfg(feature = "tokio")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use hybi::adapters::tokio as ws;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let url = format!("ws://{}/", listener.local_addr()?);
    /// let server = tokio::spawn(async move {
    ///     let (stream, _) = listener.accept().await.unwrap();
    ///     let bytes = ws::accept(stream).await.unwrap().into_byte_stream();
    ///     let (mut from, mut to) = tokio::io::split(bytes);
    ///     tokio::io::copy(&mut from, &mut to).await.unwrap();
    ///     to.shutdown().await.unwrap();
    /// });
    ///
    /// let mut bytes = ws::connect(&url).await?.into_byte_stream();
    /// bytes.write_all(b"SSH-2.0-").await?;
    /// bytes.flush().await?;
    /// let mut echo = [0; 8];
    /// bytes.read_exact(&mut echo).await?;
    /// assert_eq!(&echo, b"SSH-2.0-");
    /// bytes.shutdown().await?;
    /// assert_eq!(bytes.read(&mut echo).await?, 0);
    /// drop(bytes);                                     // the server waits until the client ends the stream
    /// server.await?;
    /// # Ok(())
    /// # })
    /// # }
    /// # #[cfg(not(feature = "tokio"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn into_byte_stream(mut self) -> ByteStream<S, R> {
        let connection = &mut self.inner.connection;
        let delivery = connection.receiver().delivery();
        connection.set_delivery(Delivery::Bytes);
        let input = ByteInput::new(connection.receiver());
        ByteStream { ws: self, input, delivery }
    }
}

impl<S, R> ByteStream<S, R> {
    /// Returns the data that was received and not read. This method does not read from the stream.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        self.input.unread(|index| self.ws.inner.inbox.event(index))
    }

    /// Returns the WebSocket, for its getters.
    #[must_use]
    pub const fn get_ref(&self) -> &WebSocket<S, R> {
        &self.ws
    }

    /// Returns the WebSocket. Data of [`buffer`](Self::buffer) is lost.
    ///
    /// If a part of a message was read, the WebSocket returns the rest of this message as
    /// [`Event::Chunk`](crate::Event::Chunk), and `recv` skips it.
    #[must_use]
    pub fn into_inner(mut self) -> WebSocket<S, R> {
        self.ws.inner.connection.set_delivery(self.delivery);
        self.ws
    }

    /// Removes `len` bytes from the data of [`buffer`](Self::buffer).
    pub(in crate::adapters) fn consume_data(&mut self, len: usize) {
        if self.input.consume(len) {
            // The next read of the application may come late or never. So an empty inbox returns to the pool now.
            self.ws.inner.inbox.give_back_idle();
        }
    }
}

impl<S, R: Transport<S>> ByteStream<S, R> {
    /// Waits until there is data in [`buffer`](Self::buffer), or until the end. At the end the buffer is empty.
    pub(in crate::adapters) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(ready) = self.input.ready() {
            return Poll::Ready(ready);
        }
        let input = &mut self.input;
        poll_as(&mut *self.ws.inner, Side::Reader, cx, |inner, cx| inner.poll_data(cx, input))
    }

    /// Waits until there is data, and passes it to `copy` in pieces. `copy` returns how many bytes of a piece it has
    /// taken. Data that has arrived in several messages is passed in one poll, as far as `copy` takes it.
    pub(in crate::adapters) fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        mut copy: impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_fill(cx))?;
        loop {
            let data = self.buffer();
            let (len, taken) = (data.len(), copy(data));
            let is_done = !self.input.consume(taken) || len == 0;
            if is_done {
                break;
            }
            let input = &mut self.input;
            let decode =
                |inner: &mut Inner<S, R>, cx: &mut Context<'_>| Poll::Ready(inner.decode_data(cx, input));
            if poll_as(&mut *self.ws.inner, Side::Reader, cx, decode) != Poll::Ready(true) {
                break;
            }
        }
        // Returns an empty inbox to the pool.
        self.consume_data(0);
        Poll::Ready(Ok(()))
    }

    /// Sends a binary message with the first bytes of `from`, and returns the number of these bytes.
    pub(in crate::adapters) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_as(&mut *self.ws.inner, Side::Writer, cx, |inner, cx| inner.poll_send_bytes(cx, from))
            .map_err(write_error)
    }

    /// Writes the whole write queue, and flushes the stream.
    pub(in crate::adapters) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_as(&mut *self.ws.inner, Side::Writer, cx, Inner::poll_flush).map_err(write_error)
    }

    /// Sends a Close and writes the whole write queue. If the peer has closed, waits for the end of the connection.
    pub(in crate::adapters) fn poll_shut_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_as(&mut *self.ws.inner, Side::Writer, cx, Inner::poll_shut_down).map_err(write_error)
    }
}

impl<S, R: Transport<S>> Inner<S, R> {
    /// Runs the loop until `input` has data or has ended.
    fn poll_data(&mut self, cx: &mut Context<'_>, input: &mut ByteInput) -> Poll<io::Result<()>> {
        loop {
            if let Some(ready) = input.ready() {
                return Poll::Ready(ready);
            }
            let could_write = !self.wire.has_failed();
            match ready!(self.poll_next_event(cx)) {
                Ok(Some(index)) => self.handle_event(cx, input, index),
                Ok(None) => input.end(self.outcome),
                Err(Error::Protocol(error)) => input.fail(error),
                // A write has failed. The next call that writes returns the error, and data may still arrive.
                Err(Error::Io(_)) if could_write && self.wire.has_failed() => {}
                Err(Error::Io(error)) => return Poll::Ready(Err(error)),
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
    }

    /// Decodes the input that has arrived until `input` has data. Returns whether `input` has data. Does not read from
    /// the stream.
    fn decode_data(&mut self, cx: &mut Context<'_>, input: &mut ByteInput) -> bool {
        while input.ready().is_none() && !self.turn.is_over(self.connection.received()) {
            let Some(polled) = self.poll_event() else { return false };
            match self.filter_event(polled, cx) {
                Ok(Some(index)) => self.handle_event(cx, input, index),
                Err(Error::Protocol(error)) => input.fail(error),
                Ok(None) | Err(_) => {}
            }
        }
        matches!(input.ready(), Some(Ok(())))
    }

    /// Handles an event. If the event is the peer's Close, writes as much of the answer as the stream takes now,
    /// because the application may never read again.
    fn handle_event(&mut self, cx: &mut Context<'_>, input: &mut ByteInput, index: EventIndex) {
        if input.handle(index, self.inbox.event(index), self.connection.receiver().eof_position()) {
            // The driver stores an error of this write. The next write returns it.
            let _ = self.wire.poll_write(&mut self.stream, &mut self.connection, cx);
            self.wire.poll_half_close(&mut self.stream, &mut self.connection, cx);
        }
    }

    /// Queues a message with the first bytes of `from`, and writes as much of the queue as the stream takes now. Waits
    /// while the queue is full.
    fn poll_send_bytes(&mut self, cx: &mut Context<'_>, from: &[IoSlice<'_>]) -> Poll<Result<usize, Error>> {
        if from.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let Self { stream, wire, connection, .. } = self;
        // Wait for space first, so that the slices are joined only once.
        let space = wire.poll_feed(stream, connection, cx, |connection| connection.can_send());
        if let Poll::Ready(Err(_)) = space {
            // The answer to the peer's Close may still be in the queue. It is written here, because the application
            // may never read again.
            let _ = wire.poll_write(stream, connection, cx);
        }
        ready!(space)?;
        let message = message_of(from);
        let len = message.len();
        ready!(Responder::new(stream, wire, connection).poll_send_binary(cx, &mut false, &message))?;
        // `poll_flush` also runs the timers, for a program that only writes. If the stream takes no more, this call
        // does not wait, because the message is in the queue.
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(len)),
        }
    }

    /// Queues a Close and writes the queue. If the receiving half is done, waits for the end of the connection.
    fn poll_shut_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.connection.ready_state() == ReadyState::Open {
            let now = self.wire.clock().read_clock();
            self.connection.close(now, CloseCode::NORMAL, "")?;
        }
        ready!(self.poll_flush(cx))?;
        if self.connection.receiver().is_done() {
            // Both endpoints have sent everything, so an error at the end of the stream is ignored.
            let _ = ready!(self.poll_closed(cx));
        }
        Poll::Ready(Ok(()))
    }
}
