//! Frames into memory.

use core::fmt;

use super::{Header, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, MAX_PAYLOAD_LEN, MaskingKeys, Opcode, Role};

/// Why a frame cannot be sent now. Nothing was written, and nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// A data frame begins a message while another is open (RFC 6455 section 5.4). End that one with a
    /// continuation that has FIN set first.
    MessageOpen,
    /// A continuation, but no message is open (RFC 6455 section 5.4).
    NoMessageOpen,
    /// A payload of more than [`MAX_PAYLOAD_LEN`] bytes (RFC 6455 section 5.2).
    TooLong,
    /// A control frame without FIN, or with more than 125 bytes of payload (RFC 6455 section 5.5).
    ControlFrame,
    /// The frame does not fit into the memory given for it.
    NoRoom,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessageOpen => "another message is still open: finish it before a new one (RFC 6455 5.4)",
            Self::NoMessageOpen => "there is no open message to continue (RFC 6455 5.4)",
            Self::ControlFrame => {
                "a control frame has FIN set and at most 125 bytes of payload (RFC 6455 5.5)"
            }
            Self::TooLong => "a payload has at most 2^63 - 1 bytes (RFC 6455 5.2)",
            Self::NoRoom => "the frame does not fit into the memory given for it",
        })
    }
}

impl core::error::Error for EncodeError {}

/// Makes frames (RFC 6455 section 5): masks what a client sends, each frame with a key of its own,
/// and keeps the fragments of messages in order.
#[derive(Debug)]
pub struct Encoder {
    masking_keys: Option<MaskingKeys>,
    message_open: bool,
}

impl Encoder {
    /// The encoder of a server, which never masks (RFC 6455 section 5.1).
    #[must_use]
    pub const fn server() -> Self {
        Self { masking_keys: None, message_open: false }
    }

    /// The encoder of a client, which masks every frame (RFC 6455 section 5.1).
    #[must_use]
    pub const fn client(masking_keys: MaskingKeys) -> Self {
        Self { masking_keys: Some(masking_keys), message_open: false }
    }

    /// The role this encoder sends in.
    #[must_use]
    #[inline]
    pub const fn role(&self) -> Role {
        if self.masking_keys.is_some() { Role::Client } else { Role::Server }
    }

    /// Whether a fragmented message has begun and not ended.
    #[must_use]
    #[inline]
    pub const fn is_in_message(&self) -> bool {
        self.message_open
    }

    /// The header of the next frame, with a fresh key if it is a client's. Its payload is to be masked
    /// with [`Header::mask`], and it counts as sent.
    ///
    /// # Errors
    ///
    /// [`EncodeError::MessageOpen`], [`NoMessageOpen`](EncodeError::NoMessageOpen),
    /// [`TooLong`](EncodeError::TooLong) and [`ControlFrame`](EncodeError::ControlFrame): the caller's mistakes; nothing has changed.
    #[inline]
    pub fn header(&mut self, opcode: Opcode, fin: bool, payload_len: u64) -> Result<Header, EncodeError> {
        self.check(opcode, fin, payload_len)?;
        Ok(self.checked_header(opcode, fin, payload_len))
    }

    /// Writes a whole frame to the front of `out` and gives its length in bytes.
    ///
    /// # Errors
    ///
    /// As [`Encoder::header`], and [`EncodeError::NoRoom`]; nothing has changed.
    pub fn encode_into(
        &mut self,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let payload_len = payload.len() as u64;
        self.check(opcode, fin, payload_len)?;
        let len = self.header_len(payload_len) + payload.len();
        let out = out.get_mut(..len).ok_or(EncodeError::NoRoom)?;
        let header = self.checked_header(opcode, fin, payload_len);
        Ok(write_frame(&header, payload, out))
    }

    /// Whether such a frame may be sent now.
    #[inline]
    pub(crate) fn check(&self, opcode: Opcode, fin: bool, payload_len: u64) -> Result<(), EncodeError> {
        // RFC 6455 5.2: the most significant bit of a 64-bit length must be 0.
        if payload_len > MAX_PAYLOAD_LEN {
            return Err(EncodeError::TooLong);
        }
        match opcode {
            // RFC 6455 5.4: the fragments of one message must not be interleaved with another's.
            Opcode::Text | Opcode::Binary if self.message_open => Err(EncodeError::MessageOpen),
            Opcode::Continuation if !self.message_open => Err(EncodeError::NoMessageOpen),
            // RFC 6455 5.5: control frames are short and not fragmented.
            _ if opcode.is_control() && !(fin && payload_len <= MAX_CONTROL_PAYLOAD as u64) => {
                Err(EncodeError::ControlFrame)
            }
            _ => Ok(()),
        }
    }

    /// The length of the header of a frame with that payload.
    #[inline]
    pub(crate) fn header_len(&self, payload_len: u64) -> usize {
        let masking_key = self.masking_keys.as_ref().map(|_| [0; 4]);
        Header { fin: true, rsv: 0, opcode: Opcode::Binary, masking_key, payload_len }.encoded_len()
    }

    /// A frame that [`Self::check`] has let pass is sent.
    #[inline]
    pub(crate) const fn follow(&mut self, opcode: Opcode, fin: bool) {
        if !opcode.is_control() {
            self.message_open = !fin;
        }
    }

    /// The header of a frame that [`Self::check`] has let pass.
    #[inline]
    pub(crate) fn checked_header(&mut self, opcode: Opcode, fin: bool, payload_len: u64) -> Header {
        self.follow(opcode, fin);
        // RFC 6455 5.3: a fresh key for each frame.
        let masking_key = self.masking_keys.as_mut().map(MaskingKeys::next_key);
        Header { fin, rsv: 0, opcode, masking_key, payload_len }
    }
}

/// Writes a frame to the front of `to`, which has room for it and may be overwritten behind it, and gives its
/// length. The payload is masked on the way.
#[inline]
pub(crate) fn write_frame(header: &Header, payload: &[u8], to: &mut [u8]) -> usize {
    let len = if let Some(head) = to.first_chunk_mut() {
        header.encode(head)
    } else {
        let mut head = [0; MAX_HEADER_LEN];
        let len = header.encode(&mut head);
        for (to, from) in to.iter_mut().zip(&head) {
            *to = *from;
        }
        len
    };
    // It lies over what the header leaves of the longest one's place.
    let body = to.get_mut(len..len + payload.len()).unwrap_or_default();
    len + header.mask().copy(payload, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_1_a_server_never_masks_and_a_client_always_does() {
        let mut out = [0; 32];
        let len = Encoder::server().encode_into(Opcode::Text, true, b"Hello", &mut out).unwrap();
        assert_eq!(out[..len], *b"\x81\x05Hello");
        let mut client = Encoder::client(MaskingKeys::from_seed([3; 32]));
        let len = client.encode_into(Opcode::Text, true, b"Hello", &mut out).unwrap();
        let (header, at) = Header::decode(&out[..len]).unwrap().unwrap();
        assert!(header.masking_key.is_some());
        header.mask().apply(&mut out[at..len]);
        assert_eq!(out[at..len], *b"Hello");
    }

    #[test]
    fn s5_3_no_key_is_used_twice() {
        let mut client = Encoder::client(MaskingKeys::from_seed([3; 32]));
        let keys: std::collections::HashSet<_> =
            (0..1000).map(|_| client.header(Opcode::Binary, true, 0).unwrap().masking_key.unwrap()).collect();
        assert_eq!(keys.len(), 1000);
    }

    #[test]
    fn s5_4_messages_are_not_interleaved() {
        let mut encoder = Encoder::server();
        assert_eq!(encoder.header(Opcode::Continuation, true, 0), Err(EncodeError::NoMessageOpen));
        encoder.header(Opcode::Text, false, 1).unwrap();
        for opcode in [Opcode::Text, Opcode::Binary] {
            assert_eq!(encoder.header(opcode, true, 1), Err(EncodeError::MessageOpen));
        }
        encoder.header(Opcode::Ping, true, 1).unwrap();
        assert!(encoder.is_in_message());
        encoder.header(Opcode::Continuation, true, 1).unwrap();
        assert!(!encoder.is_in_message());
    }

    #[test]
    fn s5_5_control_frames_are_short_and_whole() {
        let mut encoder = Encoder::server();
        for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
            assert_eq!(encoder.header(opcode, true, 126), Err(EncodeError::ControlFrame));
            assert_eq!(encoder.header(opcode, false, 0), Err(EncodeError::ControlFrame));
            encoder.header(opcode, true, 125).unwrap();
        }
    }

    #[test]
    fn s5_2_a_length_has_63_bits() {
        let mut encoder = Encoder::server();
        encoder.header(Opcode::Binary, true, MAX_PAYLOAD_LEN).unwrap();
        assert_eq!(encoder.header(Opcode::Binary, true, MAX_PAYLOAD_LEN + 1), Err(EncodeError::TooLong));
    }

    #[test]
    fn a_frame_that_does_not_fit_changes_nothing() {
        let mut encoder = Encoder::server();
        for room in 0..7 {
            let error = encoder.encode_into(Opcode::Text, false, b"Hello", &mut [0; 7][..room]);
            assert_eq!(error, Err(EncodeError::NoRoom));
            assert!(!encoder.is_in_message());
        }
        assert_eq!(encoder.encode_into(Opcode::Text, false, b"Hello", &mut [0; 7]), Ok(7));
    }
}
