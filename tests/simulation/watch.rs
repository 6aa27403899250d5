//! Checks everything that an endpoint writes, byte by byte, with code that is independent of the crate.
//!
//! The check covers masks, lengths, opcodes, the order of fragments, and that nothing follows a Close. Each
//! Pong must match a Ping. The receiving application in `app.rs` checks the content of data messages.

use std::collections::VecDeque;

use hybi::Role;

use crate::support::wire;

/// Prefix of the payloads of unsolicited Pongs.
pub const UNASKED: &[u8] = b"unasked ";
/// Prefix of the payloads of the application's Pings. All other Pings are keepalive Pings.
pub const OWN: &[u8] = b"own ";

/// The state of the check: the output of one endpoint so far.
#[derive(Debug)]
pub struct Watch {
    role: Role,
    /// Whether the endpoint may compress messages.
    deflate: bool,
    /// The bytes of an incomplete header, or the written part of a control frame's payload.
    bytes: Vec<u8>,
    /// First byte and masking key, if the header is complete.
    frame: Option<(u8, [u8; 4])>,
    /// Number of missing bytes of the current frame's payload.
    left: u64,
    in_message: bool,
    last_key: [u8; 4],
    /// Body of the Close.
    pub close: Option<Vec<u8>>,
    pub written: u64,
    pub messages: usize,
    pub pings: usize,
    pub pongs: usize,
    /// The peer's Pings that are not answered yet.
    pub unanswered: VecDeque<Vec<u8>>,
    /// The Pings of the application that are not written yet.
    pub own_pings: VecDeque<Vec<u8>>,
}

impl Watch {
    pub fn new(role: Role, deflate: bool) -> Self {
        Self {
            role,
            deflate,
            bytes: Vec::new(),
            frame: None,
            left: 0,
            in_message: false,
            last_key: [0; 4],
            close: None,
            written: 0,
            messages: 0,
            pings: 0,
            pongs: 0,
            unanswered: VecDeque::new(),
            own_pings: VecDeque::new(),
        }
    }

    /// Returns whether the last frame is complete.
    pub fn is_between_frames(&self) -> bool {
        self.frame.is_none() && self.bytes.is_empty()
    }

    /// Checks bytes that the endpoint has written.
    pub fn write(&mut self, mut bytes: &[u8]) {
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            assert!(self.close.is_none(), "{} bytes were written after the Close", bytes.len());
            if let Some((first, _)) = self.frame {
                let len = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                if first & 8 != 0 {
                    self.bytes.extend_from_slice(&bytes[..len]);
                }
                bytes = &bytes[len..];
                self.left -= len as u64;
            } else {
                self.bytes.push(bytes[0]);
                bytes = &bytes[1..];
                self.header();
            }
            if let Some((first, key)) = self.frame.filter(|_| self.left == 0) {
                self.frame = None;
                self.end(first, key);
            }
        }
    }

    /// Checks the header of a frame once it is complete.
    fn header(&mut self) {
        let &[first, second, ref rest @ ..] = &self.bytes[..] else { return };
        let masked = second & 0x80 != 0;
        // RFC 6455 5.1: a client masks, and a server does not.
        assert_eq!(masked, self.role == Role::Client, "a client must mask its frames, and a server must not");
        let len_len = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < len_len + if masked { 4 } else { 0 } {
            return;
        }
        let len = match len_len {
            0 => u64::from(second & 0x7F),
            2 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            _ => u64::from_be_bytes(*rest.first_chunk().unwrap()),
        };
        let key = masked.then(|| *rest[len_len..].first_chunk().unwrap());
        // RFC 6455 5.2: the length has its shortest form.
        assert_eq!(wire::head(first, len, key), self.bytes);
        if let Some(key) = key {
            // RFC 6455 5.3: each frame has a fresh key.
            assert_ne!(key, self.last_key, "a masking key was used again");
            self.last_key = key;
        }
        let (fin, rsv, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0F);
        match opcode {
            // RFC 6455 5.4: fragments of different messages are not mixed.
            0 => assert!(self.in_message && rsv == 0, "a continuation frame is outside of a message"),
            1 | 2 => {
                assert!(!self.in_message, "a message begins inside another one");
                assert!(rsv == 0 || self.deflate && rsv == 0x40, "reserved bits are set");
            }
            // RFC 6455 5.5: control frames are short and not fragmented.
            8..=10 => assert!(
                fin && rsv == 0 && len <= 125,
                "a control frame is too long, fragmented, or has reserved bits"
            ),
            _ => panic!("opcode {opcode}"),
        }
        if opcode < 8 {
            self.in_message = !fin;
            self.messages += usize::from(fin);
        }
        (self.frame, self.left) = (Some((first, key.unwrap_or_default())), len);
        self.bytes.clear();
    }

    /// Handles a complete control frame.
    fn end(&mut self, first: u8, key: [u8; 4]) {
        let payload: Vec<u8> =
            self.bytes.drain(..).zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        match first {
            wire::CLOSE => self.close = Some(payload),
            wire::PING => {
                self.pings += 1;
                if payload.starts_with(OWN) {
                    assert_eq!(self.own_pings.pop_front(), Some(payload), "Pings were written out of order");
                }
            }
            wire::PONG => {
                self.pongs += 1;
                if !payload.starts_with(UNASKED) {
                    // RFC 6455 5.5.3: older Pings need no answer.
                    let place = self.unanswered.iter().position(|ping| *ping == payload);
                    self.unanswered.drain(..=place.expect("a Pong without a Ping"));
                }
            }
            _ => {}
        }
    }
}
