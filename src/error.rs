//! The two errors of a connection: violations by the peer, and refused calls.
//!
//! - [`ProtocolError`] means that the peer broke a rule. The connection fails with a close code.
//! - [`SendError`] means that the caller passed a message or frame that cannot be sent now. The connection is
//!   unchanged.
//!
//! Invariant: each [`ProtocolError`] returns the section of the RFC and the close code for its rule. `tests/words.rs`
//! checks the texts of all errors.

use core::fmt;

/// A rule of the protocol that the peer violated.
///
/// When a [`Connection`](crate::Connection) returns this error, it has already queued a Close frame with
/// [`close_code`], unless an earlier Close of this endpoint is sent instead. Further input is discarded. Write the
/// queued bytes, and poll until the connection has ended. Log the error. The connection cannot be used further.
///
/// [`close_code`]: Self::close_code
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Reserved bits are set that no extension defines. The value has the notation of
    /// [`Header::rsv`](crate::frame::Header::rsv).
    ReservedBits(u8),
    /// The first byte of a frame is printable ASCII, for example the `H` of `HTTP/1.1`. In a frame, this byte
    /// would set reserved bits that no extension defines.
    ///
    /// The peer probably sends HTTP. For example, the handler of a server fails after the response with status 101, and
    /// the server writes an HTTP response as well. So look for the mistake in the log of the peer or in the bytes that
    /// the peer sent, not in this endpoint.
    NotAFrame(u8),
    /// The opcode is reserved.
    UnknownOpcode(u8),
    /// A server received a frame that is not masked.
    NotMasked,
    /// A client received a frame that is masked.
    Masked,
    /// A payload length is not encoded in the minimal number of bytes.
    LengthNotMinimal,
    /// The top bit of a 64-bit payload length is set.
    LengthTopBit,
    /// A control frame is fragmented: its FIN bit is not set.
    ControlFragmented,
    /// A control frame has more than [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD) bytes of
    /// payload.
    ControlTooLong,
    /// A continuation frame arrived while no message was open.
    NothingToContinue,
    /// A message began while another message was open.
    MessageInterleaved,
    /// A text message is not UTF-8.
    InvalidUtf8,
    /// The body of a Close frame is a single byte.
    CloseBodyOfOneByte,
    /// A Close frame has a code that must not be sent.
    CloseCodeNotAllowed(u16),
    /// The reason of a Close frame is not UTF-8.
    CloseReasonNotUtf8,
    /// A frame announces more than [`Config::max_frame`](crate::Config::max_frame) bytes of payload.
    FrameTooBig,
    /// A message has more than [`Config::max_message`](crate::Config::max_message) bytes.
    MessageTooBig,
    /// A message has more than [`Config::max_fragments`](crate::Config::max_fragments) fragments.
    TooManyFragments,
    /// A compressed message cannot be inflated, or does not end at the end of a block (RFC 7692).
    InvalidDeflate,
    /// A text message arrived, and [`Delivery::Bytes`](crate::Delivery::Bytes) accepts only binary messages.
    TextNotAccepted,
}

impl ProtocolError {
    /// Returns the [`close_code`](Self::close_code) as a number.
    pub(crate) const fn close_code_number(self) -> u16 {
        match self {
            // RFC 6455 7.4.1: 1007 is for data that is not consistent with its type. Neither RFC names a code
            // for data that cannot be inflated.
            Self::InvalidUtf8 | Self::CloseReasonNotUtf8 | Self::InvalidDeflate => 1007,
            Self::FrameTooBig | Self::MessageTooBig => 1009,
            Self::TooManyFragments => 1008,
            // RFC 6455 7.4.1: 1003 is for a type of data that the endpoint cannot accept.
            Self::TextNotAccepted => 1003,
            _ => 1002,
        }
    }

    /// Returns the number of the RFC that contains the rule: 6455, or 7692 for compressed messages.
    #[must_use]
    pub const fn rfc(self) -> u16 {
        if matches!(self, Self::InvalidDeflate) { 7692 } else { 6455 }
    }

    /// Returns the section that contains the rule, in the RFC that [`rfc`](Self::rfc) returns.
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
            Self::TextNotAccepted => "7.4.1",
        }
    }

    /// Returns a short description of the violation. It is also sent as the reason of the Close frame.
    pub(crate) const fn summary(self) -> &'static str {
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
            Self::TextNotAccepted => "a text message arrived where only binary messages are accepted",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The receiver chooses its limits. So the peer did not break a rule that it could know.
            Self::FrameTooBig | Self::MessageTooBig | Self::TooManyFragments => {
                write!(
                    f,
                    "the peer exceeded a configured limit (RFC 6455 section 10.4): {}",
                    self.summary()
                )?;
            }
            Self::TextNotAccepted => {
                write!(f, "{} (RFC 6455 section 7.4.1): the peer must send binary messages", self.summary())?;
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
        write!(f, "; the connection is failed with close code {}", self.close_code_number())
    }
}

impl core::error::Error for ProtocolError {}

/// The reason why a connection refused a message or a control frame. Nothing was sent, and the connection is unchanged.
///
/// If several reasons apply, the call returns the first in this order:
///
/// 1. [`Closed`](Self::Closed), which is final.
/// 2. A mistake in the call: [`MessageOpen`](Self::MessageOpen), [`ControlTooLong`](Self::ControlTooLong),
///    [`CodeNotAllowed`](Self::CodeNotAllowed), [`ReasonTooLong`](Self::ReasonTooLong) or
///    [`TooLarge`](Self::TooLarge).
/// 3. [`Blocked`](Self::Blocked), which is temporary.
///
/// The adapters also return [`Closed`](Self::Closed) for a message that was accepted, but dropped later because the
/// connection closed. See their `Error::Send`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The write queue is full. Write queued bytes, wait for [`Event::Writable`](crate::Event::Writable), and send
    /// again.
    Blocked,
    /// The frame is larger than the memory of the write queue. Send the message in fragments.
    TooLarge,
    /// Closing has begun, or the connection has ended (RFC 6455 section 5.5.1). Nothing more can be sent.
    Closed,
    /// A fragmented message is open (RFC 6455 section 5.4). Send its last fragment first.
    MessageOpen,
    /// The payload of a Ping or Pong is longer than
    /// [`MAX_CONTROL_PAYLOAD`](crate::frame::MAX_CONTROL_PAYLOAD) bytes (RFC 6455 section 5.5).
    ControlTooLong,
    /// The close reason is longer than [`CloseReason::MAX_LEN`](crate::CloseReason::MAX_LEN) bytes (RFC 6455
    /// section 5.5). [`CloseReason::truncated`](crate::CloseReason::truncated) shortens it.
    ReasonTooLong,
    /// This role must not send the close code, or a reason was given without a code (RFC 6455 section 7.4).
    /// [`CloseCode::is_sendable_by`](crate::CloseCode::is_sendable_by) returns whether a code can be sent.
    CodeNotAllowed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "the write queue is full: write, and send again when the connection is writable",
            Self::TooLarge => "the frame is larger than the output memory: send the message in fragments",
            Self::Closed => {
                "the connection is closing or closed (RFC 6455 5.5.1): open a new connection to send more"
            }
            Self::MessageOpen => {
                "a fragmented message is open (RFC 6455 5.4): finish it before sending another one"
            }
            Self::ControlTooLong => {
                "the payload of the ping or pong has more than 125 bytes (RFC 6455 5.5): shorten it"
            }
            Self::ReasonTooLong => "the close reason has more than 123 bytes (RFC 6455 5.5): shorten it",
            Self::CodeNotAllowed => {
                "this role must not send the close code, or a reason has no code (RFC 6455 7.4): \
                 use 1000, 1001, 1003, 1007 to 1009, 1011 to 1014, or 3000 to 4999"
            }
        })
    }
}

impl core::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCode;
    use std::string::ToString;

    #[test]
    fn an_error_names_its_rule_section_and_close_code() {
        assert_eq!(
            ProtocolError::UnknownOpcode(11).to_string(),
            "the peer broke RFC 6455 section 5.2: unknown opcode (0xb); the connection is failed with close code 1002"
        );
        assert_eq!(ProtocolError::TooManyFragments.close_code(), CloseCode::POLICY_VIOLATION);
        assert_eq!(ProtocolError::CloseReasonNotUtf8.close_code(), CloseCode::INVALID_PAYLOAD);
    }
}
