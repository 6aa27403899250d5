//! The opening handshake (RFC 6455 section 4), for both roles, without I/O and without an
//! allocator.
//!
//! A partial head lies in the caller's memory; a machine keeps an offset and a few bytes of state,
//! looks at each byte once, and gives the same outcome however the input is cut.
//!
//! ```text
//!  server                                       client
//!
//!  ServerHandshake::new                         ClientHandshake::new ── RequestError
//!       │ poll(all bytes so far)                     │ write ─▶ send
//!       ├─ None: read more ◀┐                        │ poll(all bytes so far)
//!       │        └──────────┘                        ├─ None: read more, 1xx read over ◀┐
//!       ├─ Upgrade(Request)                          │        └──────────────────────────┘
//!       │    ├─ accept() ─▶ Response: 101, open      ├─ Open(Opened): open
//!       │    └─ Reject: any other status             ├─ Http(HttpResponse): 401, 3xx, …
//!       ├─ Http(HttpRequest): plain HTTP             └─ HandshakeError: drop
//!       └─ Rejection ─▶ Reject: 400, 405, 426, …
//! ```
//!
//! Bytes behind the head (`head_len`) belong to the frame parser. Each machine has one timer:
//! `poll_timeout` says when, `handle_timeout` makes it a 408 or an error.
//!
//! # In scope
//!
//! Both requests' and responses' heads, read strictly; `Sec-WebSocket-Key` and `-Accept`;
//! subprotocols; the grammar of extensions and the parameters of permessage-deflate (RFC 7692 7.1);
//! origins; WebSocket URLs; limits ([`Limits`]) and the timer.
//!
//! # Out of scope
//!
//! * Bodies: a request that announces one is refused, those of plain HTTP are the caller's.
//! * Redirects and authentication: a response that is not 101 comes out as [`Reply::Http`].
//! * One connection in the CONNECTING state per host (RFC 6455 4.1 (2)): the business of whoever
//!   keeps several connections.
//! * Reconnecting after a random delay that grows (RFC 6455 7.2.3): the same.
//! * HTTP/2 and HTTP/3 (RFC 8441, 9220): their handshake is the HTTP library's; a connection starts
//!   without this module, and [`Extensions`] and [`negotiate_offer`] read the headers.
//!
//! # Choices
//!
//! Where the RFCs leave one, the strict side is taken: no bare LF or CR, no folded header, single
//! spaces in the first line, one `Upgrade: websocket` in a response, names of extensions compared with
//! case. Tolerated are one empty line before a request, obs-text in values, empty elements in lists
//! (RFC 9110 5.6.1.2), any HTTP/1.x from 1.1 up, and what real peers send: a status line that ends behind
//! the status code, bits of a key's last digit that belong to none of its 16 bytes, and an empty
//! `Sec-WebSocket-Protocol` in a request, which counts as absent. In a response it is an error: the server
//! chose a subprotocol that was not offered.

mod accept;
mod client;
mod extensions;
mod head;
mod key;
mod permessage_deflate;
mod reject;
mod reply;
mod request;
mod scan;
mod server;
mod text;
mod url;
mod write;

pub use accept::Response;
pub use client::{ClientHandshake, ClientRequest, RequestError};
pub use extensions::{
    Extension, ExtensionIter, Extensions, Malformed, Params, Value, check as check_extensions,
};
pub use head::{HeadError, Header, HeaderIter, HeaderValues, Headers, Limits};
pub use key::{accept_key, encode_nonce};
pub use permessage_deflate::{
    ClientWindow, DeflateConfig, DeflateOffer, DeflateParams, ExtensionError, check_response, negotiate_offer,
};
pub use reject::{Reason, Reject, Rejection, ResponseError};
pub use reply::{HandshakeError, HttpResponse, Opened, Reply};
pub use request::Request;
pub use server::{HttpRequest, Incoming, ServerHandshake};
pub use url::{UrlError, WsUrl};
pub use write::{HeaderError, HeaderName, NoRoom};
