//! The stream traits of futures-io for [`TlsStream`]: features `rustls` and `native-tls`.

use core::pin::Pin;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use ::futures_io::{AsyncRead, AsyncWrite};

use super::{FuturesIo, Timer};
use crate::Instant;
use crate::adapters::async_driver::TlsStream;

/// A timer type without values. [`FuturesIo`] needs a type for its timer, but the functions of
/// [`Transport`](super::Transport) take no timer.
enum NoTimer {}

impl Timer for NoTimer {
    fn now(&self) -> Instant {
        match *self {}
    }

    fn poll_at(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> {
        match *self {}
    }
}

/// The runtime whose [`Transport`](super::Transport) reads and writes the stream below TLS.
type WithoutTimer = FuturesIo<NoTimer>;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        TlsStream::poll_read::<WithoutTimer>(self.get_mut(), cx, to)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        TlsStream::poll_write::<WithoutTimer>(self.get_mut(), cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        TlsStream::poll_write::<WithoutTimer>(self.get_mut(), cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsStream::poll_flush::<WithoutTimer>(self.get_mut(), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsStream::poll_close::<WithoutTimer>(self.get_mut(), cx)
    }
}
