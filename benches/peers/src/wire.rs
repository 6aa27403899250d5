//! Builds blocks of frames and parses captured output. It uses no code of a contender.
use crate::{Kind, Role};
use bytes::Bytes;

pub fn hash(b: &[u8]) -> u64 {
    let mut h = 0xcbf29ce484222325u64 ^ b.len() as u64;
    for &x in b {
        h = (h ^ x as u64).wrapping_mul(0x100000001b3);
    }
    h
}

pub struct Rng(pub u64);
impl Rng {
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Content {
    Random,
    Ascii,
    Mixed,
    Json,
}

pub fn payload(content: Content, size: usize, seed: u64) -> Vec<u8> {
    let mut r = Rng(seed.wrapping_mul(0x9E3779B97F4A7C15) | 1);
    let mut v = Vec::with_capacity(size + 8);
    match content {
        Content::Random => {
            while v.len() < size {
                v.extend_from_slice(&r.draw().to_le_bytes());
            }
        }
        Content::Ascii => {
            while v.len() < size {
                v.push(b' ' + (r.draw() % 95) as u8);
            }
        }
        Content::Mixed => {
            // Words of Cyrillic, CJK, emoji, Latin-1 and ASCII with spaces.
            while v.len() < size {
                let (lo, hi) = match r.draw() % 8 {
                    0..=2 => (0x430, 0x44f),
                    3..=4 => (0x4e00, 0x9fa5),
                    5 => (0x1f600, 0x1f64f),
                    6 => (0xe0, 0xff),
                    _ => (0x61, 0x7a),
                };
                for _ in 0..4 + r.draw() % 5 {
                    let c = char::from_u32(lo + (r.draw() % (hi - lo) as u64) as u32).unwrap();
                    let mut b = [0; 4];
                    v.extend_from_slice(c.encode_utf8(&mut b).as_bytes());
                }
                v.push(b' ');
            }
            while v.len() > size || std::str::from_utf8(&v).is_err() {
                v.pop();
            }
            v.resize(size, b'.');
        }
        Content::Json => {
            v.push(b'[');
            while v.len() < size {
                let id = r.draw();
                let event = ["trade", "quote", "order", "cancel", "heartbeat"][(id >> 20) as usize % 5];
                let who = id % 1_000_000;
                let (user, price, cents) = (id >> 40 & 0xfff, id >> 8 & 0x3ff, id % 100);
                let quantity = 1 + (id >> 30) % 500;
                let (ts, ms, active) = ((id >> 12) % 100_000_000, id % 1000, id & 1 == 0);
                let object = format!(r#"{{"id":{who},"user":"user{user}","event":"{event}","#)
                    + &format!(r#""price":{price}.{cents:02},"qty":{quantity},"#)
                    + &format!(r#""ts":17{ts:08}{ms:03},"active":{active}}},"#);
                v.extend_from_slice(object.as_bytes());
            }
            v.truncate(size - 1);
            v.push(b']');
        }
    }
    v.truncate(size);
    v
}

pub fn frame(out: &mut Vec<u8>, fin: bool, rsv1: bool, opcode: u8, mask: Option<[u8; 4]>, p: &[u8]) {
    out.push((fin as u8) << 7 | (rsv1 as u8) << 6 | opcode);
    let m = if mask.is_some() { 0x80 } else { 0 };
    match p.len() {
        n if n < 126 => out.push(m | n as u8),
        n if n < 65536 => {
            out.push(m | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(m | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    match mask {
        None => out.extend_from_slice(p),
        Some(k) => {
            out.extend_from_slice(&k);
            out.extend(p.iter().enumerate().map(|(i, b)| b ^ k[i & 3]));
        }
    }
}

pub struct Block {
    pub bytes: Bytes,
    pub hashes: Vec<u64>,
}

/// Returns about 1 MiB of frames for `role` to receive, at least one message.
pub fn block(role: Role, kind: Kind, content: Content, size: usize, frag: Option<usize>) -> Block {
    let mut out = Vec::new();
    let mut hashes = Vec::new();
    let mut r = Rng(0x1234_5678_9abc_def1);
    let n = ((1 << 20) / (size + 8)).max(1);
    for i in 0..n {
        let p = payload(content, size, i as u64 + 1);
        hashes.push(hash(&p));
        let op = if kind == Kind::Text { 1 } else { 2 };
        let step = frag.unwrap_or(size);
        let pieces: Vec<&[u8]> = p.chunks(step).collect();
        for (j, piece) in pieces.iter().enumerate() {
            let mask = (role == Role::Server).then(|| (r.draw() as u32).to_le_bytes());
            frame(&mut out, j + 1 == pieces.len(), false, if j == 0 { op } else { 0 }, mask, piece);
        }
    }
    Block { bytes: out.into(), hashes }
}

/// Returns a block of about 4 MiB of text messages, compressed with permessage-deflate (context takeover, level 6).
pub fn deflate_block(role: Role, content: Content, size: usize) -> Block {
    let mut out = Vec::new();
    let mut hashes = Vec::new();
    let mut r = Rng(0x1234_5678_9abc_def1);
    let mut z = flate2::Compress::new(flate2::Compression::new(6), false);
    for i in 0..((4 << 20) / size).max(1) {
        let p = payload(content, size, i as u64 + 1);
        hashes.push(hash(&p));
        let mut c = Vec::with_capacity(size + 1024);
        z.compress_vec(&p, &mut c, flate2::FlushCompress::Sync).unwrap();
        assert!(c.ends_with(&[0, 0, 0xff, 0xff]));
        c.truncate(c.len() - 4);
        let mask = (role == Role::Server).then(|| (r.draw() as u32).to_le_bytes());
        frame(&mut out, true, true, 1, mask, &c);
    }
    Block { bytes: out.into(), hashes }
}

pub fn payloads(content: Content, size: usize, n: usize) -> Vec<Bytes> {
    (0..n).map(|i| Bytes::from(payload(content, size, i as u64 + 1))).collect()
}

/// Parses captured output, and compares every message with `payloads` in rotation.
pub fn verify_output(mut b: &[u8], role: Role, kind: Kind, payloads: &[Bytes], n: u64, deflate: bool) {
    let mut seen = 0u64;
    let mut msg = Vec::new();
    let (mut op, mut comp) = (0, false);
    let mut z = flate2::Decompress::new(false);
    let mut keys = std::collections::HashSet::new();
    while !b.is_empty() {
        let (h0, h1) = (b[0], b[1]);
        let masked = h1 & 0x80 != 0;
        assert_eq!(masked, role == Role::Client);
        let (len, mut at) = match h1 & 127 {
            126 => (u16::from_be_bytes([b[2], b[3]]) as usize, 4),
            127 => (u64::from_be_bytes(b[2..10].try_into().unwrap()) as usize, 10),
            l => (l as usize, 2),
        };
        let mut p;
        if masked {
            let k: [u8; 4] = b[at..at + 4].try_into().unwrap();
            keys.insert(k);
            at += 4;
            p = b[at..at + len].to_vec();
            for (i, x) in p.iter_mut().enumerate() {
                *x ^= k[i & 3];
            }
        } else {
            p = b[at..at + len].to_vec();
        }
        b = &b[at + len..];
        assert_eq!(h0 & 0x30, 0);
        if h0 & 15 != 0 {
            op = h0 & 15;
            comp = h0 & 0x40 != 0;
        }
        msg.append(&mut p);
        if h0 & 0x80 != 0 {
            if comp {
                assert!(deflate);
                msg.extend_from_slice(&[0, 0, 0xff, 0xff]);
                let mut o = Vec::with_capacity(4 << 20);
                z.decompress_vec(&msg, &mut o, flate2::FlushDecompress::Sync).unwrap();
                msg = o;
            }
            assert_eq!(op, if kind == Kind::Text { 1 } else { 2 });
            assert!(msg == payloads[seen as usize % payloads.len()], "sent message {seen} differs");
            msg.clear();
            seen += 1;
        }
    }
    assert_eq!(seen, n);
    assert!(role == Role::Server || n < 4 || keys.len() > 1, "all frames have the same masking key");
}
