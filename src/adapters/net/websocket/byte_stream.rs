//! The blocking WebSocket as a stream of bytes, for one thread.
//!
//! A [`ByteStream`] reads the data of binary messages, and sends each write as a binary message. It reads through
//! `receive.rs`, which uses the run loop, and writes through `write_driver.rs`. `adapters/byte_stream.rs` decides what
//! a reader gets for each event. [`ByteStream::split`] makes two halves for two threads (`byte_halves.rs`).
//!
//! Invariants:
//! - No event is decoded while there is unread data, because the data lies in the inbox.
//! - A write that returns an error of the kind `WouldBlock` has queued nothing. So the caller can repeat it.

use core::time::Duration;
use std::io::{self, BufRead, IoSlice, Read, Write};

use super::WebSocket;
#[cfg(doc)]
use crate::adapters::byte_stream::ByteStreamError;
use crate::adapters::byte_stream::{ByteInput, message_of, write_error};
use crate::adapters::error::Error;
use crate::adapters::net::byte_halves::{ByteReader, ByteWriter};
use crate::adapters::net::interest::would_block;
use crate::adapters::net::receive::{Receive, read_from};
use crate::adapters::net::stream::Stream;
use crate::{CloseCode, Delivery, ReadyState};

/// A blocking WebSocket as a stream of bytes: binary messages whose boundaries are ignored. Made by
/// [`WebSocket::into_byte_stream`].
///
/// The type implements [`Read`], [`BufRead`] and [`Write`]. It is for programs that tunnel another protocol through a
/// WebSocket. One thread uses it at a time. [`split`](Self::split) makes two halves for two threads.
///
/// # Reading
///
/// - Data is returned as it arrives, also in the middle of a message. So a message of any length needs no memory beyond
///   the read buffer. The limits of [`Config`](crate::Config) still apply. [`BufRead`] returns the data in place, and
///   [`Read`] copies it once, into the buffer of the caller.
/// - A read of 0 bytes means that the data is complete: the peer has closed between two messages, with code 1000 or
///   without a code.
/// - Every other end is an error, and each further read returns the error again. The error contains a
///   [`ByteStreamError`]. So a connection that breaks off never looks like complete data. If the stream below fails,
///   one read returns the error of that stream, before the first [`ByteStreamError`].
/// - A text message is an error of the kind `InvalidData`, and fails the connection with 1003.
/// - A read blocks until there is data, or for the time of [`set_read_timeout`](Self::set_read_timeout). The read also
///   answers Pings, writes the write queue and runs the timers, like [`WebSocket::recv`]. If the application does not
///   read, Pings that lie behind unread data are not answered, and the peer may give up the connection.
///
/// # Writing
///
/// - Each write sends a binary message, of at most 64 KiB, and blocks until the stream has taken it. A vectored write
///   joins its slices to one message. To send few large messages instead of many small ones, use a
///   [`BufWriter`](std::io::BufWriter).
/// - After the peer has closed, or after [`shutdown`](Self::shutdown), a write returns an error of the kind
///   `BrokenPipe`.
///
/// If the application sets the socket to non-blocking mode, a call that would block returns an error of the kind
/// `WouldBlock`. A write with this error has sent nothing, and can be repeated. A write that returns a length may leave
/// a part of its message in the write queue. A flush writes this part.
///
/// # Dropping
///
/// Dropping the byte stream without [`shutdown`](Self::shutdown) closes the stream without a Close. The peer sees an
/// abnormal end.
#[derive(Debug)]
pub struct ByteStream<S> {
    ws: WebSocket<S>,
    input: ByteInput,
    read_timeout: Option<Duration>,
    /// How messages were delivered before the WebSocket became a byte stream.
    delivery: Delivery,
}

impl<S> WebSocket<S> {
    /// Turns the WebSocket into a stream of bytes, for example to tunnel another protocol.
    ///
    /// If a part of a binary message has arrived already, the whole message is collected before its data is read. All
    /// further messages are read in pieces. If you are sending a message in fragments, send its last fragment before
    /// this call.
    ///
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// use hybi::adapters::net;
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let url = format!("ws://{}/", listener.local_addr()?);
    /// let server = std::thread::spawn(move || {
    ///     let bytes = net::accept(listener.accept().unwrap().0).unwrap().into_byte_stream();
    ///     let (mut from, mut to) = bytes.split().unwrap();
    ///     std::io::copy(&mut from, &mut to).unwrap();
    ///     to.shutdown().unwrap();
    /// });
    ///
    /// let mut bytes = net::connect(&url)?.into_byte_stream();
    /// bytes.write_all(b"SSH-2.0-")?;
    /// let mut echo = [0; 8];
    /// bytes.read_exact(&mut echo)?;
    /// assert_eq!(&echo, b"SSH-2.0-");
    /// bytes.shutdown()?;
    /// assert_eq!(bytes.read(&mut echo)?, 0);
    /// # server.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_byte_stream(mut self) -> ByteStream<S> {
        let connection = self.run.connection_mut();
        let delivery = connection.receiver().delivery();
        connection.set_delivery(Delivery::Bytes);
        let input = ByteInput::new(connection.receiver());
        ByteStream { ws: self, input, read_timeout: None, delivery }
    }
}

impl<S> ByteStream<S> {
    /// Sends a Close with code 1000 after all queued messages, and blocks until the stream has taken it. Then nothing
    /// more can be sent, but data is still read until the peer closes.
    ///
    /// [`Config::close_timeout`](crate::Config::close_timeout) limits the time for which data is still read. If the
    /// peer has already closed, the call also blocks until the connection has ended, as RFC 6455 section 7.1.1
    /// requires.
    ///
    /// This is not the half-close of TCP. A WebSocket endpoint that receives a Close answers with its own Close, and
    /// sends no data after this Close. [`manual::tunnels`](crate::manual::tunnels) describes the consequences.
    ///
    /// # Errors
    ///
    /// - `BrokenPipe`: queued messages were dropped, because the peer has closed or the connection has ended.
    /// - `WouldBlock`: the stream is in non-blocking mode. Call this method again.
    /// - Another kind: a write failed.
    pub fn shutdown(&mut self) -> io::Result<()> {
        let mut out = self.ws.run.output();
        let on_time = out.keep_time();
        if out.sender().ready_state() == ReadyState::Open {
            // The Close is queued even if writing has failed, because it must start the close timeout.
            out.queue_close(Some(CloseCode::NORMAL), "").map_err(write_error)?;
        }
        on_time.and_then(|()| out.flush()).map_err(write_error)?;
        if self.ws.run.connection().receiver().is_done() {
            // Both endpoints have sent everything. So all errors at the end of the stream are ignored, except
            // `WouldBlock`.
            if let Err(Error::Io(error)) = self.ws.run.run_to_end() {
                if error.kind() == io::ErrorKind::WouldBlock {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Sets how long a read blocks; without a limit by default. A read that finds no data within this time returns an
    /// error of the kind [`TimedOut`](io::ErrorKind::TimedOut). Nothing is lost: read again.
    ///
    /// If `timeout` is zero, a read does not block. For this case, and for a stream that has no timeouts, see
    /// [`WebSocket::next_event_timeout`]. Writes have no timeout. The timers of [`Config`](crate::Config) limit them.
    pub const fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Returns the data that was received and not read. This call does not read from the stream.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        self.input.unread(|index| self.ws.run.inbox().event(index))
    }

    /// Returns the WebSocket, for its getters.
    #[must_use]
    pub const fn get_ref(&self) -> &WebSocket<S> {
        &self.ws
    }

    /// Returns the WebSocket. Data of [`buffer`](Self::buffer) is lost.
    ///
    /// If a part of a message was read, the WebSocket returns the rest of this message as
    /// [`Event::Chunk`](crate::Event::Chunk), and `recv` skips it.
    #[must_use]
    pub fn into_inner(mut self) -> WebSocket<S> {
        self.ws.run.connection_mut().set_delivery(self.delivery);
        self.ws
    }
}

impl<S: Stream + Send + 'static> ByteStream<S> {
    /// Splits the byte stream into halves for two threads.
    ///
    /// The [`ByteReader`] answers Pings and Closes, and runs the timers. So a thread must always read from it.
    ///
    /// # Errors
    ///
    /// After an error the stream is dropped.
    ///
    /// - `Unsupported`: two threads cannot use this stream.
    /// - Another kind: the system could not duplicate the socket.
    pub fn split(self) -> io::Result<(ByteReader, ByteWriter)> {
        let Self { ws, input, read_timeout, delivery } = self;
        let (reader, writer) = ws.split()?;
        Ok((ByteReader::new(reader, input, read_timeout, delivery), ByteWriter::new(writer)))
    }
}

impl<S> Read for ByteStream<S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        read_from(self, to)
    }
}

impl<S> BufRead for ByteStream<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ws.run.fill(&mut self.input, self.read_timeout)?;
        Ok(self.buffer())
    }

    fn consume(&mut self, len: usize) {
        self.input.consume(len);
    }
}

impl<S> Write for ByteStream<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let message = message_of(from);
        if message.is_empty() {
            return Ok(0);
        }
        let mut out = self.ws.run.output();
        out.keep_time().map_err(write_error)?;
        out.queue(|connection| connection.send_binary(&message)).map_err(write_error)?;
        match out.flush() {
            Err(error) if !would_block(&error) => Err(write_error(error)),
            // The message is in the queue even if the flush returns `WouldBlock`. So the write has succeeded.
            _ => Ok(message.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = self.ws.run.output();
        out.keep_time().and_then(|()| out.flush()).map_err(write_error)
    }
}
