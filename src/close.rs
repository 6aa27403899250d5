//! Close codes, close reasons, and the body of a Close frame (RFC 6455 sections 5.5.1 and 7.4).
//!
//! This file decides which codes may be sent and received. It limits the length of a reason, and encodes and decodes
//! the body. The connection decides when a Close is sent or answered.
//!
//! Invariant: a [`CloseReason`] is UTF-8 of at most [`CloseReason::MAX_LEN`] bytes, so the body of a Close
//! frame never exceeds the longest payload of a control frame.

use core::fmt;

use crate::error::ProtocolError;
use crate::frame::MAX_CONTROL_PAYLOAD;
use crate::role::Role;

/// The code that says why a connection is closed (RFC 6455 section 7.4, and the registry of section 11.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled. Sent by either role.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server shuts down, or a browser leaves the page. Sent by either role.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the protocol. Sent by either role.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the endpoint cannot accept this type of data, for example binary instead of text. Sent by either
    /// role.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: a Close without a code was received. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data does not fit its type, for example text that is not UTF-8. Sent by either role.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message violates a policy. Used when no other code fits. Sent by either role.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is too big to process. Sent by either role.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not accept an extension that the client needs. Sent by clients only.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: an unexpected condition prevents the endpoint from fulfilling the request. Sent by either role.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    ///
    /// Sent by either role. The registry does not limit 1012, 1013 and 1014 to servers. A client that is part of a
    /// proxy may have to forward them.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded, and the client should connect again later. Sent by either role.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway received an invalid response from its upstream server. Sent by either role.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// Returns the code with this number. Every number is accepted.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns whether a Close frame with this code is accepted: 1000 to 1003, 1007 to 1014, and 3000 to
    /// 4999.
    ///
    /// RFC 6455 section 7.4.1 forbids 1005, 1006 and 1015 in a frame and reserves 1004. Section 7.4.2
    /// reserves the other codes from 1000 to 2999 for the protocol itself and its extensions. It allows no use of codes
    /// below 1000, and does not define codes from 5000 on.
    #[must_use]
    pub const fn is_receivable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Returns whether an endpoint in `role` may send this code.
    ///
    /// A client may send every code that is [receivable](Self::is_receivable). A server may send all of them
    /// except 1010.
    #[must_use]
    pub const fn is_sendable_by(self, role: Role) -> bool {
        // RFC 6455 7.4.1 on 1010: "this status code is not used by the server, because it can fail the WebSocket
        // handshake instead". The registry (section 11.7) reserves no code for servers.
        let is_for_clients_only = matches!((role, self), (Role::Server, Self::MANDATORY_EXTENSION));
        self.is_receivable() && !is_for_clients_only
    }

    /// Returns the meaning of the code in a few words. For codes from 3000 to 4999, the text names the use of the
    /// range.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no status received",
            1006 => "abnormal closure",
            1007 => "invalid payload data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "mandatory extension missing",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS handshake failed",
            3000..=3999 => "registered by a library or application",
            4000..=4999 => "private use",
            _ => "reserved",
        }
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.meaning())
    }
}

/// The reason in a Close frame: text of at most [`CloseReason::MAX_LEN`] bytes, stored inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CloseReason {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl CloseReason {
    /// The longest reason in bytes: the longest control payload without the two bytes of the code (RFC 6455
    /// section 5.5).
    pub const MAX_LEN: usize = MAX_CONTROL_PAYLOAD - 2;

    /// The empty reason.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; Self::MAX_LEN] };

    /// Returns `text` as a reason, or `None` if it is longer than [`CloseReason::MAX_LEN`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut reason = Self::EMPTY;
        reason.len = u8::try_from(text.len()).ok()?;
        reason.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(reason)
    }

    /// Returns `text` as a reason, shortened to at most [`CloseReason::MAX_LEN`] bytes. The text is cut between two
    /// code points.
    ///
    /// ```
    /// use hybi::CloseReason;
    ///
    /// let long = "é".repeat(70);
    /// assert_eq!(CloseReason::new(&long), None);
    /// assert_eq!(CloseReason::truncated(&long).as_str(), "é".repeat(61));
    /// ```
    #[must_use]
    pub fn truncated(text: &str) -> Self {
        let fits = (0..=text.len().min(Self::MAX_LEN)).rev().find(|&at| text.is_char_boundary(at));
        fits.and_then(|at| text.get(..at)).and_then(Self::new).unwrap_or(Self::EMPTY)
    }

    /// Formats a reason. If a formatted part does not fit, this part and all later parts are omitted.
    pub(crate) fn format(text: fmt::Arguments<'_>) -> Self {
        struct Writer(CloseReason);

        impl fmt::Write for Writer {
            fn write_str(&mut self, part: &str) -> fmt::Result {
                let len = self.0.len;
                let space =
                    self.0.bytes.get_mut(usize::from(len)..).and_then(|space| space.get_mut(..part.len()));
                space.ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
                self.0.len = u8::try_from(part.len()).map_or(len, |more| len.saturating_add(more));
                Ok(())
            }
        }

        let mut writer = Writer(Self::EMPTY);
        let _ = fmt::Write::write_fmt(&mut writer, text);
        writer.0
    }

    /// Returns the text of the reason.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl AsRef<str> for CloseReason {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for CloseReason {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for CloseReason {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The content of a Close frame (RFC 6455 section 5.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseFrame {
    /// The code; `None` if the frame has no body.
    pub code: Option<CloseCode>,
    /// The reason; empty if the frame has no reason.
    pub reason: CloseReason,
}

impl CloseFrame {
    /// A Close frame without a body.
    pub const EMPTY: Self = Self { code: None, reason: CloseReason::EMPTY };

    /// Returns the close code of RFC 6455 section 7.1.5: the frame's code, or 1005 if the frame has no code.
    #[must_use]
    pub fn code_seen(&self) -> CloseCode {
        self.code.unwrap_or(CloseCode::NO_STATUS)
    }

    /// Decodes the body of a received Close frame.
    ///
    /// # Errors
    ///
    /// - [`ProtocolError::CloseBodyOfOneByte`]: the body is a single byte.
    /// - [`ProtocolError::CloseCodeNotAllowed`]: the code must not be sent.
    /// - [`ProtocolError::CloseReasonNotUtf8`]: the reason is not UTF-8.
    /// - [`ProtocolError::ControlTooLong`]: the reason is longer than [`CloseReason::MAX_LEN`] bytes.
    pub fn decode(body: &[u8]) -> Result<Self, ProtocolError> {
        let Some((code, reason)) = body.split_first_chunk() else {
            // RFC 6455 5.5.1: if there is a body, its first two bytes are the code.
            return if body.is_empty() { Ok(Self::EMPTY) } else { Err(ProtocolError::CloseBodyOfOneByte) };
        };
        let code = CloseCode::new(u16::from_be_bytes(*code));
        // RFC 6455 7.4.1: 1005, 1006 and 1015 must not be set in a Close frame.
        if !code.is_receivable() {
            return Err(ProtocolError::CloseCodeNotAllowed(code.get()));
        }
        // RFC 6455 5.5.1: the reason is UTF-8.
        let reason = core::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
        let reason = CloseReason::new(reason).ok_or(ProtocolError::ControlTooLong)?;
        Ok(Self { code: Some(code), reason })
    }

    /// Checks the part of a Close body that has arrived. Decodes the body if it is `whole`, and otherwise returns
    /// `None`.
    ///
    /// The errors are those of [`Self::decode`]. An error of the code is returned when both bytes of the code have
    /// arrived. Invalid UTF-8 is reported as soon as a wrong byte has arrived. The other errors are returned for a
    /// `whole` body.
    pub(crate) fn decode_partial(body: &[u8], whole: bool) -> Result<Option<Self>, ProtocolError> {
        if whole {
            return Self::decode(body).map(Some);
        }
        let Some((code, reason)) = body.split_first_chunk::<2>() else { return Ok(None) };
        Self::decode(code)?;
        match core::str::from_utf8(reason) {
            Err(error) if error.error_len().is_some() => Err(ProtocolError::CloseReasonNotUtf8),
            _ => Ok(None),
        }
    }

    /// Encodes the body of a Close frame and returns its length in bytes.
    pub(crate) fn encode(&self, body: &mut [u8; MAX_CONTROL_PAYLOAD]) -> usize {
        let Some(code) = self.code else { return 0 };
        let reason = self.reason.as_str().as_bytes();
        let bytes = code.get().to_be_bytes().into_iter().chain(reason.iter().copied());
        for (to, from) in body.iter_mut().zip(bytes) {
            *to = from;
        }
        2 + reason.len()
    }
}

impl ProtocolError {
    /// Returns the code of the Close frame that is sent for this error (RFC 6455 section 7.4.1): 1002, 1003,
    /// 1007, 1008 or 1009.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        CloseCode::new(self.close_code_number())
    }

    /// Returns the reason of the Close frame that is sent for this error.
    pub(crate) fn close_reason(self) -> CloseReason {
        match self {
            // The developer of the peer may see only this text, and may not know which code the peer sent. So the text
            // contains the code.
            Self::CloseCodeNotAllowed(code) => {
                CloseReason::format(format_args!("close code {code} must not be sent"))
            }
            _ => CloseReason::truncated(self.summary()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProtocolError;

    #[test]
    fn s7_4_codes_are_receivable_and_sendable_as_registered() {
        for code in 0..=u16::MAX {
            let expected = (1000..=1003).contains(&code)
                || (1007..=1014).contains(&code)
                || (3000..=4999).contains(&code);
            assert_eq!(CloseCode::new(code).is_receivable(), expected, "{code}");
            for role in [Role::Server, Role::Client] {
                // RFC 6455 7.4.1 reserves 1010 for clients. The registry does not limit any other code to a role.
                let sendable = expected && !(role == Role::Server && code == 1010);
                assert_eq!(CloseCode::new(code).is_sendable_by(role), sendable, "{code}");
            }
        }
    }

    #[test]
    fn s5_5_1_bodies_are_decoded_or_refused() {
        assert_eq!(CloseFrame::decode(&[]), Ok(CloseFrame::EMPTY));
        assert_eq!(CloseFrame::EMPTY.code_seen(), CloseCode::NO_STATUS);
        assert_eq!(CloseFrame::decode(&[3]), Err(ProtocolError::CloseBodyOfOneByte));
        assert_eq!(CloseFrame::decode(&[3, 238]), Err(ProtocolError::CloseCodeNotAllowed(1006)));
        assert_eq!(CloseFrame::decode(&[3, 232, 0xFF]), Err(ProtocolError::CloseReasonNotUtf8));
        assert_eq!(CloseFrame::decode(&[3, 232, 0xC3]), Err(ProtocolError::CloseReasonNotUtf8));
        let frame = CloseFrame::decode(b"\x03\xe8bye").unwrap();
        assert_eq!((frame.code_seen(), frame.reason.as_str()), (CloseCode::NORMAL, "bye"));
        let mut body = [0; MAX_CONTROL_PAYLOAD];
        assert_eq!(frame.encode(&mut body), 5);
        assert_eq!(body[..5], *b"\x03\xe8bye");
        assert_eq!(CloseFrame::EMPTY.encode(&mut body), 0);
    }

    #[test]
    fn s5_5_1_a_partial_body_fails_at_the_first_wrong_byte() {
        let fails_with = |body: &[u8]| {
            (0..=body.len()).find(|&len| CloseFrame::decode_partial(&body[..len], false).is_err())
        };
        assert_eq!(fails_with(b"\x03\xeebye"), Some(2));
        assert_eq!(fails_with(b"\x03\xe8by\xffe"), Some(5));
        // An incomplete code point is no error yet. The check fails at the first byte that cannot continue the code
        // point.
        assert_eq!(fails_with(b"\x03\xe8\xe2\x82\xac\xe2\x82"), None);
        assert_eq!(fails_with(b"\x03\xe8\xe2\x82\xac\xe2 "), Some(7));
        let cut = CloseFrame::decode_partial(b"\x03\xe8\xe2\x82", true);
        assert_eq!(cut, Err(ProtocolError::CloseReasonNotUtf8));
    }

    #[test]
    fn s5_5_reasons_have_at_most_123_bytes() {
        let longest = "x".repeat(123);
        assert_eq!(CloseReason::new(&longest).unwrap().as_str(), longest);
        assert_eq!(CloseReason::new(&"x".repeat(124)), None);
        assert_eq!(CloseReason::truncated(&"x".repeat(500)).as_str(), longest);
        // The text is cut between code points. So 41 code points of three bytes remain (123 bytes), or 30 code points
        // of four bytes (120 bytes).
        assert_eq!(CloseReason::truncated(&"€".repeat(60)).as_str(), "€".repeat(41));
        assert_eq!(CloseReason::truncated(&"𝄞".repeat(60)).as_str(), "𝄞".repeat(30));
        assert_eq!(CloseReason::format(format_args!("{}{longest}", "")).as_str(), longest);
        assert_eq!(CloseReason::format(format_args!("{}{longest}", 1)).as_str(), "1");
    }
}
