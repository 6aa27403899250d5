//! The opening handshake (RFC 6455 section 4) for both roles, without I/O and without an allocator.
//!
//! The caller collects the bytes of a head in its own memory and passes all of them to `poll`. A handshake
//! keeps an offset and a few bytes of state, examines each byte once, and gives the same result however the
//! input is cut.
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
//! The bytes after the head (`head_len`) belong to the frame decoder. Each handshake has one timer:
//! `poll_timeout` returns its deadline, and `handle_timeout` turns it into a 408 or an error.
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
//! - Bodies: a handshake request that announces a body is refused. Bodies of plain HTTP belong to the caller.
//! - Redirects and authentication: a response other than 101 is returned as [`Reply::Http`].
//! - One connection in the CONNECTING state per host (RFC 6455 section 4.1 (2)), and reconnecting after a
//!   growing random delay (section 7.2.3). Code that manages several connections does both.
//! - HTTP/2 and HTTP/3 (RFC 8441, RFC 9220): an HTTP library performs their handshake, and a connection
//!   starts without this module. [`Extensions`] and [`negotiate_offer`] parse their headers.
//!
//! # Choices
//!
//! If the RFCs leave a choice, the strict alternative is used:
//!
//! - no bare LF or CR, no folded header, single spaces in the first line;
//! - `Upgrade` of a response is `websocket`, once;
//! - names of extensions are compared with case.
//!
//! The following deviations are tolerated, because real peers send them:
//!
//! - one empty line before a request, obs-text in values, empty elements in lists (RFC 9110 section 5.6.1.2);
//! - any version HTTP/1.x from 1.1 on;
//! - a status line that ends directly after the status code;
//! - set bits in the last digit of a key that belong to none of its 16 bytes;
//! - an empty `Sec-WebSocket-Protocol` in a request, which counts as absent. In a response it is an error,
//!   because the server then chose a subprotocol that was not offered.

mod accept;
mod client;
mod client_request;
mod extensions;
mod head;
mod http_response;
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
mod text;
mod url;
mod write;

pub use accept::Response;
pub use client::ClientHandshake;
pub use client_request::{ClientRequest, RequestError};
pub use extensions::{
    Extension, ExtensionIter, Extensions, Malformed, Params, Value, check as check_extensions,
};
pub use head::{HeadError, HeadLimits, HeaderField, HeaderIter, HeaderValues, Headers};
pub use http_response::{HttpResponse, ResponseError};
pub use incoming::{HttpRequest, Incoming};
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub use info::HandshakeInfo;
pub use key::{accept_key, encode_nonce};
pub use permessage_deflate::{
    ClientWindow, DeflateConfig, DeflateOffer, DeflateParams, ExtensionError, check_response, negotiate_offer,
};
pub use reason::Reason;
pub use rejection::Rejection;
pub use reply::{HandshakeError, HttpReply, Opened, Reply};
pub use request::Request;
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub use request_head::RequestHead;
pub use server::ServerHandshake;
pub use url::{UrlError, WsUrl};
pub use write::{HeaderError, HeaderName, NoRoom};
