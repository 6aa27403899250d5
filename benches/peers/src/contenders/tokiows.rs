use crate::*;
use ::tokio_websockets::{ClientBuilder, Limits, Message, ServerBuilder, WebSocketStream};
use futures_util::{SinkExt, StreamExt};

pub struct TokioWebsockets;

fn ws(role: Role, io: Io) -> WebSocketStream<Io> {
    match role {
        Role::Server => ServerBuilder::new().limits(Limits::unlimited()).serve(io),
        Role::Client => ClientBuilder::new().limits(Limits::unlimited()).take_over(io),
    }
}

impl Contender for TokioWebsockets {
    fn name(&self) -> &'static str {
        "tokio-websockets"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "own",
            recv: "BytesMut slice of the read buffer (fragments copied)",
            owned: true,
            weak_keys: true,
            ..Info::default()
        }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut ws = ws(role, io);
        block_on(async {
            while sink.msgs < n {
                let m = ws.next().await.unwrap().unwrap();
                sink.message(if m.is_text() { Kind::Text } else { Kind::Binary }, m.as_payload());
            }
        });
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        // Each message is sent in one frame, as by the other contenders. By default the library splits only messages of
        // more than 4 MiB, and no message of the benchmark is that long.
        let mut ws = ws(role, io);
        block_on(async {
            for i in 0..n {
                let b = p[i as usize % p.len()].clone();
                let m =
                    if kind == Kind::Text { Message::text(b.try_into_text()) } else { Message::binary(b) };
                ws.feed(m).await.unwrap();
                if (i + 1) % batch == 0 {
                    ws.flush().await.unwrap();
                }
            }
            ws.flush().await.unwrap();
        });
        Some(take_io(ws))
    }
    fn handshake(&self, io: Io) -> Option<Io> {
        let (_, ws) = block_on(ServerBuilder::new().accept(io)).ok()?;
        Some(take_io(ws))
    }
}

fn take_io(mut ws: WebSocketStream<Io>) -> Io {
    std::mem::replace(ws.get_mut(), Io::null())
}

trait TextPayload {
    fn try_into_text(self) -> String;
}
impl TextPayload for Bytes {
    fn try_into_text(self) -> String {
        unsafe { String::from_utf8_unchecked(self.into()) }
    }
}
