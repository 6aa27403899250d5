//! The policy of following redirects, without I/O: whether a client follows a redirect, to which URL, and which headers
//! it sends to the new URL.
//!
//! A server may answer the opening handshake with a redirect, and a client may ignore the redirect (RFC 6455 section
//! 4.1). [`Redirects`] is the state machine of one call that connects. It takes the URL, the status and the headers of
//! a response, and returns the next URL or a [`RedirectError`].
//!
//! ```text
//!  Redirects::new(max)
//!       │ follow(URL, status, headers)
//!       ├─ None: no redirect, or `max` is 0: report the response
//!       ├─ the next URL: connect to it, with the headers for which `may_send` is true ─▶ follow again
//!       └─ RedirectError: report the response and the reason
//! ```
//!
//! The rules:
//!
//! - The statuses 301, 302, 303, 307 and 308 are redirects (RFC 9110 section 15.4). The response must have exactly one
//!   `Location`. All redirects keep the method, because the request of a handshake is a GET.
//! - `Location` is resolved against the URL of the request (RFC 3986 section 5.2). `http` and `https` become `ws` and
//!   `wss`, and a fragment is dropped.
//! - A redirect never leads from `wss` to `ws`.
//! - Headers of the application are not sent to another server, except a few that contain no credentials. The removed
//!   headers are not sent after a redirect back to the first server either, because the other server has chosen that
//!   URL.
//! - A client with a TLS client certificate follows no redirect to a `wss` URL of another server. After a redirect to
//!   another server it follows no redirect to any `wss` URL.
//! - A client with subprotocols follows a redirect to another server only if the application allows it. Some
//!   applications put a token into a subprotocol.
//! - At most `max` redirects are followed, so every loop ends.
//!
//! Two URLs have the same server if scheme, host and port are equal. There is one exception: a redirect from `ws` at
//! port 80 to `wss` at port 443 of the same host stays on the same server. The headers were already sent to this host
//! without encryption.
//!
//! This module connects nothing, and it stores neither headers nor URLs.
//!
//! ```
//! use hybi::handshake::{Headers, WsUrl};
//! use hybi::redirect::{RedirectError, Redirects};
//!
//! let mut redirects = Redirects::new(10);
//! let url = WsUrl::parse("wss://example.com/chat?room=1")?;
//! let next = redirects.follow(&url, 307, Headers::from_lines(b"Location: ../v2/chat?room=1\r\n"))?;
//! assert_eq!(next.as_deref(), Some("wss://example.com/v2/chat?room=1"));
//! assert!(redirects.may_send("Authorization"));
//!
//! let next = redirects.follow(&url, 302, Headers::from_lines(b"Location: https://example.net/\r\n"))?;
//! assert_eq!(next.as_deref(), Some("wss://example.net/"));
//! assert!(!redirects.may_send("Authorization")); // another host
//!
//! let insecure = redirects.follow(&url, 302, Headers::from_lines(b"Location: http://example.com/\r\n"));
//! assert_eq!(insecure, Err(RedirectError::NotEncrypted));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod redirects;
mod reference;

pub use error::RedirectError;
pub use redirects::Redirects;
