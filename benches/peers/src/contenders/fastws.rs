use crate::*;
use ::fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocket};

pub struct FastWebsockets;

fn ws(role: Role, io: Io) -> WebSocket<Io> {
    let role =
        if role == Role::Server { ::fastwebsockets::Role::Server } else { ::fastwebsockets::Role::Client };
    WebSocket::after_handshake(io, role)
}

impl Contender for FastWebsockets {
    fn name(&self) -> &'static str {
        "fastwebsockets"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "own",
            recv: "BytesMut slice of the read buffer (fragments copied)",
            owned: true,
            ..Info::default()
        }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut ws = FragmentCollector::new(ws(role, io));
        block_on(async {
            while sink.msgs < n {
                let f = ws.read_frame().await.unwrap();
                match f.opcode {
                    OpCode::Text => sink.message(Kind::Text, &f.payload),
                    OpCode::Binary => sink.message(Kind::Binary, &f.payload),
                    _ => unreachable!(),
                }
            }
        });
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        let mut ws = ws(role, io);
        block_on(async {
            for i in 0..n {
                let b = Payload::Borrowed(&p[i as usize % p.len()]);
                ws.write_frame(if kind == Kind::Text { Frame::text(b) } else { Frame::binary(b) })
                    .await
                    .unwrap();
                if (i + 1) % batch == 0 {
                    ws.flush().await.unwrap();
                }
            }
        });
        Some(ws.into_inner())
    }
    fn handshake(&self, io: Io) -> Option<Io> {
        super::hyper_handshake(io, |mut req| {
            let (resp, fut) = ::fastwebsockets::upgrade::upgrade(&mut req).unwrap();
            drop(fut);
            resp
        })
    }
}
