//! The WebSocket of runtimes that poll: what the adapters `tokio` and `futures_io` share, which is all but how a
//! stream is polled and what the time is.
//!
//! # The run loop
//!
//! A call that receives takes in everything that is readable, and hands out one event after the other. When
//! the next read would wait, what has been queued by then goes out in one vectored write, and only then does
//! the task wait: for input, for room to write, or for the next deadline. So answers are batched by
//! themselves. A call that sends, in contrast, writes before it returns; one that feeds only queues.
//!
//! A call that sends and has to wait also reads what has arrived, up to 64 KiB, and keeps it for the next call that
//! receives. So a peer that answers Pings is not held to be dead by a program that only sends. Still, such a program
//! answers no Ping of the peer and sees no Close: have one task receive and another one send.
//!
//! After 1,024 frames or 512 KiB of input, the task yields, so a peer that sends without end does not keep others
//! waiting.
//!
//! # Dropping futures
//!
//! What a call knows lies in the WebSocket and not in its future, so any future can be dropped wherever it
//! waits, in a `select!` for example, and nothing is lost or sent twice:
//!
//! | future | dropped before it is ready |
//! | --- | --- |
//! | `next`, `recv`, `wait_closed`, `Stream` | nothing was handed out; the next call goes on |
//! | `flush`, `Sink` | what waits still waits, and goes out with the next call that writes or waits; the next flush says so if it did not |
//! | `feed`, and everything of a [`Responder`] | the message was not accepted: nothing of it goes out, ever |
//! | `send`, `ping`, `close` and the like | either it was not accepted, as above; or it is queued as a whole, and goes out with the next call that writes or waits. Accepted it is as soon as less than [`Config::high_water`](crate::Config::high_water) waits: where that holds, upon the first poll |
//!
//! A handshake owns its stream, which is dropped with it.
//!
//! # Dropping a WebSocket
//!
//! closes its stream without a word, which the peer sees as an abnormal end (1006), with what is queued lost.
//! `close` and `wait_closed` do it properly, and a [`Group`] for many at once. Of two halves the stream is closed when
//! both are gone.
//!
//! # Memory
//!
//! Buffers for input and output belong to the thread, and are borrowed while there is something to read or
//! to write. A thread keeps two of each kind, of 2 MiB at most; larger ones are freed after use. A connection that waits
//! has none, but for the part of a message that has come in with a little room behind it, and for a second memory that
//! the rest of a large one may need. One whose event is being looked at has the buffer that it lies in; `recv` leaves
//! none behind. Without its stream and the headers of its handshake (see
//! [`WebSocket::forget_headers`]) a connection that waits holds less than 900 bytes, its timer included.

use std::task::{Context, Poll};

use crate::Instant;

mod buffer_pool;
mod group;
mod handshake;
mod notify_once;
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
pub use handshake::{AcceptError, HttpCall};
pub use reader::Reader;
pub use responder::Responder;
pub use stream::Transport;
pub use websocket::WebSocket;
pub use writer::Writer;

/// A clock, and an alarm for one task.
pub trait Timer {
    /// The time, on a clock that does not go back. All clones of a timer have the same clock.
    fn now(&self) -> Instant;

    /// Ready once the time is `at`; until then the task is woken when it comes to that. There is one alarm: a
    /// call with another time, or from another task, takes the place of the one before. It may be called
    /// again after it was ready.
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()>;
}
