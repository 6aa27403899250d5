//! The floor, a contender that is not a library. It does only the work that every correct codec must do.
//!
//! When it receives, it checks headers, unmasks, validates text, and delivers messages in place. When it sends, it
//! copies and masks in one pass. No real library can be much faster.
use crate::wire::Rng;
use crate::{simd, *};

/// The floor. The field is the number of bytes to request in each read.
pub struct Floor(pub usize);

impl Contender for Floor {
    fn name(&self) -> &'static str {
        if self.0 == 65536 { "(floor)" } else { "(floor/16K reads)" }
    }
    fn info(&self) -> Info {
        Info { utf8: "own", recv: "in place", weak_keys: true, ..Info::default() }
    }
    fn recv(&self, role: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        let masked = role == Role::Server;
        // Frames are unmasked and validated in this buffer. They are moved to its front only when the space behind them
        // is too small for a read.
        let mut buf = vec![0u8; if self.0 == 65536 { 4 * 65536 } else { 2 * self.0 }];
        let (mut start, mut end) = (0usize, 0usize);
        let mut acc: Vec<u8> = Vec::new();
        let mut kind = Kind::Binary;
        // The current frame: payload length, masking key, whether FIN is set, and whether it begins a message.
        let mut cur: Option<(usize, u32, bool, bool)> = None;
        // The number of payload bytes that are already unmasked, and whether all of these bytes are ASCII.
        let (mut done, mut ascii) = (0usize, true);
        loop {
            loop {
                if cur.is_none() {
                    let left = end - start;
                    if left < 2 {
                        break;
                    }
                    let (h0, h1) = (buf[start], buf[start + 1]);
                    assert!(h0 & 0x70 == 0 && (h1 & 0x80 != 0) == masked);
                    let (len, mut hdr) = match h1 & 127 {
                        126 if left >= 4 => {
                            (u16::from_be_bytes([buf[start + 2], buf[start + 3]]) as usize, 4)
                        }
                        127 if left >= 10 => {
                            (u64::from_be_bytes(buf[start + 2..start + 10].try_into().unwrap()) as usize, 10)
                        }
                        126 | 127 => break,
                        l => (l as usize, 2),
                    };
                    hdr += 4 * masked as usize;
                    if left < hdr {
                        break;
                    }
                    let key = if masked {
                        u32::from_le_bytes(buf[start + hdr - 4..start + hdr].try_into().unwrap())
                    } else {
                        0
                    };
                    match h0 & 15 {
                        0 => {}
                        1 => kind = Kind::Text,
                        2 => kind = Kind::Binary,
                        _ => unreachable!(),
                    }
                    cur = Some((len, key, h0 & 0x80 != 0, h0 & 15 != 0));
                    start += hdr;
                    done = 0;
                    ascii = true;
                }
                let (len, key, fin, first) = cur.unwrap();
                let text = kind == Kind::Text;
                let have = (end - start).min(len);
                // Unmask when the frame is complete, or when another 16 KiB have arrived. These are still in the cache.
                if have > done && (have == len || have - done >= 16384) {
                    let p = &mut buf[start + done..start + have];
                    if masked {
                        let k = key.rotate_right(8 * (done as u32 & 3));
                        if text {
                            ascii &= simd::xor_ascii(p, k);
                        } else {
                            simd::xor(p, k);
                        }
                    } else if text {
                        ascii &= simd::ascii(p);
                    }
                    done = have;
                }
                if have < len {
                    break;
                }
                let p = &buf[start..start + len];
                if fin && first {
                    if text && !ascii {
                        simdutf8::basic::from_utf8(p).unwrap();
                    }
                    sink.message(kind, p);
                } else {
                    acc.extend_from_slice(p);
                    if fin {
                        super::validate(kind, &acc);
                        sink.message(kind, &acc);
                        acc.clear();
                    }
                }
                start += len;
                cur = None;
                if sink.msgs == n {
                    return true;
                }
            }
            if start == end {
                (start, end) = (0, 0);
            }
            let need = cur.map_or(14, |c| c.0);
            if start + need > buf.len() || buf.len() - end < 2048 {
                buf.copy_within(start..end, 0);
                end -= start;
                start = 0;
                if need > buf.len() {
                    buf.resize(need + 65536, 0);
                }
            }
            let space_end = (end + self.0).min(buf.len());
            end += io.fill(&mut buf[end..space_end]);
        }
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, mut io: Io) -> Option<Io> {
        if self.0 != 65536 {
            return None;
        }
        let op = 0x80 | if kind == Kind::Text { 1 } else { 2 };
        let mask = role == Role::Client;
        let mut rng = Rng(0x243F6A8885A308D3);
        let mut out = vec![0u8; (p[0].len() + 16) * batch as usize + 64];
        let mut at = 0;
        for i in 0..n {
            let b: &[u8] = &p[i as usize % p.len()];
            let h = &mut out[at..];
            let m = (mask as u8) << 7;
            h[0] = op;
            let mut hl = match b.len() {
                l if l < 126 => {
                    h[1] = m | l as u8;
                    2
                }
                l if l < 65536 => {
                    h[1] = m | 126;
                    h[2..4].copy_from_slice(&(l as u16).to_be_bytes());
                    4
                }
                l => {
                    h[1] = m | 127;
                    h[2..10].copy_from_slice(&(l as u64).to_be_bytes());
                    10
                }
            };
            if mask {
                let key = rng.draw() as u32;
                h[hl..hl + 4].copy_from_slice(&key.to_le_bytes());
                hl += 4;
                simd::copy_xor(&mut h[hl..], b, key);
                at += hl + b.len();
            } else if batch == 1 && b.len() > 1024 {
                io.put_vectored([&out[..hl], b].into_iter());
                continue;
            } else {
                h[hl..hl + b.len()].copy_from_slice(b);
                at += hl + b.len();
            }
            if (i + 1) % batch == 0 || i + 1 == n {
                io.put(&out[..at]);
                at = 0;
            }
        }
        Some(io)
    }
    fn handshake(&self, mut io: Io) -> Option<Io> {
        if self.0 != 65536 {
            return None;
        }
        use sha1::Digest;
        let mut b = [0u8; 2048];
        let n = io.fill(&mut b);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut req = httparse::Request::new(&mut headers);
        req.parse(&b[..n]).ok()?;
        let mut key = None;
        for h in req.headers.iter() {
            if h.name.eq_ignore_ascii_case("sec-websocket-key") {
                key = Some(h.value);
            }
        }
        let mut s = sha1::Sha1::new();
        s.update(key?);
        s.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let mut acc = [0u8; 28];
        data_encoding::BASE64.encode_mut(&s.finalize(), &mut acc);
        const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: ";
        let mut out = [0u8; 256];
        out[..HEAD.len()].copy_from_slice(HEAD);
        out[HEAD.len()..HEAD.len() + 28].copy_from_slice(&acc);
        out[HEAD.len() + 28..HEAD.len() + 32].copy_from_slice(b"\r\n\r\n");
        io.put(&out[..HEAD.len() + 32]);
        Some(io)
    }
    fn recv_deflate(&self, _role: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        if self.0 != 65536 {
            return false;
        }
        // Inflate each message with zlib-rs. The frame headers are decoded here and not checked.
        let mut z = flate2::Decompress::new(false);
        let mut buf = vec![0u8; 2 * 65536];
        let mut out = vec![0u8; 2 << 20];
        let (mut start, mut end) = (0usize, 0usize);
        loop {
            while end - start >= 14 {
                let h1 = buf[start + 1];
                let (len, mut hdr) = match h1 & 127 {
                    126 => (u16::from_be_bytes([buf[start + 2], buf[start + 3]]) as usize, 4),
                    127 => unreachable!(),
                    l => (l as usize, 2),
                };
                let masked = h1 & 0x80 != 0;
                hdr += 4 * masked as usize;
                if end - start < hdr + len {
                    break;
                }
                let at = start + hdr;
                if masked {
                    let key = u32::from_le_bytes(buf[at - 4..at].try_into().unwrap());
                    simd::xor(&mut buf[at..at + len], key);
                }
                let o0 = z.total_out();
                z.decompress(&buf[at..at + len], &mut out, flate2::FlushDecompress::Sync).unwrap();
                let k = (z.total_out() - o0) as usize;
                z.decompress(&[0, 0, 0xff, 0xff], &mut out[k..], flate2::FlushDecompress::Sync).unwrap();
                let k = (z.total_out() - o0) as usize;
                simdutf8::basic::from_utf8(&out[..k]).unwrap();
                sink.message(Kind::Text, &out[..k]);
                start = at + len;
                if sink.msgs == n {
                    return true;
                }
            }
            buf.copy_within(start..end, 0);
            end -= start;
            start = 0;
            end += io.fill(&mut buf[end..]);
        }
    }
    fn send_deflate(&self, role: Role, _kind: Kind, p: &[Bytes], n: u64, mut io: Io) -> Option<Io> {
        if self.0 != 65536 {
            return None;
        }
        let mut z = flate2::Compress::new(flate2::Compression::new(6), false);
        let mut c = vec![0u8; 2 << 20];
        let mut out = Vec::new();
        let mut rng = Rng(0x243F6A8885A308D3);
        for i in 0..n {
            let before = z.total_out();
            z.compress(&p[i as usize % p.len()], &mut c, flate2::FlushCompress::Sync).unwrap();
            let k = (z.total_out() - before) as usize - 4;
            out.clear();
            wire::frame(
                &mut out,
                true,
                true,
                1,
                (role == Role::Client).then(|| (rng.draw() as u32).to_le_bytes()),
                &c[..k],
            );
            io.put(&out);
        }
        Some(io)
    }
}
