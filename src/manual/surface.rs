//! The methods that send, and which type has which method.
//!
//! Eight types have methods that send. Two of these types are in the core. The blocking adapter has three, and the
//! asynchronous adapters share three:
//!
//! - [`Connection`](crate::Connection) is a whole connection, and [`Sender`](crate::Sender) its sending half. They do
//!   no I/O: a call queues a frame, and the driver writes it.
//! - `WebSocket` queues a frame and writes the whole queue.
//! - `Responder` queues a frame. If the queue is full, a call that sends a message or a Ping first writes the queue,
//!   and may wait for the stream. The asynchronous `Responder` writes a large borrowed message directly if the queue is
//!   empty. A `Responder` is returned together with an event, so that the application can answer while it still borrows
//!   the event.
//! - `Writer` is the sending half of a split WebSocket. It queues frames and writes the queue.
//!
//! Methods with the same name send the same frames on all types. Apart from the time of the write, two things depend on
//! the type:
//!
//! - **Time.** The core has no clock, so a call that starts a timer takes `now`. An adapter reads its own clock.
//! - **Waiting.** A call of the core never waits. Some calls of an adapter may have to wait for the stream. Such a call
//!   blocks in `net`, and is `async` in the asynchronous adapters. All other calls are plain functions.
//!
//! The columns named *net* are the types of `adapters::net`. The columns named *async* are the types that
//! `adapters::tokio` and `adapters::futures_io` share.
//!
//! | method | `Connection` | `Sender` | net `WebSocket` | net `Responder` | net `Writer` | async `WebSocket` | async `Responder` | async `Writer` |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `send_text` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `send_binary` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `send_fragment` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `send_fragment_with` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `send` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `send_with` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `send_prepared` | at once | at once | blocks | blocks | blocks | async | async | async |
//! | `try_send` | no (1) | no (1) | at once | at once | at once | at once | at once | at once |
//! | `feed` | no (2) | no (2) | blocks | no (2) | blocks | async | no (2) | async |
//! | `feed_prepared` | no (2) | no (2) | blocks | no (2) | blocks | async | no (2) | async |
//! | `transmit` | with `now` | with `now` | no (3) | no (3) | no (3) | no (3) | no (3) | no (3) |
//! | `transmit_with` | with `now` | with `now` | no (3) | no (3) | no (3) | no (3) | no (3) | no (3) |
//! | `transmit_text` | with `now` | with `now` | no (3) | no (3) | no (3) | no (3) | no (3) | no (3) |
//! | `transmit_binary` | with `now` | with `now` | no (3) | no (3) | no (3) | no (3) | no (3) | no (3) |
//! | `ping` | with `now` | with `now` | blocks | blocks | blocks | async | async | async |
//! | `pong` | at once | at once | blocks | at once | blocks | async | at once | async |
//! | `close` | with `now` | with `now` | blocks | at once | blocks | async | at once | async |
//! | `close_after` | with `now` | with `now` | no (8) | no (8) | no (8) | no (8) | no (8) | no (8) |
//! | `flush` | no (4) | no (4) | blocks | no (5) | blocks | async | no (5) | async |
//! | `can_send` | at once | at once | no (6) | no (6) | no (6) | no (6) | no (6) | no (6) |
//! | `buffered_amount` | at once | at once | at once | at once | at once | at once | at once | at once |
//! | `ready_state` | at once | at once | at once | at once | at once | at once | at once | at once |
//! | `round_trip` | at once | at once | at once | no (7) | at once | at once | no (7) | at once |
//!
//! The number after `no` gives the reason why the type does not have the method:
//!
//! 1. `send` of the core never waits. It returns the message with [`SendError::Blocked`](crate::SendError::Blocked).
//! 2. `send` of this type has the same effect as `feed` of the other types: it queues the message.
//! 3. The adapter owns the stream and writes by itself. `transmit` is for drivers, which write to the transport
//!    themselves.
//! 4. The driver writes the queue with `poll_transmit` and `transmitted`.
//! 5. The WebSocket writes the queue before it waits for input. To write earlier, call `flush` of the WebSocket after
//!    the event.
//! 6. `try_send` checks and sends in one call, and returns a message that it cannot send.
//! 7. The value does not change while an event is borrowed. So call the method of the WebSocket before or after the
//!    event.
//! 8. The adapter stores messages that could not be queued at once. Its `close` sends them before the Close.
//!
//! # Rules for all methods that send
//!
//! - **`self`.** Every method that sends takes `&mut self`, and every getter takes `&self`. `net::Writer` is `Clone`,
//!   so each thread can have a clone. The asynchronous `Writer` is for one task. Several tasks can share it through a
//!   channel or an asynchronous mutex.
//! - **Options.** [`SendOptions`](crate::SendOptions) are passed with one message and apply to no other. A prepared
//!   message has its options from `Prepared::with_options`.
//! - **Messages.** `send`, `send_with`, `try_send` and `feed` take anything that is `Into<Message>`: `&str`, `String`,
//!   `&[u8]`, `Vec<u8>`, `Bytes`, `Text`. Borrowed data is copied. `send_text`, `send_binary` and `send_fragment` need
//!   no `Message`, and work without an allocator.
//! - **Close.** `close` takes a code or `None`, and a reason that is a string or a
//!   [`CloseReason`](crate::CloseReason).
//! - **Refusals.** A refused message is not sent, not even in part. `send` of the core and `try_send` return the
//!   message to the caller.
//!
//! # Never waiting
//!
//! `try_send` of an adapter returns at once, also while another thread or task writes. Use `try_send` in a server that
//! one slow peer must not slow down. `Blocked` has two causes: the write queue has reached the high-water mark, or too
//! many bytes wait while another thread or task writes. `try_send` accepts a message while another thread or task
//! writes and few bytes wait. `try_send` of a `WebSocket` or `Writer` writes as many bytes as the stream accepts now.
//! The next call that sends writes the rest. A call that receives also writes the rest before it waits.
//! `buffered_amount` and `ready_state` never wait either.
