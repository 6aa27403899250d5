//! The adapters once more, as a crate of its own: what they name of the core is public, or this would not
//! build.
#![cfg(any(feature = "net", feature = "tokio", feature = "futures-io"))]
#![allow(dead_code, missing_docs, unused_imports, unreachable_pub, reason = "nothing is called here")]

#[cfg(feature = "deflate")]
pub use hybi::deflate;
pub use hybi::{
    CloseCode, CloseFrame, CloseReason, CloseState, Config, Connection, Counters, EofPosition, Event,
    EventIndex, Inbox, Instant, Message, MessageIndex, MessageKind, Outbox, Outcome, PendingReply, Prepared,
    ProtocolError, ReadyState, Receiver, Role, SendError, SendOptions, Sender, SendingHalf, SharedConfig,
    TransportAction, UnsentMessage, handshake,
};

#[path = "../src/adapters/mod.rs"]
mod adapters;
pub use adapters::*;

/// What is named in them is found here, not in the library itself.
#[test]
fn they_are_built_from_the_same_sources() {
    let paths = [
        #[cfg(feature = "net")]
        core::any::type_name::<net::WebSocket<std::net::TcpStream>>(),
        #[cfg(feature = "tokio")]
        core::any::type_name::<tokio::WebSocket>(),
        #[cfg(feature = "futures-io")]
        core::any::type_name::<futures_io::WebSocket<(), ()>>(),
    ];
    assert!(paths.iter().all(|path| path.starts_with("adapters::adapters::")), "{paths:?}");
}
