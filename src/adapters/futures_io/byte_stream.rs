//! The stream traits of futures-io for [`ByteStream`].

use core::pin::Pin;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use ::futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::adapters::async_driver::{ByteStream, Transport};

impl<S, R: Transport<S>> AsyncRead for ByteStream<S, R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        if to.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut filled = 0;
        let copied = self.get_mut().poll_copy(cx, |data| {
            let space = to.get_mut(filled..).unwrap_or_default();
            let len = data.len().min(space.len());
            if let (Some(space), Some(data)) = (space.get_mut(..len), data.get(..len)) {
                space.copy_from_slice(data);
            }
            filled += len;
            len
        });
        copied.map_ok(|()| filled)
    }
}

impl<S, R: Transport<S>> AsyncBufRead for ByteStream<S, R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_fill(cx))?;
        Poll::Ready(Ok(this.buffer()))
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        self.get_mut().consume_data(len);
    }
}

impl<S, R: Transport<S>> AsyncWrite for ByteStream<S, R> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_write_out(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_shut_down(cx)
    }
}
