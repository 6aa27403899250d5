//! Run loops over the core, one a module, each behind its feature. They hold no protocol logic.

#[cfg(feature = "net")]
#[cfg_attr(docsrs, doc(cfg(feature = "net")))]
pub mod net;
