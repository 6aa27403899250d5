//! The wrapper [`WrappedStream`]: a stream together with its operations.
//!
//! An application cannot implement [`Stream`] for a type of another crate, for example of a TLS library.
//! [`WrappedStream`] wraps such a type together with functions for the missing operations. Every [`Stream`] is also
//! wrapped in a `WrappedStream`, so the rest of the adapter uses only one type.
//!
//! ```text
//!   TcpStream, UnixStream, Box<dyn Stream>, your own type ──── impl Stream ─────┐
//!                                                                               ├──▶ WrappedStream<S> ──▶ WebSocket<S>
//!   TlsStream<TcpStream> of another crate ── WrappedStream::new(tls, socket) ───┘
//!                                              .close_write(shutdown)
//! ```
//!
//! Invariants:
//! - The type of a WebSocket is `WebSocket<S>`, for a [`Stream`] `S` and also for a [`WrappedStream`] of `S`. The
//!   `WrappedStream` is not visible in the type.
//! - A layer such as TLS is closed before the socket below it is half-closed. Otherwise the peer would report truncated
//!   data.
//! - A stream that claims to have read or written more bytes than possible has failed, with [`ErrorKind::InvalidData`].

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::prelude::v1::*;

use super::stream::Stream;
use crate::Instant;

/// A function that returns the TCP socket below a stream, or `None` if there is no such socket. The adapter sets
/// timeouts on this socket, and shuts the socket down to abort the connection.
pub type SocketOf<S> = fn(&S) -> Option<&TcpStream>;

/// A stream together with its operations. The operations are those of [`Stream`], or functions for a layer above a TCP
/// socket.
///
/// Every [`Stream`] converts into a `WrappedStream` with `into()`. The stream of a TLS library becomes a
/// `WrappedStream` like this:
///
/// ```
/// # use std::io::{self, Read, Write};
/// # use std::net::TcpStream;
/// # struct TlsStream<S>(S);
/// # impl<S: Read> Read for TlsStream<S> {
/// #     fn read(&mut self, to: &mut [u8]) -> io::Result<usize> { self.0.read(to) }
/// # }
/// # impl<S: Write> Write for TlsStream<S> {
/// #     fn write(&mut self, from: &[u8]) -> io::Result<usize> { self.0.write(from) }
/// #     fn flush(&mut self) -> io::Result<()> { self.0.flush() }
/// # }
/// # impl<S> TlsStream<S> {
/// #     fn get_ref(&self) -> &S { &self.0 }
/// #     fn shutdown(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// use hybi::adapters::net::{ConnectError, Client, WrappedStream, WebSocket};
///
/// // The functions are for native-tls. The functions for rustls are `|tls| Some(&tls.sock)` and
/// // `|tls| { tls.conn.send_close_notify(); tls.flush() }`.
/// fn open(
///     tls: TlsStream<TcpStream>,
/// ) -> Result<WebSocket<TlsStream<TcpStream>>, ConnectError<TlsStream<TcpStream>>> {
///     let stream = WrappedStream::new(tls, |tls| Some(tls.get_ref())).close_write(|tls| tls.shutdown());
///     Client::new().open_stream(stream, "wss://example.com/")
/// }
/// ```
pub struct WrappedStream<S> {
    stream: S,
    operations: Operations<S>,
}

/// The operations on a stream.
enum Operations<S> {
    /// The operations are the methods of [`Stream`]. The function returns the stream as a trait object.
    Stream(fn(&mut S) -> &mut dyn Stream),
    /// The stream is a layer above a TCP socket, for example TLS. Functions of the application return the socket and
    /// close the layer.
    Layer {
        /// Returns the layer as a trait object.
        io: fn(&mut S) -> &mut dyn ReadWrite,
        socket: SocketOf<S>,
        close_write: Option<fn(&mut S) -> io::Result<()>>,
        /// True if `S` contains the socket and nothing else. Such a stream is used like the socket itself: it
        /// keeps no refused bytes, and is half-closed without `close_write`.
        bare: bool,
    },
}

/// `Read` and `Write` as one trait, for a trait object.
trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

impl<S: Stream> From<S> for WrappedStream<S> {
    fn from(stream: S) -> Self {
        Self { stream, operations: Operations::Stream(|stream| stream) }
    }
}

impl<S: Read + Write> WrappedStream<S> {
    /// Wraps a layer above the TCP socket that `socket` returns. The adapter sets timeouts on this socket. The function
    /// `|_| None` is for a stream without such a socket. With this function, nothing can interrupt a call that blocks.
    ///
    /// The adapter half-closes the stream only if [`close_write`](Self::close_write) was called. The exception is a
    /// type that contains the socket and nothing else: this socket is half-closed directly.
    #[must_use]
    pub fn new(stream: S, socket: SocketOf<S>) -> Self {
        let bare = socket(&stream).is_some_and(|socket| is_all_of(socket, &stream));
        Self {
            stream,
            operations: Operations::Layer { io: |stream| stream, socket, close_write: None, bare },
        }
    }

    /// Sets the function that closes the sending direction of the layer. For TLS, the function sends `close_notify`.
    ///
    /// After `close` has returned `Ok`, the adapter closes the sending direction of the socket below. If `close`
    /// returns [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`], it is called again later.
    ///
    /// Without this function a layer is never half-closed. At a regular end of the connection the stream stays open.
    /// If the connection is aborted, the socket is shut down. The application can take the stream with
    /// [`WebSocket::into_parts`](super::WebSocket::into_parts) and shut it down.
    #[must_use]
    pub fn close_write(mut self, close: fn(&mut S) -> io::Result<()>) -> Self {
        if let Operations::Layer { close_write, .. } = &mut self.operations {
            *close_write = Some(close);
        }
        self
    }
}

/// Returns whether `stream` contains `socket` and nothing else. Such a stream keeps no bytes of a refused write.
fn is_all_of<S>(socket: &TcpStream, stream: &S) -> bool {
    let same_place =
        core::ptr::eq(core::ptr::from_ref(socket).cast::<()>(), core::ptr::from_ref(stream).cast());
    same_place && size_of::<S>() == size_of::<TcpStream>()
}

impl<S> WrappedStream<S> {
    /// Returns a reference to the stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns a mutable reference to the stream.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Reads once from the stream. Returns an error if the stream claims to have read too many bytes.
    pub(super) fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let space = to.len();
        let read = match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).read(to),
            Operations::Layer { io, .. } => io(&mut self.stream).read(to),
        };
        check_read(read?, space)
    }

    /// Writes once to the stream. If the stream takes zero bytes, the result is an error of the kind
    /// [`ErrorKind::WriteZero`].
    pub(super) fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).write_vectored(from),
            Operations::Layer { io, .. } => io(&mut self.stream).write_vectored(from),
        };
        let offered = from.iter().map(|slice| slice.len()).sum();
        match written? {
            0 => Err(ErrorKind::WriteZero.into()),
            n => check_written(n, offered),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).flush(),
            Operations::Layer { io, .. } => io(&mut self.stream).flush(),
        }
    }

    /// Closes the sending direction: see [`Stream::close_write`].
    pub(super) fn end_sending(&mut self) -> io::Result<()> {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).close_write(),
            Operations::Layer { socket, close_write, bare, .. } => {
                match close_write {
                    Some(close) => close(&mut self.stream)?,
                    None if bare => {}
                    None => return Err(ErrorKind::Unsupported.into()),
                }
                match socket(&self.stream) {
                    Some(socket) => socket.shutdown(Shutdown::Write),
                    None => Ok(()),
                }
            }
        }
    }

    /// Closes both directions: see [`Stream::abort`].
    pub(super) fn abort(&mut self) {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).abort(),
            Operations::Layer { socket, .. } => {
                if let Some(socket) = socket(&self.stream) {
                    let _ = socket.shutdown(Shutdown::Both);
                }
            }
        }
    }

    /// Sets how long a read may block: see [`Stream::set_read_timeout`].
    pub(super) fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).set_read_timeout(timeout),
            Operations::Layer { socket, .. } => {
                with_socket(socket(&self.stream), |socket| socket.set_read_timeout(timeout))
            }
        }
    }

    /// Sets how long a write may block: see [`Stream::set_write_timeout`].
    pub(super) fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).set_write_timeout(timeout),
            Operations::Layer { socket, .. } => {
                with_socket(socket(&self.stream), |socket| socket.set_write_timeout(timeout))
            }
        }
    }

    /// Switches non-blocking mode: see [`Stream::set_nonblocking`].
    pub(super) fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).set_nonblocking(on),
            Operations::Layer { socket, .. } => {
                with_socket(socket(&self.stream), |socket| socket.set_nonblocking(on))
            }
        }
    }

    /// Returns whether the stream may keep bytes of a refused write: see [`Stream::keeps_refused_bytes`].
    pub(super) fn keeps_refused_bytes(&mut self) -> bool {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).keeps_refused_bytes(),
            Operations::Layer { bare, .. } => !bare,
        }
    }

    /// Returns whether the stream may have bytes that need a flush: see [`Stream::has_unflushed_bytes`].
    pub(super) fn has_unflushed_bytes(&mut self) -> bool {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).has_unflushed_bytes(),
            Operations::Layer { bare, .. } => !bare,
        }
    }

    /// Returns whether a read has produced bytes that need a flush: see [`Stream::needs_flush_after_read`].
    pub(super) fn needs_flush_after_read(&mut self) -> bool {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).needs_flush_after_read(),
            Operations::Layer { .. } => false,
        }
    }

    /// Returns the time of the stream's own clock: see [`Stream::clock`].
    pub(super) fn clock(&mut self) -> Option<Instant> {
        match self.operations {
            Operations::Stream(stream) => stream(&mut self.stream).clock(),
            Operations::Layer { .. } => None,
        }
    }
}

impl<S: Stream + Send + 'static> WrappedStream<S> {
    /// Creates two handles to the stream: the first to read, the second to write.
    pub(super) fn take_apart(self) -> io::Result<[WrappedStream<Box<dyn Stream + Send>>; 2]> {
        let second = Stream::try_clone(&self.stream)?;
        let first: Box<dyn Stream + Send> = Box::new(self.stream);
        Ok([first.into(), second.into()])
    }
}

/// Calls `set` with the socket. Returns `false` if there is no socket.
fn with_socket(
    socket: Option<&TcpStream>,
    set: impl FnOnce(&TcpStream) -> io::Result<()>,
) -> io::Result<bool> {
    socket.map_or(Ok(false), |socket| set(socket).map(|()| true))
}

/// Returns `n`, the result of a read into `most` bytes. If `n` is larger, returns an error: the stream has failed,
/// because it is unknown which bytes it has read.
pub(super) fn check_read(n: usize, most: usize) -> io::Result<usize> {
    check_count(n, most, "the stream reported more bytes than the buffer has: its `read` has a bug")
}

/// Returns `n`, the result of a write of `most` bytes. If `n` is larger, returns an error: the stream has failed,
/// because it is unknown which bytes it has written.
pub(super) fn check_written(n: usize, most: usize) -> io::Result<usize> {
    check_count(n, most, "the stream reported more bytes than it got: its `write` has a bug")
}

fn check_count(n: usize, most: usize, complaint: &'static str) -> io::Result<usize> {
    if n <= most { Ok(n) } else { Err(io::Error::new(ErrorKind::InvalidData, complaint)) }
}

impl<S: fmt::Debug> fmt::Debug for WrappedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WrappedStream").field(&self.stream).finish()
    }
}
