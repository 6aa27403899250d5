//! Encoding of frames into memory that the caller provides (RFC 6455 section 5).
//!
//! [`Encoder`] ensures that each frame is legal and that the order of frames is legal. Fragments of different messages
//! are not interleaved, control frames are short, and a client masks each frame with a fresh key. The connection
//! handles queues, messages, UTF-8 and closing.
//!
//! Invariant: a call that fails changes nothing. [`Encoder::check`] runs before a masking key is used and before a byte
//! is written.

use core::fmt;

use crate::error::SendError;

use super::{Header, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, MAX_PAYLOAD_LEN, MaskingKeys, Opcode, Role};

/// The reason why a frame cannot be sent now. Nothing was written, and the encoder is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// A data frame would begin a message while another message is open (RFC 6455 section 5.4). First end the
    /// open message with a continuation frame that has FIN set.
    MessageOpen,
    /// A continuation frame has no open message to continue (RFC 6455 section 5.4).
    NoMessageOpen,
    /// The payload has more than [`MAX_PAYLOAD_LEN`] bytes (RFC 6455 section 5.2).
    TooLong,
    /// A control frame has no FIN, or more than [`MAX_CONTROL_PAYLOAD`] bytes of payload (RFC 6455 section
    /// 5.5).
    ControlFrame,
    /// The output is too small for the frame.
    NoSpace,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessageOpen => "another message is still open (RFC 6455 5.4): finish it before a new one",
            Self::NoMessageOpen => "a continuation frame has no open message (RFC 6455 5.4): begin one with a text or binary frame",
            Self::ControlFrame => {
                "the control frame is fragmented or has over 125 bytes of payload (RFC 6455 5.5): set FIN and shorten it"
            }
            Self::TooLong => "the payload has more than 2^63 - 1 bytes (RFC 6455 5.2): send it in fragments",
            Self::NoSpace => "the frame does not fit into the output buffer: pass a larger one, or send fragments",
        })
    }
}

impl core::error::Error for EncodeError {}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::MessageOpen | EncodeError::NoMessageOpen => Self::MessageOpen,
            EncodeError::ControlFrame => Self::ControlTooLong,
            EncodeError::NoSpace | EncodeError::TooLong => Self::TooLarge,
        }
    }
}

#[cfg(feature = "alloc")]
type Keys = alloc::boxed::Box<MaskingKeys>;
#[cfg(not(feature = "alloc"))]
type Keys = MaskingKeys;

/// Encodes the frames of one endpoint (RFC 6455 section 5).
///
/// A client's encoder masks each frame with a fresh key. A server's encoder does not mask. Both refuse to interleave
/// the fragments of different messages.
#[derive(Debug)]
pub struct Encoder {
    /// The masking keys of a client; `None` for a server. With an allocator the keys are boxed, so that the encoder of
    /// a server stays small.
    masking_keys: Option<Keys>,
    /// Whether a fragmented message has begun and has not ended.
    message_open: bool,
}

impl Encoder {
    /// Returns the encoder of a server, which never masks (RFC 6455 section 5.1).
    #[must_use]
    pub const fn server() -> Self {
        Self { masking_keys: None, message_open: false }
    }

    /// Returns the encoder of a client, which masks every frame (RFC 6455 section 5.1).
    #[must_use]
    pub fn client(masking_keys: MaskingKeys) -> Self {
        Self { masking_keys: Some(Keys::from(masking_keys)), message_open: false }
    }

    /// Returns the role in which this encoder sends.
    #[must_use]
    #[inline]
    pub const fn role(&self) -> Role {
        if self.masking_keys.is_some() { Role::Client } else { Role::Server }
    }

    /// Returns whether a fragmented message has begun and has not ended.
    #[must_use]
    #[inline]
    pub const fn is_in_message(&self) -> bool {
        self.message_open
    }

    /// Returns the header of the next frame, with a fresh masking key if this is a client's encoder.
    ///
    /// The encoder counts the frame as sent. The caller must mask the payload with [`Header::mask`], and send the
    /// header and the payload.
    ///
    /// # Errors
    ///
    /// Nothing has changed after an error.
    ///
    /// - [`EncodeError::MessageOpen`]: the frame begins a message while another message is open.
    /// - [`EncodeError::NoMessageOpen`]: the frame is a continuation frame, but no message is open.
    /// - [`EncodeError::TooLong`]: the payload has more than [`MAX_PAYLOAD_LEN`] bytes.
    /// - [`EncodeError::ControlFrame`]: the frame is a control frame without FIN or with more than
    ///   [`MAX_CONTROL_PAYLOAD`] bytes.
    #[inline]
    pub fn header(&mut self, opcode: Opcode, fin: bool, payload_len: u64) -> Result<Header, EncodeError> {
        self.check(opcode, fin, payload_len)?;
        Ok(self.checked_header(opcode, fin, payload_len))
    }

    /// Encodes a frame with its payload into the front of `out`. Returns the length of the frame in bytes.
    ///
    /// # Errors
    ///
    /// Nothing has changed after an error.
    ///
    /// - [`EncodeError::MessageOpen`]: the frame begins a message while another message is open.
    /// - [`EncodeError::NoMessageOpen`]: the frame is a continuation frame, but no message is open.
    /// - [`EncodeError::TooLong`]: the payload has more than [`MAX_PAYLOAD_LEN`] bytes.
    /// - [`EncodeError::ControlFrame`]: the frame is a control frame without FIN or with more than
    ///   [`MAX_CONTROL_PAYLOAD`] bytes.
    /// - [`EncodeError::NoSpace`]: `out` is too small for the frame.
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
        let out = out.get_mut(..len).ok_or(EncodeError::NoSpace)?;
        let header = self.checked_header(opcode, fin, payload_len);
        Ok(write_frame(&header, payload, out))
    }

    /// Checks whether this frame may be sent now.
    #[inline]
    pub(crate) fn check(&self, opcode: Opcode, fin: bool, payload_len: u64) -> Result<(), EncodeError> {
        // RFC 6455 5.2: the most significant bit of a 64-bit length must be 0.
        if payload_len > MAX_PAYLOAD_LEN {
            return Err(EncodeError::TooLong);
        }
        match opcode {
            // RFC 6455 5.4: the fragments of two messages must not be interleaved.
            Opcode::Text | Opcode::Binary if self.message_open => Err(EncodeError::MessageOpen),
            Opcode::Continuation if !self.message_open => Err(EncodeError::NoMessageOpen),
            // RFC 6455 5.5: control frames have at most 125 bytes of payload and are not fragmented.
            _ if opcode.is_control() && !(fin && payload_len <= MAX_CONTROL_PAYLOAD as u64) => {
                Err(EncodeError::ControlFrame)
            }
            _ => Ok(()),
        }
    }

    /// Returns the length of the header of a frame with this payload, in bytes.
    #[inline]
    pub(crate) fn header_len(&self, payload_len: u64) -> usize {
        let masking_key = self.masking_keys.as_ref().map(|_| [0; 4]);
        Header { fin: true, rsv: 0, opcode: Opcode::Binary, masking_key, payload_len }.encoded_len()
    }

    /// Records that a frame is sent. [`Self::check`] must have allowed the frame.
    #[inline]
    pub(crate) const fn follow(&mut self, opcode: Opcode, fin: bool) {
        if !opcode.is_control() {
            self.message_open = !fin;
        }
    }

    /// Returns the header of a frame that [`Self::check`] has allowed, and records that the frame is sent.
    #[inline]
    pub(crate) fn checked_header(&mut self, opcode: Opcode, fin: bool, payload_len: u64) -> Header {
        self.follow(opcode, fin);
        // RFC 6455 5.3: each frame needs a fresh masking key.
        let masking_key = self.masking_keys.as_mut().map(|keys| keys.next_key());
        Header { fin, rsv: 0, opcode, masking_key, payload_len }
    }
}

/// Encodes a frame into the front of `to` and returns its length. The payload is masked while it is copied.
///
/// `to` must be large enough for the frame. Bytes of `to` after the frame may be overwritten.
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
    // The payload overwrites the zeros that `Header::encode` may have written after a short header.
    let body = to.get_mut(len..len + payload.len()).unwrap_or_default();
    len + header.mask().copy(payload, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_1_a_server_never_masks_and_a_client_always_masks() {
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
    fn s5_3_each_frame_has_a_fresh_key() {
        let mut client = Encoder::client(MaskingKeys::from_seed([3; 32]));
        let keys: std::collections::HashSet<_> =
            (0..1000).map(|_| client.header(Opcode::Binary, true, 0).unwrap().masking_key.unwrap()).collect();
        assert_eq!(keys.len(), 1000);
    }

    #[test]
    fn s5_4_interleaved_messages_are_refused() {
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
    fn s5_5_long_or_fragmented_control_frames_are_refused() {
        let mut encoder = Encoder::server();
        for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
            assert_eq!(encoder.header(opcode, true, 126), Err(EncodeError::ControlFrame));
            assert_eq!(encoder.header(opcode, false, 0), Err(EncodeError::ControlFrame));
            encoder.header(opcode, true, 125).unwrap();
        }
    }

    #[test]
    fn s5_2_a_length_of_64_bits_is_refused() {
        let mut encoder = Encoder::server();
        encoder.header(Opcode::Binary, true, MAX_PAYLOAD_LEN).unwrap();
        assert_eq!(encoder.header(Opcode::Binary, true, MAX_PAYLOAD_LEN + 1), Err(EncodeError::TooLong));
    }

    #[test]
    fn a_frame_that_does_not_fit_changes_nothing() {
        let mut encoder = Encoder::server();
        for space in 0..7 {
            let error = encoder.encode_into(Opcode::Text, false, b"Hello", &mut [0; 7][..space]);
            assert_eq!(error, Err(EncodeError::NoSpace));
            assert!(!encoder.is_in_message());
        }
        assert_eq!(encoder.encode_into(Opcode::Text, false, b"Hello", &mut [0; 7]), Ok(7));
    }
}
