use crate::*;
use ::wtx::collection::Vector;
use ::wtx::rng::Xorshift64;
use ::wtx::web_socket::{
    Frame, OpCode, WebSocket, WebSocketAcceptor, WebSocketBuffer, WebSocketPayloadOrigin,
};

pub struct Wtx;

type Ws<const C: bool> = WebSocket<(), Xorshift64, Io, WebSocketBuffer, C>;
fn ws<const C: bool>(io: Io) -> Ws<C> {
    WebSocket::new(
        (),
        false,
        Xorshift64::new(0x9E3779B97F4A7C15),
        io,
        WebSocketBuffer::with_capacity(65536, 65536, 65536).unwrap(),
    )
}

fn recv<const C: bool>(io: Io, n: u64, sink: &mut Sink) {
    let mut ws = ws::<C>(io);
    let mut buf = Vector::new();
    block_on(async {
        while sink.msgs < n {
            buf.clear();
            let f = ws.read_frame(&mut buf, WebSocketPayloadOrigin::Adaptive).await.unwrap();
            match f.op_code() {
                OpCode::Text => sink.message(Kind::Text, f.payload()),
                OpCode::Binary => sink.message(Kind::Binary, f.payload()),
                _ => unreachable!(),
            }
        }
    });
}

fn send<const C: bool>(kind: Kind, p: &[Bytes], n: u64, io: Io) -> Io {
    let out = std::rc::Rc::new(std::cell::RefCell::new(io));
    struct S(std::rc::Rc<std::cell::RefCell<Io>>);
    impl ::wtx::stream::StreamReader for S {
        async fn read(&mut self, _: &mut [u8]) -> ::wtx::Result<usize> {
            Ok(0)
        }
    }
    impl ::wtx::stream::StreamWriter for S {
        #[inline]
        async fn write_all(&mut self, b: &[u8]) -> ::wtx::Result<()> {
            self.0.borrow_mut().put(b);
            Ok(())
        }
        #[inline]
        async fn write_all_vectored(&mut self, b: &[&[u8]]) -> ::wtx::Result<()> {
            self.0.borrow_mut().put_vectored(b.iter().copied());
            Ok(())
        }
    }
    {
        let mut ws: WebSocket<(), Xorshift64, S, WebSocketBuffer, C> = WebSocket::new(
            (),
            false,
            Xorshift64::new(0x9E3779B97F4A7C15),
            S(out.clone()),
            WebSocketBuffer::new(),
        );
        let op = if kind == Kind::Text { OpCode::Text } else { OpCode::Binary };
        // The library masks the caller's bytes in place, so a client must copy them first.
        let mut own: Vec<Vec<u8>> = p.iter().map(|b| b.to_vec()).collect();
        let mut scratch: Vec<u8> = Vec::new();
        block_on(async {
            for i in 0..n {
                let k = i as usize % p.len();
                let b: &mut [u8] = if C {
                    scratch.clear();
                    scratch.extend_from_slice(&p[k]);
                    &mut scratch
                } else {
                    &mut own[k]
                };
                ws.write_frame(&mut Frame::new_fin(op, b)).await.unwrap();
            }
        });
    }
    std::rc::Rc::try_unwrap(out).ok().unwrap().into_inner()
}

impl Contender for Wtx {
    fn name(&self) -> &'static str {
        "wtx"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "own",
            recv: "slice of the read buffer (fragments copied)",
            weak_keys: true,
            ..Info::default()
        }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        match role {
            Role::Server => recv::<false>(io, n, sink),
            Role::Client => recv::<true>(io, n, sink),
        }
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, _batch: u64, io: Io) -> Option<Io> {
        Some(match role {
            Role::Server => send::<false>(kind, p, n, io),
            Role::Client => send::<true>(kind, p, n, io),
        })
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        block_on(WebSocketAcceptor::default().accept(&mut io)).ok()?;
        Some(io)
    }
}
