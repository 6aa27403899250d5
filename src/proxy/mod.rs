//! Proxies for clients, without I/O: HTTP CONNECT, SOCKS5, and the proxy variables of the environment.
//!
//! A proxy opens a tunnel to a server. Once the tunnel is open, its bytes are those of a connection to the server:
//! first TLS for a `wss` URL, then the opening handshake.
//!
//! - [`Proxy`] is the setting of a client: no proxy, one proxy, or the rules of the environment.
//! - [`ProxyUrl`] is the address of a proxy, with its scheme, user and password.
//! - [`ProxyTarget`] is the server to which the tunnel leads.
//! - [`ProxyHandshake`] opens the tunnel. It returns the bytes to send, and receives the bytes that arrived.
//!
//! ```text
//!  Proxy::for_url ─▶ None: connect to the server
//!       │
//!       ▼
//!    ProxyUrl: connect to the proxy, with TLS if `secure`; for `socks5`, resolve the server's name
//!       │
//!       ▼
//!  ProxyHandshake::new ─▶ Send: write `bytes_to_send`, call `transmitted` ◀┐
//!                         Receive: read, call `receive` ───────────────┤
//!                         Open: the rest of the input is the tunnel's ◀┘
//!                         ProxyError: drop the connection
//! ```
//!
//! The handshake has no deadline. The driver limits the time, for example with a
//! [`dial::Progress`](crate::dial::Progress). After a refusal, the handshake also receives the body of the response.
//! While [`awaits_body`](ProxyHandshake::awaits_body) is true, the driver can stop waiting: it calls
//! [`handle_eof`](ProxyHandshake::handle_eof), which returns the refusal without the rest of the body.
//!
//! The loop of a driver, here over a slice that contains the answer of the proxy:
//!
//! ```
//! use hybi::handshake::WsUrl;
//! use hybi::proxy::{Proxy, ProxyAction, ProxyHandshake, ProxyTarget};
//!
//! let url = WsUrl::parse("wss://example.com/chat")?;
//! let proxy = Proxy::url("http://alice:secret@proxy.example:3128")?;
//! let Some(proxy) = proxy.for_url(&url)? else { return Ok(()) };
//! assert_eq!((proxy.host_for_connect(), proxy.port()), ("proxy.example", 3128));
//!
//! let mut handshake = ProxyHandshake::new(proxy, ProxyTarget::from_url(&url))?;
//! let mut written = Vec::new();
//! let mut input = &b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03"[..];
//! loop {
//!     match handshake.receive(&mut input)? {
//!         ProxyAction::Send => {
//!             let bytes = handshake.bytes_to_send(); // write some of them to the stream
//!             written.extend_from_slice(bytes);
//!             handshake.transmitted(bytes.len());
//!         }
//!         ProxyAction::Receive => panic!("read from the stream, and call `handle_eof` at its end"),
//!         ProxyAction::Open => break,
//!     }
//! }
//! assert_eq!(input, b"\x16\x03"); // belongs to the tunnel
//! assert_eq!(
//!     core::str::from_utf8(&written)?,
//!     "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\
//!      Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Secrets
//!
//! User and password appear in no `Debug` output and in no error. They are sent to the proxy only, and never through
//! the tunnel. An `http` or `socks5` proxy receives them without encryption.
//!
//! # Out of scope
//!
//! - I/O, name resolution and TLS: the driver does them.
//! - Authentication other than Basic (RFC 7617) and user with password (RFC 1929).
//! - SOCKS4, BIND and UDP ASSOCIATE, proxy auto-configuration files, and settings of the operating system.

mod environment;
mod error;
mod http_connect;
mod no_proxy;
mod proxy_handshake;
mod refusal;
mod setting;
mod socks5;
mod target;
mod url;

pub use environment::ProxyVariableError;
pub use error::{ProxyError, SocksFailure};
pub use proxy_handshake::{ProxyAction, ProxyHandshake};
pub use refusal::ProxyRefusal;
pub use setting::Proxy;
pub use target::ProxyTarget;
pub use url::{ProxyScheme, ProxyUrl, ProxyUrlError};
