//! [`Failure`]: the reason why a client has no connection, and whether another attempt can help.
//!
//! This file classifies failures. It computes no delay and keeps no state.
//!
//! Invariant: a failure contains no text, no header and no URL, so it can be logged.

use core::fmt;
use core::time::Duration;

use super::retry_after::parse_retry_after;
use crate::close::CloseCode;
use crate::connection::Outcome;
use crate::handshake::Headers;

/// The reason why a client has no connection: an attempt failed, or an open connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The network failed: a name was not resolved, no connection was made, a stream failed or ended, or a deadline
    /// passed.
    Network,
    /// The server answered the opening handshake with a status other than 101 (RFC 6455 section 4.1 (1)).
    Response {
        /// The status code.
        status: u16,
        /// The time that the header `Retry-After` asks the client to wait (RFC 9110 section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// The proxy answered the request for a tunnel with a status other than 2xx (RFC 9110 section 9.3.6).
    Proxy {
        /// The status code.
        status: u16,
        /// The time that the header `Retry-After` asks the client to wait (RFC 9110 section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// The server or the proxy is not the expected one. Its answer broke a rule, or a SOCKS proxy did not accept the
    /// user or the target.
    Handshake,
    /// The certificate of the server or of the proxy was refused, for example because it has expired.
    Certificate,
    /// The TLS handshake failed for another reason. The server or the proxy has sent an alert, does not speak TLS, or
    /// has no parameters in common with the client.
    Tls,
    /// The application had no URL or no headers for the attempt, for example because it could not get a token.
    Target,
    /// The URL, the request, the proxy setting or the TLS configuration cannot be used, so no attempt was made.
    Request,
    /// An open connection ended with this code.
    Closed(CloseCode),
}

impl Failure {
    /// Creates the failure for a response with a status other than 101. Reads `Retry-After` from the headers.
    ///
    /// `unix_time` is the time since the Unix epoch. It is needed if the header is a date. With `None`, a date is
    /// ignored.
    ///
    /// ```
    /// use core::time::Duration;
    /// use hybi::handshake::Headers;
    /// use hybi::reconnect::Failure;
    ///
    /// let headers = Headers::from_lines(b"Retry-After: 120\r\n");
    /// let retry_after = Some(Duration::from_secs(120));
    /// assert_eq!(Failure::response(503, headers, None), Failure::Response { status: 503, retry_after });
    /// ```
    #[must_use]
    pub fn response(status: u16, headers: Headers<'_>, unix_time: Option<Duration>) -> Self {
        Self::Response { status, retry_after: retry_after_of(headers, unix_time) }
    }

    /// Creates the failure for a proxy's response with a status other than 2xx. The arguments are those of
    /// [`response`](Self::response).
    #[must_use]
    pub fn proxy(status: u16, headers: Headers<'_>, unix_time: Option<Duration>) -> Self {
        Self::Proxy { status, retry_after: retry_after_of(headers, unix_time) }
    }

    /// Returns whether another attempt with the same request can succeed.
    /// [`ReconnectPolicy::retry_if`](super::ReconnectPolicy::retry_if) uses this method by default.
    ///
    /// | failure | another attempt |
    /// | --- | --- |
    /// | [`Network`](Self::Network), [`Target`](Self::Target) | yes |
    /// | [`Response`](Self::Response) or [`Proxy`](Self::Proxy) with a status from 500 to 599 | yes |
    /// | status 429 with `Retry-After` | yes: the server or the proxy asks for another attempt |
    /// | any other status: 2xx, 3xx, 4xx | no |
    /// | [`Handshake`](Self::Handshake), [`Certificate`](Self::Certificate), [`Tls`](Self::Tls), [`Request`](Self::Request) | no |
    /// | [`Closed`](Self::Closed) with 1001, 1006, 1011, 1012, 1013 or 1014 | yes |
    /// | `Closed` with 1000 or 1005: the peer closed on purpose | no |
    /// | `Closed` with any other code, also from 3000 to 4999 | no: only the application knows the meaning of the code |
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Network | Self::Target => true,
            Self::Response { status, retry_after } | Self::Proxy { status, retry_after } => {
                matches!(status, 500..=599) || (*status == 429 && retry_after.is_some())
            }
            Self::Handshake | Self::Certificate | Self::Tls | Self::Request => false,
            Self::Closed(code) => matches!(
                *code,
                CloseCode::GOING_AWAY
                    | CloseCode::ABNORMAL
                    | CloseCode::INTERNAL_ERROR
                    | CloseCode::SERVICE_RESTART
                    | CloseCode::TRY_AGAIN_LATER
                    | CloseCode::BAD_GATEWAY
            ),
        }
    }

    /// Returns the time that the server or the proxy asks the client to wait. Only the statuses 429 and 503 can ask.
    pub(super) const fn requested_wait(&self) -> Duration {
        match self {
            // RFC 6585 4 for 429, RFC 9110 15.6.4 for 503.
            Self::Response { status: 429 | 503, retry_after: Some(wait) }
            | Self::Proxy { status: 429 | 503, retry_after: Some(wait) } => *wait,
            _ => Duration::ZERO,
        }
    }
}

/// Returns the time that the header `Retry-After` asks the client to wait.
fn retry_after_of(headers: Headers<'_>, unix_time: Option<Duration>) -> Option<Duration> {
    headers.get("retry-after").and_then(|value| parse_retry_after(value, unix_time))
}

impl From<Outcome> for Failure {
    /// Returns the failure for the end of a connection.
    ///
    /// The code is that of the peer's Close. If this side failed the connection, the code is that of the violation.
    /// After any other outcome, for example a timeout, the code is 1006.
    fn from(outcome: Outcome) -> Self {
        Self::Closed(match outcome {
            Outcome::Failed(violation) => violation.close_code(),
            outcome => outcome.code(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("the network failed"),
            Self::Response { status, .. } => {
                write!(f, "the server answered with status {status} instead of 101 (RFC 6455 4.1 (1))")
            }
            Self::Proxy { status, .. } => {
                write!(f, "the proxy refused the tunnel with status {status} (RFC 9110 9.3.6)")
            }
            Self::Handshake => f.write_str("the server or the proxy is not the expected one"),
            Self::Certificate => f.write_str("the certificate of the server or the proxy was refused"),
            Self::Tls => f.write_str("the TLS handshake with the server or the proxy failed"),
            Self::Target => f.write_str("the application has no target"),
            Self::Request => f.write_str("the URL or the request cannot be used"),
            Self::Closed(code) => write!(f, "the connection ended with code {code} ({})", code.meaning()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{EofPosition, TimerKind};
    use crate::error::ProtocolError;

    #[test]
    fn only_5xx_and_429_with_retry_after_are_retried() {
        for status in 0..=u16::MAX {
            let is_5xx = (500..600).contains(&status);
            for retry_after in [None, Some(Duration::ZERO)] {
                let expected = is_5xx || (status == 429 && retry_after.is_some());
                assert_eq!(Failure::Response { status, retry_after }.is_transient(), expected, "{status}");
                assert_eq!(Failure::Proxy { status, retry_after }.is_transient(), expected, "{status}");
            }
        }
    }

    #[test]
    fn s7_4_1_exactly_the_codes_of_a_passing_condition_are_retried() {
        let retried: std::vec::Vec<u16> =
            (0..=u16::MAX).filter(|code| Failure::Closed(CloseCode::new(*code)).is_transient()).collect();
        assert_eq!(retried, [1001, 1006, 1011, 1012, 1013, 1014]);
        assert!(Failure::Network.is_transient());
        assert!(Failure::Target.is_transient());
        for failure in [Failure::Handshake, Failure::Certificate, Failure::Tls, Failure::Request] {
            assert!(!failure.is_transient(), "{failure}");
        }
    }

    #[test]
    fn only_429_and_503_ask_for_a_wait() {
        let wait = Duration::from_secs(7);
        for status in 0..=u16::MAX {
            let expected = if matches!(status, 429 | 503) { wait } else { Duration::ZERO };
            let retry_after = Some(wait);
            assert_eq!(Failure::Response { status, retry_after }.requested_wait(), expected, "{status}");
            assert_eq!(Failure::Proxy { status, retry_after }.requested_wait(), expected, "{status}");
        }
        assert_eq!(Failure::Closed(CloseCode::TRY_AGAIN_LATER).requested_wait(), Duration::ZERO);
    }

    #[test]
    fn s7_1_5_an_outcome_becomes_its_close_code() {
        let code = CloseCode::GOING_AWAY;
        for (outcome, expected) in [
            (Outcome::Clean { code }, 1001),
            (Outcome::Unanswered { code }, 1001),
            (Outcome::Abnormal(EofPosition::InFrame), 1006),
            (Outcome::TimedOut(TimerKind::Pong), 1006),
            (Outcome::Failed(ProtocolError::InvalidUtf8), 1007),
            (Outcome::Failed(ProtocolError::MessageTooBig), 1009),
        ] {
            assert_eq!(Failure::from(outcome), Failure::Closed(CloseCode::new(expected)));
        }
    }

    #[test]
    fn retry_after_is_read_from_the_headers() {
        let response = |lines, time| Failure::response(429, Headers::from_lines(lines), time);
        let expected = |retry_after| Failure::Response { status: 429, retry_after };
        let date = b"retry-after: Thu, 01 Jan 1970 00:01:40 GMT\r\n";
        let seconds = Duration::from_secs;
        assert_eq!(response(b"Retry-After: 5\r\n", None), expected(Some(seconds(5))));
        assert_eq!(response(date, Some(seconds(60))), expected(Some(seconds(40))));
        assert_eq!(response(date, None), expected(None));
        assert_eq!(response(b"Retry-After: soon\r\n", None), expected(None));
        assert_eq!(response(b"Date: 5\r\n", None), expected(None));
    }
}
