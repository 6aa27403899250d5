//! Decoding of a byte stream into frames. The stream may arrive in pieces of any length.
//!
//! [`Decoder`] checks the rules about masking, reserved bits and the order of fragments. These rules depend on the
//! role, on negotiated extensions and on earlier frames. [`Header::decode`] checks the other rules of a header. The
//! connection handles messages, UTF-8 and limits.
//!
//! The fast path is [`Decoder::header`] on input that contains the whole header. On this path the header is decoded
//! without a copy. If a header arrives in several pieces, `partial_header` collects it in 14 bytes of state.
//!
//! Invariants:
//! - Each byte is examined once, except the bytes of a header that arrives in several pieces.
//! - An error is reported at the first byte that breaks a rule, wherever the input is divided. One error is reported
//!   later: a 64-bit length that is not minimal is reported when all its bytes have arrived.
//!
//! ```text
//!           header complete                last payload byte
//!  between ─────────────────▶ in frame ───────────────────▶ between
//!   frames                    (an empty payload is one empty piece)
//! ```

use super::{Header, MAX_HEADER_LEN, Mask, Opcode, Role};
use crate::error::ProtocolError;

/// One step of a [`Decoder`].
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The header of the next frame.
    Header(Header),
    /// A piece of the frame's payload, unmasked in place. A frame without payload has one empty piece.
    Payload {
        /// The unmasked bytes.
        data: &'a mut [u8],
        /// Whether this piece ends the frame.
        end: bool,
    },
}

/// Splits a byte stream into frames (RFC 6455 section 5). The stream may arrive in pieces of any length.
///
/// The decoder enforces the rules of [`Header::decode`] and those about masking (section 5.1), reserved bits (section
/// 5.2) and the order of fragments (section 5.4).
///
/// A decoder stores at most one partial header of up to [`MAX_HEADER_LEN`] bytes, and no payload.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The payload bytes of the current frame that have not arrived.
    left: u64,
    /// The mask for the next payload byte.
    mask: Mask,
    /// The first bytes of a header that has arrived in part.
    partial: [u8; MAX_HEADER_LEN],
    /// The number of bytes in `partial`.
    partial_len: u8,
    /// The role of the receiving endpoint.
    role: Role,
    /// The reserved bits that an extension defines, in the notation of [`Header::rsv`].
    allowed_rsv: u8,
    /// Whether a data message has begun and has not ended.
    message_open: bool,
    /// Whether a header was returned, but the end of its payload was not returned yet.
    in_frame: bool,
}

impl Decoder {
    /// Returns a decoder for the start of a stream that an endpoint in `role` receives.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            left: 0,
            mask: Mask::new([0; 4]),
            partial: [0; MAX_HEADER_LEN],
            partial_len: 0,
            role,
            allowed_rsv: 0,
            message_open: false,
            in_frame: false,
        }
    }

    /// Allows reserved bits that an extension defines, in the notation of [`Header::rsv`].
    ///
    /// The bits are allowed only on the first frame of a data message. By default no reserved bit is allowed.
    #[must_use]
    pub const fn allow_rsv(mut self, bits: u8) -> Self {
        self.allowed_rsv = bits & 7;
        self
    }

    /// Returns the role in which this decoder receives.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Takes the next item from the front of `input`. If the item needs more bytes, takes all of `input` and returns
    /// `None`.
    ///
    /// # Errors
    ///
    /// Returns a [`ProtocolError`] as soon as the byte that breaks a rule has arrived. A 64-bit length that is not
    /// minimal is reported when all of its bytes have arrived. The errors are:
    ///
    /// - the errors of [`Header::decode`];
    /// - [`ReservedBits`](ProtocolError::ReservedBits) or [`NotAFrame`](ProtocolError::NotAFrame): reserved
    ///   bits that were not allowed are set;
    /// - [`NotMasked`](ProtocolError::NotMasked) on a server and [`Masked`](ProtocolError::Masked) on a
    ///   client;
    /// - [`NothingToContinue`](ProtocolError::NothingToContinue): a continuation frame while no message is
    ///   open;
    /// - [`MessageInterleaved`](ProtocolError::MessageInterleaved): a message begins while another is open.
    ///
    /// Do not use the decoder after an error, because the following bytes have no meaning.
    pub fn decode<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Item<'a>>, ProtocolError> {
        if self.in_frame {
            if input.is_empty() && self.left > 0 {
                return Ok(None);
            }
            let len = self.payload_in(input.len());
            let Some((data, rest)) = core::mem::take(input).split_at_mut_checked(len) else {
                return Ok(None);
            };
            *input = rest;
            self.mask.apply(data);
            return Ok(Some(Item::Payload { data, end: self.consume(len) }));
        }
        let (used, header) = self.header(input)?;
        let Some((_, rest)) = core::mem::take(input).split_at_mut_checked(used) else { return Ok(None) };
        *input = rest;
        Ok(header.map(Item::Header))
    }

    /// Returns whether decoding is between two frames, and no part of the next header has arrived.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        !self.in_frame && self.partial_len == 0
    }

    /// Returns whether a fragmented message has begun and has not ended.
    #[must_use]
    pub const fn is_in_message(&self) -> bool {
        self.message_open
    }

    /// Returns the number of payload bytes of the current frame that have not arrived.
    #[must_use]
    pub const fn payload_left(&self) -> u64 {
        self.left
    }

    /// Returns whether a payload is being received. The result is also true for an empty payload whose piece was not
    /// returned yet.
    pub(crate) const fn is_in_frame(&self) -> bool {
        self.in_frame
    }

    /// Returns the minimum number of bytes that a partial header still needs, or 0 if no header is partial.
    pub(crate) const fn header_left(&self) -> usize {
        match self.partial_len {
            0 => 0,
            1 => 1,
            _ => {
                let second = self.partial[1];
                let len = match second & 0x7F {
                    126 => 4,
                    127 => 10,
                    _ => 2,
                } + if second & 0x80 != 0 { 4 } else { 0 };
                len - self.partial_len as usize
            }
        }
    }

    /// Returns how many of the next `available` bytes belong to the payload of the current frame.
    #[inline]
    pub(crate) fn payload_in(&self, available: usize) -> usize {
        usize::try_from(self.left).map_or(available, |left| left.min(available))
    }

    /// Returns the mask for the next payload byte that will be unmasked.
    #[inline]
    pub(crate) fn mask_mut(&mut self) -> &mut Mask {
        &mut self.mask
    }

    /// Consumes `len` payload bytes, and returns whether the frame ends. The caller unmasks the bytes and thereby
    /// advances the mask.
    #[inline]
    pub(crate) fn consume(&mut self, len: usize) -> bool {
        self.left = self.left.saturating_sub(len as u64);
        self.in_frame = self.left > 0;
        !self.in_frame
    }

    /// Consumes `len` payload bytes like [`Self::consume`], but does not end the frame. A later call of
    /// [`Self::consume`] ends the frame, after all of the compressed payload was inflated.
    #[cfg(feature = "deflate")]
    pub(crate) fn pass(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len as u64);
    }

    /// Decodes a header from the front of `input`, or stores the part of the header that has arrived.
    ///
    /// Returns the number of bytes used, and the header if it is complete.
    #[inline]
    pub(crate) fn header(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), ProtocolError> {
        if self.partial_len == 0 {
            self.check_start(input)?;
            if let Some((header, len)) = Header::decode(input)? {
                self.begin(&header);
                return Ok((len, Some(header)));
            }
        }
        self.partial_header(input)
    }

    /// Decodes a header that arrives in several pieces.
    #[cold]
    fn partial_header(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), ProtocolError> {
        let have = usize::from(self.partial_len);
        let space = self.partial.get_mut(have..).unwrap_or_default();
        let taken = space.len().min(input.len());
        for (to, from) in space.iter_mut().zip(input) {
            *to = *from;
        }
        let known = self.partial.get(..have + taken).unwrap_or_default();
        self.check_start(known)?;
        match Header::decode(known)? {
            Some((header, len)) => {
                self.partial_len = 0;
                self.begin(&header);
                Ok((len - have, Some(header)))
            }
            None => {
                // A header of 14 bytes is always complete, so a partial header fits into `partial` and its
                // length into a byte.
                self.partial_len = u8::try_from(have + taken).unwrap_or(u8::MAX);
                Ok((taken, None))
            }
        }
    }

    /// Checks the first two bytes of a header, or the first byte if the second has not arrived. The bytes must agree
    /// with the role, the allowed reserved bits and the open message.
    #[inline]
    fn check_start(&self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(()) };
        let rsv = first >> 4 & 7;
        // `Header::decode` reports unknown opcodes.
        let opcode = Opcode::from_bits(first);
        // RFC 6455 5.2: reserved bits must be 0 unless an extension defines a meaning for them. RFC 7692 6.1
        // defines RSV1 on the first frame of a data message only.
        let may_carry_rsv = matches!(opcode, Some(Opcode::Text | Opcode::Binary));
        if rsv & !(if may_carry_rsv { self.allowed_rsv } else { 0 }) != 0 {
            return Err(reserved_bits(first));
        }
        match opcode {
            // RFC 6455 5.4: a continuation frame continues a message that is open.
            Some(Opcode::Continuation) if !self.message_open => return Err(ProtocolError::NothingToContinue),
            // RFC 6455 5.4: the fragments of two messages must not be interleaved.
            Some(Opcode::Text | Opcode::Binary) if self.message_open => {
                return Err(ProtocolError::MessageInterleaved);
            }
            // `Header::decode` reports an unknown opcode and a fragmented control frame. Both errors are in the first
            // byte, so they take precedence over an error in the second byte.
            None => return Ok(()),
            Some(opcode) if opcode.is_control() && first & 0x80 == 0 => return Ok(()),
            Some(_) => {}
        }
        let Some(second) = bytes.get(1) else { return Ok(()) };
        // RFC 6455 5.1: a server closes the connection if a frame is not masked. A client closes the connection if a
        // frame is masked.
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => Err(ProtocolError::NotMasked),
            (Role::Client, true) => Err(ProtocolError::Masked),
            _ => Ok(()),
        }
    }

    /// Begins the frame of `header`.
    #[inline]
    pub(crate) fn begin(&mut self, header: &Header) {
        self.left = header.payload_len;
        self.mask = header.mask();
        self.in_frame = true;
        if !header.opcode.is_control() {
            self.message_open = !header.fin;
        }
    }
}

/// Returns the error for a first byte whose reserved bits are not allowed.
#[cold]
const fn reserved_bits(first: u8) -> ProtocolError {
    match first {
        // The byte begins a data frame without FIN, and of the reserved bits only RSV1 is set. The peer probably
        // compresses messages although compression was not agreed on (RFC 7692 6.1). In ASCII the three bytes are `@`,
        // `A` and `B`. No HTTP response begins with one of them.
        0x40..=0x42 => ProtocolError::ReservedBits(4),
        // Every other printable character has one of three faults as a first byte. It sets RSV2 or RSV3, which no
        // common extension uses. It begins a control frame without FIN. Or it has an unknown opcode. So the peer
        // probably sends text, such as HTTP.
        b' '..=b'~' => ProtocolError::NotAFrame(first),
        _ => ProtocolError::ReservedBits(first >> 4 & 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    type Frames = (Vec<(Header, Vec<u8>)>, Result<(), ProtocolError>);

    fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Frames {
        let mut frames = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            let mut input = &mut piece[..];
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(Item::Header(header))) => frames.push((header, Vec::new())),
                    Ok(Some(Item::Payload { data, .. })) => {
                        frames.last_mut().unwrap().1.extend_from_slice(data)
                    }
                    Ok(None) => break,
                    Err(error) => return (frames, Err(error)),
                }
            }
            assert!(input.is_empty(), "input is left over");
        }
        (frames, Ok(()))
    }

    #[test]
    fn s5_2_every_two_way_split_gives_the_same_frames() {
        // All frames are masked: the fragments "Hel" and "lo" with a Ping "p" between them, then 200 binary bytes.
        let mut wire = std::vec![0x01, 0x83, 1, 2, 3, 4];
        wire.extend([b'H' ^ 1, b'e' ^ 2, b'l' ^ 3]);
        wire.extend([0x89, 0x81, 9, 9, 9, 9, b'p' ^ 9, 0x80, 0x82, 0, 0, 0, 0, b'l', b'o']);
        wire.extend([0x82, 0xFE, 0, 200, 7, 7, 7, 7]);
        wire.extend([b'x' ^ 7; 200]);
        let whole = decode(&mut Decoder::new(Role::Server), &[&wire]);
        let payloads: Vec<_> = whole.0.iter().map(|(_, payload)| &payload[..]).collect();
        assert_eq!(payloads, [b"Hel", &b"p"[..], b"lo", &[b'x'; 200]]);
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            assert_eq!(decode(&mut Decoder::new(Role::Server), &[head, tail]), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        let mut decoder = Decoder::new(Role::Server);
        assert_eq!(decode(&mut decoder, &bytes), whole);
        assert!(decoder.is_between_frames());
        assert!(!decoder.is_in_message());
    }

    #[test]
    fn s5_1_wrong_masking_fails_at_the_second_byte() {
        let of = |role, bytes: &[u8]| decode(&mut Decoder::new(role), &[bytes]).1;
        // Single-frame messages, first fragments and control frames.
        for first in [0x81, 0x82, 0x01, 0x02, 0x88, 0x89, 0x8A] {
            assert_eq!(of(Role::Server, &[first, 0x05]), Err(ProtocolError::NotMasked));
            assert_eq!(of(Role::Client, &[first, 0x85]), Err(ProtocolError::Masked));
            assert_eq!(of(Role::Server, &[first, 0x85]), Ok(()));
            assert_eq!(of(Role::Client, &[first, 0x05]), Ok(()));
        }
    }

    #[test]
    fn s5_2_reserved_bits_fail_unless_allowed() {
        for rsv in 1..8u8 {
            for opcode in [1, 2, 8, 9, 10] {
                let error = decode(&mut Decoder::new(Role::Client), &[&[0x80 | rsv << 4 | opcode]]).1;
                assert_eq!(error, Err(ProtocolError::ReservedBits(rsv)));
                let allowed =
                    decode(&mut Decoder::new(Role::Client).allow_rsv(4), &[&[0x80 | rsv << 4 | opcode]]).1;
                assert_eq!(allowed.is_ok(), rsv == 4 && opcode < 8);
            }
        }
        // RFC 7692 6.1: RSV1 is not allowed on a continuation frame.
        let mut decoder = Decoder::new(Role::Client).allow_rsv(4);
        assert_eq!(decode(&mut decoder, &[&[0x41, 0, 0x40]]).1, Err(ProtocolError::ReservedBits(4)));
    }

    #[test]
    fn s5_4_fragments_out_of_order_fail() {
        let of = |bytes: &[u8]| decode(&mut Decoder::new(Role::Client), &[bytes]).1;
        assert_eq!(of(&[0x80]), Err(ProtocolError::NothingToContinue));
        assert_eq!(of(&[0x00]), Err(ProtocolError::NothingToContinue));
        assert_eq!(of(&[0x01, 0, 0x81]), Err(ProtocolError::MessageInterleaved));
        assert_eq!(of(&[0x01, 0, 0x02]), Err(ProtocolError::MessageInterleaved));
        assert_eq!(of(&[0x01, 0, 0x89, 0, 0x00, 0, 0x80, 0]), Ok(()));
        assert_eq!(of(&[0x01, 0, 0x80, 0, 0x80]), Err(ProtocolError::NothingToContinue));
    }

    #[test]
    fn s5_2_an_error_in_the_first_byte_precedes_one_in_the_second() {
        for (byte, error) in [
            (0x83, ProtocolError::UnknownOpcode(3)),
            (0x09, ProtocolError::ControlFragmented),
            (0x80, ProtocolError::NothingToContinue),
        ] {
            for role in [Role::Server, Role::Client] {
                for second in [0x00, 0x80] {
                    assert_eq!(decode(&mut Decoder::new(role), &[&[byte, second]]).1, Err(error));
                    assert_eq!(decode(&mut Decoder::new(role), &[&[byte], &[second]]).1, Err(error));
                }
            }
        }
    }

    #[test]
    fn s5_2_header_left_returns_the_number_of_missing_bytes() {
        for (role, bytes, left) in [
            (Role::Server, &[][..], 0),
            (Role::Server, &[0x81], 1),
            (Role::Server, &[0x81, 0x85], 4),
            (Role::Server, &[0x81, 0xFE, 1], 5),
            (Role::Server, &[0x81, 0xFF, 0, 0], 10),
            (Role::Client, &[0x81], 1),
            (Role::Client, &[0x81, 0x7E], 2),
            (Role::Client, &[0x81, 0x7E, 1], 1),
            (Role::Client, &[0x81, 0x7F, 0, 0], 6),
        ] {
            let mut decoder = Decoder::new(role);
            assert_eq!(decode(&mut decoder, &[bytes]).1, Ok(()));
            assert_eq!(decoder.header_left(), left, "{bytes:x?}");
        }
        // Bytes that an earlier header left in `partial` must not count for the next header.
        let mut decoder = Decoder::new(Role::Client);
        assert_eq!(decode(&mut decoder, &[&[0x82, 0x7E, 0], &[126], &[0; 126], &[0x81]]).1, Ok(()));
        assert_eq!(decoder.header_left(), 1);
    }

    #[test]
    fn s5_2_the_state_is_known_after_each_byte() {
        // The input is "He", an empty Ping, and "y". The end of a frame is reported with its last byte, even if the
        // payload is empty.
        let (mut decoder, mut ended) = (Decoder::new(Role::Client), 0);
        assert!(decoder.is_between_frames() && !decoder.is_in_message());
        for (byte, between_frames, in_frame, in_message, left, frames) in [
            (0x01, false, false, false, 0, 0),
            (2, false, true, true, 2, 0),
            (b'H', false, true, true, 1, 0),
            (b'e', true, false, true, 0, 1),
            (0x89, false, false, true, 0, 1),
            (0, true, false, true, 0, 2),
            (0x80, false, false, true, 0, 2),
            (1, false, true, false, 1, 2),
            (b'y', true, false, false, 0, 3),
        ] {
            let mut input = &mut [byte][..];
            while let Some(item) = decoder.decode(&mut input).unwrap() {
                ended += u32::from(matches!(item, Item::Payload { end: true, .. }));
            }
            assert_eq!((decoder.is_between_frames(), decoder.is_in_frame()), (between_frames, in_frame));
            assert_eq!((decoder.is_in_message(), decoder.payload_left()), (in_message, left));
            assert_eq!(ended, frames);
        }
    }
}
