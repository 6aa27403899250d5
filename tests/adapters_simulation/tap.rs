//! Decodes the frames that pass a point of a link. So the checks know what each endpoint has sent and received, without
//! asking the library.
//!
//! The decoder unmasks control frames and counts data. If the bytes are not frames, it only sets [`Tap::garbled`], and
//! the checks decide what follows.

use hybi::frame::{Header, Opcode};

/// The decoder, and a record of everything that has passed.
#[derive(Debug, Default)]
pub struct Tap {
    /// True until the head of the handshake has passed.
    in_head: bool,
    header: Vec<u8>,
    frame: Option<Header>,
    left: u64,
    control: Vec<u8>,
    /// The bytes are not frames, so decoding has stopped.
    pub garbled: bool,
    pub bytes: u64,
    /// Time at which bytes last passed.
    pub at: Option<u64>,
    /// Number of bytes of data frames, including headers.
    pub data_bytes: u64,
    /// Number of whole messages.
    pub messages: usize,
    pub in_message: bool,
    /// Time at which data last passed.
    pub data_at: Option<u64>,
    /// Times and payloads of Pings and Pongs.
    pub pings: Vec<(u64, Vec<u8>)>,
    pub pongs: Vec<(u64, Vec<u8>)>,
    /// Time and body of the Close.
    pub close: Option<(u64, Vec<u8>)>,
    /// Number of bytes that have passed after the Close.
    pub behind_close: u64,
}

impl Tap {
    pub fn new(skips_head: bool) -> Self {
        Self { in_head: skips_head, ..Self::default() }
    }

    /// Returns the code of the Close that has passed.
    pub fn close_code(&self) -> Option<u16> {
        let (_, body) = self.close.as_ref()?;
        body.first_chunk().map(|code| u16::from_be_bytes(*code))
    }

    /// Returns whether the last frame is complete.
    pub fn is_between_frames(&self) -> bool {
        self.header.is_empty() && self.frame.is_none()
    }

    pub fn take(&mut self, now: u64, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.at = Some(now);
        while self.in_head {
            let Some((byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.header.push(*byte);
            if self.header.ends_with(b"\r\n\r\n") {
                self.in_head = false;
                self.header.clear();
            }
        }
        while !bytes.is_empty() && !self.garbled {
            if self.close.is_some() {
                self.behind_close += bytes.len() as u64;
                return;
            }
            let Some(header) = self.frame else {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                self.take_header(now);
                continue;
            };
            let len = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.take_payload(now, &header, &bytes[..len]);
            bytes = &bytes[len..];
        }
    }

    fn take_header(&mut self, now: u64) {
        match Header::decode(&self.header) {
            Ok(None) => {}
            Err(_) => self.garbled = true,
            Ok(Some((header, len))) => {
                self.header.clear();
                self.control.clear();
                (self.frame, self.left) = (Some(header), header.payload_len);
                if !header.opcode.is_control() {
                    self.data_bytes += len as u64;
                    self.data_at = Some(now);
                    self.in_message = true;
                }
                if self.left == 0 {
                    self.end_frame(now, &header);
                }
            }
        }
    }

    fn take_payload(&mut self, now: u64, header: &Header, bytes: &[u8]) {
        self.left -= bytes.len() as u64;
        if header.opcode.is_control() {
            self.control.extend(bytes);
        } else {
            self.data_bytes += bytes.len() as u64;
            self.data_at = Some(now);
        }
        if self.left == 0 {
            self.end_frame(now, header);
        }
    }

    fn end_frame(&mut self, now: u64, header: &Header) {
        self.frame = None;
        if header.opcode.is_control() {
            header.mask().apply(&mut self.control);
        }
        let control = std::mem::take(&mut self.control);
        match header.opcode {
            Opcode::Ping => self.pings.push((now, control)),
            Opcode::Pong => self.pongs.push((now, control)),
            Opcode::Close => self.close = Some((now, control)),
            _ if header.fin => {
                self.messages += 1;
                self.in_message = false;
            }
            _ => {}
        }
    }
}
