//! Guides: documentation that belongs to no single item.
//!
//! | to … | read |
//! | --- | --- |
//! | drive a connection from an event loop of your own | [`run_loop`], [`shared_buffer`] |
//! | go on after an error | [`errors`] |
//! | understand how connections end | [`closing`], [`timeouts`] |
//! | send one message to many connections | `broadcast` (feature `alloc`) |
//! | bound memory and time | [`limits`], [`security`] |
//! | avoid copies | [`zero_copy`] |
//! | compress | `compression` (feature `deflate`) |
//! | put a WebSocket behind an HTTP server | [`upgrades`] |
//! | test an application | [`testing`] |
//! | come from tokio-tungstenite | `from_tokio_tungstenite` (feature `tokio`) |

#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub mod broadcast;
pub mod closing;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod compression;
pub mod errors;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub mod from_tokio_tungstenite;
pub mod limits;
pub mod run_loop;
pub mod security;
pub mod shared_buffer;
pub mod testing;
pub mod timeouts;
pub mod upgrades;
pub mod zero_copy;
