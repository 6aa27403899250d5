//! The opening handshake (RFC 6455 section 4) for both roles, without I/O. Only the items that are marked with
//! the feature `alloc` or `http` need an allocator.
//!
//! A head is the first line and the headers of an HTTP request or response. The caller collects the bytes of a head in
//! its own memory and passes all bytes so far to each call of `poll`. A handshake keeps an offset and a few bytes of
//! state, and examines each byte once as it arrives. If header lines arrive in several calls, all header lines are
//! parsed once more when the head is complete. The result does not depend on how the input is split.
//!
//! ```text
//!  server                                       client
//!
//!  ServerHandshake::new                         ClientHandshake::new ── RequestError
//!       │ poll(all bytes so far)                     │ write ─▶ send
//!       ├─ None: read more ◀┐                        │ poll(all bytes so far)
//!       │        └──────────┘                        ├─ None: read more, 1xx skipped ◀┐
//!       ├─ Upgrade(Request)                          │        └───────────────────────┘
//!       │    ├─ accept() ─▶ Response: 101, open      ├─ Open(Opened): open
//!       │    └─ HttpResponse: any other status       ├─ Http(HttpReply): 401, 3xx, …
//!       ├─ Http(HttpRequest): plain HTTP             └─ HandshakeError: drop
//!       └─ Rejection ─▶ HttpResponse: 400, 405, 426, …
//! ```
//!
//! The bytes after the head, from the offset `head_len` on, belong to the frame decoder. Each handshake has one
//! deadline, which `poll_timeout` returns. Once the deadline has passed, `handle_timeout` returns an error. On a
//! server the error is a [`Rejection`] with status 408.
//!
//! # In scope
//!
//! - The heads of requests and responses, parsed strictly.
//! - `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`, subprotocols and origins.
//! - The grammar of extensions, and the parameters of permessage-deflate (RFC 7692 section 7.1).
//! - WebSocket URLs, limits ([`HeadLimits`]) and the timer.
//!
//! # Out of scope
//!
//! - Bodies: a handshake request that announces a body is rejected. The caller reads the bodies of plain HTTP
//!   requests and responses.
//! - Redirects and authentication: a response other than 101 is returned as [`Reply::Http`]. `crate::redirect` decides
//!   about redirects.
//! - Limits over several connections. A client may have only one connection to a host in the CONNECTING state
//!   (RFC 6455 section 4.1 (2)). A client that reconnects should wait for a random time that grows with each attempt
//!   (section 7.2.3). The code that manages the connections must follow both rules.
//! - HTTP/2 and HTTP/3 (RFC 8441, RFC 9220): an HTTP library performs the handshake. `RequestHead` (feature `alloc`)
//!   holds the method, target and headers of the request that the library received. `RequestHead::select_subprotocol`
//!   and `RequestHead::check_origin` work as for HTTP/1.1. [`Extensions`] and [`negotiate_offer`] parse the extension
//!   headers of these versions.
//!
//! # Choices
//!
//! If the RFCs leave a choice, this module uses the strict alternative:
//!
//! - A bare LF or CR and a folded header are errors. Repeated spaces in a request line, or before a status code, are
//!   errors too.
//! - The `Upgrade` header of a response must appear once. Its value must be `websocket`, in upper or lower case, and
//!   not a list that contains this token.
//! - The names of extensions are case-sensitive.
//!
//! The following deviations are tolerated, because real peers send them:
//!
//! - One empty line may precede a request. Values may contain bytes from 0x80 on, which RFC 9110 names obs-text. Lists
//!   may have empty elements (RFC 9110 section 5.6.1.2).
//! - The HTTP version of a handshake may be any HTTP/1.x from 1.1 on. A plain HTTP request, and a response other than
//!   101, may also have HTTP/1.0.
//! - A status line may end directly after the status code.
//! - The last base64 digit of a key may have set bits that belong to none of the 16 bytes.
//! - An empty `Sec-WebSocket-Protocol` in a request counts as absent. In a response an empty value is an error, because
//!   the client offered no subprotocol with an empty name.

mod accept;
mod client;
mod client_request;
mod deflate_config;
mod extensions;
mod head;
mod http_response;
#[cfg(feature = "http")]
mod http_types;
mod incoming;
#[cfg(feature = "alloc")]
mod info;
mod key;
mod permessage_deflate;
mod reason;
mod rejection;
mod reply;
mod request;
#[cfg(feature = "alloc")]
mod request_head;
mod scan;
mod server;
mod setters;
mod text;
mod url;
mod write;

pub use accept::Response;
pub use client::ClientHandshake;
pub use client_request::{ClientRequest, RequestError};
pub use deflate_config::DeflateConfig;
pub use extensions::{
    Extension, ExtensionIter, Extensions, Malformed, Params, Value, check as check_extensions,
};
pub use head::{HeadError, HeadLimits, HeaderField, HeaderIter, HeaderValues, Headers};
pub use http_response::{HttpResponse, ResponseError};
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use http_types::{HttpClientRequest, HttpRequestError};
pub use incoming::{HttpRequest, Incoming};
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub use info::HandshakeInfo;
pub use key::{accept_key, encode_nonce};
pub use permessage_deflate::{
    ClientWindow, DeflateOffer, DeflateParams, ExtensionError, check_response, negotiate_offer,
};
pub use reason::Reason;
pub use rejection::Rejection;
pub use reply::{HandshakeError, HttpReply, Opened, Reply};
pub use request::Request;
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub use request_head::RequestHead;
pub use server::ServerHandshake;
#[cfg(feature = "deflate")]
pub(crate) use setters::setters;
pub use url::{UrlError, WsUrl};
pub use write::{HeaderError, HeaderName, NoSpace};
// Parts for `proxy`, which reads HTTP responses and URLs by the same rules.
#[cfg(feature = "alloc")]
pub(crate) use {
    reply::split_status_line,
    scan::{HeaderSink, Scanner},
    text::is_target_byte,
    url::split_authority,
};
