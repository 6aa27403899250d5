//! The halves of a byte stream, for two threads.
//!
//! [`ByteReader`] and [`ByteWriter`] wrap the halves of a split WebSocket (`reader.rs`, `writer.rs`), which share the
//! connection. `receive.rs` reads, and `adapters/byte_stream.rs` decides which data a reader gets for each event.
//! `websocket/byte_stream.rs` has the byte stream for one thread, and describes reading and writing.
//!
//! Invariants:
//! - No event is decoded while there is unread data, because the data lies in the inbox of the reader.
//! - A write that returns an error of the kind `WouldBlock` has queued nothing. So the caller can repeat the write.

use core::time::Duration;
use std::io::{self, BufRead, IoSlice, Read, Write};

use super::reader::Reader;
use super::receive::{Receive, read_from};
use super::writer::Writer;
use crate::adapters::byte_stream::{ByteInput, message_of, write_error};
use crate::adapters::error::Error;
use crate::{CloseCode, Delivery, SendError};

/// The reading half of a byte stream, made by [`ByteStream::split`](super::ByteStream::split).
///
/// It implements [`Read`] and [`BufRead`], as [`ByteStream`](super::ByteStream) describes. A read also answers Pings
/// and runs the timers for both halves, so a thread must always read.
#[derive(Debug)]
pub struct ByteReader {
    reader: Reader,
    input: ByteInput,
    read_timeout: Option<Duration>,
    /// How messages were delivered before the WebSocket became a byte stream.
    delivery: Delivery,
}

impl ByteReader {
    pub(super) const fn new(
        reader: Reader,
        input: ByteInput,
        read_timeout: Option<Duration>,
        delivery: Delivery,
    ) -> Self {
        Self { reader, input, read_timeout, delivery }
    }

    /// Sets how long a read blocks; see [`ByteStream::set_read_timeout`](super::ByteStream::set_read_timeout).
    pub const fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Returns the data that was received and not read. This call does not read from the stream.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        self.input.unread(|index| self.reader.inbox().event(index))
    }

    /// Returns the receiving half of the WebSocket, for its getters.
    #[must_use]
    pub const fn get_ref(&self) -> &Reader {
        &self.reader
    }

    /// Returns the receiving half of the WebSocket. Data of [`buffer`](Self::buffer) is lost, as
    /// [`ByteStream::into_inner`](super::ByteStream::into_inner) describes.
    #[must_use]
    pub fn into_inner(mut self) -> Reader {
        self.reader.set_delivery(self.delivery);
        self.reader
    }
}

impl Read for ByteReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        read_from(self, to)
    }
}

impl BufRead for ByteReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill(&mut self.input, self.read_timeout)?;
        Ok(self.buffer())
    }

    fn consume(&mut self, len: usize) {
        self.input.consume(len);
    }
}

/// The writing half of a byte stream, made by [`ByteStream::split`](super::ByteStream::split). Clones share the
/// connection.
///
/// It implements [`Write`], as [`ByteStream`](super::ByteStream) describes. Each write is a message, so the bytes of
/// two clones never mix within a write.
#[derive(Clone, Debug)]
pub struct ByteWriter {
    writer: Writer,
}

impl ByteWriter {
    pub(super) const fn new(writer: Writer) -> Self {
        Self { writer }
    }

    /// Sends a Close with code 1000 after all queued messages, and blocks until the stream has taken the Close. After
    /// this call nothing more can be sent. The [`ByteReader`] still reads data until the peer closes; see
    /// [`ByteStream::shutdown`](super::ByteStream::shutdown).
    ///
    /// # Errors
    ///
    /// - `BrokenPipe`: queued messages were dropped, because the peer has closed or the connection has ended.
    /// - `WouldBlock`: the stream is in non-blocking mode. The `ByteReader` writes the rest during its next reads. A
    ///   further call of this method also writes the rest.
    /// - Another kind: a write failed.
    pub fn shutdown(&mut self) -> io::Result<()> {
        match self.writer.close(CloseCode::NORMAL, "") {
            // Closing had begun before this call. The flush returns an error if messages were dropped.
            Err(Error::Send(SendError::Closed)) => self.flush(),
            closed => closed.map_err(write_error),
        }
    }

    /// Returns the sending half of the WebSocket, for its getters.
    #[must_use]
    pub const fn get_ref(&self) -> &Writer {
        &self.writer
    }

    /// Returns the sending half of the WebSocket.
    #[must_use]
    pub fn into_inner(self) -> Writer {
        self.writer
    }
}

impl Write for ByteWriter {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let message = message_of(from);
        if !message.is_empty() {
            self.writer.queue_bytes(&message).map_err(write_error)?;
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(write_error)
    }
}
