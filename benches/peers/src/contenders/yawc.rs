use crate::*;
use ::yawc::{Frame, OpCode, Options, WebSocket};
use futures_util::SinkExt;

pub struct Yawc;

fn ws(role: Role, io: Io, deflate: bool) -> WebSocket<Io> {
    let role = if role == Role::Server { ::yawc::Role::Server } else { ::yawc::Role::Client };
    let o = Options::default()
        .with_utf8()
        .with_limits(64 << 20, 128 << 20)
        .with_read_buffer_capacity(65536)
        .with_write_buffer_capacity(65536);
    if deflate {
        WebSocket::from_stream_with_extensions(
            io,
            role,
            Some("permessage-deflate"),
            o.with_balanced_compression(),
        )
        .unwrap()
    } else {
        WebSocket::from_stream(io, role, o.without_compression()).unwrap()
    }
}

fn recv(mut ws: WebSocket<Io>, n: u64, sink: &mut Sink) -> bool {
    block_on(async {
        while sink.msgs < n {
            let f = ws.next_frame().await.unwrap();
            match f.opcode() {
                OpCode::Text => sink.message(Kind::Text, f.payload()),
                OpCode::Binary => sink.message(Kind::Binary, f.payload()),
                _ => unreachable!(),
            }
        }
    });
    true
}

fn send(io: Io, deflate: bool, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64) -> Option<Io> {
    let out = Shared::new(io);
    let io2 = out.clone();
    {
        let role = if role == Role::Server { ::yawc::Role::Server } else { ::yawc::Role::Client };
        let o = Options::default()
            .with_utf8()
            .with_limits(64 << 20, 128 << 20)
            .with_read_buffer_capacity(65536)
            .with_write_buffer_capacity(65536);
        let mut ws = if deflate {
            WebSocket::from_stream_with_extensions(
                io2,
                role,
                Some("permessage-deflate"),
                o.with_balanced_compression(),
            )
            .unwrap()
        } else {
            WebSocket::from_stream(io2, role, o.without_compression()).unwrap()
        };
        block_on(async {
            for i in 0..n {
                let b = p[i as usize % p.len()].clone();
                let f = if kind == Kind::Text { Frame::text(b) } else { Frame::binary(b) };
                ws.feed(f).await.unwrap();
                if (i + 1) % batch == 0 {
                    ws.flush().await.unwrap();
                }
            }
            ws.flush().await.unwrap();
        });
    }
    Some(out.into_inner())
}

impl Contender for Yawc {
    fn name(&self) -> &'static str {
        "yawc"
    }
    fn info(&self) -> Info {
        Info { utf8: "own", recv: "Bytes slice of the read buffer", owned: true, ..Info::default() }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        recv(ws(role, io, false), n, sink)
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        send(io, false, role, kind, p, n, batch)
    }
    fn handshake(&self, io: Io) -> Option<Io> {
        super::hyper_handshake(io, |mut req| {
            let (resp, fut) = WebSocket::upgrade(&mut req).unwrap();
            drop(fut);
            resp
        })
    }
    fn recv_deflate(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        recv(ws(role, io, true), n, sink)
    }
    fn send_deflate(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, io: Io) -> Option<Io> {
        send(io, true, role, kind, p, n, 1)
    }
}

pub use shared::Shared;
/// A shared transport, for libraries that do not return the transport which they were given.
mod shared {
    use crate::Io;
    use std::cell::UnsafeCell;
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll};
    #[derive(Clone)]
    pub struct Shared(Rc<UnsafeCell<Io>>);
    unsafe impl Send for Shared {}
    impl Shared {
        pub fn new(io: Io) -> Shared {
            Shared(Rc::new(UnsafeCell::new(io)))
        }
        pub fn into_inner(self) -> Io {
            Rc::try_unwrap(self.0).ok().unwrap().into_inner()
        }
        #[inline]
        #[allow(clippy::mut_from_ref)]
        fn io(&self) -> &mut Io {
            // The harness has one thread. Each caller uses the reference for one call of `Io`, which does not use
            // `Shared`. So no two references exist at the same time.
            unsafe { &mut *self.0.get() }
        }
    }
    impl tokio::io::AsyncRead for Shared {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            tokio::io::AsyncRead::poll_read(Pin::new(self.io()), cx, buf)
        }
    }
    impl tokio::io::AsyncWrite for Shared {
        #[inline]
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            tokio::io::AsyncWrite::poll_write(Pin::new(self.io()), cx, buf)
        }
        #[inline]
        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            tokio::io::AsyncWrite::poll_write_vectored(Pin::new(self.io()), cx, bufs)
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
}
