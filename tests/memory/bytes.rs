//! Memory of a byte stream while a message of 64 MiB is read from it, in the blocking and in the tokio adapter.
//!
//! The streams have no memory of their own: their input is computed, and their output is discarded.

use std::io::{self, BufRead, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use hybi::adapters::{net, tokio as ws};
use hybi::frame::Opcode;
use hybi::{Config, Connection, Inbox, Instant, Outbox};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{KIB, header, measure};

const LEN: u64 = 64 << 20;

/// Maximum heap memory of a byte stream: its read buffer, its write queue, and a few small structures.
const HELD: isize = 40 * KIB;

/// A stream whose peer sends one message of [`LEN`] zeros, with a masking key of zeros, in reads of any length.
#[derive(Debug)]
struct Zeros {
    head: Vec<u8>,
    left: u64,
}

impl Zeros {
    fn new() -> Self {
        let mut head = [0; 14];
        let len = header(Opcode::Binary, true, LEN, &mut head);
        Self { head: head[..len].to_vec(), left: LEN }
    }
}

impl Read for Zeros {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if !self.head.is_empty() {
            let len = to.len().min(self.head.len());
            to[..len].copy_from_slice(&self.head[..len]);
            self.head.drain(..len);
            return Ok(len);
        }
        let len = to.len().min(self.left as usize);
        to[..len].fill(0);
        self.left -= len as u64;
        Ok(len)
    }
}

impl Write for Zeros {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Zeros {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = Read::read(&mut *self, to.initialize_unfilled())?;
        to.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Zeros {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn connection() -> Connection {
    let config = Config::new().max_frame(LEN).max_message(LEN);
    Connection::server(Instant::ZERO, config, Outbox::new())
}

/// Runs a future that may yield, but never waits for an event.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

pub fn memory() {
    let mut to = vec![0; 8 << 10];
    for in_place in [false, true] {
        let mut bytes = net::WebSocket::from_parts(Zeros::new(), |_| None, connection(), Inbox::empty())
            .into_byte_stream();
        let (read, kept, peak) = measure(|| {
            let mut read = 0;
            while read < LEN {
                let len = if in_place {
                    let len = bytes.fill_buf().unwrap().len();
                    bytes.consume(len);
                    len
                } else {
                    bytes.read(&mut to).unwrap()
                };
                read += len as u64;
            }
            read
        });
        println!("net, in place {in_place}: {kept} kept, {peak} at the peak");
        assert_eq!(read, LEN);
        assert!(peak < HELD, "{peak}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    for in_place in [false, true] {
        let mut bytes =
            ws::WebSocket::from_parts(Zeros::new(), connection(), Inbox::empty()).into_byte_stream();
        let (read, kept, peak) = measure(|| {
            finish(async {
                let mut read = 0;
                while read < LEN {
                    let len = if in_place {
                        let len = bytes.fill_buf().await.unwrap().len();
                        AsyncBufReadExt::consume(&mut bytes, len);
                        len
                    } else {
                        AsyncReadExt::read(&mut bytes, &mut to).await.unwrap()
                    };
                    read += len as u64;
                }
                read
            })
        });
        println!("tokio, in place {in_place}: {kept} kept, {peak} at the peak");
        assert_eq!(read, LEN);
        assert!(peak < HELD, "{peak}");
    }
}
