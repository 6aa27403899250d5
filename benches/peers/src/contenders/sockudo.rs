use crate::*;
use ::sockudo_ws::deflate::DeflateConfig;
use ::sockudo_ws::protocol::{CompressedProtocol, Message, Protocol, Role as SRole};
use ::sockudo_ws::stream::WebSocketStream;
use ::sockudo_ws::{Config, handshake};
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};

/// The library's asynchronous stream, with timers off.
pub struct Stream;
/// The library's protocol object without I/O, over a `BytesMut`.
pub struct Proto;

fn role(r: Role) -> SRole {
    if r == Role::Server { SRole::Server } else { SRole::Client }
}
fn config() -> Config {
    Config::builder()
        .idle_timeout(0)
        .auto_ping(false)
        .ping_interval(0)
        .pong_timeout(0)
        .max_payload_length(64 << 20)
        .build()
}
fn msg(kind: Kind, b: Bytes) -> Message {
    if kind == Kind::Text { Message::Text(b) } else { Message::Binary(b) }
}
#[inline]
fn deliver(m: &Message, sink: &mut Sink) {
    match m {
        Message::Text(b) => sink.message(Kind::Text, b),
        Message::Binary(b) => sink.message(Kind::Binary, b),
        _ => unreachable!(),
    }
}

impl Contender for Stream {
    fn name(&self) -> &'static str {
        "sockudo-ws"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "own",
            recv: "Bytes slice of the read buffer",
            owned: true,
            weak_keys: true,
            ..Info::default()
        }
    }
    fn recv(&self, r: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut ws = WebSocketStream::from_raw(io, role(r), config());
        block_on(async {
            while sink.msgs < n {
                let m = ws.next().await.unwrap().unwrap();
                deliver(&m, sink);
            }
        });
        true
    }
    fn send(&self, r: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        let mut ws = WebSocketStream::from_raw(io, role(r), config());
        block_on(async {
            for i in 0..n {
                ws.feed(msg(kind, p[i as usize % p.len()].clone())).await.unwrap();
                if (i + 1) % batch == 0 {
                    ws.flush().await.unwrap();
                }
            }
            ws.flush().await.unwrap();
        });
        Some(ws.into_inner())
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        block_on(handshake::server_handshake(&mut io)).ok()?;
        Some(io)
    }
}

fn pump(io: &mut Io, buf: &mut BytesMut) {
    buf.reserve(65536);
    let spare = buf.spare_capacity_mut();
    // `Io` writes these bytes before anything reads them. Initialising them would add time that the library does not
    // need.
    let dst =
        unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr() as *mut u8, spare.len().min(65536)) };
    let n = io.fill(dst);
    unsafe { buf.set_len(buf.len() + n) };
}

impl Contender for Proto {
    fn name(&self) -> &'static str {
        "sockudo-ws/proto"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "own",
            recv: "Bytes slice of the caller's BytesMut",
            owned: true,
            weak_keys: true,
            ..Info::default()
        }
    }
    fn recv(&self, r: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut p = Protocol::new(role(r), 64 << 20, 64 << 20);
        let mut buf = BytesMut::with_capacity(1 << 17);
        let mut out = Vec::new();
        while sink.msgs < n {
            pump(&mut io, &mut buf);
            p.process_into(&mut buf, &mut out).unwrap();
            for m in out.drain(..) {
                if sink.msgs < n {
                    deliver(&m, sink);
                }
            }
        }
        true
    }
    fn send(&self, r: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, mut io: Io) -> Option<Io> {
        let mut proto = Protocol::new(role(r), 64 << 20, 64 << 20);
        let mut buf = BytesMut::with_capacity(1 << 17);
        for i in 0..n {
            proto.encode_message(&msg(kind, p[i as usize % p.len()].clone()), &mut buf).unwrap();
            if (i + 1) % batch == 0 || i + 1 == n {
                io.put(&buf);
                buf.clear();
            }
        }
        Some(io)
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        let mut b = [0u8; 2048];
        let n = io.fill(&mut b);
        let (req, _) = handshake::parse_request(&b[..n]).ok()??;
        let key = handshake::generate_accept_key(req.key);
        let r = handshake::build_response(&key, None, None);
        io.put(&r);
        Some(io)
    }
    fn recv_deflate(&self, r: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        let c = DeflateConfig::default();
        let mut p = match r {
            Role::Server => CompressedProtocol::server(64 << 20, 64 << 20, c),
            Role::Client => CompressedProtocol::client(64 << 20, 64 << 20, c),
        };
        let mut buf = BytesMut::with_capacity(1 << 17);
        let mut out = Vec::new();
        while sink.msgs < n {
            pump(&mut io, &mut buf);
            p.process_into(&mut buf, &mut out).unwrap();
            for m in out.drain(..) {
                if sink.msgs < n {
                    deliver(&m, sink);
                }
            }
        }
        true
    }
    fn send_deflate(&self, r: Role, kind: Kind, p: &[Bytes], n: u64, mut io: Io) -> Option<Io> {
        let c = DeflateConfig::default();
        let mut proto = match r {
            Role::Server => CompressedProtocol::server(64 << 20, 64 << 20, c),
            Role::Client => CompressedProtocol::client(64 << 20, 64 << 20, c),
        };
        let mut buf = BytesMut::with_capacity(1 << 17);
        for i in 0..n {
            proto.encode_message(&msg(kind, p[i as usize % p.len()].clone()), &mut buf).unwrap();
            io.put(&buf);
            buf.clear();
        }
        Some(io)
    }
}
