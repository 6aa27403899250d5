//! Closing (RFC 6455 section 7): codes, reasons, and the negotiation as a table.
//!
//! [`Closing`] is the machine; its table is the whole of its logic:
//!
//! | state \ event | application closes | Close received | violation found | stream ends | time is up |
//! | --- | --- | --- | --- | --- | --- |
//! | **Open** | send Close → Sent | answer Close → Both | send Close → Failed | end, abnormal | end, abnormal |
//! | **Sent** | refuse | → Both | → Failed | end, abnormal | end, timed out |
//! | **Both** | refuse | ignore | ignore | end, clean | end, clean |
//! | **Failed** | refuse | ignore | ignore | end, failed | end, failed |
//! | **Ended** | refuse | ignore | ignore | ignore | ignore |
//!
//! Whoever drives it does two things more: it writes what [`Action`] asks for, and where both Closes are
//! done or the connection has failed, it closes the transport as section 7.1.1 wants: a server at once,
//! after its Close is flushed, by closing its sending half and discarding input until the end; a client
//! when the server has. A deadline bounds both.

use core::fmt;

use crate::frame::{MAX_CONTROL_PAYLOAD, Role};

/// The longest reason, in bytes: a control payload less the code (RFC 6455 section 5.5).
pub const MAX_REASON_LEN: usize = MAX_CONTROL_PAYLOAD - 2;

/// Why a connection was closed (RFC 6455 section 7.4, and the registry that section 11.7 opened).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled. Either side.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server goes down, or a browser leaves the page. Either side.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol. Either side.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a type of data that the endpoint cannot accept, as binary where it wants text. Either side.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: a Close without a code was received. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit its type, as text that is not UTF-8. Either side.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the message violates a policy; the code for want of a better one. Either side.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process. Either side.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not agree to an extension that the client needs. Clients alone.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: something unexpected keeps the endpoint from fulfilling the request. Either side.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts. Either side: the registry ties this code, 1013 and 1014 to no role, and a client
    /// that is one end of a bridge passes them on.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; come back later. Either side.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from its upstream. Either side.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never on the wire.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// The code with that number, whatever it is.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a Close frame that carries this code is accepted: 1000–1003, 1007–1014 and 3000–4999.
    ///
    /// RFC 6455 section 7.4.1 keeps 1005, 1006 and 1015 off the wire and reserves 1004; the other codes
    /// below 3000 belong to protocols yet to be written, and those below 1000 and from 5000 on to nobody
    /// (section 7.4.2).
    #[must_use]
    pub const fn is_receivable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Returns whether an endpoint in `role` may send this code: a client sends every code that is
    /// [receivable](Self::is_receivable), a server every one but 1010.
    #[must_use]
    pub const fn is_sendable_by(self, role: Role) -> bool {
        // RFC 6455 7.4.1: "this status code is not used by the server, because it can fail the WebSocket handshake
        // instead". The registry (section 11.7) reserves no code for servers.
        let is_other_roles = matches!((role, self), (Role::Server, Self::MANDATORY_EXTENSION));
        self.is_receivable() && !is_other_roles
    }

    /// What the code means, in a few words; for 3000–3999 and 4000–4999, whose it is.
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

/// The reason in a Close frame: text of at most [`MAX_REASON_LEN`] bytes, by value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CloseReason {
    len: u8,
    bytes: [u8; MAX_REASON_LEN],
}

impl CloseReason {
    /// No reason.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; MAX_REASON_LEN] };

    /// The reason `text`, or `None` if it is longer than [`MAX_REASON_LEN`] bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut reason = Self::EMPTY;
        reason.len = u8::try_from(text.len()).ok()?;
        reason.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(reason)
    }

    /// As much of `text` as fits, cut between two code points.
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
        let fits = (0..=text.len().min(MAX_REASON_LEN)).rev().find(|&at| text.is_char_boundary(at));
        fits.and_then(|at| text.get(..at)).and_then(Self::new).unwrap_or(Self::EMPTY)
    }

    /// Formats a reason. The parts of `text` from the first one that does not fit are left out.
    pub(crate) fn format(text: fmt::Arguments<'_>) -> Self {
        struct Writer(CloseReason);

        impl fmt::Write for Writer {
            fn write_str(&mut self, part: &str) -> fmt::Result {
                let len = self.0.len;
                let room =
                    self.0.bytes.get_mut(usize::from(len)..).and_then(|room| room.get_mut(..part.len()));
                room.ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
                self.0.len = u8::try_from(part.len()).map_or(len, |more| len.saturating_add(more));
                Ok(())
            }
        }

        let mut writer = Writer(Self::EMPTY);
        let _ = fmt::Write::write_fmt(&mut writer, text);
        writer.0
    }

    /// The text.
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

/// What a Close frame says (RFC 6455 section 5.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseFrame {
    /// The code; `None` where the frame has no body.
    pub code: Option<CloseCode>,
    /// The reason; empty where there is none.
    pub reason: CloseReason,
}

impl CloseFrame {
    /// A Close frame without a body.
    pub const EMPTY: Self = Self { code: None, reason: CloseReason::EMPTY };

    /// The code as RFC 6455 section 7.1.5 defines it: 1005 where the frame had none.
    #[must_use]
    pub fn code_seen(&self) -> CloseCode {
        self.code.unwrap_or(CloseCode::NO_STATUS)
    }

    /// Reads the body of a received Close frame.
    ///
    /// # Errors
    ///
    /// The rule that the body breaks: a single byte, a code that must not be sent, or a reason that is not
    /// UTF-8.
    pub fn decode(body: &[u8]) -> Result<Self, crate::ProtocolError> {
        let Some((code, reason)) = body.split_first_chunk() else {
            // RFC 6455 5.5.1: if there is a body, its first two bytes are the code.
            return if body.is_empty() {
                Ok(Self::EMPTY)
            } else {
                Err(crate::ProtocolError::CloseBodyOfOneByte)
            };
        };
        let code = CloseCode::new(u16::from_be_bytes(*code));
        // RFC 6455 7.4.1: 1005, 1006 and 1015 must not be set in a Close frame.
        if !code.is_receivable() {
            return Err(crate::ProtocolError::CloseCodeNotAllowed(code.get()));
        }
        // RFC 6455 5.5.1: the reason is UTF-8.
        let reason = core::str::from_utf8(reason).map_err(|_| crate::ProtocolError::CloseReasonNotUtf8)?;
        let reason = CloseReason::new(reason).ok_or(crate::ProtocolError::ControlTooLong)?;
        Ok(Self { code: Some(code), reason })
    }

    /// As [`Self::decode`], of a body that has arrived in part unless it is `whole`: fails with the first
    /// byte that shows it, and gives the frame at the end.
    pub(crate) fn decode_partial(body: &[u8], whole: bool) -> Result<Option<Self>, crate::ProtocolError> {
        if whole {
            return Self::decode(body).map(Some);
        }
        let Some((code, reason)) = body.split_first_chunk::<2>() else { return Ok(None) };
        Self::decode(code)?;
        match core::str::from_utf8(reason) {
            Err(error) if error.error_len().is_some() => Err(crate::ProtocolError::CloseReasonNotUtf8),
            _ => Ok(None),
        }
    }

    /// Writes the body of a Close frame and gives its length.
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

/// How far the closing of a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// No Close was sent or received.
    #[default]
    Open,
    /// A Close was sent, none received: data may still come in (RFC 6455 section 7.1.3).
    Sent,
    /// Closes were sent and received: the closing handshake is done (7.1.4).
    Both,
    /// The peer broke the protocol: what it sends is not looked at any more (7.1.7).
    Failed,
    /// The stream has ended.
    Ended,
}

/// What moves [`Closing`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The application closes.
    Close,
    /// A valid Close frame came in.
    Received,
    /// The peer broke a rule, or is held to be dead.
    Violation,
    /// The stream ended: end of file or reset.
    Eof,
    /// The time allowed for closing is over.
    Timeout,
}

/// What is to be done about an [`Event`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Ignore,
    /// Refuse it: closing has begun already.
    Refuse,
    /// Send a Close behind what was accepted before.
    SendClose,
    /// Send a Close in response to the peer's.
    AnswerClose,
    /// Send a Close that names the rule, and look at no more input.
    SendFailure,
    /// A Close is out already: look at no more input.
    StopReading,
    /// The connection has ended.
    End(Ending),
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// After Closes in both directions.
    Clean,
    /// Without a Close from the peer.
    Abnormal,
    /// After the peer broke the protocol.
    Failed,
    /// The peer did not answer the Close in time.
    TimedOut,
}

/// The closing handshake as a machine (RFC 6455 section 7). See the table at the [module](self).
///
/// ```
/// use hybi::close::{Action, Closing, Ending, Event, State};
///
/// let mut closing = Closing::default();
/// assert_eq!(closing.handle(Event::Close), Action::SendClose);
/// // The peer closed at the same time: both are done, and no third Close is sent.
/// assert_eq!(closing.handle(Event::Received), Action::Ignore);
/// assert_eq!(closing.state(), State::Both);
/// assert_eq!(closing.handle(Event::Eof), Action::End(Ending::Clean));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Closing(State);

impl Closing {
    /// How far it has come.
    #[must_use]
    pub const fn state(self) -> State {
        self.0
    }

    /// Moves on, and says what is to be done.
    pub const fn handle(&mut self, event: Event) -> Action {
        let (next, action) = transition(self.0, event);
        self.0 = next;
        action
    }
}

/// The table. Rows are states, the events in each are in one order.
#[rustfmt::skip]
const fn transition(state: State, event: Event) -> (State, Action) {
    use Action::{AnswerClose, End, Ignore, Refuse, SendClose, SendFailure, StopReading};
    use Ending::{Abnormal, Clean, TimedOut};
    use Event::{Close, Eof, Received, Timeout, Violation};
    use State::{Both, Ended, Failed, Open, Sent};
    match (state, event) {
        (Open, Close)         => (Sent, SendClose),
        // RFC 6455 5.5.1: an endpoint that receives a Close and has sent none sends one in response.
        (Open, Received)      => (Both, AnswerClose),
        // RFC 6455 7.1.7: to fail the connection, an endpoint should send a Close with a fitting code.
        (Open, Violation)     => (Failed, SendFailure),
        // RFC 6455 7.1.5: no Close was received: the code is 1006.
        (Open, Eof | Timeout) => (Ended, End(Abnormal)),

        // RFC 6455 5.5.1: a Close is sent once.
        (Sent, Close)         => (Sent, Refuse),
        (Sent, Received)      => (Both, Ignore),
        (Sent, Violation)     => (Failed, StopReading),
        (Sent, Eof)           => (Ended, End(Abnormal)),
        (Sent, Timeout)       => (Ended, End(TimedOut)),

        (Both, Close)         => (Both, Refuse),
        // RFC 6455 1.4: what follows a received Close is discarded.
        (Both, Received | Violation) => (Both, Ignore),
        (Both, Eof | Timeout) => (Ended, End(Clean)),

        (Failed, Close)       => (Failed, Refuse),
        // RFC 6455 7.1.7: after failing, nothing the peer sends is processed, a Close included.
        (Failed, Received | Violation) => (Failed, Ignore),
        (Failed, Eof | Timeout) => (Ended, End(Ending::Failed)),

        (Ended, Close)        => (Ended, Refuse),
        (Ended, _)            => (Ended, Ignore),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProtocolError;

    #[test]
    fn s7_4_codes_that_may_be_received() {
        for code in 0..=u16::MAX {
            let expected = (1000..=1003).contains(&code)
                || (1007..=1014).contains(&code)
                || (3000..=4999).contains(&code);
            assert_eq!(CloseCode::new(code).is_receivable(), expected, "{code}");
            for role in [Role::Server, Role::Client] {
                // RFC 6455 7.4.1 gives 1010 to clients. The registry gives no other code to a role.
                let is_other_roles = role == Role::Server && code == 1010;
                assert_eq!(CloseCode::new(code).is_sendable_by(role), expected && !is_other_roles, "{code}");
            }
        }
    }

    #[test]
    fn s5_5_1_bodies() {
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
    fn s5_5_1_a_body_fails_with_the_byte_that_shows_it() {
        let fails_with = |body: &[u8]| {
            (0..=body.len()).find(|&len| CloseFrame::decode_partial(&body[..len], false).is_err())
        };
        assert_eq!(fails_with(b"\x03\xeebye"), Some(2));
        assert_eq!(fails_with(b"\x03\xe8by\xffe"), Some(5));
        // A code point that is cut may go on, but only so.
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
        // Cut between code points: 41 of three bytes are 123, 30 of four are 120.
        assert_eq!(CloseReason::truncated(&"€".repeat(60)).as_str(), "€".repeat(41));
        assert_eq!(CloseReason::truncated(&"𝄞".repeat(60)).as_str(), "𝄞".repeat(30));
        assert_eq!(CloseReason::format(format_args!("{}{longest}", "")).as_str(), longest);
        assert_eq!(CloseReason::format(format_args!("{}{longest}", 1)).as_str(), "1");
    }

    /// One cell of the table: a state reached by its shortest way, an event, and what comes of it.
    macro_rules! cells {
        ($($name:ident: $state:ident + $event:ident => $next:ident, $action:expr;)*) => {$(
            #[test]
            fn $name() {
                let way: &[Event] = match State::$state {
                    State::Open => &[],
                    State::Sent => &[Event::Close],
                    State::Both => &[Event::Received],
                    State::Failed => &[Event::Violation],
                    State::Ended => &[Event::Eof],
                };
                let mut closing = Closing::default();
                for event in way {
                    closing.handle(*event);
                }
                assert_eq!(closing.state(), State::$state);
                assert_eq!(closing.handle(Event::$event), $action);
                assert_eq!(closing.state(), State::$next);
            }
        )*};
    }

    cells! {
        s7_1_2_open_close: Open + Close => Sent, Action::SendClose;
        s5_5_1_open_received: Open + Received => Both, Action::AnswerClose;
        s7_1_7_open_violation: Open + Violation => Failed, Action::SendFailure;
        s7_1_5_open_eof: Open + Eof => Ended, Action::End(Ending::Abnormal);
        s7_1_5_open_timeout: Open + Timeout => Ended, Action::End(Ending::Abnormal);
        s5_5_1_sent_close: Sent + Close => Sent, Action::Refuse;
        s5_5_1_sent_received: Sent + Received => Both, Action::Ignore;
        s7_1_7_sent_violation: Sent + Violation => Failed, Action::StopReading;
        s7_1_5_sent_eof: Sent + Eof => Ended, Action::End(Ending::Abnormal);
        s7_1_1_sent_timeout: Sent + Timeout => Ended, Action::End(Ending::TimedOut);
        s5_5_1_both_close: Both + Close => Both, Action::Refuse;
        s1_4_both_received: Both + Received => Both, Action::Ignore;
        s1_4_both_violation: Both + Violation => Both, Action::Ignore;
        s7_1_4_both_eof: Both + Eof => Ended, Action::End(Ending::Clean);
        s7_1_1_both_timeout: Both + Timeout => Ended, Action::End(Ending::Clean);
        s7_1_7_failed_close: Failed + Close => Failed, Action::Refuse;
        s7_1_7_failed_received: Failed + Received => Failed, Action::Ignore;
        s7_1_7_failed_violation: Failed + Violation => Failed, Action::Ignore;
        s7_1_7_failed_eof: Failed + Eof => Ended, Action::End(Ending::Failed);
        s7_1_7_failed_timeout: Failed + Timeout => Ended, Action::End(Ending::Failed);
        s7_1_4_ended_close: Ended + Close => Ended, Action::Refuse;
        s7_1_4_ended_received: Ended + Received => Ended, Action::Ignore;
        s7_1_4_ended_violation: Ended + Violation => Ended, Action::Ignore;
        s7_1_4_ended_eof: Ended + Eof => Ended, Action::Ignore;
        s7_1_4_ended_timeout: Ended + Timeout => Ended, Action::Ignore;
    }
}
