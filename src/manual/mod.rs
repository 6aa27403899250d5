//! What does not fit a single item: documentation only.

pub mod closing;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod compression;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub mod from_tokio_tungstenite;
pub mod limits;
pub mod run_loop;
pub mod security;
pub mod timeouts;
pub mod upgrades;
pub mod zero_copy;
