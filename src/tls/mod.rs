//! TLS sessions without I/O, over [`rustls`]: feature `rustls`.
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
//! | `rustls` | this module, and TLS in the adapters; a client needs a configuration of the application |
//! | `rustls-ring`, `rustls-aws-lc-rs` | a provider of cryptography, for processes without a default provider |
//! | `webpki-roots` | trust in the root certificates of Mozilla, which are compiled into the program |
//! | `platform-verifier` | trust in the root certificates of the operating system |
//!
//! With a provider and roots, `connect("wss://…")` needs no configuration. If both sources of roots are enabled, the
//! operating system decides. If both providers are enabled, aws-lc-rs is used. [`client_config`] describes the default
//! configuration.
//!
//! # Debugging
//!
//! To decrypt captured traffic, for example in Wireshark, set [`ClientConfig::key_log`] to a [`rustls::KeyLogFile`].
//! rustls then writes the secrets of each session to the file that the environment variable `SSLKEYLOGFILE` names. The
//! default configuration never writes secrets.

mod config;
mod error;
mod session;

pub use config::client_config;
pub use error::TlsError;
#[doc(no_inline)]
pub use rustls::{self, ClientConfig, ServerConfig};
pub use session::Session;
