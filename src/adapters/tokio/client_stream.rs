//! tokio's stream traits for [`ClientStream`].

use core::pin::Pin;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::adapters::async_driver::ClientStream;
use crate::adapters::async_driver::client_stream::Layers;

/// Calls the same method of the stream inside a [`ClientStream`].
macro_rules! delegate {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().0 {
            Layers::Plain(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::Tls(stream) | Layers::TlsToProxy(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::TlsInTls(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_read(cx, to))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write(cx, from))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write_vectored(cx, from))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Layers::Plain(stream) => stream.is_write_vectored(),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::Tls(stream) | Layers::TlsToProxy(stream) => stream.is_write_vectored(),
            #[cfg(any(feature = "rustls", feature = "native-tls"))]
            Layers::TlsInTls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown(cx))
    }
}
