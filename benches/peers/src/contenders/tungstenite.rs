use crate::*;
use ::tungstenite::protocol::{Message, Role as TRole, WebSocket, WebSocketConfig};

/// The contender. The field is the size of the read buffer, which the library fills with zeros before every read.
pub struct Tungstenite(pub usize);

fn ws(role: Role, io: Io, buf: usize) -> WebSocket<Io> {
    let role = if role == Role::Server { TRole::Server } else { TRole::Client };
    WebSocket::from_raw_socket(io, role, Some(WebSocketConfig::default().read_buffer_size(buf)))
}

impl Contender for Tungstenite {
    fn name(&self) -> &'static str {
        if self.0 == 131072 { "tungstenite" } else { "tungstenite/8K" }
    }
    fn info(&self) -> Info {
        Info { utf8: "own", recv: "Bytes slice of the read buffer", owned: true, ..Info::default() }
    }
    fn recv(&self, role: Role, io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut ws = ws(role, io, self.0);
        while sink.msgs < n {
            match ws.read().unwrap() {
                Message::Text(t) => sink.message(Kind::Text, t.as_bytes()),
                Message::Binary(b) => sink.message(Kind::Binary, &b),
                _ => unreachable!(),
            }
        }
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, io: Io) -> Option<Io> {
        let mut ws = ws(role, io, self.0);
        for i in 0..n {
            let b = p[i as usize % p.len()].clone();
            ws.write(match kind {
                Kind::Binary => Message::Binary(b),
                Kind::Text => Message::Text(unsafe { ::tungstenite::Utf8Bytes::from_bytes_unchecked(b) }),
            })
            .unwrap();
            if (i + 1) % batch == 0 {
                ws.flush().unwrap();
            }
        }
        ws.flush().unwrap();
        Some(ws.into_inner())
    }
    fn handshake(&self, io: Io) -> Option<Io> {
        let c = WebSocketConfig::default().read_buffer_size(self.0);
        Some(::tungstenite::accept_with_config(io, Some(c)).ok()?.into_inner())
    }
}
