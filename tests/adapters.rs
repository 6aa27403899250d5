//! The adapters once more, as a crate of its own: what they name of the core is public, or this would not
//! build.
#![allow(dead_code, missing_docs, unused_imports, unreachable_pub, reason = "nothing is called here")]

#[cfg(feature = "deflate")]
pub use hybi::deflate;
pub use hybi::{
    CloseCode, Config, Connection, Event, Inbox, Instant, Kind, Message, Outbox, Outcome, Owed, Prepared,
    ProtocolError, Ready, ReadyState, Receiver, SendError, Sender, SharedConfig, TransportAction, close,
    connection, handshake, time,
};

#[cfg(feature = "net")]
#[path = "../src/adapters/mod.rs"]
mod adapters;
#[cfg(feature = "net")]
pub use adapters::net;

/// What is named in them is found here, not in the library itself.
#[test]
#[cfg(feature = "net")]
fn they_are_built_from_the_same_sources() {
    let path = core::any::type_name::<net::Server>();
    assert!(path.starts_with("adapters::adapters::opening::"), "{path}");
}
