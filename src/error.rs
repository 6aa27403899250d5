//! What a peer can do wrong, and what a caller can ask for that cannot be done.

use core::fmt;

use crate::close::{CloseCode, CloseReason};
use crate::frame::EncodeError;

/// A rule of the protocol that the peer has broken.
///
/// A [`Machine`](crate::Machine) that returns one has already queued a Close frame with [`close_code`]
/// and handles no further input: what is left is to write what is queued and to let it end. Log the error; there is nothing to
/// retry on this connection.
///
/// [`close_code`]: Self::close_code
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Reserved bits that no extension has given a meaning, as in [`Header::rsv`](crate::frame::Header::rsv).
    ReservedBits(u8),
    /// A byte of printable ASCII where a frame should begin, such as the `H` of `HTTP/1.1`. Its reserved bits are set.
    ///
    /// The peer most likely speaks HTTP: servers write such a response behind the 101 when their handler has failed or
    /// returned. Look at the peer's log, or at the bytes that it sent, not at this end.
    NotAFrame(u8),
    /// A reserved opcode.
    UnknownOpcode(u8),
    /// A server received a frame that is not masked.
    NotMasked,
    /// A client received a frame that is masked.
    Masked,
    /// A length that is not written in the fewest bytes.
    LengthNotMinimal,
    /// A 64-bit length whose top bit is set.
    LengthTopBit,
    /// A control frame without FIN.
    ControlFragmented,
    /// A control frame with more than 125 bytes of payload.
    ControlTooLong,
    /// A continuation frame, but no message is open.
    NothingToContinue,
    /// A message begins while another is open.
    MessageInterleaved,
    /// A text message that is not UTF-8.
    InvalidUtf8,
    /// A Close frame whose body is a single byte.
    CloseBodyOfOneByte,
    /// A Close frame with a code that must not be sent.
    CloseCodeNotAllowed(u16),
    /// A Close frame whose reason is not UTF-8.
    CloseReasonNotUtf8,
    /// A frame announces more than [`Config::max_frame`](crate::Config::max_frame) bytes of payload.
    FrameTooBig,
    /// A message has more than [`Config::max_message`](crate::Config::max_message) bytes.
    MessageTooBig,
    /// A message has more than [`Config::max_fragments`](crate::Config::max_fragments) fragments.
    TooManyFragments,
    /// A compressed message that cannot be inflated, or that does not end where a block ends (RFC 7692).
    InvalidDeflate,
}

impl ProtocolError {
    /// The code of the Close frame that goes out (RFC 6455 section 7.4.1): 1002, 1007, 1008 or 1009.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            // For data that is no DEFLATE the RFCs name none; this one says that the data is at fault.
            Self::InvalidUtf8 | Self::CloseReasonNotUtf8 | Self::InvalidDeflate => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The number of the RFC that holds the rule: 6455, or 7692 for compressed messages.
    #[must_use]
    pub const fn rfc(self) -> u16 {
        if matches!(self, Self::InvalidDeflate) { 7692 } else { 6455 }
    }

    /// The section of that RFC.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::ReservedBits(_)
            | Self::NotAFrame(_)
            | Self::UnknownOpcode(_)
            | Self::LengthNotMinimal
            | Self::LengthTopBit => "5.2",
            Self::NotMasked | Self::Masked => "5.1",
            Self::ControlFragmented | Self::ControlTooLong => "5.5",
            Self::NothingToContinue | Self::MessageInterleaved => "5.4",
            Self::InvalidUtf8 => "8.1",
            Self::InvalidDeflate => "7.2.2",
            Self::CloseBodyOfOneByte | Self::CloseReasonNotUtf8 => "5.5.1",
            Self::CloseCodeNotAllowed(_) => "7.4",
            Self::FrameTooBig | Self::MessageTooBig | Self::TooManyFragments => "10.4",
        }
    }

    /// The reason of the Close frame that goes out.
    pub(crate) fn close_reason(self) -> CloseReason {
        match self {
            // The peer's developer sees no more than this text, and may not know which code was sent.
            Self::CloseCodeNotAllowed(code) => {
                CloseReason::format(format_args!("close code {code} must not be sent"))
            }
            _ => CloseReason::truncated(self.summary()),
        }
    }

    /// A sentence about what the peer did, short enough for the reason of a Close frame.
    const fn summary(self) -> &'static str {
        match self {
            Self::ReservedBits(_) => "reserved bits are set that no extension defines",
            Self::NotAFrame(_) => "plain text where a frame should begin",
            Self::UnknownOpcode(_) => "unknown opcode",
            Self::NotMasked => "a frame from a client must be masked",
            Self::Masked => "a frame from a server must not be masked",
            Self::LengthNotMinimal => "payload length not in its minimal form",
            Self::LengthTopBit => "payload length of more than 63 bits",
            Self::ControlFragmented => "fragmented control frame",
            Self::ControlTooLong => "control frame with more than 125 bytes",
            Self::NothingToContinue => "continuation without a message",
            Self::MessageInterleaved => "new message inside a fragmented one",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::CloseBodyOfOneByte => "close frame with a body of one byte",
            Self::CloseCodeNotAllowed(_) => "close code must not be sent",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::FrameTooBig => "frame over the size limit",
            Self::MessageTooBig => "message over the size limit",
            Self::TooManyFragments => "message of too many fragments",
            Self::InvalidDeflate => "compressed data is not valid",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What the RFC lets a receiver set, the peer cannot know.
            Self::FrameTooBig | Self::MessageTooBig | Self::TooManyFragments => {
                write!(
                    f,
                    "the peer went over what is allowed here (RFC 6455 section 10.4): {}",
                    self.summary()
                )?;
            }
            _ => {
                let (rfc, section) = (self.rfc(), self.section());
                write!(f, "the peer broke RFC {rfc} section {section}: {}", self.summary())?;
            }
        }
        match self {
            Self::ReservedBits(bits) => write!(f, " ({bits:03b})")?,
            Self::NotAFrame(byte) => {
                write!(f, " ({:?}): the peer seems to speak HTTP", char::from(*byte))?;
            }
            Self::UnknownOpcode(opcode) => write!(f, " ({opcode:#x})")?,
            Self::CloseCodeNotAllowed(code) => write!(f, " ({code})")?,
            _ => {}
        }
        write!(f, "; the connection is failed with close code {}", self.close_code())
    }
}

impl core::error::Error for ProtocolError {}

/// Why a connection refused a message or a control frame. Nothing of a refused one is sent, and nothing else has changed.
///
/// Where several reasons hold, the call gives the first of these: [`Closed`](Self::Closed), which is final; a mistake in
/// the call ([`MessageOpen`](Self::MessageOpen), [`ControlTooLong`](Self::ControlTooLong),
/// [`CodeNotAllowed`](Self::CodeNotAllowed), [`ReasonTooLong`](Self::ReasonTooLong), [`TooLarge`](Self::TooLarge));
/// [`Blocked`](Self::Blocked), which passes.
///
/// Calls of the asynchronous adapters also return [`Closed`](Self::Closed) for messages that were accepted, and then
/// dropped because the connection closed: see their `Error::Send`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// As much waits to be written as the configuration allows. Write, wait for
    /// [`Event::Writable`](crate::Event::Writable), and send again.
    Blocked,
    /// The frame is larger than the memory lent for output will ever hold. Send it in fragments.
    TooLarge,
    /// Closing has begun, or the connection has ended (RFC 6455 section 5.5.1). Nothing can be sent any
    /// more.
    Closed,
    /// A fragmented message is open (RFC 6455 section 5.4). Finish it first.
    MessageOpen,
    /// A Ping or Pong has at most 125 bytes (RFC 6455 section 5.5).
    ControlTooLong,
    /// A close reason has at most 123 bytes (RFC 6455 section 5.5).
    /// [`CloseReason::truncated`](crate::CloseReason::truncated) cuts one.
    ReasonTooLong,
    /// The code must not be sent, or it is 1010, which only clients send (RFC 6455 section 7.4); or a reason came
    /// without a code. [`CloseCode::is_sendable_by`] tells which codes can be sent.
    CodeNotAllowed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => {
                "too much waits to be written: write, and send again when the connection is writable"
            }
            Self::TooLarge => "the frame is larger than the memory for output: send it in fragments",
            Self::Closed => {
                "the connection is closing or closed: nothing can be sent any more (RFC 6455 5.5.1)"
            }
            Self::MessageOpen => "a fragmented message is open: finish it before another one (RFC 6455 5.4)",
            Self::ControlTooLong => "a ping or pong has at most 125 bytes of payload (RFC 6455 5.5)",
            Self::ReasonTooLong => "a close reason has at most 123 bytes (RFC 6455 5.5)",
            Self::CodeNotAllowed => {
                "this close code must not be sent by this role, or a reason without one: \
                 use 1000, 1001, 1003, 1007 to 1009, 1011 to 1014, or 3000 to 4999 (RFC 6455 7.4)"
            }
        })
    }
}

impl core::error::Error for SendError {}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::MessageOpen | EncodeError::NoMessageOpen => Self::MessageOpen,
            EncodeError::ControlFrame => Self::ControlTooLong,
            EncodeError::NoRoom | EncodeError::TooLong => Self::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_error_names_rule_section_and_code() {
        assert_eq!(
            ProtocolError::UnknownOpcode(11).to_string(),
            "the peer broke RFC 6455 section 5.2: unknown opcode (0xb); the connection is failed with close code 1002"
        );
        assert_eq!(ProtocolError::TooManyFragments.close_code(), CloseCode::POLICY_VIOLATION);
        assert_eq!(ProtocolError::CloseReasonNotUtf8.close_code(), CloseCode::INVALID_PAYLOAD);
    }
}
