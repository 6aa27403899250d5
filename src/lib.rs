//! WebSocket (RFC 6455) as pure, sans-IO state machines.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::unreachable,
        reason = "tests make bytes out of counters"
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "net")]
mod adapters;
#[allow(unsafe_code, reason = "the one place for it")]
mod arch;
pub mod close;
pub mod connection;
mod error;
pub mod frame;
pub mod handshake;
pub mod time;
pub mod utf8;

#[cfg(feature = "net")]
#[cfg_attr(docsrs, doc(cfg(feature = "net")))]
pub use adapters::net;
pub use arch::Memory;
#[cfg(feature = "alloc")]
pub use arch::Text;
pub use close::{CloseCode, CloseFrame, CloseReason};
pub use connection::{
    Config, ControlPayload, Counters, Cut, Delivery, Event, Gather, Input, Kind, Lent, LentMessage, Limits,
    Machine, Outcome, Output, Owed, Ready, ReadyState, Receiver, SendError, Sender, SharedConfig, Timer,
    TransportAction,
};
#[cfg(feature = "alloc")]
pub use connection::{Connection, Inbox, Message, MessageBuf, Outbox, Prepared, Refused};
pub use error::ProtocolError;
pub use frame::Role;
pub use time::Instant;
