//! The transport in memory, and the sink for received messages.
use crate::Kind;
use bytes::Bytes;
use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Number of reads since the last reset. The harness has one thread, so a plain load and store are enough.
pub static READS: AtomicU64 = AtomicU64::new(0);
#[inline(always)]
fn count_read() {
    READS.store(READS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// A reader that returns a block of bytes once, or again and again, and a writer that counts bytes.
pub struct Io {
    block: Bytes,
    pos: usize,
    chunk: usize,
    once: bool,
    pub out_bytes: u64,
    pub out_calls: u64,
    pub capture: Option<Vec<u8>>,
}

impl Io {
    pub fn looped(block: Bytes, chunk: usize) -> Io {
        Io { block, pos: 0, chunk, once: false, out_bytes: 0, out_calls: 0, capture: None }
    }
    pub fn once(block: Bytes) -> Io {
        Io { once: true, ..Io::looped(block, 65536) }
    }
    pub fn null() -> Io {
        Io::once(Bytes::new())
    }
    /// Performs one read. Returns at most `chunk` bytes, and none beyond the end of the block.
    #[inline]
    pub fn fill(&mut self, dst: &mut [u8]) -> usize {
        count_read();
        let n = dst.len().min(self.chunk).min(self.block.len() - self.pos);
        dst[..n].copy_from_slice(&self.block[self.pos..self.pos + n]);
        self.pos += n;
        if self.pos == self.block.len() && !self.once {
            self.pos = 0;
        }
        n
    }
    #[inline]
    pub fn put(&mut self, src: &[u8]) {
        black_box(src);
        self.out_bytes += src.len() as u64;
        self.out_calls += 1;
        if let Some(c) = &mut self.capture {
            c.extend_from_slice(src);
        }
    }
    #[inline]
    pub fn put_vectored<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> usize {
        let mut n = 0;
        for p in parts {
            black_box(p);
            n += p.len();
            if let Some(c) = &mut self.capture {
                c.extend_from_slice(p);
            }
        }
        self.out_bytes += n as u64;
        self.out_calls += 1;
        n
    }
}

impl io::Read for Io {
    #[inline]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.fill(buf))
    }
}
impl io::Write for Io {
    #[inline]
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.put(buf);
        Ok(buf.len())
    }
    #[inline]
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.put_vectored(bufs.iter().map(|b| &**b)))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl tokio::io::AsyncRead for Io {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.once && me.pos == me.block.len() {
            return Poll::Pending;
        }
        count_read();
        let n = buf.remaining().min(me.chunk).min(me.block.len() - me.pos);
        buf.put_slice(&me.block[me.pos..me.pos + n]);
        me.pos += n;
        if me.pos == me.block.len() && !me.once {
            me.pos = 0;
        }
        Poll::Ready(Ok(()))
    }
}
impl tokio::io::AsyncWrite for Io {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.put(buf);
        Poll::Ready(Ok(buf.len()))
    }
    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put_vectored(bufs.iter().map(|b| &**b))))
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
impl futures_io::AsyncRead for Io {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.fill(buf)))
    }
}
impl futures_io::AsyncWrite for Io {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.put(buf);
        Poll::Ready(Ok(buf.len()))
    }
    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put_vectored(bufs.iter().map(|b| &**b))))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
impl wtx::stream::StreamReader for Io {
    #[inline]
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        Ok(self.fill(bytes))
    }
}
impl wtx::stream::StreamWriter for Io {
    #[inline]
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        self.put(bytes);
        Ok(())
    }
    #[inline]
    async fn write_all_vectored(&mut self, bytes: &[&[u8]]) -> wtx::Result<()> {
        self.put_vectored(bytes.iter().copied());
        Ok(())
    }
}

/// Counts delivered messages. In a check, it also compares each with the message that was sent.
pub struct Sink<'a> {
    pub msgs: u64,
    pub bytes: u64,
    expect: Option<(&'a [u64], Kind)>,
}

impl<'a> Sink<'a> {
    pub fn timed() -> Sink<'a> {
        Sink { msgs: 0, bytes: 0, expect: None }
    }
    pub fn checking(hashes: &'a [u64], kind: Kind) -> Sink<'a> {
        Sink { msgs: 0, bytes: 0, expect: Some((hashes, kind)) }
    }
    #[inline(always)]
    pub fn message(&mut self, kind: Kind, payload: &[u8]) {
        black_box(payload);
        if self.expect.is_some() {
            self.compare(kind, payload);
        }
        self.msgs += 1;
        self.bytes += payload.len() as u64;
    }
    #[cold]
    #[inline(never)]
    fn compare(&mut self, kind: Kind, payload: &[u8]) {
        let (hashes, want) = self.expect.unwrap();
        assert!(kind == want, "message {} has the wrong type", self.msgs);
        let h = crate::wire::hash(payload);
        assert!(
            h == hashes[self.msgs as usize % hashes.len()],
            "message {} differs (len {})",
            self.msgs,
            payload.len()
        );
    }
}
