//! The rejection of a request that violates a rule of the handshake.
//!
//! A [`Rejection`] has a [`Reason`], which names the violated rule. A rejection also records whether the method of the
//! request is HEAD, because a response to HEAD has no body. The texts of the reasons are in `reason`, and
//! `http_response` writes the response.

use core::fmt;

use super::head::HeadError;
use super::http_response::HttpResponse;
use super::reason::Reason;

/// A request that was rejected because it violates a rule. The server sends [`response`](Self::response) and closes the
/// connection.
///
/// ```
/// use hybi::handshake::{HeadLimits, Reason, ServerHandshake};
///
/// let head = b"GET /\r\n";
/// let Err(rejection) = ServerHandshake::new(HeadLimits::new()).poll(head) else { panic!("HTTP/0.9") };
/// assert_eq!(rejection.status(), 400);
/// let mut out = [0; 512];
/// let len = rejection.response().write(&mut out)?;
/// assert!(out[..len].starts_with(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"));
/// # Ok::<(), hybi::handshake::ResponseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// The rule that the request violates.
    reason: Reason,
    /// Whether the method of the request is HEAD.
    is_head: bool,
}

impl Rejection {
    /// Returns the rejection for `reason`.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self::of(reason, false)
    }

    /// Returns the rejection for `reason`. `is_head` says whether the method of the request is HEAD.
    pub(crate) const fn of(reason: Reason, is_head: bool) -> Self {
        Self { reason, is_head }
    }

    /// Returns the reason why the request is rejected.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the status code of the response.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.reason.status()
    }

    /// Returns the response. The body of the response is one line that names the error.
    ///
    /// The response to a HEAD request is sent without this body (RFC 9110 section 9.3.2). If the method of the
    /// request was not received completely, the response has a body.
    #[must_use]
    pub const fn response(&self) -> HttpResponse<'static> {
        HttpResponse::of_reason(self.reason, self.is_head)
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl From<HeadError> for Rejection {
    fn from(error: HeadError) -> Self {
        Self::new(Reason::Head(error))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request was rejected with status {}: {}", self.status(), self.reason)
    }
}

impl core::error::Error for Rejection {
    /// Returns the [`Reason`], which [`Display`](fmt::Display) shows as well.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.reason)
    }
}
