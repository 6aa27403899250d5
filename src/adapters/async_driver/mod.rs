//! The asynchronous WebSocket, shared by the adapters `tokio` and `futures_io`.
//!
//! The two adapters only add how a stream is polled ([`Transport`]), and what the time is ([`Timer`]).
//!
//! # The run loop
//!
//! A call that receives decodes all input that has come in, and returns one event after the other. When the next read
//! is pending, the call writes all queued frames in one vectored write. Only then does the task wait: for input, for
//! room to write, or for the next deadline. So answers to several messages are batched. A call that sends writes before
//! it returns, and a call that feeds only queues.
//!
//! A call that sends and has to wait also reads what has arrived, up to 64 KiB, and keeps it for the next call that
//! receives. So a program that only sends does not declare a peer dead that answers Pings. But such a program answers
//! no Ping of the peer and sees no Close. Let one task receive and another one send.
//!
//! After 1,024 frames or 512 KiB of input, the task yields, so a peer that sends without end does not delay other
//! connections.
//!
//! # Dropping futures
//!
//! The state of a call is in the WebSocket and not in its future. So any future can be dropped while it waits, in a
//! `select!` for example, and nothing is lost or sent twice:
//!
//! | future | effect of dropping it before it is ready |
//! | --- | --- |
//! | `next_event`, `recv`, `wait_closed`, `Stream` | No event was consumed. The next call continues. |
//! | `flush`, `Sink` | The rest of the queue is written by the next call that writes or waits. The next flush reports messages that were dropped. |
//! | `feed`, and all methods of a [`Responder`] | The message was not accepted. Nothing of it is ever sent. |
//! | `send`, `ping`, `close` and the others that send | Either the frame was not accepted, and nothing of it is ever sent. Or it is queued as a whole, and written by the next call that writes or waits. The first poll accepts it if the write queue is below [`Config::high_water`](crate::Config::high_water). |
//!
//! A handshake owns its stream, which is dropped with the future. So does a [`PendingRequest`].
//!
//! # Dropping a WebSocket
//!
//! Dropping a WebSocket closes its stream without a Close, and its write queue is lost. The peer sees an abnormal end
//! (1006). Call `close` and `wait_closed` to end a connection properly, or close a [`Group`] of many. The stream of two
//! halves is closed when both are dropped.
//!
//! # Memory
//!
//! Buffers for input and output belong to the thread. A connection borrows them while there is something to read or to
//! write. A thread keeps two of each kind, of 2 MiB at most, and larger ones are freed after use.
//!
//! A connection that waits without a part of a message has no buffer. Otherwise it keeps that part with a little room
//! behind it, and for a second memory that the rest of a large one may need. While an event is borrowed, the connection
//! keeps the buffer that holds it. After `recv` it keeps none.
//!
//! Without its stream and the headers of its handshake, a connection that waits holds less than 900 bytes, its timer
//! included. [`WebSocket::forget_headers`] frees the headers.

use std::task::{Context, Poll};

use crate::Instant;

mod buffer_pool;
mod clock;
mod group;
mod handshake;
mod handshake_loop;
mod http_call;
mod notify_once;
mod pending_request;
mod read_ahead;
mod reader;
mod responder;
mod shared_lock;
mod split;
mod stream;
mod tasks;
mod turn;
mod websocket;
mod write_driver;
mod writer;

pub use group::Group;
pub use http_call::{AcceptError, HttpCall};
pub use pending_request::PendingRequest;
pub use reader::Reader;
pub use responder::Responder;
pub use stream::Transport;
pub use websocket::WebSocket;
pub use writer::Writer;

/// A clock, and a timer for one task.
pub trait Timer {
    /// Returns the time of a clock that does not go back. All clones of a timer have the same clock.
    fn now(&self) -> Instant;

    /// Ready once the time is `at`. Until then the task is woken at that time.
    ///
    /// There is one timer: a call with another time, or from another task, replaces the previous one. The function may
    /// be called again after it was ready.
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()>;
}
