//! Streams that block: what the adapter asks of them, and how a foreign type becomes one.
//!
//! [`Stream`] is [`Read`] and [`Write`] with a few verbs more: half-close, abort, deadlines, taking apart. It is
//! implemented here for TCP, Unix sockets, boxes and mutable references. A type of another crate cannot implement
//! it; [`Over`] wraps one with functions that stand for the missing verbs.
//!
//! ```text
//!   TcpStream, UnixStream, Box<dyn Stream>, your own type ──── impl Stream ───┐
//!                                                                             ├──▶ Over<S> ──▶ WebSocket<S>
//!   TlsStream<TcpStream> of another crate ── Over::new(tls, socket) ──────────┘
//!                                              .close_write(shutdown)
//! ```
//!
//! Invariants:
//! - A `WebSocket<S>` has the same type whichever way `S` came in, so an [`Over`] stays inside.
//! - A layer above a socket is never half-closed below it: its peer would see the stream cut off.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::prelude::v1::*;

use crate::Instant;

/// Finds the TCP socket under a stream, if there is one: deadlines are set through it, and it is shut down where the
/// connection is given up.
pub type SocketOf<S> = fn(&S) -> Option<&TcpStream>;

/// A stream that blocks, under a [`WebSocket`](super::WebSocket).
///
/// Every verb beside those of [`Read`] and [`Write`] has a default that says that the stream cannot do this. So
/// `impl Stream for Mine {}` is enough for a stream that reads and writes, but then nothing interrupts a call that
/// blocks, and timers are looked at only between calls.
///
/// A read or write that ends with [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`] is taken for one whose time is
/// up, or for one of a stream that does not block.
///
/// ```
/// use std::io::{self, Read, Write};
/// use std::net::{Shutdown, TcpStream};
/// use std::time::Duration;
///
/// use hybi::adapters::net::Stream;
///
/// /// Counts what is read.
/// struct Counted {
///     socket: TcpStream,
///     read: usize,
/// }
///
/// impl Read for Counted {
///     fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
///         let n = self.socket.read(to)?;
///         self.read += n;
///         Ok(n)
///     }
/// }
///
/// impl Write for Counted {
///     fn write(&mut self, from: &[u8]) -> io::Result<usize> {
///         self.socket.write(from)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         self.socket.flush()
///     }
/// }
///
/// impl Stream for Counted {
///     fn close_write(&mut self) -> io::Result<()> {
///         self.socket.shutdown(Shutdown::Write)
///     }
///     fn abort(&mut self) {
///         let _ = self.socket.shutdown(Shutdown::Both);
///     }
///     fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
///         self.socket.set_read_timeout(timeout).map(|()| true)
///     }
///     fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
///         self.socket.set_write_timeout(timeout).map(|()| true)
///     }
///     fn may_keep(&self) -> bool {
///         false
///     }
/// }
/// ```
pub trait Stream: Read + Write {
    /// Ends the sending half: the peer reads all that was written, and then the end of the stream. Reading goes on.
    ///
    /// Over TLS this sends `close_notify`, and closes the sending half of the transport below after that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`], the default, where only both halves can be ended. [`ErrorKind::WouldBlock`] or
    /// [`ErrorKind::TimedOut`] where the stream takes nothing now: it is called again. Any other error means that
    /// the stream has failed.
    fn close_write(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Ends both halves at once, whatever is on its way. Reads and writes that wait end too, those of
    /// [another handle](Self::try_clone) included. Does nothing by default.
    fn abort(&mut self) {}

    /// Lets reads wait for so long at most, `None` for as long as it takes, and says whether the stream can do that.
    /// It cannot by default. The time is never zero.
    ///
    /// # Errors
    ///
    /// The stream has failed.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let _ = timeout;
        Ok(false)
    }

    /// As [`set_read_timeout`](Self::set_read_timeout), for writes and flushes.
    ///
    /// # Errors
    ///
    /// The stream has failed.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let _ = timeout;
        Ok(false)
    }

    /// Lets reads and writes end with [`ErrorKind::WouldBlock`] instead of waiting, or wait again, and says whether
    /// the stream can do that. It cannot by default; a short timeout is used instead.
    ///
    /// # Errors
    ///
    /// The stream has failed.
    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        let _ = on;
        Ok(false)
    }

    /// Whether the stream has memory of its own for what is written. `true` by default, which is right for every stream.
    ///
    /// TLS libraries encrypt what a write offers and find out later that there is no room: the write says that it took
    /// nothing, and has kept it. Such a stream is offered the same bytes again before any others, and is flushed.
    /// A socket has no such memory: what it did not take can still be overtaken by a Ping, and no flush is needed.
    fn may_keep(&self) -> bool {
        true
    }

    /// A second handle to the same stream, for a thread that writes while this one reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`], the default, where the stream cannot be used from two threads.
    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        Err(ErrorKind::Unsupported.into())
    }

    /// The time on a clock of the stream's own, from any origin; `None`, the default, for the system's monotonic
    /// clock. A simulated network gives its virtual time, and a test of the timers then takes no time.
    fn clock(&self) -> Option<Instant> {
        None
    }
}

impl fmt::Debug for dyn Stream + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn Stream + Send + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// The verbs of a socket of `std`.
macro_rules! impl_for_socket {
    ($socket:ty) => {
        impl Stream for $socket {
            fn close_write(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn abort(&mut self) {
                // It fails where the socket is not connected any more.
                let _ = self.shutdown(Shutdown::Both);
            }

            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
                <$socket>::set_read_timeout(self, timeout).map(|()| true)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
                <$socket>::set_write_timeout(self, timeout).map(|()| true)
            }

            fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
                <$socket>::set_nonblocking(self, on).map(|()| true)
            }

            /// The kernel has what it says, and sends it without being asked.
            fn may_keep(&self) -> bool {
                false
            }

            fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
                Ok(Box::new(<$socket>::try_clone(self)?))
            }
        }
    };
}

impl_for_socket!(TcpStream);
#[cfg(unix)]
impl_for_socket!(UnixStream);

/// All verbs of the stream that this points to.
macro_rules! impl_for_pointer {
    ($pointer:ty) => {
        impl<S: Stream + ?Sized> Stream for $pointer {
            fn close_write(&mut self) -> io::Result<()> {
                (**self).close_write()
            }

            fn abort(&mut self) {
                (**self).abort();
            }

            fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
                (**self).set_read_timeout(timeout)
            }

            fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
                (**self).set_write_timeout(timeout)
            }

            fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
                (**self).set_nonblocking(on)
            }

            fn may_keep(&self) -> bool {
                (**self).may_keep()
            }

            fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
                (**self).try_clone()
            }

            fn clock(&self) -> Option<Instant> {
                (**self).clock()
            }
        }
    };
}

impl_for_pointer!(&mut S);
impl_for_pointer!(Box<S>);

/// A stream, and how it is driven: by its own [`Stream`], or as a layer above a TCP socket by functions.
///
/// It is made of anything that is a [`Stream`] with `into()`, and of the streams of TLS libraries as shown here:
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
/// use hybi::adapters::net::{ConnectError, Client, Over, WebSocket};
///
/// // With native-tls. With rustls it is `|tls| Some(&tls.sock)`, and
/// // `|tls| { tls.conn.send_close_notify(); tls.flush() }`.
/// fn open(
///     tls: TlsStream<TcpStream>,
/// ) -> Result<WebSocket<TlsStream<TcpStream>>, ConnectError<TlsStream<TcpStream>>> {
///     let stream = Over::new(tls, |tls| Some(tls.get_ref())).close_write(|tls| tls.shutdown());
///     Client::new().open_stream(stream, "wss://example.com/")
/// }
/// ```
pub struct Over<S> {
    stream: S,
    verbs: Verbs<S>,
}

/// Where the verbs of a stream come from.
enum Verbs<S> {
    Stream(fn(&mut S) -> &mut dyn Stream),
    Layer {
        io: fn(&mut S) -> &mut dyn ReadWrite,
        socket: SocketOf<S>,
        close_write: Option<fn(&mut S) -> io::Result<()>>,
        /// There is no layer: the stream is the socket and nothing else.
        bare: bool,
    },
}

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

impl<S: Stream> From<S> for Over<S> {
    fn from(stream: S) -> Self {
        Self { stream, verbs: Verbs::Stream(|stream| stream) }
    }
}

impl<S: Read + Write> Over<S> {
    /// A layer above the TCP socket that `socket` finds in it: deadlines are set there. With `|_| None` there is no
    /// socket, and nothing interrupts a call that blocks.
    ///
    /// The sending half can be closed only with [`close_write`](Self::close_write). An exception is a stream that is
    /// nothing but the socket, in a type of its own or not.
    #[must_use]
    pub fn new(stream: S, socket: SocketOf<S>) -> Self {
        let bare = socket(&stream).is_some_and(|socket| is_all_of(socket, &stream));
        Self { stream, verbs: Verbs::Layer { io: |stream| stream, socket, close_write: None, bare } }
    }

    /// Ends the sending half of the layer with `close`, TLS with `close_notify` for example. The sending half of the
    /// socket below is closed after it. `close` is called again where it fails with [`ErrorKind::WouldBlock`].
    ///
    /// Without it the connection ends without half-close, and the stream is left as it is. The application can then
    /// end it in its own way, with [`WebSocket::into_parts`](super::WebSocket::into_parts).
    #[must_use]
    pub fn close_write(mut self, close: fn(&mut S) -> io::Result<()>) -> Self {
        if let Verbs::Layer { close_write, .. } = &mut self.verbs {
            *close_write = Some(close);
        }
        self
    }
}

/// Whether `stream` consists of `socket` and nothing else. It then has no memory in which it could keep bytes.
fn is_all_of<S>(socket: &TcpStream, stream: &S) -> bool {
    let same_place =
        core::ptr::eq(core::ptr::from_ref(socket).cast::<()>(), core::ptr::from_ref(stream).cast());
    same_place && size_of::<S>() == size_of::<TcpStream>()
}

impl<S> Over<S> {
    /// The stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    pub(super) fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let room = to.len();
        let read = match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).read(to),
            Verbs::Layer { io, .. } => io(&mut self.stream).read(to),
        };
        believable(read?, room, "the stream claims to have read more bytes than there was room for")
    }

    pub(super) fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).write_vectored(from),
            Verbs::Layer { io, .. } => io(&mut self.stream).write_vectored(from),
        };
        let offered = from.iter().map(|slice| slice.len()).sum();
        match written? {
            0 => Err(ErrorKind::WriteZero.into()),
            n => believable(n, offered, "the stream claims to have written more bytes than it was given"),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).flush(),
            Verbs::Layer { io, .. } => io(&mut self.stream).flush(),
        }
    }

    /// See [`Stream::close_write`].
    pub(super) fn end_sending(&mut self) -> io::Result<()> {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).close_write(),
            Verbs::Layer { socket, close_write, bare, .. } => {
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

    /// See [`Stream::abort`].
    pub(super) fn abort(&mut self) {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).abort(),
            Verbs::Layer { socket, .. } => {
                if let Some(socket) = socket(&self.stream) {
                    let _ = socket.shutdown(Shutdown::Both);
                }
            }
        }
    }

    /// See [`Stream::set_read_timeout`].
    pub(super) fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).set_read_timeout(timeout),
            Verbs::Layer { socket, .. } => {
                with(socket(&self.stream), |socket| socket.set_read_timeout(timeout))
            }
        }
    }

    /// See [`Stream::set_write_timeout`].
    pub(super) fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).set_write_timeout(timeout),
            Verbs::Layer { socket, .. } => {
                with(socket(&self.stream), |socket| socket.set_write_timeout(timeout))
            }
        }
    }

    /// See [`Stream::set_nonblocking`].
    pub(super) fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).set_nonblocking(on),
            Verbs::Layer { socket, .. } => with(socket(&self.stream), |socket| socket.set_nonblocking(on)),
        }
    }

    /// See [`Stream::may_keep`].
    pub(super) fn may_keep(&mut self) -> bool {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).may_keep(),
            Verbs::Layer { bare, .. } => !bare,
        }
    }

    /// See [`Stream::clock`].
    pub(super) fn clock(&mut self) -> Option<Instant> {
        match self.verbs {
            Verbs::Stream(stream) => stream(&mut self.stream).clock(),
            Verbs::Layer { .. } => None,
        }
    }
}

impl<S: Stream + Send + 'static> Over<S> {
    /// Two handles to the stream.
    pub(super) fn take_apart(self) -> io::Result<[Over<Box<dyn Stream + Send>>; 2]> {
        let second = Stream::try_clone(&self.stream)?;
        let first: Box<dyn Stream + Send> = Box::new(self.stream);
        Ok([first.into(), second.into()])
    }
}

/// Sets something on a socket, if there is one.
fn with(socket: Option<&TcpStream>, set: impl FnOnce(&TcpStream) -> io::Result<()>) -> io::Result<bool> {
    socket.map_or(Ok(false), |socket| set(socket).map(|()| true))
}

/// `n`, if it is at most `most`. A stream that counts wrongly has failed: nobody knows what it did.
fn believable(n: usize, most: usize, complaint: &'static str) -> io::Result<usize> {
    if n <= most { Ok(n) } else { Err(io::Error::new(ErrorKind::InvalidData, complaint)) }
}

impl<S: fmt::Debug> fmt::Debug for Over<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Over").field(&self.stream).finish()
    }
}
