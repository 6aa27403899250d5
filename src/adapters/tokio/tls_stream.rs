//! tokio's stream traits for [`TlsStream`]: features `rustls` and `native-tls`.

use core::pin::Pin;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Tokio;
use crate::adapters::async_driver::TlsStream;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(TlsStream::poll_read::<Tokio>(self.get_mut(), cx, to.initialize_unfilled()))?;
        to.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        TlsStream::poll_write::<Tokio>(self.get_mut(), cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        TlsStream::poll_write::<Tokio>(self.get_mut(), cx, from)
    }

    /// Returns `true`. For [`Transport::keeps_refused_bytes`](super::Transport::keeps_refused_bytes), this result means
    /// that the stream keeps no bytes of a pending write.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsStream::poll_flush::<Tokio>(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsStream::poll_close::<Tokio>(self.get_mut(), cx)
    }
}
