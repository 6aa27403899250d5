//! The response that accepts a request, with status 101 (RFC 6455 section 4.2.2 (5)).
//!
//! The application chooses a subprotocol and extensions. [`Response`] checks that the client has offered them, and that
//! additional headers are safe to send. A response with another status is an [`HttpResponse`](super::HttpResponse).

use crate::kernel::ascii;

use super::extensions::Extensions;
use super::http_response::ResponseError;
use super::key::accept_key;
use super::permessage_deflate::{DeflateOffer, DeflateParams, PERMESSAGE_DEFLATE};
use super::request::Request;
use super::text::Subprotocol;
use super::write::{ExtraHeaders, HeadWriter, check_headers};

/// The beginning of every 101 response, up to the accept value.
const HEAD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ";

impl<'h> Request<'h> {
    /// Returns the response with status 101, which opens the connection.
    #[must_use]
    pub const fn accept(&self) -> Response<'h> {
        Response::new(*self)
    }
}

/// The response that opens the connection, with status 101 and the server's choice among the client's offers.
///
/// ```
/// use hybi::handshake::{DeflateConfig, Incoming, HeadLimits, ResponseError, ServerHandshake};
///
/// let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
/// let Ok(Some(Incoming::Upgrade(request))) = ServerHandshake::new(HeadLimits::new()).poll(head) else {
///     panic!("an upgrade");
/// };
/// let deflate = request.negotiate_deflate(&DeflateConfig::new());
/// let response = request.accept().deflate(deflate).headers(&[("Server", "hybi")]);
/// let mut out = [0; 256];
/// let len = response.write(&mut out)?;
/// assert_eq!(
///     out[..len],
///     b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///       Sec-WebSocket-Extensions: permessage-deflate\r\nServer: hybi\r\n\r\n"[..],
/// );
/// let unoffered = request.accept().subprotocol("chat");
/// assert_eq!(unoffered.write(&mut out), Err(ResponseError::SubprotocolNotOffered));
/// # Ok::<(), ResponseError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    request: Request<'a>,
    subprotocol: Option<Subprotocol<&'a str>>,
    deflate: Option<DeflateParams>,
    extensions: Option<&'a str>,
    headers: ExtraHeaders<'a>,
}

impl<'a> Response<'a> {
    /// Returns a response to `request` without subprotocol, extensions or additional headers.
    pub(crate) const fn new(request: Request<'a>) -> Self {
        Self { request, subprotocol: None, deflate: None, extensions: None, headers: ExtraHeaders(&[]) }
    }

    /// Sets the subprotocol, or removes it with `None`. The client must have offered the subprotocol.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: impl Into<Option<&'a str>>) -> Self {
        self.subprotocol = subprotocol.into().map(Subprotocol);
        self
    }

    /// Accepts permessage-deflate with these parameters, or declines it with `None`.
    ///
    /// [`Request::negotiate_deflate`] returns suitable parameters. At least one offer of the client must allow
    /// them.
    #[must_use]
    pub fn deflate(mut self, params: impl Into<Option<DeflateParams>>) -> Self {
        self.deflate = params.into();
        self
    }

    /// Sets other extensions, as the text of the `Sec-WebSocket-Extensions` header. The client must have offered
    /// each of them.
    #[must_use]
    pub fn extensions(mut self, extensions: impl Into<Option<&'a str>>) -> Self {
        self.extensions = extensions.into();
        self
    }

    /// Sets additional headers, each a name and a value.
    ///
    /// [`write`](Self::write) refuses the headers that it writes itself, and those that announce a body:
    /// `Connection`, `Upgrade`, `Content-Length`, `Transfer-Encoding`, and names that begin with
    /// `Sec-WebSocket-`.
    #[must_use]
    pub const fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = ExtraHeaders(headers);
        self
    }

    /// Writes the response into `out` and returns its length in bytes. The connection is open as soon as these
    /// bytes are sent.
    ///
    /// # Errors
    ///
    /// - [`ResponseError::NoSpace`]: `out` is too small. The error contains the required length.
    /// - [`ResponseError::Header`]: an additional header cannot be sent.
    /// - [`ResponseError::SubprotocolNotOffered`]: the client did not offer the subprotocol.
    /// - [`ResponseError::ExtensionNotOffered`]: the client did not offer the parameters that were passed to
    ///   [`deflate`](Self::deflate), or an extension that [`extensions`](Self::extensions) names. It is also returned
    ///   if `extensions` names permessage-deflate although `deflate` was called with parameters.
    /// - [`ResponseError::ExtensionsMalformed`]: the text of the extensions does not match the grammar.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, ResponseError> {
        self.check()?;
        let accept = accept_key(self.request.key());
        let mut to = HeadWriter::new(out);
        // RFC 6455 4.2.2 (5): the status line, `Upgrade`, `Connection` and `Sec-WebSocket-Accept`.
        to.text(HEAD).bytes(&accept).text("\r\n");
        if let Some(Subprotocol(subprotocol)) = self.subprotocol {
            to.header("Sec-WebSocket-Protocol", &subprotocol);
        }
        // RFC 6455 11.3.2: `Sec-WebSocket-Extensions` appears at most once in a response.
        match (self.deflate, self.extensions) {
            (Some(deflate), Some(others)) => {
                to.header("Sec-WebSocket-Extensions", &format_args!("{deflate}, {others}"))
            }
            (Some(deflate), None) => to.header("Sec-WebSocket-Extensions", &deflate),
            (None, Some(extensions)) => to.header("Sec-WebSocket-Extensions", &extensions),
            (None, None) => &mut to,
        };
        Ok(to.headers(self.headers).text("\r\n").finish()?)
    }

    /// Returns the whole response.
    ///
    /// # Errors
    ///
    /// - [`ResponseError::Header`]: an additional header cannot be sent.
    /// - [`ResponseError::SubprotocolNotOffered`]: the client did not offer the subprotocol.
    /// - [`ResponseError::ExtensionNotOffered`]: the client did not offer the parameters that were passed to
    ///   [`deflate`](Self::deflate), or an extension that [`extensions`](Self::extensions) names. It is also returned
    ///   if `extensions` names permessage-deflate although `deflate` was called with parameters.
    /// - [`ResponseError::ExtensionsMalformed`]: the text of the extensions does not match the grammar.
    #[cfg(feature = "alloc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
    pub fn to_vec(&self) -> Result<alloc::vec::Vec<u8>, ResponseError> {
        super::http_response::to_vec(|out| self.write(out))
    }

    /// Checks the server's choices against the client's offers.
    fn check(&self) -> Result<(), ResponseError> {
        // RFC 6455 4.2.2: the subprotocol comes from the client's list. The check of the request ensured that all names
        // in this list are tokens, so the chosen name is a token.
        if self.subprotocol.is_some_and(|chosen| !self.request.offers_subprotocol(chosen.0)) {
            return Err(ResponseError::SubprotocolNotOffered);
        }
        if let Some(params) = self.deflate {
            let mut offers =
                self.request.extensions().iter().filter_map(|offer| DeflateOffer::from_extension(&offer));
            if !offers.any(|offer| offer.permits(&params)) {
                return Err(ResponseError::ExtensionNotOffered);
            }
        }
        if let Some(text) = self.extensions {
            ascii(text.as_bytes()).ok_or(ResponseError::ExtensionsMalformed)?;
            let chosen =
                Extensions::parse(text.as_bytes()).map_err(|_| ResponseError::ExtensionsMalformed)?;
            for extension in chosen {
                // RFC 6455 9.1: extensions come from the client's list. RFC 7692 5: permessage-deflate
                // appears once.
                let twice = self.deflate.is_some() && extension.name == PERMESSAGE_DEFLATE;
                if twice || !self.request.extensions().iter().any(|offer| offer.name == extension.name) {
                    return Err(ResponseError::ExtensionNotOffered);
                }
            }
        }
        // RFC 9110 8.6, RFC 9112 6.1: a 101 has neither Content-Length nor Transfer-Encoding.
        Ok(check_headers(self.headers, &[])?)
    }
}
