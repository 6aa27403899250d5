use crate::*;
use ::embedded_websocket as ews;
use rand08::{SeedableRng, rngs::SmallRng};

pub struct Embedded;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn server() -> ews::WebSocketServer {
    let mut s = ews::WebSocketServer::new_server();
    s.server_accept(&KEY.into(), None, &mut [0; 512]).unwrap();
    s
}
fn client() -> ews::WebSocketClient<SmallRng> {
    let mut c = ews::WebSocketClient::new_client(SmallRng::seed_from_u64(7));
    let o = ews::WebSocketOptions {
        path: "/",
        host: "h",
        origin: "http://h",
        sub_protocols: None,
        additional_headers: None,
    };
    let mut b = [0; 1024];
    let (_, key) = c.client_connect(&o, &mut b).unwrap();
    let n = ews::WebSocketServer::new_server().server_accept(&key, None, &mut b).unwrap();
    c.client_accept(&key, &b[..n]).unwrap();
    c
}

macro_rules! recv_loop {
    ($ws:expr, $io:expr, $n:expr, $sink:expr) => {{
        let mut ws = $ws;
        let mut buf = vec![0u8; 65536 + 16];
        let mut to = vec![0u8; 4 << 20];
        let (mut start, mut end, mut to_len) = (0usize, 0usize, 0usize);
        'outer: loop {
            buf.copy_within(start..end, 0);
            end -= start;
            start = 0;
            end += $io.fill(&mut buf[end..]);
            while start < end {
                match ws.read(&buf[start..end], &mut to[to_len..]) {
                    Ok(r) => {
                        start += r.len_from;
                        to_len += r.len_to;
                        if r.end_of_message {
                            let k = if r.message_type == ews::WebSocketReceiveMessageType::Text {
                                Kind::Text
                            } else {
                                Kind::Binary
                            };
                            super::validate(k, &to[..to_len]);
                            $sink.message(k, &to[..to_len]);
                            to_len = 0;
                            if $sink.msgs == $n {
                                break 'outer;
                            }
                        }
                    }
                    Err(ews::Error::ReadFrameIncomplete) => break,
                    Err(e) => panic!("{e:?}"),
                }
            }
        }
    }};
}
macro_rules! send_loop {
    ($ws:expr, $kind:expr, $p:expr, $n:expr, $batch:expr, $io:expr) => {{
        let mut ws = $ws;
        let t = if $kind == Kind::Text {
            ews::WebSocketSendMessageType::Text
        } else {
            ews::WebSocketSendMessageType::Binary
        };
        let mut out = vec![0u8; ($p[0].len() + 16) * $batch as usize];
        let mut at = 0;
        for i in 0..$n {
            at += ws.write(t, true, &$p[i as usize % $p.len()], &mut out[at..]).unwrap();
            if (i + 1) % $batch == 0 || i + 1 == $n {
                $io.put(&out[..at]);
                at = 0;
            }
        }
    }};
}

impl Contender for Embedded {
    fn name(&self) -> &'static str {
        "embedded-websocket"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "harness",
            recv: "copied into the caller's buffer",
            weak_keys: true,
            // This release fails if a fragment arrives in two reads.
            no_fragments: true,
            ..Info::default()
        }
    }
    fn recv(&self, role: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        match role {
            Role::Server => recv_loop!(server(), io, n, sink),
            Role::Client => recv_loop!(client(), io, n, sink),
        }
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, mut io: Io) -> Option<Io> {
        match role {
            Role::Server => send_loop!(server(), kind, p, n, batch, io),
            Role::Client => send_loop!(client(), kind, p, n, batch, io),
        }
        Some(io)
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        let mut b = [0u8; 2048];
        let n = io.fill(&mut b);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut req = httparse::Request::new(&mut headers);
        req.parse(&b[..n]).ok()?;
        let ctx = ews::read_http_header(req.headers.iter().map(|h| (h.name, h.value))).ok()??;
        let mut out = [0u8; 512];
        let n =
            ews::WebSocketServer::new_server().server_accept(&ctx.sec_websocket_key, None, &mut out).ok()?;
        io.put(&out[..n]);
        Some(io)
    }
}
