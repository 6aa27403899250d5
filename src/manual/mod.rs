//! Guides to topics that concern several items of the crate.
//!
//! | topic | guide |
//! | --- | --- |
//! | driving a connection from your own event loop | [`run_loop`], [`shared_buffer`] |
//! | the methods that send, for each type | [`surface`] |
//! | continuing after an error | [`errors`] |
//! | how connections end | [`closing`], [`timeouts`] |
//! | sending one message to many connections | `broadcast` (feature `alloc`) |
//! | limiting memory and time | [`limits`], [`security`] |
//! | avoiding copies | [`zero_copy`] |
//! | compressing messages | `compression` (feature `deflate`) |
//! | using a WebSocket behind an HTTP server | `upgrades` (feature `alloc`) |
//! | tunnelling another protocol | [`tunnels`] |
//! | testing an application | [`testing`] |
//! | migrating from tokio-tungstenite | `from_tokio_tungstenite` (feature `tokio`) |

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
pub mod surface;
pub mod testing;
pub mod timeouts;
pub mod tunnels;
#[cfg(feature = "alloc")]
#[cfg_attr(docsrs, doc(cfg(feature = "alloc")))]
pub mod upgrades;
pub mod zero_copy;
