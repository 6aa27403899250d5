//! The opcode: the four bits of a header that give the type of the frame (RFC 6455 section 5.2).

/// The type of a frame (RFC 6455 sections 5.2 and 11.8).
///
/// The reserved values 3 to 7 and 11 to 15 have no variant. A frame with a reserved value fails the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of the open message (0x0).
    Continuation = 0x0,
    /// The first or only fragment of a text message (0x1).
    Text = 0x1,
    /// The first or only fragment of a binary message (0x2).
    Binary = 0x2,
    /// A Close frame (0x8).
    Close = 0x8,
    /// A Ping, which the receiver answers with a Pong of the same payload (0x9).
    Ping = 0x9,
    /// A Pong, which answers a Ping or is unsolicited (0xA).
    Pong = 0xA,
}

impl Opcode {
    /// Returns the opcode in the low four bits of `bits`, or `None` if the value is reserved.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0x0F {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// Returns the four bits of the opcode, as they appear in a header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Returns whether this is the opcode of a control frame: Close, Ping or Pong (RFC 6455 section 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_2_six_opcodes_are_defined_and_ten_are_reserved() {
        let known: std::vec::Vec<u8> = (0..16).filter(|&b| Opcode::from_bits(b).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 8, 9, 10]);
        for bits in known {
            let opcode = Opcode::from_bits(bits).unwrap();
            assert_eq!(opcode.bits(), bits);
            assert_eq!(opcode.is_control(), bits >= 8);
        }
    }
}
