//! The four bits that say what a frame is (RFC 6455 section 5.2).

/// What a frame is (RFC 6455 sections 5.2 and 11.8). The reserved values 3–7 and 11–15 have no
/// variant: a frame that carries one fails the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message that is open (0x0).
    Continuation = 0x0,
    /// The first or only fragment of a text message (0x1).
    Text = 0x1,
    /// The first or only fragment of a binary message (0x2).
    Binary = 0x2,
    /// The sender closes the connection (0x8).
    Close = 0x8,
    /// Asks for a Pong with the same payload (0x9).
    Ping = 0x9,
    /// Answers a Ping, or comes unasked (0xA).
    Pong = 0xA,
}

impl Opcode {
    /// The opcode in the low four bits of `bits`, or `None` if that value is reserved.
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

    /// The four bits, as they stand in a header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether this is a control frame: Close, Ping or Pong (RFC 6455 section 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_2_six_opcodes_are_known_and_ten_are_not() {
        let known: std::vec::Vec<u8> = (0..16).filter(|&b| Opcode::from_bits(b).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 8, 9, 10]);
        for bits in known {
            let opcode = Opcode::from_bits(bits).unwrap();
            assert_eq!(opcode.bits(), bits);
            assert_eq!(opcode.is_control(), bits >= 8);
        }
    }
}
