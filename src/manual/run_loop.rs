//! How to drive a connection from an event loop of your own.
//!
//! # One turn
//!
//! 1. **Read** to where `Connection::read_space` says and report it with `Inbox::handle_read`; or lend your own
//!    buffer with [`Input::new`](crate::Input::new). End of file and reset are
//!    [`handle_eof`](crate::Machine::handle_eof).
//! 2. **Poll** until `None`. A poll decodes no further than the event it returns, and what the event means is
//!    done by then: a Pong is queued, a Close answered. An `Err` is the peer's violation, once; go on as
//!    before.
//! 3. **Write** what [`poll_transmit`](crate::Machine::poll_transmit) gives and report how much with
//!    [`transmitted`](crate::Machine::transmitted), 0 where the transport takes nothing: that is how the
//!    connection learns that it is congested. To write after the whole batch, and not after each message,
//!    is what makes pipelined small messages fast.
//! 4. **Transport**: do what [`poll_transport`](crate::Machine::poll_transport) says.
//! 5. **Wait** for more input, for room to write if something is left, or for
//!    [`poll_timeout`](crate::Machine::poll_timeout), whichever is first. Call
//!    [`handle_timeout`](crate::Machine::handle_timeout) on every turn, not only after a wait in vain: a peer
//!    that keeps bytes coming must not keep the timers from running.
//!
//! Between `poll_transmit` and `transmitted` nothing else may be called, or a Pong might get between the
//! bytes that were written. While the slices live the borrow checker sees to that; a driver whose writes
//! complete later copies the slices, reports them as transmitted at once, and writes its copy.
//!
//! [`Event::Closed`](crate::Event::Closed) is the last event and comes exactly once.
//!
//! # Sharing one read buffer
//!
//! Once a poll has returned `None` the connection has taken in every byte: a thread with a thousand
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
