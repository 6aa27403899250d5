use crate::wire::Rng;
use crate::*;
use ::websocket_sans_io::{
    FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent,
};

pub struct SansIo;

impl Contender for SansIo {
    fn name(&self) -> &'static str {
        "websocket-sans-io"
    }
    fn info(&self) -> Info {
        Info {
            utf8: "harness",
            recv: "in place in the harness's buffer; split messages joined by the harness",
            weak_keys: true,
            ..Info::default()
        }
    }
    fn recv(&self, _role: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        let mut d = WebsocketFrameDecoder::new();
        let mut buf = vec![0u8; 65536];
        let mut acc: Vec<u8> = Vec::new();
        let (mut want, mut fin, mut whole) = (0u64, false, false);
        while sink.msgs < n {
            let got = io.fill(&mut buf);
            let mut at = 0;
            loop {
                let r = d.add_data(&mut buf[at..got]).unwrap();
                let chunk = at..at + r.consumed_bytes;
                at += r.consumed_bytes;
                match r.event {
                    None => {
                        if r.consumed_bytes == 0 {
                            break;
                        }
                    }
                    Some(WebsocketFrameEvent::Start { frame_info, .. }) => {
                        want = frame_info.payload_length;
                        fin = frame_info.fin;
                    }
                    Some(WebsocketFrameEvent::PayloadChunk { original_opcode }) => {
                        let c = &buf[chunk];
                        if acc.is_empty() && fin && c.len() as u64 == want {
                            whole = true;
                            let k = if original_opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
                            super::validate(k, c);
                            sink.message(k, c);
                        } else {
                            acc.extend_from_slice(c);
                        }
                    }
                    Some(WebsocketFrameEvent::End { frame_info, original_opcode }) => {
                        if frame_info.fin {
                            if !whole {
                                let k =
                                    if original_opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
                                super::validate(k, &acc);
                                sink.message(k, &acc);
                                acc.clear();
                            }
                            whole = false;
                            if sink.msgs == n {
                                return true;
                            }
                        }
                    }
                }
            }
        }
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, mut io: Io) -> Option<Io> {
        let mut e = WebsocketFrameEncoder::new();
        let mut rng = Rng(0x243F6A8885A308D3);
        let mut out: Vec<u8> = Vec::with_capacity(1 << 17);
        for i in 0..n {
            let b = &p[i as usize % p.len()];
            let h = e.start_frame(&FrameInfo {
                opcode: if kind == Kind::Text { Opcode::Text } else { Opcode::Binary },
                payload_length: b.len() as _,
                mask: (role == Role::Client).then(|| (rng.draw() as u32).to_le_bytes()),
                fin: true,
                reserved: 0,
            });
            out.extend_from_slice(&h);
            let at = out.len();
            out.extend_from_slice(b);
            e.transform_frame_payload(&mut out[at..]);
            if (i + 1) % batch == 0 || i + 1 == n {
                io.put(&out);
                out.clear();
            }
        }
        Some(io)
    }
}
