//! How to drive a connection from an event loop of your own.
//!
//! # One turn
//!
//! 1. **Read** to where `Connection::read_space` says and report it with `Inbox::handle_read`; or lend your own
//!    buffer with [`Input::new`](crate::Input::new). End of file and reset are
//!    [`handle_eof`](crate::Machine::handle_eof). Before end of file is reported, write what is queued: the peer may still
//!    read it. If our Close is lost, the outcome is [`Unanswered`](crate::Outcome::Unanswered).
//! 2. **Poll** until `None`. A poll decodes no further than the event it returns, and what the event means is
//!    done by then: a Pong is queued, a Close answered. An `Err` is the peer's violation, once; go on as
//!    before.
//!
//!    With a budget for inflating, [`set_inflate_budget`](crate::Machine::set_inflate_budget), `None` may also say
//!    that the budget is used up. While [`is_paused`](crate::Machine::is_paused), keep the rest of the input, serve
//!    other connections, and poll again without reading. End of file is reported once it is no longer paused.
//! 3. **Time**: call [`handle_timeout`](crate::Machine::handle_timeout), on every turn and before every write, not only
//!    after a wait in vain. A peer that keeps bytes coming, or takes a byte now and then, must not keep the timers from
//!    running.
//! 4. **Write** what [`poll_transmit`](crate::Machine::poll_transmit) gives and report how much with
//!    [`transmitted`](crate::Machine::transmitted), 0 where the transport takes nothing: that is how the
//!    connection learns that it is congested. To write after the whole batch, and not after each message,
//!    is what makes pipelined small messages fast.
//! 5. **Transport**: do what [`poll_transport`](crate::Machine::poll_transport) says. `Close` and `Abort` mean that
//!    the connection has ended: poll for [`Event::Closed`](crate::Event::Closed) instead of waiting. An ended connection
//!    has no deadline that would end the wait.
//! 6. **Wait** for more input, for room to write if something is left, or for
//!    [`poll_timeout`](crate::Machine::poll_timeout), whichever is first.
//!
//! Between `poll_transmit` and `transmitted` nothing else may be called, or a Pong might get between the
//! bytes that were written. While the slices live the borrow checker sees to that; a driver whose writes
//! complete later copies the slices, reports them as transmitted at once, and writes its copy.
//!
//! [`Event::Closed`](crate::Event::Closed) is the last event and comes exactly once.
//!
//! # A send that is refused as `Blocked`
//!
//! Write, and send again: a loop inside of the turn. It needs the steps 3 and 4 of the turn, both of them. A peer that
//! does not read lets no write through, so only `handle_timeout` can end the connection, and with it the loop: the send
//! is then refused as [`Closed`](crate::SendError::Closed). A driver that can wait for several things goes on with the
//! turn instead, and sends after [`Event::Writable`](crate::Event::Writable).
//!
//! The README prints such a loop over a blocking socket. A test runs the same text against peers that never read, read
//! slowly, or say nothing.
//!
//! # Sharing one read buffer
//!
//! Once a poll has returned `None` the connection has taken in every byte, unless it is paused: a thread with a thousand
//! connections needs one read buffer. Only a message that spans reads lies in a
//! `MessageBuf` of its connection's own.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Event, Input, Instant, MessageBuf, Outbox};
//!
//! let mut buffer = [0; 16 << 10];
//! let mut clients: Vec<_> = (0..3)
//!     .map(|n| (Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [n; 32]), MessageBuf::new()))
//!     .collect();
//! // Each read gives a part of a message of another connection.
//! for part in [&b"\x81\x05Hel"[..], b"lo"] {
//!     for (connection, message) in &mut clients {
//!         buffer[..part.len()].copy_from_slice(part);
//!         let mut input = Input::new(&mut buffer[..part.len()], message);
//!         while let Some(event) = connection.poll_event(Instant::ZERO, &mut input).unwrap() {
//!             assert_eq!(event, Event::Text("Hello"));
//!         }
//!         assert_eq!(input.remaining(), 0);
//!     }
//! }
//! # }
//! ```
//!
//! # Receiving and sending in two tasks
//!
//! [`Machine::into_halves`](crate::Machine::into_halves) gives a [`Receiver`](crate::Receiver) and a
//! [`Sender`](crate::Sender). What receiving owes to the wire is a value, [`Owed`](crate::Owed), that can go
//! through a channel:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Inbox, Instant, Outbox};
//!
//! let connection = Connection::client(Instant::ZERO, Config::new(), Outbox::new(), [1; 32]);
//! let (mut receiver, mut sender) = connection.into_halves();
//! let (to_sender, owed) = std::sync::mpsc::channel();
//! std::thread::spawn(move || {
//!     let mut inbox = Inbox::with_bytes(b"\x89\x02hi"); // a Ping
//!     while let Some(ready) = receiver.poll(&mut inbox).unwrap() {
//!         if let Some(owed) = ready.owes() {
//!             to_sender.send(owed).unwrap();
//!         }
//!     }
//! });
//! for owed in owed {
//!     sender.settle(Instant::ZERO, owed);
//! }
//! assert_eq!(sender.buffered_amount(), 2 + 4 + 2);
//! # }
//! ```
//!
//! Tell the sending half of what comes in with
//! [`handle_received`](crate::Sender::handle_received), or its keepalive will think the peer is silent.
