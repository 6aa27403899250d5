//! Using one read buffer for many connections.
//!
//! A connection does not store its input. Once [`poll_event`](crate::Connection::poll_event) has returned `None`, all
//! bytes of the input have been decoded, and another connection can use the buffer. There are two exceptions, described
//! below: a connection whose sends are refused as `Blocked`, and a connection whose inflate budget is used up. Only a
//! message that arrives in several reads is stored, in the `VecMessage` of its connection. So a thread with a thousand
//! connections needs only one read buffer.
//!
//! # If a send is `Blocked`
//!
//! A server that answers messages must not decode input faster than the peer reads the answers. If a send is refused as
//! [`Blocked`](crate::SendError::Blocked), the rest of the input cannot be decoded yet. But other connections need the
//! shared buffer. Three rules solve this problem:
//!
//! 1. Call [`can_send`](crate::Connection::can_send) before each poll. While it returns `Blocked`, do not poll. With
//!    this rule the queue has space for each answer, so answers need not be stored elsewhere.
//! 2. Copy the rest of the input, whose length is [`remaining`](crate::Input::remaining), to memory of this connection.
//!    The rest is never longer than one read. If a rest is left after a read, call
//!    [`handle_undecoded`](crate::Connection::handle_undecoded) with the time of the read, so that no timer treats the
//!    peer as silent.
//! 3. Do not read from this connection until the rest has been decoded. TCP then slows the peer down.
//!
//! `can_send` does not cause an [`Event::Writable`](crate::Event::Writable). Call it again after each write.
//!
//! If [`must_poll_again`](crate::Connection::must_poll_again) returns true, the inflate budget is used up. Copy the
//! rest of the input as in rule 2, and serve other connections. Then set a new budget with
//! [`set_inflate_budget`](crate::Connection::set_inflate_budget), and poll again. The example leaves out timers and
//! transport actions: [`run_loop`](super::run_loop) has an example with both.
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use hybi::{Config, Connection, Event, Input, Instant, Outbox, SendError, VecMessage};
//!
//! struct Client {
//!     connection: Connection,
//!     /// A message that arrives in several reads.
//!     message: VecMessage,
//!     /// Input that is not decoded before the peer has read our answers.
//!     rest: Vec<u8>,
//! }
//!
//! impl Client {
//!     fn new(config: Config) -> Self {
//!         let connection = Connection::server(Instant::ZERO, config, Outbox::new());
//!         Self { connection, message: VecMessage::new(), rest: Vec::new() }
//!     }
//!
//!     /// Returns whether the socket may be read.
//!     fn wants_input(&self) -> bool {
//!         self.rest.is_empty()
//!     }
//!
//!     /// Handles bytes that have just been read into the shared buffer. Afterwards other connections can use this
//!     /// buffer.
//!     fn receive(&mut self, now: Instant, bytes: &mut [u8]) {
//!         self.handle(now, bytes);
//!         if !self.rest.is_empty() {
//!             self.connection.handle_undecoded(now);
//!         }
//!     }
//!
//!     fn handle(&mut self, now: Instant, bytes: &mut [u8]) {
//!         let len = bytes.len();
//!         let mut input = Input::new(bytes, &mut self.message);
//!         while self.connection.can_send() != Err(SendError::Blocked) {
//!             match self.connection.poll_event(now, &mut input) {
//!                 // The queue has space. A send can only fail as `Closed`, and a closed connection needs no answer.
//!                 Ok(Some(Event::Text(text))) => drop(self.connection.send_text(text)),
//!                 Ok(Some(_)) => {}
//!                 Ok(None) => break,
//!                 Err(violation) => eprintln!("{violation}"),
//!             }
//!         }
//!         let unread = input.remaining();
//!         self.rest.extend_from_slice(&bytes[len - unread..]);
//!     }
//!
//!     /// Writes at most `space` bytes, which the socket accepts. Then decodes the rest of the input.
//!     fn write(&mut self, now: Instant, space: usize) -> Vec<u8> {
//!         let mut slices = [&[][..]; 8];
//!         let len = self.connection.poll_transmit(&mut slices);
//!         let mut written = slices[..len].concat();
//!         written.truncate(space);
//!         self.connection.transmitted(now, written.len());
//!         let mut rest = std::mem::take(&mut self.rest);
//!         self.handle(now, &mut rest);
//!         written
//!     }
//! }
//!
//! let now = Instant::ZERO;
//! let mut buffer = [0; 1024];
//! let mut clients = [Client::new(Config::new().high_water(16)), Client::new(Config::new().high_water(16))];
//!
//! // Four masked messages of ten bytes arrive from each client in one read. The mask is zero here.
//! let wire = [&b"\x81\x8a\0\0\0\0ten bytes!"[..]; 4].concat();
//! for client in &mut clients {
//!     buffer[..wire.len()].copy_from_slice(&wire);
//!     client.receive(now, &mut buffer[..wire.len()]);
//!     // Two answers of twelve bytes reach the high-water mark. The other two messages wait.
//!     assert_eq!(client.connection.buffered_amount(), 24);
//!     assert_eq!(client.rest.len(), 32);
//!     assert!(!client.wants_input());
//! }
//!
//! // The first peer reads its answers, so its other messages are answered. The second peer does not read.
//! let mut answers = clients[0].write(now, 1000);
//! answers.extend(clients[0].write(now, 1000));
//! assert_eq!(answers, [&b"\x81\x0aten bytes!"[..]; 4].concat());
//! assert!(clients[0].wants_input() && !clients[1].wants_input());
//! assert_eq!(clients[1].write(now, 0), b"");
//! assert_eq!(clients[1].rest.len(), 32);
//! # }
//! ```
