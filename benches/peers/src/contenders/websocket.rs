use crate::*;
use ::web_socket::{DataType, Event, MessageType, Stream, WebSocket};
use tokio::io::BufStream;

pub struct WebSocketCrate;

// The library reads the header byte by byte, so it needs a buffered transport.
fn ws(role: Role, io: Io) -> WebSocket<BufStream<Io>> {
    let s = BufStream::with_capacity(65536, 65536, io);
    let mut ws = if role == Role::Server { WebSocket::server(s) } else { WebSocket::client(s) };
    ws.max_payload_len = 64 << 20;
    ws
}
fn kind(t: MessageType) -> Kind {
    if t.is_text() { Kind::Text } else { Kind::Binary }
}

impl Contender for WebSocketCrate {
    fn name(&self) -> &'static str {
        "web-socket"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "harness",
            recv: "copied into a zeroed Box<[u8]> (fragments joined by the harness)",
            owned: true,
            ..Info::default()
        }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut ws = ws(role, io);
        let mut acc = Vec::new();
        block_on(async {
            while sink.msgs < n {
                match ws.recv().await.unwrap() {
                    Event::Data { ty: DataType::Complete(t), data } => {
                        super::validate(kind(t), &data);
                        sink.message(kind(t), &data);
                    }
                    Event::Data { ty: DataType::Stream(s), data } => {
                        acc.extend_from_slice(&data);
                        if let Stream::End(t) = s {
                            super::validate(kind(t), &acc);
                            sink.message(kind(t), &acc);
                            acc.clear();
                        }
                    }
                    _ => unreachable!(),
                }
            }
        });
        true
    }
    fn send(&self, role: Role, k: Kind, p: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        let mut ws = ws(role, io);
        block_on(async {
            for i in 0..n {
                let b: &[u8] = &p[i as usize % p.len()];
                match k {
                    Kind::Binary => ws.send(b).await.unwrap(),
                    Kind::Text => ws.send(unsafe { std::str::from_utf8_unchecked(b) }).await.unwrap(),
                }
                if (i + 1) % batch == 0 {
                    ws.flash().await.unwrap();
                }
            }
            ws.flash().await.unwrap();
        });
        Some(ws.stream.into_inner())
    }
}
