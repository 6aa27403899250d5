//! Frames out of a byte stream that may be cut anywhere.

use super::{Header, MAX_HEADER_LEN, Mask, Opcode, Role};
use crate::error::ProtocolError;

/// One step of a [`Decoder`].
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A frame begins.
    Header(Header),
    /// A piece of its payload, unmasked in place. A frame with an empty payload has one empty piece.
    Payload {
        /// The bytes, as they were before they were masked.
        data: &'a mut [u8],
        /// Whether the frame ends here.
        end: bool,
    },
}

/// Walks a byte stream frame by frame (RFC 6455 section 5), whatever the cuts.
///
/// It enforces what can be judged by frames alone: everything that [`Header::decode`] does, masking
/// by role (5.1), reserved bits (5.2), and that fragments come in order (5.4). It keeps a header of
/// which a part has arrived, 14 bytes at most, and no payload.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// What of the payload has not arrived yet.
    left: u64,
    mask: Mask,
    partial: [u8; MAX_HEADER_LEN],
    partial_len: u8,
    role: Role,
    /// The reserved bits that an extension defines, as in [`Header::rsv`].
    allowed_rsv: u8,
    /// A data message has begun and not ended.
    message_open: bool,
    /// A header was given out, and the end of its payload not yet.
    in_frame: bool,
}

impl Decoder {
    /// A decoder at the start of a stream, for what an endpoint in `role` receives.
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

    /// Lets pass reserved bits that an extension has given a meaning, in the notation of
    /// [`Header::rsv`], on the first frame of a data message. None are allowed otherwise.
    #[must_use]
    pub const fn allow_rsv(mut self, bits: u8) -> Self {
        self.allowed_rsv = bits & 7;
        self
    }

    /// The role this decoder receives in.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Takes the next item off the front of `input`, or all of it and `None` where more is needed.
    ///
    /// # Errors
    ///
    /// A [`ProtocolError`] as soon as the bytes that show it are there; nothing that follows has a
    /// meaning, and the decoder must not be used further.
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

    /// Whether the stream may end here without cutting a frame.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        !self.in_frame && self.partial_len == 0
    }

    /// Whether a fragmented message has begun and not ended.
    #[must_use]
    pub const fn is_in_message(&self) -> bool {
        self.message_open
    }

    /// The bytes of the current frame's payload that have not arrived yet.
    #[must_use]
    pub const fn payload_left(&self) -> u64 {
        self.left
    }

    /// Whether a payload is being received, be it empty.
    pub(crate) const fn is_in_frame(&self) -> bool {
        self.in_frame
    }

    /// What is missing of a header that has begun to arrive, at the least.
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

    /// How many of the next `available` bytes are payload of the current frame.
    #[inline]
    pub(crate) fn payload_in(&self, available: usize) -> usize {
        usize::try_from(self.left).map_or(available, |left| left.min(available))
    }

    /// The mask for the next byte of the payload that is to be unmasked.
    #[inline]
    pub(crate) fn mask_mut(&mut self) -> &mut Mask {
        &mut self.mask
    }

    /// Passes over `len` bytes of the payload, whose mask is advanced by whoever unmasks them; whether the frame ends.
    #[inline]
    pub(crate) fn consume(&mut self, len: usize) -> bool {
        self.left = self.left.saturating_sub(len as u64);
        self.in_frame = self.left > 0;
        !self.in_frame
    }

    /// Counts `len` bytes of payload as taken in, and leaves the frame open: [`Self::consume`] ends it.
    #[cfg(feature = "deflate")]
    pub(crate) fn pass(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len as u64);
    }

    /// Takes a header, or the part of one that is there, off the front of `input`: the bytes used, and
    /// the header if it is whole.
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

    /// As [`Self::header`], where earlier input ended inside the header or this one does.
    #[cold]
    fn partial_header(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), ProtocolError> {
        let have = usize::from(self.partial_len);
        let room = self.partial.get_mut(have..).unwrap_or_default();
        let taken = room.len().min(input.len());
        for (to, from) in room.iter_mut().zip(input) {
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
                // A header of 14 bytes is whole, so a partial one fits.
                self.partial_len = u8::try_from(have + taken).unwrap_or(u8::MAX);
                Ok((taken, None))
            }
        }
    }

    /// Judges the first two bytes by what this end expects, as soon as they are there.
    #[inline]
    fn check_start(&self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(()) };
        let rsv = first >> 4 & 7;
        // Unknown opcodes are Header::decode's to refuse.
        let opcode = Opcode::from_bits(first);
        // RFC 6455 5.2: reserved bits must be 0 unless an extension defines a meaning for them. RFC 7692
        // 6.1 defines RSV1 on the first frame of a data message alone.
        let may_carry_rsv = matches!(opcode, Some(Opcode::Text | Opcode::Binary));
        if rsv & !(if may_carry_rsv { self.allowed_rsv } else { 0 }) != 0 {
            return Err(reserved_bits(first));
        }
        match opcode {
            // RFC 6455 5.4: a continuation frame continues a message that is open ...
            Some(Opcode::Continuation) if !self.message_open => return Err(ProtocolError::NothingToContinue),
            // ... and the fragments of one message must not be interleaved with those of another.
            Some(Opcode::Text | Opcode::Binary) if self.message_open => {
                return Err(ProtocolError::MessageInterleaved);
            }
            // What Header::decode finds in the first byte comes before what the second shows.
            None => return Ok(()),
            Some(opcode) if opcode.is_control() && first & 0x80 == 0 => return Ok(()),
            Some(_) => {}
        }
        let Some(second) = bytes.get(1) else { return Ok(()) };
        // RFC 6455 5.1: a server closes the connection upon a frame that is not masked, a client upon
        // one that is.
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => Err(ProtocolError::NotMasked),
            (Role::Client, true) => Err(ProtocolError::Masked),
            _ => Ok(()),
        }
    }

    /// A frame begins.
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

/// The violation of a first byte whose reserved bits are wrong.
#[cold]
const fn reserved_bits(first: u8) -> ProtocolError {
    match first {
        // RSV1 alone, on a fragment of data: so a message begins that is compressed without an agreement (RFC 7692 6.1).
        // In ASCII these are `@`, `A` and `B`, with which no HTTP response begins.
        0x40..=0x42 => ProtocolError::ReservedBits(4),
        // Every other printable character has reserved bits that no extension in use sets, and no FIN.
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
    fn every_two_way_split_gives_the_same_frames() {
        // "Hel" + Ping "p" + "lo", then 200 bytes of binary, all masked.
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
    fn s5_1_masking_goes_by_role_and_fails_with_the_second_byte() {
        let of = |role, bytes: &[u8]| decode(&mut Decoder::new(role), &[bytes]).1;
        // Whole messages, first fragments, and control frames.
        for first in [0x81, 0x82, 0x01, 0x02, 0x88, 0x89, 0x8A] {
            assert_eq!(of(Role::Server, &[first, 0x05]), Err(ProtocolError::NotMasked));
            assert_eq!(of(Role::Client, &[first, 0x85]), Err(ProtocolError::Masked));
            assert_eq!(of(Role::Server, &[first, 0x85]), Ok(()));
            assert_eq!(of(Role::Client, &[first, 0x05]), Ok(()));
        }
    }

    #[test]
    fn s5_2_reserved_bits_fail_unless_defined() {
        for rsv in 1..8u8 {
            for opcode in [1, 2, 8, 9, 10] {
                let error = decode(&mut Decoder::new(Role::Client), &[&[0x80 | rsv << 4 | opcode]]).1;
                assert_eq!(error, Err(ProtocolError::ReservedBits(rsv)));
                let allowed =
                    decode(&mut Decoder::new(Role::Client).allow_rsv(4), &[&[0x80 | rsv << 4 | opcode]]).1;
                assert_eq!(allowed.is_ok(), rsv == 4 && opcode < 8);
            }
        }
        // RFC 7692 6.1: not on a continuation.
        let mut decoder = Decoder::new(Role::Client).allow_rsv(4);
        assert_eq!(decode(&mut decoder, &[&[0x41, 0, 0x40]]).1, Err(ProtocolError::ReservedBits(4)));
    }

    #[test]
    fn s5_4_fragments_come_in_order() {
        let of = |bytes: &[u8]| decode(&mut Decoder::new(Role::Client), &[bytes]).1;
        assert_eq!(of(&[0x80]), Err(ProtocolError::NothingToContinue));
        assert_eq!(of(&[0x00]), Err(ProtocolError::NothingToContinue));
        assert_eq!(of(&[0x01, 0, 0x81]), Err(ProtocolError::MessageInterleaved));
        assert_eq!(of(&[0x01, 0, 0x02]), Err(ProtocolError::MessageInterleaved));
        assert_eq!(of(&[0x01, 0, 0x89, 0, 0x00, 0, 0x80, 0]), Ok(()));
        assert_eq!(of(&[0x01, 0, 0x80, 0, 0x80]), Err(ProtocolError::NothingToContinue));
    }

    #[test]
    fn the_first_byte_is_judged_before_the_second() {
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
    fn the_missing_part_of_a_header_is_known() {
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
        // What an earlier header left behind says nothing of the next.
        let mut decoder = Decoder::new(Role::Client);
        assert_eq!(decode(&mut decoder, &[&[0x82, 0x7E, 0], &[126], &[0; 126], &[0x81]]).1, Ok(()));
        assert_eq!(decoder.header_left(), 1);
    }

    #[test]
    fn s5_2_where_the_stream_stands_is_known_after_each_byte() {
        // "He", an empty Ping, "y". The end of a frame is told at once, be it empty.
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
