//! The trait [`Stream`] of the blocking streams that the adapter runs on.
//!
//! [`Stream`] is [`Read`] and [`Write`] with more operations: half-close, abort, timeouts, a second handle. The trait
//! is implemented here for TCP, Unix sockets, boxes and mutable references.
//!
//! `wrapped_stream.rs` has the wrapper for streams of other crates. `deadline_stream.rs` has the deadlines, and the
//! state of a stream between two calls.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::prelude::v1::*;

use crate::Instant;

/// A blocking stream that a [`WebSocket`](super::WebSocket) can run on.
///
/// Each method has a default, which reports that the stream does not support the operation. So `impl Stream for Mine
/// {}` compiles. But nothing can interrupt a blocking call of such a stream, and timers run only between calls.
///
/// A read or write returns [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`] if its timeout ran out, or if the
/// stream is in non-blocking mode and not ready. After [`ErrorKind::Interrupted`] the call is repeated. Every other
/// error means that the stream has failed.
///
/// ```
/// use std::io::{self, Read, Write};
/// use std::net::{Shutdown, TcpStream};
/// use std::time::Duration;
///
/// use hybi::adapters::net::Stream;
///
/// /// A socket that counts the bytes that are read.
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
///     fn keeps_refused_bytes(&self) -> bool {
///         false
///     }
/// }
/// ```
pub trait Stream: Read + Write {
    /// Closes the sending direction. The peer reads all bytes that were written, and then the end of the stream.
    ///
    /// This endpoint can still read. Over TLS, the method sends `close_notify`, and then half-closes the transport
    /// below.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Unsupported`], the default: the stream cannot close one direction only.
    /// - [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`]: the stream is full. The method is called again.
    /// - Any other kind: the stream has failed.
    fn close_write(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Closes both directions at once. Blocked reads and writes must return, also those of [another
    /// handle](Self::try_clone). The default does nothing.
    fn abort(&mut self) {}

    /// Sets how long a read may block. `None` means no limit, and `timeout` is never zero. Returns whether the stream
    /// supports timeouts. The default returns `false`.
    ///
    /// # Errors
    ///
    /// Any error means that the stream has failed.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let _ = timeout;
        Ok(false)
    }

    /// Sets how long a write or a flush may block. `None` means no limit, and `timeout` is never zero. Returns whether
    /// the stream supports timeouts. The default returns `false`.
    ///
    /// # Errors
    ///
    /// Any error means that the stream has failed.
    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let _ = timeout;
        Ok(false)
    }

    /// Switches non-blocking mode on or off. Returns whether the stream has this mode. The default returns `false`.
    ///
    /// In non-blocking mode, reads and writes that would block return [`ErrorKind::WouldBlock`]. For a stream without
    /// this mode, the adapter uses a short timeout instead.
    ///
    /// # Errors
    ///
    /// Any error means that the stream has failed.
    fn set_nonblocking(&mut self, on: bool) -> io::Result<bool> {
        let _ = on;
        Ok(false)
    }

    /// Returns whether the stream may keep bytes of a write that returned [`ErrorKind::WouldBlock`] or
    /// [`ErrorKind::TimedOut`]. The default `true` is safe for every stream.
    ///
    /// A TLS library encrypts the bytes of a write, and may only then find that the socket is full. The write reports
    /// that it took nothing, but the library keeps the encrypted bytes. The next write must therefore begin with the
    /// same bytes. If this method returns `true`, the adapter writes the same bytes first, and flushes the stream after
    /// writes.
    ///
    /// A socket keeps nothing of a write that it refused, and needs no flush. If this method returns `false`, the next
    /// write can begin with other bytes. So a Ping or a Close can be sent before queued messages.
    fn keeps_refused_bytes(&self) -> bool {
        true
    }

    /// Returns whether the stream may have bytes in its own buffer that only a flush writes. The adapter calls this
    /// method after each write, and flushes the stream before the next write if the result is `true`. The default is
    /// the result of [`keeps_refused_bytes`](Self::keeps_refused_bytes).
    ///
    /// A TLS stream may encrypt only the bytes that it takes. Such a stream returns `false` from `keeps_refused_bytes`.
    /// But it may keep ciphertext of bytes that a write has taken, and then returns `true` from this method.
    fn has_unflushed_bytes(&self) -> bool {
        self.keeps_refused_bytes()
    }

    /// Returns whether a read has produced bytes that only a flush writes. The adapter calls this method after each
    /// read, and flushes the stream before it reads again if the result is `true`. The default is `false`.
    ///
    /// A TLS stream returns `true` if it must answer the peer, for example in a renegotiation. The peer may send
    /// nothing before it gets this answer.
    fn needs_flush_after_read(&self) -> bool {
        false
    }

    /// Returns a second handle to the same stream. One thread writes to the second handle while another thread reads
    /// from this handle.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Unsupported`], the default: two threads cannot use the stream.
    /// - Any other kind: the handle could not be created.
    fn try_clone(&self) -> io::Result<Box<dyn Stream + Send>> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Returns the time of the stream's own clock. The default `None` selects the monotonic clock of the system.
    ///
    /// The time may start at any origin. A simulated network returns its virtual time, so a test of timers takes no
    /// real time.
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

/// Implements [`Stream`] for a socket of `std`.
macro_rules! impl_for_socket {
    ($socket:ty) => {
        impl Stream for $socket {
            fn close_write(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn abort(&mut self) {
                // An error means that the socket is no longer connected.
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

            /// Returns `false`: the kernel keeps only the bytes that it reports as written, and sends them without a
            /// flush.
            fn keeps_refused_bytes(&self) -> bool {
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

/// Implements [`Stream`] for a pointer: each method calls the method of the stream behind the pointer.
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

            fn keeps_refused_bytes(&self) -> bool {
                (**self).keeps_refused_bytes()
            }

            fn has_unflushed_bytes(&self) -> bool {
                (**self).has_unflushed_bytes()
            }

            fn needs_flush_after_read(&self) -> bool {
                (**self).needs_flush_after_read()
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
