//! Proxies for clients, without I/O: their URLs, and the proxy variables of the environment.
//!
//! - [`Proxy`] is the setting of a client: no proxy, one proxy, or the rules of the environment.
//! - [`ProxyUrl`] is the address of a proxy, with its scheme, user and password.
//!
//! User and password appear in no `Debug` output and in no error.

mod environment;
mod no_proxy;
mod setting;
mod url;

pub use environment::ProxyVariableError;
pub use setting::Proxy;
pub use url::{ProxyScheme, ProxyUrl, ProxyUrlError};
