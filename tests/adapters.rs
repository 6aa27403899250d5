//! Compiles the adapters again as a part of this crate. So the adapters can use only public items of the core. If they
//! used a private item, this crate would not compile.
#![cfg(any(feature = "net", feature = "tokio", feature = "futures-io"))]
#![allow(dead_code, missing_docs, unused_imports, unreachable_pub, reason = "nothing is called here")]

#[cfg(feature = "deflate")]
pub use hybi::deflate;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
pub use hybi::tls;
pub use hybi::{
    CloseCode, CloseFrame, CloseReason, CloseState, Config, Connection, Counters, Delivery, EofPosition,
    Event, EventIndex, Inbox, Instant, Message, MessageIndex, MessageKind, Outbox, Outcome, PendingReply,
    Prepared, ProtocolError, ReadyState, Receiver, Role, SendError, SendOptions, Sender, SendingHalf,
    SharedConfig, TransportAction, UnsentMessage, dial, handshake, proxy, reconnect, redirect,
};

#[path = "../src/adapters/mod.rs"]
mod adapters;
pub use adapters::*;

/// The types of the adapters must belong to this crate, and not to the library.
#[test]
fn the_adapters_are_compiled_as_a_part_of_this_crate() {
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
