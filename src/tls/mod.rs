//! TLS sessions without I/O: features `rustls` and `native-tls`.
//!
//! A [`Session`] encrypts and decrypts. The caller moves ciphertext between the session and the network. The adapters
//! use this module for `wss://` URLs and for `Server::accept_tls`. The core of the crate knows nothing of TLS.
//!
//! ```text
//!                 handle_ciphertext, handle_eof          poll_plaintext
//!    network ──────────────────────────────▶ ┌─────────┐ ──────────────▶ WebSocket
//!                                            │ Session │
//!    network ◀────────────────────────────── └─────────┘ ◀────────────── WebSocket
//!                 poll_ciphertext                        encrypt, close
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `rustls` | this module over rustls, and TLS in the adapters; a client needs a configuration of the application |
//! | `rustls-ring`, `rustls-aws-lc-rs` | a provider of cryptography, for processes without a default provider |
//! | `webpki-roots` | trust in the root certificates of Mozilla, which are compiled into the program |
//! | `platform-verifier` | trust in the root certificates of the operating system |
//! | `native-tls` | this module over the TLS library of the operating system, and its root certificates |
//!
//! With a provider and roots, or with `native-tls`, `connect("wss://…")` needs no configuration. If several of the
//! features are enabled, these rules apply:
//!
//! - The default provider of the process comes first, then aws-lc-rs, then ring. rustls panics if it has to choose a
//!   provider and cannot. hybi applies this order itself, so rustls never has to choose.
//! - `platform-verifier` comes before `webpki-roots`.
//! - rustls comes before native-tls, if it has a provider and roots. A client chooses one of the two with `Client::tls`
//!   or `Client::native_tls`, and a server with `Server::accept_tls` or `Server::accept_native_tls`.
//!
//! `default_client_config` and `default_native_connector` describe the default configurations.
//!
//! # native-tls
//!
//! Prefer rustls. Use native-tls if rules of your organization demand the library of the operating system: OpenSSL on
//! Linux, Secure Transport on macOS, and `SChannel` on Windows. On Linux, the build needs the headers of OpenSSL
//! (`libssl-dev`) and pkg-config. native-tls differs from rustls in these points:
//!
//! - On macOS, and for a few errors on Windows, the reason of a failure is only in the text of the error. The variant
//!   of these errors is [`TlsError::Failed`].
//! - A server cannot require certificates of its clients. With OpenSSL, it speaks TLS 1.2 only.
//! - There is no log of secrets for debugging.
//!
//! # Builds with debug assertions
//!
//! If rustls 0.23 is compiled with debug assertions, a peer can cause a panic: see [`Session::close`].
//!
//! # Debugging
//!
//! The default configuration never writes secrets, even if the environment variable `SSLKEYLOGFILE` is set. To decrypt
//! captured traffic, for example in Wireshark, add one line to the configuration of rustls:
//!
//! ```
//! # #[cfg(all(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"), feature = "webpki-roots"))] {
//! use std::sync::Arc;
//!
//! use hybi::tls::rustls::KeyLogFile;
//!
//! # fn main() -> Result<(), hybi::tls::TlsError> {
//! let mut config = hybi::tls::ClientConfig::clone(&*hybi::tls::default_client_config()?);
//! config.key_log = Arc::new(KeyLogFile::new());
//! let config = Arc::new(config); // for `Client::tls`
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```
//!
//! With this configuration, rustls writes the secrets of each session to the file that `SSLKEYLOGFILE` names. The file
//! grows, and everybody who can read it can read the traffic. Do not set the variable in production.

#[cfg(feature = "rustls")]
mod config;
mod connector;
mod error;
#[cfg(feature = "native-tls")]
mod native_session;
#[cfg(feature = "rustls")]
mod rustls_session;
mod session;

#[cfg(feature = "rustls")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
pub use config::{crypto_provider, default_client_config};
pub use connector::Connector;
#[cfg(feature = "native-tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
pub use connector::default_native_connector;
pub use error::{LibraryError, TlsError};
#[cfg(feature = "native-tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
#[doc(no_inline)]
pub use native_tls;
#[cfg(feature = "rustls")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
#[doc(no_inline)]
pub use rustls::{self, ClientConfig, ServerConfig};
pub use session::Session;
