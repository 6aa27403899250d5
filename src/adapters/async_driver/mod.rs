//! The asynchronous WebSocket, shared by the adapters `tokio` and `futures_io`.
//!
//! Both adapters use the types of this module. Each adapter only implements [`Transport`], which polls a stream, and
//! [`Timer`], which has the clock. An application can implement the two traits for another runtime.
//!
//! # The run loop
//!
//! A call that receives decodes the next event of the input that has arrived, and returns this event. If all input is
//! decoded and the next read is pending, the call writes all queued frames in one vectored write. So the answers to
//! several messages are written together. Then the task waits for input, for the stream to accept more bytes, or for
//! the next deadline. A call that sends writes the queue before it returns. `feed`, `feed_prepared` and the methods of
//! a [`Responder`] queue a frame. They write the queue only if the queue is full. A `Responder` writes a large borrowed
//! message directly if the queue is empty.
//!
//! While a call that sends waits for the stream, it also reads what has arrived, up to 64 KiB, for the next call that
//! receives. This input shows that the peer is alive, so the timers do not end the connection of a program that only
//! sends. But such a program does not answer the peer's Pings and does not see the peer's Close. So let one task
//! receive and another task send.
//!
//! After 16 reads, 1,024 frames, 512 KiB of input or 256 KiB of inflated data, the task yields to other tasks. A peer
//! that sends without pause therefore does not delay other connections.
//!
//! # Dropping futures
//!
//! The progress of a call is stored in the WebSocket, not in the future of the call. So any future can be dropped while
//! it waits, for example in a `select!`. No event is lost, and no message is sent twice or in part:
//!
//! | future | effect of dropping it before it is ready |
//! | --- | --- |
//! | `next_event`, `recv`, `wait_closed`, `Stream` | No event is lost. The next call continues. |
//! | `flush`, `Sink` | The next call that writes or waits writes the rest of the queue. If queued messages are lost meanwhile, the next flush returns an error. |
//! | `feed`, and the methods of a [`Responder`] | The message was not queued. No part of it is ever sent. |
//! | `send`, `ping`, `close` and the other calls that send | Either the frame was not queued, and no part of it is ever sent. Or the whole frame is queued, and the next call that writes or waits writes it. The first poll queues a message if the write queue is below [`Config::high_water`](crate::Config::high_water). |
//!
//! The future of a handshake owns the stream, so dropping this future closes the stream. Dropping a [`PendingRequest`]
//! also closes its stream.
//!
//! # Dropping a WebSocket
//!
//! Dropping a WebSocket closes its stream without a Close, and the frames in its write queue are lost. The peer sees an
//! abnormal end (close code 1006). To end a connection properly, call `close` and then `wait_closed`. To end many
//! connections, close their [`Group`]. A split WebSocket closes its stream when both halves were dropped.
//!
//! # Memory
//!
//! Each thread has a pool of buffers for input and output. A connection takes a buffer from the pool while there is
//! input to decode or a frame to write, and then returns it. A thread keeps two of each kind, of 2 MiB at most each.
//! Larger buffers are freed after use.
//!
//! A connection that waits between two messages has no buffer. A connection that waits in the middle of a message keeps
//! the part that has arrived. For a second it also keeps memory that the rest of a large message may need. While the
//! application borrows an event, the connection keeps the buffer of that event. `recv` returns the buffer as soon as
//! all input is decoded.
//!
//! Apart from its stream and the headers of its handshake, a connection that waits holds less than 900 bytes, its timer
//! included. [`WebSocket::forget_headers`] frees the headers.

use std::task::{Context, Poll};

use crate::Instant;

mod buffer_pool;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(super) mod client_stream;
mod clock;
#[cfg(any(feature = "tokio", feature = "async-io"))]
mod dial;
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
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls_stream;
mod turn;
mod websocket;
mod write_driver;
mod writer;

#[cfg(any(feature = "tokio", feature = "async-io"))]
pub use client_stream::ClientStream;
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(super) use dial::dial;
#[cfg(all(unix, any(feature = "tokio", feature = "async-io")))]
pub(super) use dial::in_time;
pub use group::Group;
pub use http_call::{AcceptError, HttpCall};
pub use pending_request::PendingRequest;
pub use reader::Reader;
pub use responder::Responder;
pub use stream::Transport;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "rustls", feature = "native-tls"))))]
pub use tls_stream::TlsStream;
pub use websocket::{ByteStream, WebSocket};
pub use writer::Writer;

/// A clock, and a timer for one task.
pub trait Timer {
    /// Returns the time of a monotonic clock. All clones of a timer return the time of the same clock.
    fn now(&self) -> Instant;

    /// Returns `Ready` if the time is `at` or later. Otherwise arranges that the task of `cx` is woken at that time.
    ///
    /// A value of this type has one timer. A call with another time, or from another task, sets this timer again. The
    /// function may be called again after it returned `Ready`.
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()>;
}
